// The dry run over a database file: how much has expired, with nothing written.
#pragma once

#include "phlower/door/file_opening.hpp"

namespace phlower {

/// OK also when it was stopped: the pace tells. Blocks: for as long as looking at what has expired
/// takes.
inline Status count_expired(const MaintenanceOptions& options, Pace& pace,
                            MaintenanceReport& report) {
  // Short steps: a long read would keep the log of the process that writes from starting anew.
  constexpr std::uint32_t kRowsAStep = 2000;
  const WallTime now = pace.clock().wall();
  auto store = open_patiently(options, OpenMode::kReadOnly, pace);
  if (!store.ok()) return store.status();
  note_references(**store, report);
  for (bool more = true; more;) {
    if (pace.over()) return Status();
    const auto totals = (*store)->census_some(now, kRowsAStep);
    if (!totals.ok()) return totals.status();
    report.invocations = totals->invocations;
    report.details = totals->details;
    more = totals->more;
    if (!pace.progress_due()) continue;
    const std::uint64_t all = (*store)->purge_backlog_rows(now);
    const std::uint64_t left = all > totals->examined ? all - totals->examined : 0;
    pace.tell({MaintenanceProgress::Unit::kRowsLookedAt, totals->examined, left, {}, {}, {}});
  }
  note_doubts(**store, report);
  report.done = true;
  return Status();
}

}  // namespace phlower
