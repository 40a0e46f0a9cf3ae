// Every figure that is exported: its name, its unit, what it means, and where it comes from.
// Indexes are part of the ABI: never reorder, only add, in a part of its own at the end.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "phlower/plugin.h"
#include "snapshot.hpp"

namespace phlower::plugin {

struct Metric {
  std::uint32_t kind = 0;
  const char* name = nullptr;
  const char* unit = nullptr;
  const char* help = nullptr;
  const char* label = nullptr;
  std::uint64_t (*value)(const Snapshot&) = nullptr;
  const Histogram* (*histogram)(const Snapshot&) = nullptr;
};

namespace catalogue {

using S = const Snapshot&;
inline constexpr std::uint32_t kCount = PHLOWER_METRIC_COUNTER;
inline constexpr std::uint32_t kGauge = PHLOWER_METRIC_GAUGE;
inline constexpr std::uint32_t kTimes = PHLOWER_METRIC_HISTOGRAM;

constexpr std::uint64_t ppm(double share) { return static_cast<std::uint64_t>(share * 1e6); }
inline std::uint64_t since_ns(MonoTime then, MonoTime now) {
  if (then == MonoTime()) return ~0ull;
  return now > then ? static_cast<std::uint64_t>((now - then).count()) : 0;
}
constexpr Metric times(const char* name, const char* help,
                       const Histogram* (*histogram)(const Snapshot&)) {
  return {kTimes, name, "nanoseconds", help, "", nullptr, histogram};
}
template <Work kWork>
constexpr Metric slices(const char* label) {
  return {kCount,   "phlower_slices_total",
          "slices", "Slices that were run, by kind of work.",
          label,    [](S s) { return s.engine.slices[kWork]; }};
}
template <Work kWork>
constexpr Metric spent(const char* label) {
  return {
      kCount,        "phlower_slice_nanoseconds_total",
      "nanoseconds", "Time spent in slices, by kind of work.",
      label,         [](S s) { return static_cast<std::uint64_t>(s.engine.spent[kWork].count()); }};
}

// clang-format off
inline constexpr auto kRingPart = std::to_array<Metric>({
    {kCount, "phlower_offered_total", "records", "Records that producers handed over.", "",
     [](S s) { return s.ring.offered + s.refused_here; }},
    {kCount, "phlower_accepted_total", "records", "Records that went into the ring.", "",
     [](S s) { return s.ring.accepted; }},
    {kCount, "phlower_refused_total", "records", "Records that were not taken.", "reason=full",
     [](S s) { return s.ring.refused_full; }},
    {kCount, "phlower_refused_total", "records", "Records that were not taken.", "reason=too_big",
     [](S s) { return s.ring.refused_big; }},
    {kCount, "phlower_refused_total", "records", "Records that were not taken.", "reason=invalid",
     [](S s) { return s.ring.aborted; }},
    {kCount, "phlower_refused_total", "records", "Records that were not taken.", "reason=torn",
     [](S s) { return s.ring.torn; }},
    {kCount, "phlower_refused_total", "records", "Records that were not taken.", "reason=detached",
     [](S s) { return s.ring.unattached; }},
    {kCount, "phlower_refused_total", "records", "Records that were not taken.", "reason=draining",
     [](S s) { return s.refused_here; }},
    {kCount, "phlower_committed_total", "records", "Records of this ring that the store committed.",
     "", [](S s) { return s.ring.delivered; }},
    {kGauge, "phlower_ring_unread_records", "records", "Records that wait in the ring.", "",
     [](S s) { return s.ring.unread; }},
    {kGauge, "phlower_ring_fill_ppm", "millionths", "Share of the ring's chunks that are in use.",
     "", [](S s) { return ppm(s.ring.fill); }},
    {kGauge, "phlower_ring_chunks", "chunks", "Chunks of the ring.", "",
     [](S s) { return std::uint64_t{s.ring.chunks}; }},
    {kCount, "phlower_shed_total", "records", "Committed without details: the ring was filling.",
     "", [](S s) { return s.ring.shed; }},
    {kCount, "phlower_cut_total", "records", "Committed with details cut to their limits.", "",
     [](S s) { return s.ring.cut; }},
    {kCount, "phlower_corrupt_records_total", "stretches",
     "Stretches of bytes in the ring that failed their checks.", "",
     [](S s) { return s.ring.corrupt_records; }},
    {kCount, "phlower_corrupt_bytes_total", "bytes", "And their bytes.", "",
     [](S s) { return s.ring.corrupt_bytes; }},
    {kCount, "phlower_repaired_words_total", "words",
     "Control words of the ring that could not be true.", "",
     [](S s) { return s.ring.repaired_words; }},
});

inline constexpr auto kStorePart = std::to_array<Metric>({
    {kCount, "phlower_salvaged_total", "records", "Committed from rings of an earlier boot.", "",
     [](S s) { return s.engine.salvaged; }},
    {kCount, "phlower_poisoned_total", "records", "Records that the store refused for good.", "",
     [](S s) { return s.engine.poisoned; }},
    {kCount, "phlower_too_old_total", "records", "Records past their retention when they came.", "",
     [](S s) { return s.engine.files.too_old; }},
    {kCount, "phlower_late_total", "records", "Records that went to a segment of an earlier span.",
     "", [](S s) { return s.engine.files.late; }},
    {kGauge, "phlower_rows", "rows", "Rows in the history.", "table=invocations",
     [](S s) { return s.counts.invocations; }},
    {kGauge, "phlower_rows", "rows", "Rows in the history.", "table=details",
     [](S s) { return s.counts.details; }},
    {kGauge, "phlower_rows_exact", "flag", "0 while rows are recounted after a start.", "",
     [](S s) { return std::uint64_t{s.counts.exact}; }},
    {kGauge, "phlower_oldest_row_seconds", "Unix seconds", "When the oldest row ended.", "",
     [](S s) { return static_cast<std::uint64_t>(std::max(s.counts.oldest, 0.0)); }},
    {kCount, "phlower_purged_total", "rows", "Gone with their retention.", "table=invocations",
     [](S s) { return s.engine.purged_invocations; }},
    {kCount, "phlower_purged_total", "rows", "Gone with their retention.", "table=details",
     [](S s) { return s.engine.purged_details; }},
    {kCount, "phlower_dropped_total", "rows", "Gone before their time: the disk was short.",
     "table=invocations", [](S s) { return s.engine.files.dropped_invocations; }},
    {kCount, "phlower_dropped_total", "rows", "Gone before their time: the disk was short.",
     "table=details", [](S s) { return s.engine.files.dropped_details; }},
    {kGauge, "phlower_purge_backlog_rows", "rows", "Past their retention and still there.", "",
     [](S s) { return s.purge_backlog; }},
    {kGauge, "phlower_segments", "files", "Segments that are read.", "",
     [](S s) { return s.engine.files.segments; }},
    {kCount, "phlower_segments_set_aside_total", "files", "Damaged segments.", "",
     [](S s) { return s.engine.files.set_aside; }},
    {kGauge, "phlower_pending_reclaim_bytes", "bytes",
     "Of files that no reader sees any more and that still stand.", "",
     [](S s) { return s.engine.files.pending_bytes; }},
    {kCount, "phlower_reclaimed_pages_total", "pages", "Given back to the file system.", "",
     [](S s) { return s.engine.reclaimed_pages; }},
    {kCount, "phlower_checkpoints_total", "checkpoints", "Checkpoints that emptied the log.", "",
     [](S s) { return s.engine.checkpoints; }},
    {kGauge, "phlower_wal_bytes", "bytes", "Size of the longest log.", "",
     [](S s) { return s.wal_bytes; }},
    {kGauge, "phlower_wal_bytes_max", "bytes", "The longest that it was.", "",
     [](S s) { return s.engine.wal_bytes_max; }},
    {kCount, "phlower_store_busy_total", "times", "Another process held the write lock.", "",
     [](S s) { return s.engine.busy; }},
    {kCount, "phlower_store_failures_total", "errors", "Errors of the store that were tried again.",
     "", [](S s) { return s.engine.failures; }},
});

inline constexpr auto kEnginePart = std::to_array<Metric>({
    {kGauge, "phlower_health", "state", "0 ok, 1 degraded, 2 failed.", "",
     [](S s) { return static_cast<std::uint64_t>(s.health.health); }},
    {kGauge, "phlower_since_commit_nanoseconds", "nanoseconds",
     "Since the last commit, as of the last tick; 2^64-1: none yet.", "",
     [](S s) { return since_ns(s.last_commit, s.taken); }},
    {kGauge, "phlower_disk_free_bytes", "bytes", "Room on the file system of the history.", "",
     [](S s) { return s.disk_free_bytes; }},
    {kGauge, "phlower_disk_total_bytes", "bytes", "Size of that file system.", "",
     [](S s) { return s.disk_total_bytes; }},
    {kCount, "phlower_ticks_total", "ticks", "Ticks of the engine.", "",
     [](S s) { return s.ticks; }},
    {kGauge, "phlower_tick_over_budget_nanoseconds_max", "nanoseconds",
     "The most by which a tick was longer than its budget.", "",
     [](S s) { return s.over_budget_max_ns; }},
    slices<Work::kFlush>("work=flush"), slices<Work::kCheckpoint>("work=checkpoint"),
    slices<Work::kPurge>("work=purge"), slices<Work::kReclaim>("work=reclaim"),
    slices<Work::kRecount>("work=recount"), slices<Work::kTend>("work=tend"),
    spent<Work::kFlush>("work=flush"), spent<Work::kCheckpoint>("work=checkpoint"),
    spent<Work::kPurge>("work=purge"), spent<Work::kReclaim>("work=reclaim"),
    spent<Work::kRecount>("work=recount"), spent<Work::kTend>("work=tend"),
    times("phlower_slice_nanoseconds", "How long slices took.",
          [](S s) { return &s.engine.slice; }),
    times("phlower_hold_nanoseconds", "How long the write lock was held.",
          [](S s) { return &s.engine.hold; }),
    times("phlower_flush_age_nanoseconds", "From submit to commit.",
          [](S s) { return &s.engine.flush_age; }),
    times("phlower_submit_nanoseconds", "Submits in this process, one in 64 of them.",
          [](S s) { return &s.submit; }),
});
// clang-format on

template <std::size_t... kSizes>
constexpr auto joined(const std::array<Metric, kSizes>&... parts) {
  std::array<Metric, (kSizes + ...)> all{};
  std::size_t at = 0;
  const auto add = [&](const auto& part) {
    for (const Metric& metric : part) all[at++] = metric;
  };
  (add(parts), ...);
  return all;
}
inline constexpr auto kAll = joined(kRingPart, kStorePart, kEnginePart);

}  // namespace catalogue

inline constexpr std::span<const Metric> kMetrics(catalogue::kAll);

inline std::uint64_t value_of(const Metric& metric, const Snapshot& snapshot) {
  if (metric.histogram != nullptr) return metric.histogram(snapshot)->count();
  return metric.value(snapshot);
}

}  // namespace phlower::plugin
