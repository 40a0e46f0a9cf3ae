// Seeded random numbers. Whoever needs chance takes a `Random&`, so that a simulation repeats from
// one printed seed. Not for secrets.
#pragma once

#include <cstdint>
#include <limits>

namespace phlower {

/// The SplitMix64 generator: eight bytes of state, the same numbers on every machine. Meets
/// std::uniform_random_bit_generator. Thread safety: none; give each thread its own, by `split`.
class Random {
 public:
  using result_type = std::uint64_t;

  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }
  result_type operator()() noexcept { return next(); }

  /// The next 64 random bits.
  std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t bits = state_;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    return bits ^ (bits >> 31);
  }

  /// Evenly in [0, bound), without the bias of a bare modulo; 0 if `bound` is 0.
  std::uint64_t below(std::uint64_t bound) noexcept {
    if (bound == 0) return 0;
    const std::uint64_t end =
        max() - max() % bound;  // a multiple of bound; draws beyond are redone
    std::uint64_t bits = next();
    while (bits >= end) bits = next();
    return bits % bound;
  }

  /// Evenly in [low, high]. Requires: low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    return high - low == max() ? next() : low + below(high - low + 1);
  }

  /// Evenly in [0, 1).
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// True in `part` of `whole` cases on average.
  bool chance(std::uint64_t part, std::uint64_t whole) noexcept { return below(whole) < part; }

  /// A generator with a sequence of its own, drawn from this one.
  Random split() noexcept { return Random(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace phlower
