// A progress bar on stderr, shown only where stderr is a terminal.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/status_line.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/units.hpp"

namespace phlower::tools {

struct ProgressFigures {
  std::string_view what;  // "deleted"
  std::uint64_t done = 0;
  std::uint64_t left = 0;  // an estimate
  Nanoseconds elapsed{0};
  Nanoseconds hold{0};            // the last hold of the write lock
  std::string_view trouble = {};  // why it stands still; empty when it does not
};

/// The line itself: bar, share, rate, time left, hold. Short enough for 80 columns.
inline std::string progress_line(const ProgressFigures& now, double per_second) {
  const std::uint64_t all = now.done + now.left;
  const double part = all == 0 ? 1.0 : static_cast<double>(now.done) / static_cast<double>(all);
  constexpr std::size_t kWidth = 20;
  const auto full = static_cast<std::size_t>(part * kWidth);
  std::string line = fmt::format("[{:#<{}}{:.<{}}] {:3.0f} %  {} {}", "", full, "", kWidth - full,
                                 100 * part, format_count(now.done), now.what);
  if (!now.trouble.empty()) return line + "  " + std::string(now.trouble);
  line += fmt::format("  {:.0f}/s", per_second);
  if (per_second >= 1) {
    const auto seconds = static_cast<std::int64_t>(static_cast<double>(now.left) / per_second);
    line += "  " + format_duration(Seconds(seconds)) + " left";
  }
  return line + "  lock " + format_duration(now.hold);
}

/// Draws the line. Not thread safe.
class Progress {
 public:
  explicit Progress(bool quiet) : line_(quiet) {}

  bool visible() const { return line_.visible(); }

  void show(const ProgressFigures& now) {
    const double seconds = std::chrono::duration<double>(now.elapsed - last_elapsed_).count();
    if (now.done < last_done_) {  // another kind of work has begun
      last_done_ = 0;
      rate_ = -1;
    }
    if (seconds > 0) {
      const double rate = static_cast<double>(now.done - last_done_) / seconds;
      rate_ = rate_ < 0 ? rate : 0.8 * rate_ + 0.2 * rate;
    }
    last_elapsed_ = now.elapsed;
    last_done_ = now.done;
    line_.show(progress_line(now, std::max(rate_, 0.0)));
  }

  /// Takes the line away, so that a message can stand in its place.
  void clear() { line_.clear(); }

 private:
  StatusLine line_;
  Nanoseconds last_elapsed_{0};
  std::uint64_t last_done_ = 0;
  double rate_ = -1;
};

}  // namespace phlower::tools
