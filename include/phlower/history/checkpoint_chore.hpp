// The chore of stores whose commits go to a log first: what readers allow of it is moved into its
// file from time to time, so that it stays small and starts anew.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/history/figures.hpp"
#include "phlower/schedule/chore.hpp"

namespace phlower {

/// `Logs` has checkpoint() and wal_bytes(), of the longest log that it writes. Everything outlives
/// this. Not thread safe.
template <class Logs>
class CheckpointChore final : public Chore {
 public:
  CheckpointChore(Logs& logs, const StoreOptions& options, Clock& clock, StoreFigures& sums)
      : logs_(logs),
        soft_bytes_(options.wal_soft_bytes),
        hard_bytes_(options.wal_hard_bytes),
        clock_(clock),
        sums_(sums) {}

  std::string_view name() const noexcept override { return "checkpoint"; }

  Urgency look(MonoTime now, const Pressure& pressure) override {
    const std::uint64_t bytes = logs_.wal_bytes();
    sums_.log_bytes_max = std::max(sums_.log_bytes_max, bytes);
    Urgency urgency;
    urgency.kind = Urgency::Kind::kRoom;
    urgency.fill = static_cast<double>(bytes) / static_cast<double>(hard_bytes_);
    urgency.due = pressure.leave != Leave::kNone && is_due(now, bytes, pressure.disk_full);
    return urgency;
  }

  /// A PASSIVE checkpoint: waits for nobody, holds no write lock.
  Result<SliceReport> run(Nanoseconds) override {
    const MonoTime begin = clock_.mono();
    const auto done = logs_.checkpoint();
    if (!done.ok()) return done.status();
    complete_ = done->reset || done->backfilled >= done->frames;
    if (complete_) ++sums_.checkpoints;
    const MonoTime end = clock_.mono();
    bytes_tried_ = logs_.wal_bytes();
    not_before_ = end + (complete_ ? Nanoseconds(0) : kPinnedRetry);
    SliceReport report;
    report.units = done->backfilled;
    report.spent = end - begin;
    return report;
  }

  Result<bool> finish() override {
    const auto done = run(Nanoseconds(0));
    if (!done.ok()) return done.status();
    return logs_.wal_bytes() == 0 || done->units == 0;
  }

 private:
  static constexpr Nanoseconds kPinnedRetry = Milliseconds(100);

  // A full disk may be the log's own doing: emptying it makes room for the next flush.
  bool is_due(MonoTime now, std::uint64_t bytes, bool disk_full) const {
    if (now < not_before_) return false;
    if (disk_full && bytes > 0 && bytes != bytes_tried_) return true;
    const bool settled = complete_ && bytes == bytes_tried_;
    return bytes >= soft_bytes_ && !settled;
  }

  Logs& logs_;
  std::uint64_t soft_bytes_;
  std::uint64_t hard_bytes_;
  Clock& clock_;
  StoreFigures& sums_;
  MonoTime not_before_{};
  std::uint64_t bytes_tried_ = 0;  // size of the log after the last checkpoint
  bool complete_ = true;
};

}  // namespace phlower
