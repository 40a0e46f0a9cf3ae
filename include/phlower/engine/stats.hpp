// What the engine can tell about itself. Plain values: copy them, print them, export them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/figure.hpp"
#include "phlower/ground/histogram.hpp"
#include "phlower/schedule/work.hpp"

namespace phlower {

enum class Health : std::uint8_t {
  kOk,        // everything that is due gets done
  kDegraded,  // something fails at the moment; the engine tries again by itself
  kFailed,    // corruption or a defect: final for this engine; or its files are gone
};

constexpr std::string_view health_name(Health health) noexcept {
  constexpr std::string_view names[] = {"ok", "degraded", "failed"};
  return names[static_cast<std::size_t>(health)];
}

struct HealthReport {
  Health health = Health::kOk;
  std::string reason;  // empty when ok
};

/// Sums since the engine was opened. Times in the histograms are nanoseconds.
struct EngineStats {
  std::uint64_t committed = 0;  // records in committed transactions, salvaged ones included
  std::uint64_t salvaged = 0;   // of these, from rings of an earlier boot
  std::uint64_t poisoned = 0;   // records that the store refused for good; they count as committed
  std::uint64_t purged_invocations = 0;  // past their retention: deleted, or unlinked with a file
  std::uint64_t purged_details = 0;
  std::uint64_t reclaimed_pages = 0;
  std::uint64_t checkpoints = 0;  // that emptied the WAL
  std::uint64_t busy = 0;         // times another process held the write lock
  std::uint64_t failures = 0;     // other errors of the store, each of them tried again
  std::uint64_t wal_bytes_max = 0;
  double ring_fill_max = 0;
  PerWork<std::uint64_t> slices;
  PerWork<Nanoseconds> spent;
  Histogram slice;      // what each slice took, waits included
  Histogram flush_age;  // from submit to commit, one entry a record
  Histogram hold;       // of the write lock, one entry a transaction
};

namespace engine_lines {
template <Work kWork>
constexpr Figure<EngineStats> slices(std::uint16_t number, const char* label) {
  return Lines<EngineStats>::count(number, "phlower_slices_total", "slices",
                                   "Slices that were run, by kind of work.", label,
                                   [](const EngineStats& s) { return s.slices[kWork]; });
}
template <Work kWork>
constexpr Figure<EngineStats> spent(std::uint16_t number, const char* label) {
  return Lines<EngineStats>::count(
      number, "phlower_slice_nanoseconds_total", "nanoseconds",
      "Time spent in slices, by kind of work.", label,
      [](const EngineStats& s) { return static_cast<std::uint64_t>(s.spent[kWork].count()); });
}
}  // namespace engine_lines

// clang-format off
/// What is told of an engine.
struct EngineLines {
  using S = const EngineStats&;
  using L = Lines<EngineStats>;
  static constexpr auto kAll = std::to_array<Figure<EngineStats>>({
    L::count(17, "phlower_salvaged_total", "records", "Committed from rings of an earlier boot.",
             "", [](S s) { return s.salvaged; }),
    L::count(18, "phlower_poisoned_total", "records", "Records that the store refused for good.",
             "", [](S s) { return s.poisoned; }),
    L::count(25, "phlower_purged_total", "rows", "Gone with their retention.", "table=invocations",
             [](S s) { return s.purged_invocations; }),
    L::count(26, "phlower_purged_total", "rows", "Gone with their retention.", "table=details",
             [](S s) { return s.purged_details; }),
    L::count(33, "phlower_reclaimed_pages_total", "pages", "Given back to the file system.", "",
             [](S s) { return s.reclaimed_pages; }),
    L::count(34, "phlower_checkpoints_total", "checkpoints", "Checkpoints that emptied the log.",
             "", [](S s) { return s.checkpoints; }),
    L::gauge(36, "phlower_wal_bytes_max", "bytes", "The longest that it was.", "",
             [](S s) { return s.wal_bytes_max; }),
    L::count(37, "phlower_store_busy_total", "times", "Another process held the write lock.", "",
             [](S s) { return s.busy; }),
    L::count(38, "phlower_store_failures_total", "errors",
             "Errors of the store that were tried again.", "", [](S s) { return s.failures; }),
    engine_lines::slices<Work::kFlush>(45, "work=flush"),
    engine_lines::slices<Work::kCheckpoint>(46, "work=checkpoint"),
    engine_lines::slices<Work::kPurge>(47, "work=purge"),
    engine_lines::slices<Work::kReclaim>(48, "work=reclaim"),
    engine_lines::slices<Work::kRecount>(49, "work=recount"),
    engine_lines::slices<Work::kTend>(50, "work=tend"),
    engine_lines::spent<Work::kFlush>(51, "work=flush"),
    engine_lines::spent<Work::kCheckpoint>(52, "work=checkpoint"),
    engine_lines::spent<Work::kPurge>(53, "work=purge"),
    engine_lines::spent<Work::kReclaim>(54, "work=reclaim"),
    engine_lines::spent<Work::kRecount>(55, "work=recount"),
    engine_lines::spent<Work::kTend>(56, "work=tend"),
    L::times(57, "phlower_slice_nanoseconds", "How long slices took.",
             [](S s) { return &s.slice; }),
    L::times(58, "phlower_hold_nanoseconds", "How long the write lock was held.",
             [](S s) { return &s.hold; }),
    L::times(59, "phlower_flush_age_nanoseconds", "From submit to commit.",
             [](S s) { return &s.flush_age; }),
  });
};
// clang-format on

}  // namespace phlower
