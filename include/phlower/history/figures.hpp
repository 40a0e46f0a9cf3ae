// What a store tells of itself, whatever its layout: how it is, and what it has counted.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "phlower/ground/figure.hpp"
#include "phlower/history/reports.hpp"

namespace phlower {

/// Sums are since the store was opened. What a layout does not have stays 0.
struct StoreFigures {
  Counts counts;
  std::uint64_t purged_invocations = 0;  // past their retention: deleted, or gone with a file
  std::uint64_t purged_details = 0;
  std::uint64_t dropped_invocations = 0;  // before it, because the disk was short
  std::uint64_t dropped_details = 0;
  std::uint64_t late = 0;           // records that went to a segment of an earlier span
  std::uint64_t set_aside = 0;      // damaged segments
  std::uint64_t segments = 0;       // files that are read, now
  std::uint64_t pending_bytes = 0;  // of files that no reader sees any more and that still stand
  std::uint64_t expired_rows = 0;   // past their retention and still there: an estimate
  std::uint64_t log_bytes = 0;      // of the longest log that the next commit appends to
  std::uint64_t log_bytes_max = 0;
  std::uint64_t checkpoints = 0;  // that emptied a log
  std::uint64_t reclaimed_pages = 0;
};

// clang-format off
/// What is told of a store.
struct StoreLines {
  using S = const StoreFigures&;
  using L = Lines<StoreFigures>;
  static constexpr auto kAll = std::to_array<Figure<StoreFigures>>({
    L::count(20, "phlower_late_total", "records",
             "Records that went to a segment of an earlier span.", "", [](S s) { return s.late; }),
    L::gauge(21, "phlower_rows", "rows", "Rows in the history.", "table=invocations",
             [](S s) { return s.counts.invocations; }),
    L::gauge(22, "phlower_rows", "rows", "Rows in the history.", "table=details",
             [](S s) { return s.counts.details; }),
    L::gauge(23, "phlower_rows_exact", "flag", "0 while rows are recounted after a start.", "",
             [](S s) { return std::uint64_t{s.counts.exact}; }),
    L::gauge(24, "phlower_oldest_row_seconds", "Unix seconds", "When the oldest row ended.", "",
             [](S s) { return static_cast<std::uint64_t>(std::max(s.counts.oldest, 0.0)); }),
    L::count(25, "phlower_purged_total", "rows", "Gone with their retention.", "table=invocations",
             [](S s) { return s.purged_invocations; }),
    L::count(26, "phlower_purged_total", "rows", "Gone with their retention.", "table=details",
             [](S s) { return s.purged_details; }),
    L::count(27, "phlower_dropped_total", "rows", "Gone before their time: the disk was short.",
             "table=invocations", [](S s) { return s.dropped_invocations; }),
    L::count(28, "phlower_dropped_total", "rows", "Gone before their time: the disk was short.",
             "table=details", [](S s) { return s.dropped_details; }),
    L::gauge(29, "phlower_purge_backlog_rows", "rows", "Past their retention and still there.", "",
             [](S s) { return s.expired_rows; }),
    L::gauge(30, "phlower_segments", "files", "Segments that are read.", "",
             [](S s) { return s.segments; }),
    L::count(31, "phlower_segments_set_aside_total", "files", "Damaged segments.", "",
             [](S s) { return s.set_aside; }),
    L::gauge(32, "phlower_pending_reclaim_bytes", "bytes",
             "Of files that no reader sees any more and that still stand.", "",
             [](S s) { return s.pending_bytes; }),
    L::count(33, "phlower_reclaimed_pages_total", "pages", "Given back to the file system.", "",
             [](S s) { return s.reclaimed_pages; }),
    L::count(34, "phlower_checkpoints_total", "checkpoints", "Checkpoints that emptied the log.",
             "", [](S s) { return s.checkpoints; }),
    L::gauge(35, "phlower_wal_bytes", "bytes", "Size of the longest log.", "",
             [](S s) { return s.log_bytes; }),
    L::gauge(36, "phlower_wal_bytes_max", "bytes", "The longest that it was.", "",
             [](S s) { return s.log_bytes_max; }),
  });
};
// clang-format on

}  // namespace phlower
