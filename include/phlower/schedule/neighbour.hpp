// When to leave a file's write lock free for longer, so that somebody who waits for it finds a gap.
//
// SQLite's busy handler polls: it sleeps 1, 2, 5, 10 ... and at last 100 ms between two tries.
// Whoever has missed the short gaps between slices a few times comes so seldom that he goes on
// missing them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// How long SQLite's own busy handler sleeps before its next try, after it has waited for `waited`
/// (sqliteDefaultBusyCallback in SQLite's main.c).
constexpr Nanoseconds busy_sleep(Nanoseconds waited) noexcept {
  constexpr std::array<int, 12> kSleepsMs = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
  Nanoseconds until{0};
  for (const int sleep : kSleepsMs) {
    until += Milliseconds(sleep);
    if (waited < until) return Milliseconds(sleep);
  }
  return Milliseconds(kSleepsMs.back());
}

/// Notices that others who commit to a file have fallen silent, so that one of them may be waiting,
/// and says how long a gap he is sure to find. Together these gaps take `share_percent` of the time
/// at most. Of several who write it hears the loudest. Not thread safe; no clock, no file.
class SilentNeighbour {
 public:
  explicit SilentNeighbour(std::uint32_t share_percent) : share_percent_(share_percent) {}

  /// Others have committed since the last call, or hold the lock.
  void heard(MonoTime now) {
    if (heard_at_) {
      const Nanoseconds apart = now - *heard_at_;
      // Slow to rise: times in which somebody waited are among them.
      usual_ = usual_ ? *usual_ + (apart - *usual_) / (apart < *usual_ ? 8 : 32) : apart;
    }
    heard_at_ = now;
    given_ = false;
  }

  /// How long the lock should stay free from now on, or until somebody is heard; 0: nobody is
  /// thought to wait, or the share is used up. One gap for each silence: whoever has not come in it
  /// does not want the lock.
  Nanoseconds gap(MonoTime now) {
    earn(now);
    if (!usual_ || given_) return Nanoseconds(0);
    const Nanoseconds silent = now - *heard_at_;
    if (silent < std::max(2 * *usual_, kPatience)) return Nanoseconds(0);
    // He cannot have waited for longer than that, and sleeps the longer the longer he has waited.
    const Nanoseconds sleep = busy_sleep(silent + kLate);
    // Short gaps leave enough for the longest, or one who needs that would have to wait for it.
    const Nanoseconds kept = sleep < kLongestSleep ? kLongestSleep + kLate : Nanoseconds(0);
    return sleep + kLate + kept <= credit_ ? sleep + kLate : Nanoseconds(0);
  }

  /// The gap was given and took `time`.
  void gave(Nanoseconds time) {
    credit_ -= time;
    given_ = true;
  }

 private:
  static constexpr Nanoseconds kLongestSleep = busy_sleep(Seconds(60));
  static constexpr Nanoseconds kPatience = Milliseconds(80);  // before that he tries often enough
  static constexpr Nanoseconds kLate = Milliseconds(5);       // he was heard late; he wakes up late
  static constexpr Nanoseconds kCreditMost = Milliseconds(250);

  void earn(MonoTime now) {
    if (earned_at_) {
      credit_ = std::min(credit_ + (now - *earned_at_) * share_percent_ / 100, kCreditMost);
    }
    earned_at_ = now;
  }

  std::uint32_t share_percent_;
  std::optional<MonoTime> heard_at_, earned_at_;
  std::optional<Nanoseconds> usual_;  // between two commits of others
  bool given_ = false;                // since others were heard last
  Nanoseconds credit_ = kCreditMost;
};

}  // namespace phlower
