// How wide a terminal is, and text that fits into it.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "phlower/ground/text/text.hpp"

namespace phlower::tools {

/// 0: no terminal. One that does not know its width has 80.
inline std::size_t terminal_columns(int fd) {
  if (::isatty(fd) != 1) return 0;
  winsize size{};
  const bool known = ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col : 80;
}

/// At least as many as a terminal gives it: scripts of East Asia and pictures take two.
inline std::size_t columns_of(char32_t code) {
  const bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                    (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                    (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f000 && code <= 0x1faff) ||
                    (code >= 0x20000 && code <= 0x3fffd);
  return wide ? 2 : 1;
}

inline constexpr const char* kCutMark = "\xe2\x80\xa6";  // an ellipsis, one column

/// `text` itself, or as much of its front as fits and the mark. 0 columns: no limit. Requires:
/// UTF-8 without control characters, as `printable` gives it.
inline std::string fitted(std::string_view text, std::size_t columns) {
  std::size_t used = 0;
  std::size_t good = 0;  // bytes in front of which the mark still fits
  for (std::size_t at = 0; columns > 0 && at < text.size();) {
    const Character next = first_character(text.substr(at));
    used += columns_of(next.code);
    if (used > columns) return std::string(text.substr(0, good)) + kCutMark;
    at += next.size > 0 ? next.size : 1;
    if (used < columns) good = at;
  }
  return std::string(text);
}

}  // namespace phlower::tools
