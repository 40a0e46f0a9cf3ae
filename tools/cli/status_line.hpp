// One line on stderr that is drawn over and over, shown only where stderr is a terminal.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>

#include "phlower/ground/clock.hpp"

namespace phlower::tools {

/// Not thread safe. The text is ASCII; what does not fit into the terminal's width is cut, because
/// a line that wraps cannot be drawn over.
class StatusLine {
 public:
  explicit StatusLine(bool quiet) : on_(!quiet && ::isatty(STDERR_FILENO) == 1) {}
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  ~StatusLine() { clear(); }

  /// Whether anybody can see it.
  bool visible() const { return on_; }

  /// True at most four times a second, and never where nobody looks.
  bool due(MonoTime now) {
    if (!on_ || now < next_) return false;
    next_ = now + Milliseconds(250);
    return true;
  }

  void show(const std::string& text) {
    std::fprintf(stderr, "\r\033[K%s", text.substr(0, columns() - 1).c_str());
    std::fflush(stderr);
    shown_ = true;
  }

  /// Takes the line away, so that a message can stand in its place.
  void clear() {
    if (shown_) std::fputs("\r\033[K", stderr);
    shown_ = false;
  }

 private:
  static std::size_t columns() {
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : 80;
  }

  bool on_;
  bool shown_ = false;
  MonoTime next_{};
};

}  // namespace phlower::tools
