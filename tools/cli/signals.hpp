// Ctrl-C and SIGTERM: the tool stops at its next slice, in order, with a last report.
#pragma once

#include <unistd.h>

#include <csignal>

namespace phlower::tools {

namespace detail {
inline volatile std::sig_atomic_t stop_signal = 0;
}

/// `flags`: SA_RESETHAND where the second of them is to end the tool wherever it is.
inline void catch_signals(int flags = 0) {
  struct sigaction action {};
  action.sa_flags = flags;
  action.sa_handler = [](int signal) { detail::stop_signal = signal; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

inline bool stop_requested() { return detail::stop_signal != 0; }

/// Ends the process as the signal that was caught would have: a shell, make or cron sees it.
/// Requires: stop_requested().
[[noreturn]] inline void die_by_signal() {
  const int signal = detail::stop_signal;
  ::signal(signal, SIG_DFL);
  ::raise(signal);
  ::_exit(128 + signal);  // where it is blocked
}

}  // namespace phlower::tools
