// What is due now, and when something will be: measurements in, weights out.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/engine/stats.hpp"
#include "phlower/engine/trouble.hpp"
#include "phlower/ring/consumer.hpp"
#include "phlower/schedule/duty.hpp"
#include "phlower/schedule/weights.hpp"

namespace phlower {

/// Looks at the ring and the chores of the store, cheaply, before each slice. Not thread safe.
class Agenda {
 public:
  /// All of it outlives this.
  Agenda(const Options& options, std::span<Chore* const> chores, const Trouble& trouble,
         EngineStats& stats)
      : options_(options),
        chores_(chores),
        trouble_(trouble),
        stats_(stats),
        urgencies_(chores.size()),
        weights_(chores.size() + 1) {}

  /// The weight of each job, until the next call. `salvaging`: records of an earlier boot wait too.
  std::span<const double> measure(MonoTime now, RingConsumer& ring, bool salvaging) {
    look_at(ring, now);
    pressure_.ring_fill = ring.fill();
    stats_.ring_fill_max = std::max(stats_.ring_fill_max, pressure_.ring_fill);
    pressure_.pending_age =
        records_wait_ ? std::max(now - oldest_pending_, Nanoseconds(0)) : Nanoseconds(0);
    pressure_.records_wait = records_wait_ || salvaging;
    pressure_.disk_full = trouble_.disk_full();
    pressure_.leave = leave(now);
    for (std::size_t i = 0; i < chores_.size(); ++i) {
      urgencies_[i] = chores_[i]->look(now, pressure_);
    }
    const Bounds bounds = bounds_of(urgencies_);
    const bool flush_due = pressure_.leave == Leave::kAll && (salvaging || ring_due(now));
    weights_[kFlush] = flush_due ? flush_weight(pressure_, bounds) : 0;
    for (std::size_t i = 0; i < chores_.size(); ++i) {
      weights_[i + 1] = chore_weight(urgencies_[i], pressure_, bounds);
    }
    return weights_;
  }

  /// Takes note of a slice that succeeded.
  void done(const SliceReport& slice, MonoTime now) {
    lock_free_until_ = now + pause_after(slice.hold, options_.schedule.duty_percent);
  }

  /// The next time at which `measure` can find something due, if no record comes before.
  MonoTime next_due(MonoTime now) const {
    MonoTime due = now + kIdleLook;
    if (records_wait_) due = std::min(due, flush_at(0));
    if (lock_free_until_ > now && chores_have_more()) due = std::min(due, lock_free_until_);
    due = std::max(due, std::min(lock_free_until_, now + kIdleLook));
    if (trouble_.blocking()) due = std::max(due, trouble_.until());
    return due;
  }

  bool records_wait() const { return records_wait_; }
  /// Whether the ring's own records are due, as of the last `measure`.
  bool ring_due(MonoTime now) const {
    return records_wait_ && now >= flush_at(pressure_.ring_fill);
  }

 private:
  static constexpr Nanoseconds kIdleLook = Milliseconds(50);
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

  Leave leave(MonoTime now) const {
    if (trouble_.waiting(now)) return Leave::kNone;
    // The pause that others get; a filling ring cannot afford it.
    const bool pause = now < lock_free_until_ && pressure_.ring_fill <= kCrowdedFill;
    return pause ? Leave::kNoLock : Leave::kAll;
  }

  bool chores_have_more() const {
    return std::any_of(chores_.begin(), chores_.end(),
                       [](const Chore* chore) { return chore->has_more(); });
  }

  const Options& options_;
  std::span<Chore* const> chores_;
  const Trouble& trouble_;
  EngineStats& stats_;

  Pressure pressure_;
  std::vector<Urgency> urgencies_;  // by chore
  std::vector<double> weights_;     // by job
  bool records_wait_ = false;       // unread ones, at the last look
  MonoTime oldest_pending_{};       // when the oldest of them was submitted
  MonoTime lock_free_until_{};      // the pause of the duty
};

}  // namespace phlower
