// One flush slice: pending records and the ring's positions into the store, in one transaction.
#pragma once

#include <algorithm>
#include <vector>

#include "phlower/engine/stats.hpp"
#include "phlower/history/store.hpp"
#include "phlower/ring/consumer.hpp"
#include "phlower/schedule/slice_size.hpp"

namespace phlower {

/// Not thread safe. `Source` is RingConsumer or RingSalvage: next, pending, commit, rollback.
class FlushSlice {
 public:
  FlushSlice(Store& store, Clock& clock, EngineStats& stats)
      : store_(store), clock_(clock), stats_(stats) {}

  /// Takes records until `target` is nearly used or none is left, commits, then frees what was
  /// read. On an error nothing is stored and nothing is freed; the same records come again.
  /// Errors: of the store. kBusy at once when another connection holds the write lock.
  template <class Source>
  Result<SliceReport> run(Source& source, Nanoseconds target) {
    SliceReport report;
    const MonoTime begin = clock_.mono();
    if (Status status = store_.begin(); !status.ok()) return status;
    const Status filled = fill(source, begin + target - commit_cost_);
    const Status stored = filled.ok() && taken() > 0 ? finish(source) : filled;
    const MonoTime end = clock_.mono();
    if (!stored.ok() || taken() == 0) {
      store_.rollback();
      source.rollback();
      if (!stored.ok()) return stored;
    } else {
      source.commit();
      count_ages(end);
    }
    report.units = taken();
    report.spent = report.hold = end - begin;
    report.commits = true;
    return report;
  }

 private:
  // The clock is read after this many rows: often enough for a cold row of a millisecond.
  static constexpr int kRowsPerLook = 8;

  std::uint64_t taken() const { return submitted_ns_.size(); }

  template <class Source>
  Status fill(Source& source, MonoTime deadline) {
    submitted_ns_.clear();
    poisoned_ = 0;
    too_old_ = 0;
    RingRecord record;
    do {
      for (int i = 0; i < kRowsPerLook; ++i) {
        if (!source.next(record)) return Status();
        const auto put = store_.upsert(record.record);
        if (put.ok()) {
          if (*put == Put::kTooOld) ++too_old_;
        } else if (put.status().code() == Code::kInvalidArgument) {
          ++poisoned_;  // it would fail for ever; its position moves on with the others
        } else {
          return put.status();
        }
        submitted_ns_.push_back(record.submitted_ns);
      }
    } while (clock_.mono() < deadline);
    return Status();
  }

  template <class Source>
  Status finish(Source& source) {
    const MonoTime begin = clock_.mono();
    if (Status status = store_.save_positions(source.pending()); !status.ok()) return status;
    if (Status status = store_.commit(); !status.ok()) return status;
    // In a file that was removed meanwhile they are nowhere: the ring keeps them.
    if (Status status = store_.in_place(); !status.ok()) return status;
    commit_cost_ = next_estimate(commit_cost_, clock_.mono() - begin);
    return Status();
  }

  void count_ages(MonoTime now) {
    const auto now_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
    for (const std::uint64_t then_ns : submitted_ns_) {
      stats_.flush_age.record(now_ns > then_ns ? now_ns - then_ns : 0);
    }
    stats_.committed += taken();
    stats_.poisoned += poisoned_;
    stats_.too_old += too_old_;
  }

  Store& store_;
  Clock& clock_;
  EngineStats& stats_;
  Nanoseconds commit_cost_{Microseconds(200)};
  std::vector<std::uint64_t> submitted_ns_;  // of the records in this slice
  std::uint64_t poisoned_ = 0;
  std::uint64_t too_old_ = 0;
};

}  // namespace phlower
