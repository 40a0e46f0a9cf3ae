// What the engine can tell about itself. Plain values: copy them, print them, export them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

/// What became of one job. `name` is a literal.
struct JobStats {
  std::string_view name;
  std::uint64_t slices = 0;
  Nanoseconds spent{0};
};

/// Sums since the engine was opened. Times in the histograms are nanoseconds.
struct EngineStats {
  std::uint64_t committed = 0;  // records in committed transactions, salvaged ones included
  std::uint64_t salvaged = 0;   // of these, from rings of an earlier boot
  std::uint64_t poisoned = 0;   // records that the store refused for good; they count as committed
  std::uint64_t too_old = 0;    // past their retention when they came: not stored; as well
  std::uint64_t busy = 0;       // times another process held the write lock
  std::uint64_t failures = 0;   // other errors of the store, each of them tried again
  double ring_fill_max = 0;
  std::vector<JobStats> jobs;  // the flush, then the chores of the store
  Histogram slice;             // what each slice took, waits included
  Histogram flush_age;         // from submit to commit, one entry a record
  Histogram hold;              // of the write lock, one entry a transaction

  /// Nothing but the name where the store has no such chore.
  JobStats of(std::string_view name) const {
    for (const JobStats& job : jobs) {
      if (job.name == name) return job;
    }
    return {name, 0, Nanoseconds(0)};
  }
};

namespace engine_lines {
inline constexpr std::string_view kJobs[] = {"flush",   "checkpoint", "purge",
                                             "reclaim", "recount",    "tend"};

template <std::size_t kJob>
constexpr Figure<EngineStats> slices(std::uint16_t number, const char* label) {
  return Lines<EngineStats>::count(number, "phlower_slices_total", "slices",
                                   "Slices that were run, by kind of work.", label,
                                   [](const EngineStats& s) { return s.of(kJobs[kJob]).slices; });
}
template <std::size_t kJob>
constexpr Figure<EngineStats> spent(std::uint16_t number, const char* label) {
  return Lines<EngineStats>::count(
      number, "phlower_slice_nanoseconds_total", "nanoseconds",
      "Time spent in slices, by kind of work.", label, [](const EngineStats& s) {
        return static_cast<std::uint64_t>(s.of(kJobs[kJob]).spent.count());
      });
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
    L::count(19, "phlower_too_old_total", "records", "Records past their retention when they came.",
             "", [](S s) { return s.too_old; }),
    L::count(37, "phlower_store_busy_total", "times", "Another process held the write lock.", "",
             [](S s) { return s.busy; }),
    L::count(38, "phlower_store_failures_total", "errors",
             "Errors of the store that were tried again.", "", [](S s) { return s.failures; }),
    engine_lines::slices<0>(45, "work=flush"),
    engine_lines::slices<1>(46, "work=checkpoint"),
    engine_lines::slices<2>(47, "work=purge"),
    engine_lines::slices<3>(48, "work=reclaim"),
    engine_lines::slices<4>(49, "work=recount"),
    engine_lines::slices<5>(50, "work=tend"),
    engine_lines::spent<0>(51, "work=flush"),
    engine_lines::spent<1>(52, "work=checkpoint"),
    engine_lines::spent<2>(53, "work=purge"),
    engine_lines::spent<3>(54, "work=reclaim"),
    engine_lines::spent<4>(55, "work=recount"),
    engine_lines::spent<5>(56, "work=tend"),
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
