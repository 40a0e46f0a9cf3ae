// A futex on a word of the ring file. std::atomic::wait is no use here: libstdc++ waits on a
// futex private to the process, and the waker is another process.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// The longest single wait. A producer killed between its commit and its wake-up costs this much.
inline constexpr Nanoseconds kFutexWaitCap = Milliseconds(50);

/// Sleeps while `*word == expected`, at most `at_most` and at most kFutexWaitCap. Returns early
/// for any reason; the caller looks again. Blocks: yes.
inline void futex_wait(const std::uint32_t* word, std::uint32_t expected, Nanoseconds at_most) {
  const Nanoseconds time = std::clamp(at_most, Nanoseconds(0), kFutexWaitCap);
  timespec timeout{};
  timeout.tv_nsec = static_cast<long>(time.count());
  ::syscall(SYS_futex, word, FUTEX_WAIT, expected, &timeout, nullptr, 0);
}

/// Wakes one sleeper of any process that maps the word. Async-signal-safe.
inline void futex_wake(const std::uint32_t* word) {
  ::syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace phlower
