// Writes one segment of rows. New rows are appended; what is known already is found through a map
// in memory and updated in place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "phlower/history/positions.hpp"
#include "phlower/segment/format/id_map.hpp"
#include "phlower/segment/format/id_pages.hpp"
#include "phlower/segment/format/row_chunks.hpp"
#include "phlower/segment/format/row_codec.hpp"
#include "phlower/segment/segment_writer.hpp"

namespace phlower {

/// Not thread safe.
class RowsWriter {
 public:
  /// Opens a segment and takes up its map again: sequential reads of 5 bytes a row. One that an
  /// older build left becomes one of this version.
  static Result<std::unique_ptr<RowsWriter>> open(const std::string& path, std::int64_t seq,
                                                  const StoreOptions& options,
                                                  std::uint64_t cache_bytes) {
    auto db = segment_file::open_for_writing(path, options, cache_bytes);
    if (!db.ok()) return db.status();
    if (Status status = segment_file::upgrade(*db, SegmentFamily::kRows); !status.ok()) {
      return status;
    }
    std::unique_ptr<RowsWriter> writer(new RowsWriter(seq, *std::move(db)));
    if (Status status = writer->load(); !status.ok()) return status;
    return writer;
  }

  SegmentWriter& file() noexcept { return file_; }
  const IdMap& ids() const noexcept { return ids_; }
  std::uint64_t rows() const noexcept { return rows_; }
  std::uint64_t details() const noexcept { return details_; }
  /// Times of its rows. Requires: there are some.
  std::int64_t oldest_us() const noexcept { return base_us_ + chunks_.all().oldest; }
  std::int64_t newest_us() const noexcept { return base_us_ + chunks_.all().newest; }

  /// Begins a transaction where none is open.
  Status begin() {
    if (file_.in_transaction()) return Status();
    saved_ = {rows_, details_, details_segment_};
    return file_.begin();
  }

  /// The row of a task, 0 if there is none.
  Result<std::uint32_t> find(const TaskKey& key) {
    std::uint32_t found = 0;
    Status status;
    ids_.find(key.tag(), [&](std::uint32_t row) {
      const auto same = is_at(key, row);
      if (!same.ok()) status = same.status();
      if (same.ok() && *same) found = row;
      return found != 0 || !status.ok();
    });
    if (!status.ok()) return status;
    return found;
  }

  /// Requires: `find` found nothing. `details` is a packed DetailsRef, 0 for none.
  Status insert(const TaskKey& key, const RecordView& record, std::int64_t at_us,
                std::int64_t details) {
    if (!insert_) {
      Status ready = file_.db().prepare_once(insert_, insert_task_sql());
      if (!ready.ok()) return ready;
    }
    const auto row = static_cast<std::uint32_t>(rows_ + 1);
    insert_.bind(1, std::int64_t{row});
    const auto local = local_details(details);
    if (!local.ok()) return local.status();
    Status status = bind_task(insert_, words_, key, record, base_us_, at_us, *local);
    if (status.ok()) status = insert_.run();
    if (!status.ok()) return status;
    ++rows_;
    if (details != 0) ++details_;
    ids_.insert(key.tag(), row);
    tail_.push_back(id_entry(key.tag(), row));
    chunks_.note(row, at_us - base_us_);
    return Status();
  }

  Status load_row(std::uint32_t row, FoundRow& out) {
    if (!select_) {
      Status ready =
          file_.db().prepare_once(select_, "SELECT " + task_columns(segment_schema::kVersion) +
                                               " FROM task WHERE seq = ?1");
      if (!ready.ok()) return ready;
    }
    select_.bind(1, std::int64_t{row});
    const auto found = select_.step();
    if (!found.ok()) return found.status();
    if (!*found) return no_row(row);
    Status status = read_task(select_, reader_, {base_us_, details_segment_}, out);
    select_.reset();
    return status;
  }

  Status update(std::uint32_t row, const TaskKey& key, const RecordView& record, std::int64_t at_us,
                std::int64_t before, std::int64_t details) {
    if (!update_) {
      Status ready = file_.db().prepare_once(update_, update_task_sql());
      if (!ready.ok()) return ready;
    }
    update_.bind(1, std::int64_t{row});
    const auto local = local_details(details);
    if (!local.ok()) return local.status();
    Status status = bind_task(update_, words_, key, record, base_us_, at_us, *local);
    if (status.ok()) status = update_.run();
    if (!status.ok()) return status;
    if (before != 0 && details == 0 && details_ > 0) --details_;
    if (before == 0 && details != 0) ++details_;
    chunks_.note(row, at_us - base_us_);
    return Status();
  }

  Status save_positions(const RingPositions& positions) { return positions_.save(positions); }
  Status forget_positions(const RingId& ring) { return positions_.forget(ring); }
  Result<RingPositions> load_positions(const RingId& ring) { return positions_.load(ring); }

  /// On an error everything since `begin` is as it was.
  Status commit() {
    Status status = write_runs();
    if (status.ok()) status = chunks_.save(static_cast<std::int64_t>(rows_));
    if (status.ok() && details_ != saved_.details) {
      status = file_.set_fact(segment_schema::kDetailsKey, static_cast<std::int64_t>(details_));
    }
    if (status.ok()) status = file_.commit();
    if (!status.ok()) {
      rollback();
      return status;
    }
    words_.committed();
    chunks_.committed(static_cast<std::int64_t>(rows_));
    tail_.erase(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(in_runs_));
    in_runs_ = 0;
    return status;
  }

  void rollback() noexcept {
    file_.rollback();
    words_.rolled_back();
    reader_.forget();
    in_runs_ = 0;
    for (; !tail_.empty() && row_of(tail_.back()) > saved_.rows; tail_.pop_back()) {
      ids_.erase(tag_of(tail_.back()), row_of(tail_.back()));
    }
    rows_ = saved_.rows;
    details_ = saved_.details;
    details_segment_ = saved_.details_segment;
    chunks_.rolled_back(static_cast<std::int64_t>(rows_));
  }

 private:
  struct Saved {
    std::uint64_t rows = 0;
    std::uint64_t details = 0;
    std::int64_t details_segment = 0;
  };

  RowsWriter(std::int64_t seq, sqlite::Connection db)
      : file_(seq, std::move(db), SegmentFamily::kRows),
        words_(file_.db()),
        reader_(file_.db()),
        chunks_(file_.db()),
        positions_(file_.db()) {}

  Status no_row(std::uint32_t row) {
    return Status(Code::kCorrupt,
                  file_.db().path() + ": row " + std::to_string(row) + " is not there");
  }

  Result<bool> is_at(const TaskKey& key, std::uint32_t row) {
    Status ready = file_.db().prepare_once(select_id_, "SELECT id FROM task WHERE seq = ?1");
    if (!ready.ok()) return ready;
    select_id_.bind(1, std::int64_t{row});
    const auto found = select_id_.step();
    if (!found.ok()) return found.status();
    if (!*found) return no_row(row);
    const bool same = key.equals(select_id_, 0);
    select_id_.reset();
    return same;
  }

  // References are short when they count from the first segment of details that is named.
  Result<std::optional<std::int64_t>> local_details(std::int64_t details) {
    if (details == 0) return std::optional<std::int64_t>();
    if (details_segment_ == 0) {
      const std::int64_t segment = DetailsRef::unpack(details).segment;
      Status status = file_.set_fact(segment_schema::kDetailsSegmentKey, segment);
      if (!status.ok()) return status;
      details_segment_ = segment;
    }
    return std::optional(details - DetailsRef{details_segment_, 0, 0}.packed());
  }

  // The rows of a run that is full become pages; at most a few in one transaction.
  Status write_runs() {
    in_runs_ = 0;
    while (tail_.size() - in_runs_ >= kRunRows) {
      Status ready = file_.db().prepare_once(insert_run_,
                                             "INSERT INTO id_run (page, entries) VALUES (?1, ?2)");
      if (!ready.ok()) return ready;
      const auto begin = tail_.begin() + static_cast<std::ptrdiff_t>(in_runs_);
      const std::uint64_t run = (row_of(*begin) - 1) / kRunRows;
      std::vector<IdEntry> entries(begin, begin + kRunRows);
      if (Status status = write_run(insert_run_, run, entries); !status.ok()) return status;
      in_runs_ += kRunRows;
    }
    return Status();
  }

  Status load() {
    sqlite::Connection& db = file_.db();
    const auto base = segment_file::fact(db, segment_schema::kBaseKey, 0);
    if (!base.ok()) return base.status();
    base_us_ = *base;
    const auto details = segment_file::fact(db, segment_schema::kDetailsKey, 0);
    if (!details.ok()) return details.status();
    details_ = static_cast<std::uint64_t>(*details);
    if (Status status = words_.load(); !status.ok()) return status;
    if (Status status = load_runs(); !status.ok()) return status;
    if (Status status = load_tail(); !status.ok()) return status;
    if (Status status = chunks_.load(static_cast<std::int64_t>(rows_)); !status.ok()) return status;
    const auto segment = segment_file::fact(db, segment_schema::kDetailsSegmentKey, 0);
    if (!segment.ok()) return segment.status();
    details_segment_ = *segment;
    return file_.measure();
  }

  Status load_runs() {
    auto select = file_.db().prepare("SELECT entries, page FROM id_run");
    if (!select.ok()) return select.status();
    std::vector<IdEntry> entries;
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) return Status();
      entries.clear();
      const auto page = static_cast<std::uint64_t>(select->integer(1));
      unpack_run(select->text(0), page / kParts, static_cast<std::uint32_t>(page % kParts),
                 entries);
      for (const IdEntry entry : entries) {
        ids_.insert(tag_of(entry), row_of(entry));
        rows_ = std::max<std::uint64_t>(rows_, row_of(entry));
      }
    }
  }

  Status load_tail() {
    auto select = file_.db().prepare("SELECT seq, id FROM task WHERE seq > ?1 ORDER BY seq");
    if (!select.ok()) return select.status();
    select->bind(1, static_cast<std::int64_t>(rows_));
    for (;;) {
      const auto found = select->step();
      if (!found.ok()) return found.status();
      if (!*found) return Status();
      const std::int64_t row = select->integer(0);
      if (row != static_cast<std::int64_t>(rows_) + 1 || row > 0xffff'ffff) {
        return no_row(static_cast<std::uint32_t>(rows_ + 1));
      }
      const std::string id = read_task_id(*select, 1);
      const IdEntry entry = id_entry(TaskKey(id).tag(), static_cast<std::uint32_t>(row));
      ids_.insert(tag_of(entry), row_of(entry));
      tail_.push_back(entry);
      ++rows_;
    }
  }

  SegmentWriter file_;
  WordWriter words_;
  WordReader reader_;
  ChunkWriter chunks_;
  PositionTables positions_;
  sqlite::Statement insert_, update_, select_, select_id_, insert_run_;
  IdMap ids_;
  std::vector<IdEntry> tail_;  // rows behind the last run, in order
  std::size_t in_runs_ = 0;    // of the tail, written by the commit that runs
  std::int64_t base_us_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t details_ = 0;
  std::int64_t details_segment_ = 0;  // that references count from, 0 until there is one
  Saved saved_;
};

}  // namespace phlower
