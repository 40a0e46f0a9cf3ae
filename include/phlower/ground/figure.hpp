// A line of the catalogue of figures: what is measured, in which unit, and where its value stands.
// Who counts has the lines beside the struct it counts in; hosts walk over all of them.
#pragma once

#include <cstdint>

#include "phlower/ground/histogram.hpp"

namespace phlower {

/// A share as a whole number.
constexpr std::uint64_t millionths(double share) noexcept {
  return static_cast<std::uint64_t>(share * 1e6);
}

enum class FigureKind : std::uint8_t { kCounter, kGauge, kHistogram };

/// A figure of an `S`. Texts are literals; a label is one "key=value" that tells figures of the
/// same name apart, or "". Either `value` or `histogram` is there.
template <class S>
struct Figure {
  std::uint16_t number = 0;  // its place in the catalogue for good: a new one takes the next
  FigureKind kind = FigureKind::kCounter;
  const char* name = nullptr;
  const char* unit = nullptr;
  const char* help = nullptr;
  const char* label = nullptr;
  std::uint64_t (*value)(const S&) = nullptr;
  const Histogram* (*histogram)(const S&) = nullptr;
};

/// For the tables: Lines<S>::count(number, name, unit, help, label, value) and so on.
template <class S>
struct Lines {
  using Value = std::uint64_t (*)(const S&);
  using Times = const Histogram* (*)(const S&);

  static constexpr Figure<S> count(std::uint16_t number, const char* name, const char* unit,
                                   const char* help, const char* label, Value value) {
    return {number, FigureKind::kCounter, name, unit, help, label, value, nullptr};
  }
  static constexpr Figure<S> gauge(std::uint16_t number, const char* name, const char* unit,
                                   const char* help, const char* label, Value value) {
    return {number, FigureKind::kGauge, name, unit, help, label, value, nullptr};
  }
  static constexpr Figure<S> times(std::uint16_t number, const char* name, const char* help,
                                   Times histogram) {
    return {number, FigureKind::kHistogram, name, "nanoseconds", help, "", nullptr, histogram};
  }
};

}  // namespace phlower
