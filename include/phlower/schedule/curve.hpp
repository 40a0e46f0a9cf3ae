// A piecewise linear function given by its corners: how weights follow backlogs.
#pragma once

#include <cstddef>
#include <span>

namespace phlower {

struct CurvePoint {
  double x;
  double y;
};

/// The value at `x`: straight between two corners, flat before the first and after the last.
/// Requires: at least one corner, x ascending.
constexpr double curve_at(std::span<const CurvePoint> corners, double x) noexcept {
  if (!(x > corners.front().x)) return corners.front().y;  // also for NaN
  for (std::size_t i = 1; i < corners.size(); ++i) {
    const CurvePoint from = corners[i - 1];
    const CurvePoint to = corners[i];
    if (x < to.x) return from.y + (to.y - from.y) * (x - from.x) / (to.x - from.x);
  }
  return corners.back().y;
}

}  // namespace phlower
