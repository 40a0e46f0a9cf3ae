// Exit codes of all programs, and the one line with which they say what went wrong.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/ground/text/text.hpp"

namespace phlower::tools {

inline constexpr int kExitDone = 0;
inline constexpr int kExitProblem = 1;  // not done, or a problem was found
inline constexpr int kExitUsage = 2;    // wrong usage or wrong configuration
inline constexpr int kExitTimeUp = 3;   // --max-time ended it; what was done is good
inline constexpr int kExitPipe = 141;   // who read the output has gone, as a shell reports SIGPIPE

/// On stderr. What comes from files and rows cannot reach the terminal as an escape.
inline void complain(std::string_view tool, std::string_view text) {
  const std::string shown = printable(text, "\n");
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(tool.size()), tool.data(), shown.c_str());
}
inline void complain(std::string_view tool, const Status& status) {
  complain(tool, status.message());
}

/// Says it; returns the exit code of wrong usage.
inline int usage_error(std::string_view tool, const Status& status) {
  complain(tool, status);
  return kExitUsage;
}

}  // namespace phlower::tools
