// How much to do in one statement or slice, from what the last ones cost. Pure functions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// The next batch for work that cannot be interrupted: `last` units took `spent`, and `target` is
/// what one batch should take. Follows the measured cost, at most doubling and at most halving a
/// step (additive-increase habit of block/spirit and Fledge: probe slowly, back off at once), and
/// stays within [low, high]. An unmeasured batch (`spent` 0) doubles.
constexpr std::uint32_t next_batch(std::uint32_t last, Nanoseconds spent, Nanoseconds target,
                                   std::uint32_t low, std::uint32_t high) noexcept {
  double factor = 2.0;
  if (spent.count() > 0) {
    factor = static_cast<double>(target.count()) / static_cast<double>(spent.count());
    factor = std::clamp(factor, 0.5, 2.0);
  }
  const double next = std::clamp(static_cast<double>(last) * factor, static_cast<double>(low),
                                 static_cast<double>(high));
  return static_cast<std::uint32_t>(next);
}

/// Exponentially weighted mean of a cost, quick to rise and slow to fall: an estimate that is too
/// low breaks a deadline, one that is too high only shortens a slice.
constexpr Nanoseconds next_estimate(Nanoseconds estimate, Nanoseconds measured) noexcept {
  const auto weight = measured > estimate ? 2 : 8;
  return estimate + (measured - estimate) / weight;
}

}  // namespace phlower
