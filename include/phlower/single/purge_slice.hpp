// One slice of a purge: as many small steps as fit into a hold of the write lock together with the
// commit that they make necessary.
#pragma once

#include <algorithm>
#include <cstdint>

#include "phlower/ground/clock.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/schedule/slice_size.hpp"
#include "phlower/single/single_store_class.hpp"

namespace phlower {

/// Learns from each slice what rows and commits cost. Not thread safe. Both outlive this.
class PurgeSlice {
 public:
  PurgeSlice(SingleStore& store, Clock& clock) : store_(store), clock_(clock) {}

  /// Deletes and commits, in about `target`; `more`: there is more to delete. On an error nothing
  /// of the slice is kept. kBusy: another process has the write lock.
  Result<PurgeReport> run(WallTime now, Nanoseconds target) {
    if (Status status = store_.begin(); !status.ok()) return status;
    auto report = fill(now, target);
    if (!report.ok()) store_.rollback();
    return report;
  }

 private:
  Result<PurgeReport> fill(WallTime now, Nanoseconds target) {
    PurgeReport sum;
    const MonoTime start = clock_.mono();
    for (MonoTime step = start;;) {
      const auto report = store_.purge_some(now, step_rows_);
      if (!report.ok()) return report.status();
      const MonoTime after = clock_.mono();
      sum.invocations += report->invocations;
      sum.details += report->details;
      sum.examined += report->examined;
      sum.more = report->more;
      if (report->examined >= step_rows_) {
        step_rows_ = next_batch(step_rows_, after - step, target / 10, 1, kRowsMax);
      }
      const Nanoseconds one_more = after - step;
      // Where a commit alone is longer than that, a quarter of the time is for deleting.
      const Nanoseconds commit = std::min<Nanoseconds>(
          commit_per_row_ * static_cast<std::int64_t>(sum.examined + step_rows_), target * 3 / 4);
      if (!sum.more || after + one_more + commit >= start + target) break;
      step = after;
    }
    const MonoTime before = clock_.mono();
    if (Status status = store_.commit(); !status.ok()) return status;
    if (sum.examined > 0) {
      // One stall of the machine says nothing of the next commit: it counts at most double.
      const Nanoseconds measured =
          (clock_.mono() - before) / static_cast<std::int64_t>(sum.examined);
      commit_per_row_ = next_estimate(commit_per_row_, std::min(measured, 2 * commit_per_row_));
    }
    return sum;
  }

  static constexpr std::uint32_t kRowsMax = 256;

  SingleStore& store_;
  Clock& clock_;
  std::uint32_t step_rows_ = 16;
  Nanoseconds commit_per_row_ = Microseconds(20);
};

}  // namespace phlower
