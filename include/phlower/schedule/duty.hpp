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

}  // namespace phlower
