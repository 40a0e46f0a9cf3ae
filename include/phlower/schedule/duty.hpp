// The share of time in which the write lock may be held, so that others find a gap.
#pragma once

#include <algorithm>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// After a hold of `held`, the lock stays free for this long, so that holds are `duty_percent` of
/// the time. 100 means no pause.
constexpr Nanoseconds pause_after(Nanoseconds held, std::uint32_t duty_percent) noexcept {
  if (duty_percent >= 100 || duty_percent == 0) return Nanoseconds(0);
  return held * (100 - duty_percent) / duty_percent;
}

/// Pauses that keep the write lock free for its share of time. What a checkpoint took counts: the
/// lock is free during one. Half of each pause is always kept, so that whoever asks for the lock
/// every millisecond or so finds a gap after every slice.
class DutyPause {
 public:
  void lock_was_free(Nanoseconds time) { credit_ = std::min(credit_ + time, kMost); }

  Nanoseconds after(Nanoseconds pause) {
    const Nanoseconds used = std::min(credit_, pause / 2);
    credit_ -= used;
    return pause - used;
  }

 private:
  static constexpr Nanoseconds kMost = Milliseconds(500);
  Nanoseconds credit_{0};
};

}  // namespace phlower
