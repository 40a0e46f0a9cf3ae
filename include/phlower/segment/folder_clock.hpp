// What a data folder believes of the clock: how far it leapt, and whether files may go by it. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// A clock that leaps forward would have everything expire at once. What reads show follows the
/// clock; files only go when it has stood by its word for a while. Not thread safe.
class FolderClock {
 public:
  /// Civil time may move by so much more or less than it should, us.
  static constexpr std::int64_t kLeapUs = 60'000'000;
  /// After a leap longer than this no file goes for `kPatience`.
  static constexpr std::int64_t kLongLeapUs = 3'600'000'000;
  static constexpr Nanoseconds kPatience = Seconds(600);

  /// By how many us civil time leapt since the last `go_on_from`, below 0: back; 0: it did not.
  std::int64_t leap_us(std::int64_t wall_us, MonoTime now) const noexcept {
    if (!seen_) return 0;
    const std::int64_t passed_us =
        std::chrono::duration_cast<Microseconds>(now - seen_mono_).count();
    const std::int64_t leap = wall_us - seen_us_ - passed_us;
    return std::abs(leap) > kLeapUs ? leap : 0;
  }

  /// Takes a reading of both clocks as right. True: it was a long leap, files wait from now on.
  bool go_on_from(std::int64_t wall_us, MonoTime now) noexcept {
    const bool is_long = std::abs(leap_us(wall_us, now)) > kLongLeapUs;
    if (is_long) files_go_from_ = now + kPatience;
    seen_ = true;
    seen_us_ = wall_us;
    seen_mono_ = now;
    return is_long;
  }

  bool files_may_go(MonoTime now) const noexcept { return now >= files_go_from_; }

 private:
  bool seen_ = false;
  std::int64_t seen_us_ = 0;  // both clocks at the last reading
  MonoTime seen_mono_{};
  MonoTime files_go_from_{};
};

}  // namespace phlower
