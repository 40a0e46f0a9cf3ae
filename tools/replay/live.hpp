// The line that a run shows on a terminal while it goes on.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "cli/status_line.hpp"
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

/// The line itself. `rate` is of the time since the line before, in records a second.
inline std::string live_line(const LiveFigures& now, double rate) {
  return fmt::format(
      "{:5.1f} s {:>7.0f}/s  ring {:.0f} %  age p99 {:.0f} ms  held {:.1f} ms  purge left {}  {}",
      std::chrono::duration<double>(now.elapsed).count(), rate, 100 * now.ring_fill,
      static_cast<double>(now.flush_age_p99_ns) / 1e6, static_cast<double>(now.hold_max_ns) / 1e6,
      format_count(now.purge_left), now.trouble);
}

/// Shows it. Not thread safe.
class Live {
 public:
  explicit Live(bool quiet) : line_(quiet) {}

  bool due(MonoTime now) { return line_.due(now); }

  void show(const LiveFigures& now) {
    const double seconds = std::chrono::duration<double>(now.elapsed - last_elapsed_).count();
    const double rate =
        seconds > 0 ? static_cast<double>(now.committed - last_committed_) / seconds : 0;
    last_elapsed_ = now.elapsed;
    last_committed_ = now.committed;
    line_.show(live_line(now, rate));
  }

 private:
  StatusLine line_;
  Nanoseconds last_elapsed_{0};
  std::uint64_t last_committed_ = 0;
};

}  // namespace phlower::tools
