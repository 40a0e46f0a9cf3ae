// Runs a child process one machine instruction at a time (ptrace), so that it can be stopped or
// killed between any two of them.
#pragma once

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "shared_memory.hpp"

namespace phlower::testing {

/// The child's mark: everything between two of these is stepped through.
inline void step_mark() { ::kill(::getpid(), SIGSTOP); }

/// A child under ptrace, stopped at its first `step_mark`. Kills what is still alive at its end.
class Stepper {
 public:
  template <class Work>
  explicit Stepper(Work&& work) {
    pid_ = fork_child([&]() -> int {
      // If the parent ends early (a failed assertion) the child must not stay behind, stopped.
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 77;
      return std::forward<Work>(work)();
    });
    int status = wait();
    while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP) {
      ::ptrace(PTRACE_CONT, pid_, nullptr, signal_of(status));
      status = wait();
    }
    ready_ = WIFSTOPPED(status);
    alive_ = ready_;
    end_status_ = status;
    if (ready_) ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;
  ~Stepper() { kill_now(); }

  /// False when ptrace is not allowed here or the child ended before its mark; see `end_status`.
  bool ready() const { return ready_; }
  bool not_permitted() const { return !ready_ && ended_with(end_status_, 77); }
  pid_t pid() const { return pid_; }
  int end_status() const { return end_status_; }

  /// One instruction. False when the child came to its next mark or to its end instead.
  bool step() {
    ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    const int status = wait();
    if (!WIFSTOPPED(status)) return false;
    return WSTOPSIG(status) == SIGTRAP;
  }

  /// Lets the child run to its end; its wait status.
  int finish() {
    while (alive_) {
      ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
      wait();
    }
    return end_status_;
  }

  void kill_now() {
    if (!alive_) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

 private:
  static long signal_of(int status) { return WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status); }
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFSTOPPED(status)) {
      alive_ = false;
      end_status_ = status;
    }
    return status;
  }

  pid_t pid_ = -1;
  bool ready_ = false;
  bool alive_ = false;
  int end_status_ = 0;
};

}  // namespace phlower::testing
