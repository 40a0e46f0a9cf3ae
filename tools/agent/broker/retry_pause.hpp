// When to try a broker again: soon at first, then less often, never giving up, and not at the same
// moment as every other agent that lost the same broker.
#pragma once

#include <algorithm>
#include <cstdint>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/random.hpp"

namespace phlower::agent {

/// Doubling pause between `first` and `longest`; each is drawn from its upper half.
class RetryPause {
 public:
  RetryPause(Nanoseconds first, Nanoseconds longest, std::uint64_t seed)
      : first_(first), longest_(longest), random_(seed) {}

  /// How long to wait after one more failure.
  Nanoseconds failed() {
    pause_ = pause_.count() == 0 ? first_ : std::min(pause_ * 2, longest_);
    const auto half = static_cast<std::uint64_t>(pause_.count()) / 2;
    return Nanoseconds(static_cast<std::int64_t>(half + random_.below(half + 1)));
  }
  void succeeded() { pause_ = Nanoseconds(0); }

 private:
  Nanoseconds first_;
  Nanoseconds longest_;
  Nanoseconds pause_{0};
  Random random_;
};

}  // namespace phlower::agent
