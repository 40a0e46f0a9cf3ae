// When the rows of each thousand were: instead of an index on time. Rows arrive about in the order
// of their times, so a question for the newest rows, or for an hour, is answered by a few chunks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

inline constexpr std::int64_t kChunkRows = 1024;

/// Times of some rows, relative to the segment's base. `oldest` above `newest`: no row.
struct TimeRange {
  std::int64_t oldest = std::numeric_limits<std::int64_t>::max();
  std::int64_t newest = std::numeric_limits<std::int64_t>::min();

  bool empty() const noexcept { return oldest > newest; }
  void add(std::int64_t at) noexcept {
    oldest = std::min(oldest, at);
    newest = std::max(newest, at);
  }
  void add(const TimeRange& other) noexcept {
    oldest = std::min(oldest, other.oldest);
    newest = std::max(newest, other.newest);
  }
};

/// Ranges of the chunks of a segment that is written. A range may be too wide after a rollback or
/// an update, never too narrow. Not thread safe. `db` outlives this.
class ChunkWriter {
 public:
  explicit ChunkWriter(sqlite::Connection& db) : db_(db) {}

  /// Requires: rows are there up to `rows`.
  Status load(std::int64_t rows);

  void note(std::int64_t seq, std::int64_t at) {
    const auto chunk = static_cast<std::size_t>((seq - 1) / kChunkRows);
    if (chunk >= chunks_.size()) chunks_.resize(chunk + 1);
    const TimeRange before = chunks_[chunk];
    chunks_[chunk].add(at);
    all_.add(at);
    const bool wider =
        before.oldest != chunks_[chunk].oldest || before.newest != chunks_[chunk].newest;
    if (wider && chunk < stored_) changed_.push_back(chunk);
  }

  /// Writes chunks that are full, and those that have changed. Requires an open transaction.
  Status save(std::int64_t rows) {
    Status ready = db_.prepare_once(
        put_, "INSERT OR REPLACE INTO row_chunk (chunk, oldest, newest) VALUES (?1, ?2, ?3)");
    if (!ready.ok()) return ready;
    const auto full = static_cast<std::size_t>(rows / kChunkRows);
    for (const std::size_t chunk : changed_) {
      if (Status status = put(chunk); !status.ok()) return status;
    }
    for (std::size_t chunk = stored_; chunk < full; ++chunk) {
      if (Status status = put(chunk); !status.ok()) return status;
    }
    return Status();
  }
  void committed(std::int64_t rows) {
    stored_ = static_cast<std::size_t>(rows / kChunkRows);
    changed_.clear();
  }
  void rolled_back(std::int64_t rows) {
    chunks_.resize(static_cast<std::size_t>((rows + kChunkRows - 1) / kChunkRows));
  }

  const TimeRange& all() const noexcept { return all_; }

 private:
  Status put(std::size_t chunk) {
    put_.bind(1, static_cast<std::int64_t>(chunk));
    put_.bind(2, chunks_[chunk].oldest);
    put_.bind(3, chunks_[chunk].newest);
    return put_.run();
  }

  sqlite::Connection& db_;
  sqlite::Statement put_;
  std::vector<TimeRange> chunks_;
  std::size_t stored_ = 0;            // full chunks that are in the file
  std::vector<std::size_t> changed_;  // of them, and wider than there
  TimeRange all_;
};

/// Chunks of a segment as they stand in its file, and the rows behind the last full one.
struct RowChunks {
  std::vector<TimeRange> ranges;  // by chunk; the last may be of a chunk that is not full

  static Result<RowChunks> read(sqlite::Connection& db) {
    RowChunks chunks;
    auto select = db.prepare("SELECT chunk, oldest, newest FROM row_chunk ORDER BY chunk");
    if (!select.ok()) return select.status();
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      if (select->integer(0) != static_cast<std::int64_t>(chunks.ranges.size())) {
        return Status(Code::kCorrupt, db.path() + ": its chunks of rows have a gap");
      }
      chunks.ranges.push_back({select->integer(1), select->integer(2)});
    }
    auto rest = db.prepare("SELECT min(at), max(at) FROM task WHERE seq > ?1");
    if (!rest.ok()) return rest.status();
    rest->bind(1, static_cast<std::int64_t>(chunks.ranges.size()) * kChunkRows);
    const auto row = rest->step();
    if (!row.ok()) return row.status();
    if (*row && !rest->is_null(0)) chunks.ranges.push_back({rest->integer(0), rest->integer(1)});
    return chunks;
  }

  TimeRange all() const {
    TimeRange range;
    for (const TimeRange& chunk : ranges) range.add(chunk);
    return range;
  }
};

inline Status ChunkWriter::load(std::int64_t rows) {
  auto found = RowChunks::read(db_);
  if (!found.ok()) return found.status();
  chunks_ = std::move(found->ranges);
  for (const TimeRange& chunk : chunks_) all_.add(chunk);
  committed(rows);
  return Status();
}

/// Numbers of the rows in [from, last], newest first. Holds what the chunks have that overlap: 16
/// bytes a row. Not thread safe. `db` outlives this.
class NewestRows {
 public:
  NewestRows(sqlite::Connection& db, const RowChunks& chunks, std::int64_t from, std::int64_t last)
      : db_(db), from_(from), last_(last) {
    for (std::size_t i = 0; i < chunks.ranges.size(); ++i) {
      const TimeRange& range = chunks.ranges[i];
      if (range.newest >= from && range.oldest <= last) {
        ahead_.push_back({range.newest, static_cast<std::int64_t>(i)});
      }
    }
    std::sort(ahead_.begin(), ahead_.end());
  }

  /// 0: no more.
  Result<std::int64_t> next() {
    while (!ahead_.empty() && (rows_.empty() || ahead_.back().at >= rows_.top().at)) {
      if (Status status = load(ahead_.back().number); !status.ok()) return status;
      ahead_.pop_back();
    }
    if (rows_.empty()) return std::int64_t{0};
    const std::int64_t seq = rows_.top().number;
    rows_.pop();
    return seq;
  }

 private:
  struct Place {
    std::int64_t at;
    std::int64_t number;  // of a chunk or a row
    auto operator<=>(const Place&) const = default;
  };

  Status load(std::int64_t chunk) {
    Status ready =
        db_.prepare_once(select_, "SELECT seq, at FROM task WHERE seq > ?1 AND seq <= ?1 + ?2");
    if (!ready.ok()) return ready;
    select_.bind(1, chunk * kChunkRows);
    select_.bind(2, kChunkRows);
    for (;;) {
      const auto row = select_.step();
      if (!row.ok()) return row.status();
      if (!*row) return Status();
      const std::int64_t at = select_.integer(1);
      if (at >= from_ && at <= last_) rows_.push({at, select_.integer(0)});
    }
  }

  sqlite::Connection& db_;
  sqlite::Statement select_;
  std::int64_t from_;
  std::int64_t last_;
  std::vector<Place> ahead_;  // chunks not read yet, the newest last
  std::priority_queue<Place> rows_;
};

}  // namespace phlower
