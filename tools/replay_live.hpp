// The line that a run shows on a terminal while it goes on.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/units.hpp"

namespace phlower::tools {

struct LiveFigures {
  Nanoseconds elapsed{0};
  std::uint64_t committed = 0;
  double ring_fill = 0;
  std::uint64_t flush_age_p99_ns = 0;
  std::uint64_t hold_max_ns = 0;
  std::uint64_t purge_left = 0;
  std::string trouble;
};

/// Writes to stderr, and only if that is a terminal. Not thread safe.
class Live {
 public:
  explicit Live(bool quiet) : on_(!quiet && ::isatty(STDERR_FILENO) == 1) {}
  ~Live() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }

  bool due(MonoTime now) {
    if (!on_ || now < next_) return false;
    next_ = now + Milliseconds(250);
    return true;
  }

  void show(const LiveFigures& now) {
    const double seconds = std::chrono::duration<double>(now.elapsed - last_elapsed_).count();
    const double rate =
        seconds > 0 ? static_cast<double>(now.committed - last_committed_) / seconds : 0;
    last_elapsed_ = now.elapsed;
    last_committed_ = now.committed;
    const std::string line = fmt::format(
        "{:5.1f} s  {:>7.0f} records/s  ring {:3.0f} %  age p99 {:.0f} ms  lock held {:.1f} ms  "
        "purge left {}  {}",
        std::chrono::duration<double>(now.elapsed).count(), rate, 100 * now.ring_fill,
        static_cast<double>(now.flush_age_p99_ns) / 1e6, static_cast<double>(now.hold_max_ns) / 1e6,
        format_count(now.purge_left), now.trouble);
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    std::fflush(stderr);
    shown_ = true;
  }

 private:
  bool on_;
  bool shown_ = false;
  MonoTime next_{};
  Nanoseconds last_elapsed_{0};
  std::uint64_t last_committed_ = 0;
};

}  // namespace phlower::tools
