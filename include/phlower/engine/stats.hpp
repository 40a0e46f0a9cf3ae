// What the engine can tell about itself. Plain values: copy them, print them, export them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/histogram.hpp"
#include "phlower/history/store.hpp"
#include "phlower/ring/stats.hpp"
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
  TendReport files;  // of the layout `segmented`: segments, what was too old, what went early
  PerWork<std::uint64_t> slices;
  PerWork<Nanoseconds> spent;
  Histogram slice;      // what each slice took, waits included
  Histogram flush_age;  // from submit to commit, one entry a record
  Histogram hold;       // of the write lock, one entry a transaction
};

}  // namespace phlower
