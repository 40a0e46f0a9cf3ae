// Ctrl-C and SIGTERM: the tool stops at its next slice, in order, with a last report.
#pragma once

#include <csignal>

namespace phlower::tools {

namespace detail {
inline volatile std::sig_atomic_t stop_signal = 0;
}

inline void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { detail::stop_signal = signal; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

inline bool stop_requested() { return detail::stop_signal != 0; }

}  // namespace phlower::tools
