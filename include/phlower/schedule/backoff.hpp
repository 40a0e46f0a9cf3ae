// When to try again after a failure: soon at first, then less often, never giving up.
#pragma once

#include <algorithm>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// Doubling pause between `first` and `longest`. No randomness: one engine, one writer.
class Backoff {
 public:
  Backoff(Nanoseconds first, Nanoseconds longest) : first_(first), longest_(longest) {}

  void failed(MonoTime now) {
    pause_ = pause_.count() == 0 ? first_ : std::min(pause_ * 2, longest_);
    if (failures_++ == 0) since_ = now;
    until_ = now + pause_;
  }
  void succeeded() {
    pause_ = Nanoseconds(0);
    failures_ = 0;
    until_ = MonoTime{};
  }

  bool waiting(MonoTime now) const { return failures_ > 0 && now < until_; }
  MonoTime until() const { return until_; }
  bool failing() const { return failures_ > 0; }
  /// How long nothing but failures was seen.
  Nanoseconds failing_for(MonoTime now) const {
    return failures_ > 0 ? now - since_ : Nanoseconds(0);
  }

 private:
  Nanoseconds first_;
  Nanoseconds longest_;
  Nanoseconds pause_{0};
  std::uint64_t failures_ = 0;
  MonoTime since_{};
  MonoTime until_{};
};

}  // namespace phlower
