// What is due now, and when something will be: measurements in, a Backlog out.
#pragma once

#include <algorithm>

#include "phlower/config/options.hpp"
#include "phlower/engine/stats.hpp"
#include "phlower/engine/trouble.hpp"
#include "phlower/engine/upkeep_slices.hpp"
#include "phlower/ring/consumer.hpp"
#include "phlower/schedule/duty.hpp"
#include "phlower/schedule/weights.hpp"

namespace phlower {

/// Looks at the ring and the store, cheaply, before each slice. Not thread safe.
class Agenda {
 public:
  Agenda(const Options& options, Store& store, UpkeepSlices& upkeep, const Trouble& trouble,
         Clock& clock, EngineStats& stats)
      : options_(options),
        store_(store),
        upkeep_(upkeep),
        trouble_(trouble),
        clock_(clock),
        stats_(stats) {}

  /// Measures everything the weights need. `salvaging`: records of an earlier boot wait too.
  Backlog measure(MonoTime now, RingConsumer& ring, bool salvaging) {
    Backlog backlog;
    look_at(ring, now);
    backlog.ring_fill = ring.fill();
    stats_.ring_fill_max = std::max(stats_.ring_fill_max, backlog.ring_fill);
    if (records_wait_) backlog.pending_age = std::max(now - oldest_pending_, Nanoseconds(0));
    // Where no record waits, whatever is due finds out whether there is room again.
    backlog.disk_full = trouble_.disk_full() && (records_wait_ || salvaging);
    backlog.wal_fill = static_cast<double>(store_.wal_bytes()) /
                       static_cast<double>(options_.store.wal_hard_bytes);
    stats_.wal_bytes_max = std::max(stats_.wal_bytes_max, store_.wal_bytes());
    backlog.tend_due = store_.tend_due(now);
    if (trouble_.waiting(now)) return backlog;  // nothing can be written now
    backlog.flush_due = salvaging || ring_due(now, backlog.ring_fill);
    backlog.checkpoint_due = checkpoint_due(now);
    if (now < lock_free_until_ && backlog.ring_fill <= kCrowdedFill) {
      backlog.flush_due = false;  // the pause that others get; a filling ring cannot afford it
      return backlog;
    }
    backlog.purge_seconds = purge_seconds(now);
    if (!(backlog.purge_seconds > 0)) last_purge_ = now;
    backlog.purge_starved_for = now - last_purge_;
    backlog.reclaim_due = options_.store.reclaim && store_.can_reclaim() && store_.free_pages() > 0;
    backlog.recount_due = upkeep_.recount_more();
    return backlog;
  }

  /// Takes note of a slice that succeeded.
  void done(Work work, const SliceReport& slice, MonoTime now) {
    lock_free_until_ = now + pause_after(slice.hold, options_.schedule.duty_percent);
    if (work == Work::kPurge) last_purge_ = now;
    if (work == Work::kCheckpoint) {
      wal_bytes_tried_ = store_.wal_bytes();
      next_checkpoint_ = now + (upkeep_.checkpoint_complete() ? Nanoseconds(0) : kPinnedRetry);
    }
  }

  /// The next time at which `measure` can find something due, if no record comes before.
  MonoTime next_due(MonoTime now) const {
    MonoTime due = now + kIdleLook;
    if (records_wait_) due = std::min(due, flush_at(0));
    const bool pause = lock_free_until_ > now;
    if (pause && (upkeep_.purge_more() || upkeep_.recount_more())) {
      due = std::min(due, lock_free_until_);
    }
    due = std::max(due, std::min(lock_free_until_, now + kIdleLook));
    if (trouble_.blocking()) due = std::max(due, trouble_.until());
    return due;
  }

  bool records_wait() const { return records_wait_; }
  /// Whether the ring's own records are due, as of the last `measure`.
  bool ring_due(MonoTime now, double fill) const { return records_wait_ && now >= flush_at(fill); }

 private:
  static constexpr Nanoseconds kIdleLook = Milliseconds(50);
  static constexpr Nanoseconds kPurgeLook = Milliseconds(200);
  static constexpr Nanoseconds kPinnedRetry = Milliseconds(100);
  /// A ring this full is flushed at once: there is company enough.
  static constexpr double kFullEnough = 0.02;

  void look_at(RingConsumer& ring, MonoTime now) {
    ring.scan();
    const auto ns = static_cast<std::int64_t>(ring.oldest_pending_ns());
    records_wait_ = ns != 0 || ring.has_unread();
    oldest_pending_ = ns > 0 ? std::min(MonoTime(Nanoseconds(ns)), now) : now;
  }

  MonoTime flush_at(double fill) const {
    return fill > kFullEnough ? oldest_pending_ : oldest_pending_ + options_.schedule.flush_age;
  }

  // A full disk may be the WAL's own doing: emptying it makes room for the next flush.
  bool checkpoint_due(MonoTime now) const {
    if (now < next_checkpoint_) return false;
    const std::uint64_t bytes = store_.wal_bytes();
    if (trouble_.disk_full() && bytes > 0 && bytes != wal_bytes_tried_) return true;
    const bool settled = upkeep_.checkpoint_complete() && bytes == wal_bytes_tried_;
    return bytes >= options_.store.wal_soft_bytes && !settled;
  }

  // Looking whether something has expired costs a little, so it is done now and then, until a look
  // finds something; then until a purge slice finds nothing more.
  double purge_seconds(MonoTime now) {
    if (options_.retention.keep_forever) return 0;
    if (!upkeep_.purge_more()) {
      if (now < next_purge_look_) return 0;
      next_purge_look_ = now + kPurgeLook;
      const auto due = store_.purge_due(clock_.wall());
      if (!due.ok() || !*due) return 0;
      upkeep_.purge_may_be_due();
    }
    if (now >= next_estimate_) {
      next_estimate_ = now + Seconds(1);
      purge_rows_ = static_cast<double>(store_.purge_backlog_rows(clock_.wall()));
    }
    const double row_seconds = std::chrono::duration<double>(upkeep_.purge_row_cost()).count();
    return std::max(purge_rows_, 1.0) * row_seconds;
  }

  const Options& options_;
  Store& store_;
  UpkeepSlices& upkeep_;
  const Trouble& trouble_;
  Clock& clock_;
  EngineStats& stats_;

  bool records_wait_ = false;   // unread ones, at the last look
  MonoTime oldest_pending_{};   // when the oldest of them was submitted
  MonoTime lock_free_until_{};  // the pause of the duty
  MonoTime last_purge_{};       // or when there was nothing to purge
  MonoTime next_purge_look_{};
  MonoTime next_estimate_{};
  MonoTime next_checkpoint_{};
  std::uint64_t wal_bytes_tried_ = 0;  // size of the WAL after the last checkpoint
  double purge_rows_ = 1;
};

}  // namespace phlower
