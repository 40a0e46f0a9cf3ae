// What goes wrong in the store, when to try again, and what that means for the engine's health.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "phlower/engine/stats.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/schedule/backoff.hpp"
#include "phlower/schedule/work.hpp"

namespace phlower {

/// Not thread safe. Corruption and defects are sticky; everything else is tried again.
class Trouble {
 public:
  /// A held lock shorter than this is everyday life beside other writers, not a degradation.
  static constexpr Nanoseconds kBusyIsNews = Seconds(1);

  /// `job`: what met it, where it was a slice.
  void note(const Status& status, MonoTime now, std::optional<Job> job = std::nullopt) {
    if (is_fatal(status)) {
      if (!fatal()) fatal_ = status;
      return;
    }
    last_ = status;
    if (status.code() == Code::kBusy) {
      busy_.failed(now);
    } else {
      failing_job_ = !failing_.failing() || failing_job_ == job ? job : std::nullopt;
      failing_.failed(now);
      disk_full_ = status.code() == Code::kDiskFull;
    }
  }

  /// A transaction was committed: whatever it was is over.
  void write_succeeded() {
    busy_.succeeded();
    failing_.succeeded();
    disk_full_ = false;
  }

  /// A slice that commits nothing went well. That is the end of it where nothing else failed: the
  /// next commit may be far away.
  void succeeded(Job job) {
    if (!failing_.failing() || failing_job_ != job) return;
    failing_.succeeded();
    disk_full_ = false;
  }

  bool fatal() const { return !fatal_.ok(); }
  const Status& fatal_status() const { return fatal_; }
  bool disk_full() const { return disk_full_; }
  bool blocking() const { return busy_.failing() || failing_.failing(); }
  /// No write is worth trying before this time.
  bool waiting(MonoTime now) const { return busy_.waiting(now) || failing_.waiting(now); }
  MonoTime until() const { return std::max(busy_.until(), failing_.until()); }

  HealthReport report(MonoTime now) const {
    if (fatal()) return {Health::kFailed, std::string(fatal_.message())};
    if (failing_.failing()) return {Health::kDegraded, std::string(last_.message())};
    if (busy_.failing_for(now) >= kBusyIsNews) {
      return {Health::kDegraded, "another process has held the write lock for " +
                                     format_duration(busy_.failing_for(now)) + ": " +
                                     std::string(last_.message())};
    }
    return {};
  }

 private:
  Status fatal_;
  Status last_;
  std::optional<Job> failing_job_;  // the only one that failed since the last success
  bool disk_full_ = false;
  // A lock comes free within milliseconds; a full disk takes somebody's hand.
  Backoff busy_{Milliseconds(1), Milliseconds(10)};
  Backoff failing_{Milliseconds(20), Seconds(2)};
};

}  // namespace phlower
