// Signals as a descriptor of the loop: SIGHUP reloads, SIGTERM and SIGINT end.
#pragma once

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace phlower::agent {

/// Make it before any thread: threads inherit that these signals are blocked.
class SignalFd {
 public:
  SignalFd() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);  // a client that goes away is no reason to die
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  SignalFd(const SignalFd&) = delete;
  SignalFd& operator=(const SignalFd&) = delete;
  ~SignalFd() { ::close(fd_); }

  int fd() const { return fd_; }
  /// The next signal; 0: none.
  int take() const {
    signalfd_siginfo info{};
    return ::read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  int fd_ = -1;
};

}  // namespace phlower::agent
