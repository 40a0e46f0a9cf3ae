// Time comes in from outside: everything that needs a clock takes a `Clock&`, so that a whole
// engine can run in a simulation. SystemClock is the only reader of the machine's time.
#pragma once

#include <chrono>
#include <ctime>

namespace phlower {

using Nanoseconds = std::chrono::nanoseconds;
using Microseconds = std::chrono::microseconds;
using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

/// A point on the monotonic clock (since an arbitrary start), for durations and deadlines.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Nanoseconds>;
/// A point in civil time (since the Unix epoch, UTC), for what is stored and for retention.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Nanoseconds>;

/// Unix seconds as the database stores them (REAL), and back.
inline double to_unix_seconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

/// Both clocks. Thread safety: implementations must allow concurrent calls unless they say not.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime mono() = 0;
  /// As `mono`, but cheap: up to a few milliseconds late, never early.
  virtual MonoTime mono_coarse() { return mono(); }
  virtual WallTime wall() = 0;
};

/// The machine's clocks. Thread safety: safe. Blocks: never.
class SystemClock final : public Clock {
 public:
  MonoTime mono() override { return MonoTime(read(CLOCK_MONOTONIC)); }
  MonoTime mono_coarse() override { return MonoTime(read(CLOCK_MONOTONIC_COARSE)); }
  WallTime wall() override { return WallTime(read(CLOCK_REALTIME)); }

 private:
  static Nanoseconds read(clockid_t id) {
    timespec now{};
    ::clock_gettime(id, &now);
    return Seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
  }
};

/// A clock that moves only when told, and by `step_per_read` at every reading of `mono`: with a
/// step, code that works "until a deadline" ends after a number of readings. Not thread safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime wall = WallTime(Seconds(1'700'000'000)),
                       Nanoseconds step_per_read = Nanoseconds(0))
      : wall_(wall), step_per_read_(step_per_read) {}

  MonoTime mono() override {
    advance(step_per_read_);
    return mono_;
  }
  WallTime wall() override { return wall_; }

  void advance(Nanoseconds by) {
    mono_ += by;
    wall_ += by;
  }
  /// Moves civil time alone, as an operator or NTP does.
  void jump_wall(Nanoseconds by) { wall_ += by; }

 private:
  MonoTime mono_{};
  WallTime wall_;
  Nanoseconds step_per_read_;
};

}  // namespace phlower
