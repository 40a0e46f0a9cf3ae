// Sealing: a segment that is complete gets one index of its ids and a filter, becomes one plain
// file without a log, and is never written again. In steps: each can be the last before a crash,
// and doing it again from the start is right.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/checksum.hpp"
#include "phlower/segment/format/filter.hpp"
#include "phlower/segment/format/id_pages.hpp"
#include "phlower/segment/format/row_chunks.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

/// What is known of a file once it is sealed.
struct Sealed {
  std::uint64_t rows = 0;
  std::uint64_t details = 0;
  std::int64_t oldest_us = 0;
  std::int64_t newest_us = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
};

/// Checksum over all bytes of a file that no process writes. Errors: of the system.
inline Result<std::uint64_t> checksum_of(const std::string& path, std::uint64_t* bytes = nullptr) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status::from_errno("open " + path);
  Checksum sum;
  std::vector<char> piece(256 << 10);
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0) {
      const Status status = Status::from_errno("read " + path);
      ::close(fd);
      return status;
    }
    if (got == 0) break;
    sum.add(piece.data(), static_cast<std::size_t>(got));
    total += static_cast<std::uint64_t>(got);
  }
  ::close(fd);
  if (bytes != nullptr) *bytes = total;
  return sum.value();
}

/// Seals one file that no writer has open any more. Not thread safe; touches nothing else.
class Sealing {
 public:
  Sealing(std::string path, SegmentFamily family, const StoreOptions& options)
      : path_(std::move(path)), family_(family), options_(options) {}

  /// One step of some milliseconds (the last ones as long as the disk takes). True: sealed.
  /// kBusy: a reader has the file open; try this step again later.
  Result<bool> step() {
    Status status;
    switch (stage_) {
      case Stage::kOpen: status = open(); break;
      case Stage::kMerge: status = merge_part(); break;
      case Stage::kFilter: status = write_filter(); break;
      case Stage::kFold: status = fold(); break;
      case Stage::kSum: status = sum(); break;
      case Stage::kDone: return true;
    }
    if (!status.ok()) {
      if (db_ && !db_.autocommit()) static_cast<void>(db_.exec("ROLLBACK"));
      return status;
    }
    return stage_ == Stage::kDone;
  }
  const Sealed& sealed() const noexcept { return sealed_; }

 private:
  enum class Stage : std::uint8_t { kOpen, kMerge, kFilter, kFold, kSum, kDone };
  static constexpr std::uint64_t kCacheBytes = 4 << 20;
  static constexpr std::size_t kFilterPart = 64 << 10;

  Status open() {
    auto db = segment_file::open_for_writing(path_, options_, kCacheBytes);
    if (!db.ok()) return db.status();
    db_ = *std::move(db);
    // The index goes through the log too: not on top of one that a reader keeps from being emptied.
    if (Status status = empty_log(); !status.ok()) return status;
    if (family_ == SegmentFamily::kDetails) {
      const auto entries = segment_file::fact(db_, segment_schema::kDetailsKey, 0);
      const auto oldest = segment_file::fact(db_, segment_schema::kOldestKey, 0);
      const auto newest = segment_file::fact(db_, segment_schema::kNewestKey, 0);
      for (const auto* value : {&entries, &oldest, &newest}) {
        if (!value->ok()) return value->status();
      }
      sealed_.rows = sealed_.details = static_cast<std::uint64_t>(*entries);
      sealed_.oldest_us = *oldest;
      sealed_.newest_us = *newest;
      stage_ = Stage::kFold;
      return Status();
    }
    if (Status status = look(); !status.ok()) return status;
    if (Status status = begin_index(); !status.ok()) return status;
    filter_ = IdFilter(sealed_.rows);
    stage_ = part_ < kParts ? Stage::kMerge : Stage::kFilter;
    if (part_ == 0) return read_tail();
    // Parts of an earlier try: the filter needs their ids too.
    return add_index_to_filter();
  }

  Status look() {
    const auto base = segment_file::fact(db_, segment_schema::kBaseKey, 0);
    if (!base.ok()) return base.status();
    const auto rows = db_.query_integer("SELECT max(seq) FROM task");
    const auto details = segment_file::fact(db_, segment_schema::kDetailsKey, 0);
    for (const auto* value : {&rows, &details}) {
      if (!value->ok()) return value->status();
    }
    const auto chunks = RowChunks::read(db_);
    if (!chunks.ok()) return chunks.status();
    sealed_.rows = static_cast<std::uint64_t>(*rows);
    sealed_.details = static_cast<std::uint64_t>(*details);
    if (const TimeRange times = chunks->all(); !times.empty()) {
      sealed_.oldest_us = *base + times.oldest;
      sealed_.newest_us = *base + times.newest;
    }
    return Status();
  }

  Status begin_index() {
    const auto bits = segment_file::fact(db_, segment_schema::kIndexBitsKey, 0);
    if (!bits.ok()) return bits.status();
    const auto parts = segment_file::fact(db_, segment_schema::kIndexPartsKey, 0);
    if (!parts.ok()) return parts.status();
    bits_ = *bits > 0 ? static_cast<int>(*bits) : index_bits(sealed_.rows);
    part_ = static_cast<std::uint32_t>(*parts);
    if (bits_ < kIndexBitsMin || bits_ > kIndexBitsMax || part_ > kParts) {
      return Status(Code::kCorrupt, path_ + ": a state of sealing that there is not");
    }
    return Status();
  }

  // The ids behind the last run, which only this part of the file knows.
  Status read_tail() {
    runs_ = sealed_.rows / kRunRows;  // a run is written as soon as it is full
    return read_ids_after(runs_ * kRunRows);
  }

  Status read_ids_after(std::uint64_t row) {
    tail_.clear();
    auto select = db_.prepare("SELECT seq, id FROM task WHERE seq > ?1");
    if (!select.ok()) return select.status();
    select->bind(1, static_cast<std::int64_t>(row));
    for (;;) {
      const auto found = select->step();
      if (!found.ok()) return found.status();
      if (!*found) return Status();
      const std::string id = read_task_id(*select, 1);
      tail_.push_back(id_entry(TaskKey(id).tag(), static_cast<std::uint32_t>(select->integer(0))));
    }
  }

  Status add_index_to_filter() {
    auto select = db_.prepare("SELECT entries, page FROM id_index");
    if (!select.ok()) return select.status();
    std::vector<IdEntry> entries;
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      entries.clear();
      unpack_entries(select->text(0), static_cast<std::uint32_t>(select->integer(1)), bits_,
                     entries);
      for (const IdEntry entry : entries) filter_.add(tag_of(entry));
    }
    return read_tail();
  }

  // One part of all runs becomes pages of the index; the pages it frees take the next ones.
  Status merge_part() {
    std::vector<IdEntry> entries;
    auto select = db_.prepare("SELECT entries FROM id_run WHERE page = ?1");
    if (!select.ok()) return select.status();
    for (std::uint64_t run = 0; run < runs_; ++run) {
      select->bind(1, static_cast<std::int64_t>(run * kParts + part_));
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) continue;
      unpack_run(select->text(0), run, part_, entries);
      select->reset();
    }
    for (const IdEntry entry : tail_) {
      if (part_of(tag_of(entry)) == part_) entries.push_back(entry);
    }
    for (const IdEntry entry : entries) filter_.add(tag_of(entry));
    if (Status status = store_part(entries); !status.ok()) return status;
    if (++part_ == kParts) {
      stage_ = Stage::kFilter;
      tail_ = {};
    }
    return Status();
  }

  Status store_part(std::vector<IdEntry>& entries) {
    if (Status status = db_.exec("BEGIN IMMEDIATE"); !status.ok()) return status;
    auto remove = db_.prepare("DELETE FROM id_run WHERE page = ?1");
    auto insert = db_.prepare("INSERT OR REPLACE INTO id_index (page, entries) VALUES (?1, ?2)");
    auto set = db_.prepare(segment_file::kSetFact);
    for (const auto* statement : {&remove, &insert, &set}) {
      if (!statement->ok()) return statement->status();
    }
    for (std::uint64_t run = 0; run < runs_; ++run) {
      remove->bind(1, static_cast<std::int64_t>(run * kParts + part_));
      if (Status status = remove->run(); !status.ok()) return status;
    }
    Status status = write_index_part(*insert, bits_, entries);
    if (status.ok()) status = segment_file::set_fact(*set, segment_schema::kIndexBitsKey, bits_);
    if (status.ok()) {
      status = segment_file::set_fact(*set, segment_schema::kIndexPartsKey, part_ + 1);
    }
    return status.ok() ? db_.exec("COMMIT") : status;
  }

  Status write_filter() {
    if (Status status = db_.exec("BEGIN IMMEDIATE; DELETE FROM id_filter"); !status.ok()) {
      return status;
    }
    auto insert = db_.prepare("INSERT INTO id_filter (part, bits) VALUES (?1, ?2)");
    if (!insert.ok()) return insert.status();
    const std::string_view bytes = filter_.bytes();
    for (std::size_t at = 0; at < bytes.size(); at += kFilterPart) {
      const std::string_view piece = bytes.substr(at, kFilterPart);
      insert->bind(1, static_cast<std::int64_t>(at / kFilterPart));
      insert->bind_blob(2, piece.data(), piece.size());
      if (Status status = insert->run(); !status.ok()) return status;
    }
    stage_ = Stage::kFold;
    return db_.exec("COMMIT");
  }

  Status empty_log() {
    const int result =
        sqlite3_wal_checkpoint_v2(db_.raw(), "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (result == SQLITE_OK) return Status();
    return sqlite::detail::error(db_.raw(), result, path_, "checkpoint");
  }

  // All of the log into the file. Needs a moment in which nobody is in the middle of reading it.
  Status fold() {
    if (Status status = empty_log(); !status.ok()) return status;
    // Not where somebody has the file open: then an empty log stays beside it until it goes.
    // Whoever opens it from now on looks at the main file alone.
    static_cast<void>(db_.query_text("PRAGMA journal_mode = DELETE").status());
    db_ = sqlite::Connection();
    stage_ = Stage::kSum;
    return segment_file::sync_path(path_);
  }

  Status sum() {
    const auto checksum = checksum_of(path_, &sealed_.bytes);
    if (!checksum.ok()) return checksum.status();
    sealed_.checksum = *checksum;
    stage_ = Stage::kDone;
    return Status();
  }

  std::string path_;
  SegmentFamily family_;
  StoreOptions options_;
  sqlite::Connection db_;
  Stage stage_ = Stage::kOpen;
  Sealed sealed_;
  int bits_ = 0;
  std::uint32_t part_ = 0;  // the next one
  std::uint64_t runs_ = 0;
  std::vector<IdEntry> tail_;
  IdFilter filter_;
};

}  // namespace phlower
