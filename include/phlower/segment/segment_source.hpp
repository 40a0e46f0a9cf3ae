// One segment of rows as a source of reads; its file is opened when it is first needed.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "phlower/history/source.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/details_files.hpp"
#include "phlower/segment/rows_reader.hpp"
#include "phlower/segment/rows_writer.hpp"

namespace phlower {

/// Not thread safe. Everything given by reference outlives it. A damaged file is reported once and
/// counts as empty from then on.
class SegmentSource final : public Source {
 public:
  static constexpr std::uint64_t kCacheBytes = 128 << 10;

  /// `writer`: whoever writes the segment in this process, or null.
  SegmentSource(const SegmentInfo& info, std::string path, RowsWriter* writer,
                DetailsFiles& details, const DetailsFiles::OnDamage& on_damage)
      : info_(info),
        path_(std::move(path)),
        writer_(writer),
        details_(details),
        on_damage_(on_damage) {}

  const SegmentInfo& info() const noexcept { return info_; }
  RowsWriter* writer() const noexcept { return writer_; }
  bool is_open() const noexcept { return rows_.has_value(); }
  std::size_t filter_bytes() const noexcept { return filter_bytes_; }

  std::int64_t seq() const override { return info_.seq; }
  bool may_overlap(std::int64_t from_us, std::int64_t until_us) const override {
    if (damaged_) return false;
    if (writer_ != nullptr) {
      return writer_->rows() > 0 && writer_->newest_us() >= from_us &&
             writer_->oldest_us() < until_us;
    }
    if (info_.state != SegmentState::kSealed) return true;  // somebody writes it
    return info_.rows > 0 && info_.newest_us >= from_us && info_.oldest_us < until_us;
  }

  std::int64_t newest_us() const override {
    if (writer_ != nullptr && writer_->rows() > 0) return writer_->newest_us();
    if (info_.state == SegmentState::kSealed) return info_.newest_us;
    return std::numeric_limits<std::int64_t>::max();
  }

  bool may_hold(const TaskKey& key) override {
    if (damaged_) return false;
    if (writer_ != nullptr) {
      return writer_->ids().find(key.tag(), [](std::uint32_t) { return true; });
    }
    return !rows_ || rows_->may_hold(key.tag());
  }

  Result<std::optional<FoundRow>> find(const TaskKey& key) override {
    std::optional<FoundRow> none;
    if (Status status = open(); !status.ok() || damaged_) return none_or(status);
    auto found = rows_->find(key, writer_ != nullptr ? &writer_->ids() : nullptr);
    if (found.ok()) return found;
    return none_or(checked(found.status()));
  }

  Status add_details(FoundRow& row) override {
    return details_.read(row.details, TaskKey(row.record.task_id).tag(), row.record);
  }

  Result<std::unique_ptr<RowStream>> stream(const Query& query, StopCheck&) override {
    Status status = open();
    if (status.ok() && !damaged_) {
      auto made = rows_->stream(query);
      if (made.ok()) return std::unique_ptr<RowStream>(new Checked(*this, *std::move(made)));
      status = checked(made.status());
    }
    if (!status.ok()) return status;
    return std::unique_ptr<RowStream>(new Empty());
  }

  /// All reads until `end_view` see the file as it is now. For a file that another process writes.
  Status begin_view() {
    if (writer_ != nullptr || damaged_) return Status();
    if (sqlite::is_stale(db_)) {
      rows_.reset();
      db_ = sqlite::Connection();
    }
    Status status = open();
    if (!status.ok() || damaged_) return status;
    status = db_.exec("BEGIN");
    if (status.ok()) status = rows_->refresh_ids();
    return status.ok() ? status : checked(status);
  }
  void end_view() {
    if (writer_ == nullptr && db_ && !db_.autocommit()) static_cast<void>(db_.exec("COMMIT"));
  }

  /// Opens the file and, where it is sealed, loads its filter if that has at most `filter_room`
  /// bytes: look-ups of ids that are not there then need no look at the file.
  Status open(std::size_t filter_room = 0) {
    if (damaged_) return Status();
    if (!rows_) {
      if (Status status = open_file(); !status.ok()) return checked(status);
    }
    const bool sealed = info_.state == SegmentState::kSealed && writer_ == nullptr;
    if (!sealed || filter_bytes_ > 0 || info_.rows * 10 / 8 + 64 > filter_room) return Status();
    const auto bytes = rows_->load_filter();
    if (!bytes.ok()) return checked(bytes.status());
    filter_bytes_ = *bytes;
    return Status();
  }

 private:
  class Empty final : public RowStream {
   public:
    Result<bool> next(FoundRow&) override { return false; }
  };
  // Damage in the middle ends the stream.
  class Checked final : public RowStream {
   public:
    Checked(SegmentSource& source, std::unique_ptr<RowStream> stream)
        : source_(source), stream_(std::move(stream)) {}
    Result<bool> next(FoundRow& row) override {
      if (source_.damaged_) return false;
      auto more = stream_->next(row);
      if (more.ok()) return more;
      if (Status status = source_.checked(more.status()); !status.ok()) return status;
      return false;
    }

   private:
    SegmentSource& source_;
    std::unique_ptr<RowStream> stream_;
  };

  static Result<std::optional<FoundRow>> none_or(const Status& status) {
    if (!status.ok()) return status;
    return std::optional<FoundRow>();
  }

  Status open_file() {
    if (writer_ != nullptr) {
      rows_.emplace(writer_->file().db(), true);
    } else {
      const bool sealed = info_.state == SegmentState::kSealed;
      auto db = segment_file::open_for_reading(path_, sealed, kCacheBytes);
      if (!db.ok()) return db.status();
      db_ = *std::move(db);
      rows_.emplace(db_, !sealed);
    }
    Status status = rows_->load();
    if (status.ok() && writer_ == nullptr) status = rows_->refresh_ids();
    if (!status.ok()) rows_.reset();
    return status;
  }

  Status checked(Status status) {
    const Code code = status.code();
    if (code == Code::kNotFound || (code == Code::kIo && ::access(path_.c_str(), F_OK) != 0)) {
      return Status(Code::kReload, path_ + ": has gone in the meantime; ask again");
    }
    if (code != Code::kCorrupt && code != Code::kNotOurs) return status;
    if (!damaged_) on_damage_(info_.seq, status);
    damaged_ = true;
    return Status();
  }

  SegmentInfo info_;
  std::string path_;
  RowsWriter* writer_;
  DetailsFiles& details_;
  DetailsFiles::OnDamage on_damage_;
  sqlite::Connection db_;  // of our own, where nobody lends one
  std::optional<RowsReader> rows_;
  std::size_t filter_bytes_ = 0;
  bool damaged_ = false;
};

}  // namespace phlower
