// The slices that keep the store small: purge, checkpoint, reclaim, recount.
#pragma once

#include "phlower/engine/stats.hpp"
#include "phlower/schedule/slice_size.hpp"

namespace phlower {

/// Not thread safe. Each `run_*` is one bounded step; on an error nothing of it is kept.
class UpkeepSlices {
 public:
  UpkeepSlices(Store& store, Clock& clock, EngineStats& stats)
      : store_(store), clock_(clock), stats_(stats) {}

  /// Deletes expired rows until `target` is nearly used, oldest first, in one transaction.
  Result<SliceReport> run_purge(WallTime now, Nanoseconds target) {
    const MonoTime begin = clock_.mono();
    if (Status status = store_.begin(); !status.ok()) return status;
    std::uint64_t invocations = 0;
    std::uint64_t details = 0;
    std::uint64_t examined = 0;
    purge_more_ = true;
    const MonoTime deadline = begin + target - commit_cost_;
    for (MonoTime step_begin = begin; purge_more_;) {
      auto step = store_.purge_some(now, purge_rows_);
      if (!step.ok()) {
        store_.rollback();
        return step.status();
      }
      invocations += step->invocations;
      details += step->details;
      examined += step->examined;
      purge_more_ = step->more;
      const MonoTime step_end = clock_.mono();
      purge_rows_ = next_batch(purge_rows_, step_end - step_begin, target / 4, 1, kPurgeRowsMax);
      step_begin = step_end;
      if (step_end >= deadline) break;
    }
    const MonoTime commit_begin = clock_.mono();
    if (Status status = store_.commit(); !status.ok()) {
      store_.rollback();
      return status;
    }
    const MonoTime end = clock_.mono();
    commit_cost_ = next_estimate(commit_cost_, end - commit_begin);
    stats_.purged_invocations += invocations;
    stats_.purged_details += details;
    if (examined > 0)
      row_cost_ = next_estimate(row_cost_, (end - begin) / static_cast<std::int64_t>(examined));
    return SliceReport{invocations + details, end - begin, end - begin};
  }

  /// A PASSIVE checkpoint on the writing connection: waits for nobody, holds no write lock.
  Result<SliceReport> run_checkpoint() {
    const MonoTime begin = clock_.mono();
    auto done = store_.checkpoint();
    if (!done.ok()) return done.status();
    checkpoint_complete_ = done->reset || done->backfilled >= done->frames;
    if (checkpoint_complete_) ++stats_.checkpoints;
    return SliceReport{done->backfilled, clock_.mono() - begin, Nanoseconds(0)};
  }

  Result<SliceReport> run_reclaim(Nanoseconds target) {
    const MonoTime begin = clock_.mono();
    auto done = store_.reclaim_some(reclaim_pages_);
    if (!done.ok()) return done.status();
    const Nanoseconds spent = clock_.mono() - begin;
    reclaim_pages_ = next_batch(reclaim_pages_, spent, target, 4, 4096);
    stats_.reclaimed_pages += done->pages;
    return SliceReport{done->pages, spent, spent};
  }

  Result<SliceReport> run_recount(Nanoseconds target) {
    const MonoTime begin = clock_.mono();
    auto more = store_.recount_some(recount_rows_);
    if (!more.ok()) return more.status();
    recount_more_ = *more;
    const Nanoseconds spent = clock_.mono() - begin;
    const std::uint32_t rows = recount_rows_;
    recount_rows_ = next_batch(recount_rows_, spent, target, 64, 65'536);
    return SliceReport{rows, spent, Nanoseconds(0)};
  }

  /// One step for the files of the layout.
  Result<SliceReport> run_tend() {
    const MonoTime begin = clock_.mono();
    auto done = store_.tend(begin);
    if (!done.ok()) return done.status();
    stats_.purged_invocations += done->purged_invocations;
    stats_.purged_details += done->purged_details;
    return SliceReport{done->changed, clock_.mono() - begin, Nanoseconds(0)};
  }

  /// False once a purge slice found nothing more that is due.
  bool purge_more() const { return purge_more_; }
  void purge_may_be_due() { purge_more_ = true; }
  bool recount_more() const { return recount_more_; }
  bool checkpoint_complete() const { return checkpoint_complete_; }
  Nanoseconds purge_row_cost() const { return row_cost_; }

 private:
  static constexpr std::uint32_t kPurgeRowsMax = 256;

  Store& store_;
  Clock& clock_;
  EngineStats& stats_;
  Nanoseconds commit_cost_{Microseconds(500)};
  Nanoseconds row_cost_{Microseconds(50)};
  std::uint32_t purge_rows_ = 16;
  std::uint32_t reclaim_pages_ = 32;
  std::uint32_t recount_rows_ = 1024;
  bool purge_more_ = false;
  bool recount_more_ = true;
  bool checkpoint_complete_ = true;
};

}  // namespace phlower
