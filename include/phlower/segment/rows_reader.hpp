// Reads rows out of one segment: by id, and as a stream newest first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "phlower/history/source.hpp"
#include "phlower/segment/format/filter.hpp"
#include "phlower/segment/format/row_chunks.hpp"
#include "phlower/segment/format/row_codec.hpp"
#include "phlower/segment/id_lookup.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this.
class RowsReader {
 public:
  /// `live`: rows may still be added.
  RowsReader(sqlite::Connection& db, bool live) : db_(&db), live_(live), words_(db), ids_(db) {}

  Status load() {
    Status status = load_base();
    return status.ok() ? load_version() : status;
  }
  /// Takes up the ids of the file as it is now. Needed before `find` without a map.
  Status refresh_ids() { return ids_.refresh(); }

  /// Loads the filter of a sealed segment; returns its size.
  Result<std::size_t> load_filter() {
    auto select = db_->prepare("SELECT bits FROM id_filter ORDER BY part");
    if (!select.ok()) return select.status();
    std::string bytes;
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      bytes += select->text(0);
    }
    filter_ = IdFilter::from_bytes(bytes);
    return bytes.size();
  }
  bool may_hold(IdTag tag) const { return live_ ? ids_.may_hold(tag) : filter_.may_hold(tag); }

  /// `map`: of whoever writes the segment in this process, or null.
  Result<std::optional<FoundRow>> find(const TaskKey& key, const IdMap* map) {
    std::optional<FoundRow> found;
    Status status = follow_version();
    if (!status.ok()) return status;
    const auto look = [&](std::uint32_t row) {
      status = load_row(row, key, found);
      return found.has_value() || !status.ok();
    };
    if (map != nullptr) {
      map->find(key.tag(), look);
    } else if (Status searched = ids_.find(key.tag(), look); !searched.ok()) {
      return searched;
    }
    if (!status.ok()) return status;
    return found;
  }

  /// By the index of names where the query has one, else by the times of chunks.
  Result<std::unique_ptr<RowStream>> stream(const Query& query) {
    if (Status status = follow_version(); !status.ok()) return status;
    const std::int64_t last = query.after && query.after->at_us < query.until_us
                                  ? query.after->at_us
                                  : query.until_us - 1;
    const std::int64_t from = relative(query.from_us);
    if (!query.task_name.empty()) return by_name(query.task_name, from, relative(last));
    if (live_ || !chunks_) {
      auto chunks = RowChunks::read(*db_);
      if (!chunks.ok()) return chunks.status();
      chunks_ = *std::move(chunks);
    }
    return std::unique_ptr<RowStream>(new ByTime(*this, from, relative(last)));
  }

 private:
  class ByName final : public RowStream {
   public:
    ByName(RowsReader& reader, sqlite::Statement select)
        : reader_(reader), select_(std::move(select)) {}
    Result<bool> next(FoundRow& row) override {
      const auto found = select_.step();
      if (!found.ok() || !*found) return found;
      Status status = reader_.read(select_, row);
      if (!status.ok()) return status;
      return true;
    }

   private:
    RowsReader& reader_;
    sqlite::Statement select_;
  };

  class ByTime final : public RowStream {
   public:
    ByTime(RowsReader& reader, std::int64_t from, std::int64_t last)
        : reader_(reader), rows_(*reader.db_, *reader.chunks_, from, last) {}
    Result<bool> next(FoundRow& row) override {
      const auto seq = rows_.next();
      if (!seq.ok()) return seq.status();
      if (*seq == 0) return false;
      Status status = reader_.select_row(*seq);
      if (status.ok()) status = reader_.read(reader_.select_, row);
      reader_.select_.reset();
      if (!status.ok()) return status;
      return true;
    }

   private:
    RowsReader& reader_;
    NewestRows rows_;
  };

  // Relative to the segment's base, without overflow for times that mean "any".
  std::int64_t relative(std::int64_t us) const {
    constexpr std::int64_t kFar = 1ll << 60;
    return std::clamp(us, -kFar, kFar) - base_.us;
  }

  Status load_base() {
    const auto base = segment_file::fact(*db_, segment_schema::kBaseKey, 0);
    if (!base.ok()) return base.status();
    const auto segment = segment_file::fact(*db_, segment_schema::kDetailsSegmentKey, 0);
    if (!segment.ok()) return segment.status();
    base_ = {*base, *segment};
    return Status();
  }

  Status load_version() {
    const auto version = segment_file::fact(*db_, segment_schema::kVersionKey, 0);
    if (!version.ok()) return version.status();
    if (*version != version_) select_ = {};
    version_ = static_cast<int>(*version);
    return Status();
  }

  // An engine that takes up what an older build wrote makes it one of its own version.
  Status follow_version() {
    return live_ && version_ < segment_schema::kVersion ? load_version() : Status();
  }

  Status read(const sqlite::Statement& from, FoundRow& row) {
    // The first details may have come since the file was opened.
    if (base_.details_segment == 0 && !from.is_null(kTaskDetails)) {
      if (Status status = load_base(); !status.ok()) return status;
    }
    return read_task(from, words_, base_, row);
  }

  Result<std::unique_ptr<RowStream>> by_name(const std::string& name, std::int64_t from,
                                             std::int64_t last) {
    const auto word = words_.find(name);
    if (!word.ok()) return word.status();
    auto select = db_->prepare("SELECT " + task_columns(version_) +
                               " FROM task WHERE name = ?1 AND at >= ?2 AND at <= ?3 "
                               "ORDER BY at DESC");
    if (!select.ok()) return select.status();
    *word > 0 ? select->bind(1, *word) : select->bind(1, std::string_view(name));
    select->bind(2, from);
    select->bind(3, last);
    return std::unique_ptr<RowStream>(new ByName(*this, *std::move(select)));
  }

  // The row stands ready in select_; kCorrupt where it is not there.
  Status select_row(std::int64_t row) {
    if (!select_) {
      Status ready = db_->prepare_once(
          select_, "SELECT " + task_columns(version_) + " FROM task WHERE seq = ?1");
      if (!ready.ok()) return ready;
    }
    select_.bind(1, row);
    const auto there = select_.step();
    if (!there.ok()) return there.status();
    if (*there) return Status();
    return Status(Code::kCorrupt, db_->path() + ": row " + std::to_string(row) + " is not there");
  }

  Status load_row(std::uint32_t row, const TaskKey& key, std::optional<FoundRow>& found) {
    Status status = select_row(row);
    if (status.ok() && key.equals(select_, 0)) status = read(select_, found.emplace());
    select_.reset();
    return status;
  }

  sqlite::Connection* db_;
  bool live_;
  WordReader words_;
  IdLookup ids_;
  IdFilter filter_;
  std::optional<RowChunks> chunks_;
  RowBase base_;
  int version_ = 0;
  sqlite::Statement select_;
};

}  // namespace phlower
