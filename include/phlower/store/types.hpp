// What the store tells its callers: counts, reports and modes, without a word of SQLite.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// For what a database file is opened.
enum class OpenMode : std::uint8_t {
  kEngine,       // made when missing; missing tables of our own are added
  kMaintenance,  // must exist and hold a history; no table is added (purge of somebody's file)
  kReadOnly,     // must exist; nothing is written (dry run, queries)
};

/// What a file held when it was opened.
enum class FileKind : std::uint8_t {
  kEmpty,        // no tables at all, or no file
  kSingle,       // one invocations table and one of details
  kPresplit,     // details are columns of invocations
  kPartitioned,  // tables of days, or tables set aside as *_legacy
};

/// Rows in the history. `invocations` and `details` are right while `exact`; until the recount
/// after an open is through they start from nothing and grow towards the truth.
/// Details that are columns of their row (presplit) are not counted. Times are 0 where unknown.
struct Counts {
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;
  UnixSeconds oldest = 0;  // finished_at, over the tables with an index on it
  UnixSeconds newest = 0;
  bool exact = false;
};

/// What one purge step did. `more`: expired rows are left, call again.
struct PurgeReport {
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;   // rows of details deleted, or emptied where they are columns
  std::uint64_t examined = 0;  // rows looked at, the measure of what the step cost
  bool more = false;
};

/// State of the WAL after a checkpoint step. `busy`: another connection checkpoints or writes.
struct CheckpointReport {
  std::uint64_t frames = 0;      // in the log
  std::uint64_t backfilled = 0;  // of them in the database file
  bool busy = false;
  bool reset = false;  // the log is empty: the next commit starts it anew
};

struct ReclaimReport {
  std::uint64_t pages = 0;       // given back by this step
  std::uint64_t pages_left = 0;  // free pages still in the file
};

/// What one step of the upkeep of files did, and sums since the store was opened.
struct TendReport {
  std::uint64_t changed = 0;             // segments that changed their state in this step
  std::uint64_t purged_invocations = 0;  // the rest are sums: unlinked past their retention
  std::uint64_t purged_details = 0;
  std::uint64_t dropped_invocations = 0;  // unlinked before it, because the disk was short
  std::uint64_t dropped_details = 0;
  std::uint64_t too_old = 0;        // records refused: past their retention when they came
  std::uint64_t late = 0;           // records that went to a segment of an earlier span
  std::uint64_t set_aside = 0;      // damaged segments
  std::uint64_t pending_bytes = 0;  // of files that no reader sees any more and that still stand
  std::uint64_t segments = 0;       // files that are read
};

/// When rows and details expire, for one moment. A time at or below its cutoff is expired.
struct Cutoffs {
  UnixSeconds invocations = -std::numeric_limits<double>::infinity();
  UnixSeconds details = -std::numeric_limits<double>::infinity();
};

inline Cutoffs cutoffs_at(const RetentionOptions& retention, WallTime now) noexcept {
  if (retention.keep_forever) return {};
  const double seconds = to_unix_seconds(now);
  const double invocations = seconds - std::chrono::duration<double>(retention.invocations).count();
  const double details = seconds - std::chrono::duration<double>(retention.details_kept()).count();
  return {invocations, details};
}

/// Whole microseconds since 1970, as segments keep times and as orders go by.
inline std::int64_t to_us(UnixSeconds seconds) noexcept {
  return static_cast<std::int64_t>(std::llround(seconds * 1e6));
}
inline UnixSeconds from_us(std::int64_t us) noexcept { return static_cast<double>(us) / 1e6; }

/// A cutoff in whole microseconds: what is at or below it has expired. The lowest number: nothing.
inline std::int64_t cutoff_us(UnixSeconds cutoff) noexcept {
  if (!(cutoff > -9e12)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(std::floor(cutoff * 1e6));
}

/// The time that retention counts from: the end, else the start, else the arrival; 0 if unknown.
inline UnixSeconds retention_time(UnixSeconds finished, UnixSeconds started,
                                  UnixSeconds received) noexcept {
  return finished > 0 ? finished : started > 0 ? started : received > 0 ? received : 0;
}

}  // namespace phlower
