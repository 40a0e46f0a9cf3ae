// Runs a body in a child process and kills it with SIGKILL before its k-th system call that changes
// a file: what no hook inside a library can miss.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>

namespace phlower::testing {

namespace syscall_killer_detail {

#if defined(__x86_64__)
inline bool changes_a_file(const user_regs_struct& regs) {
  switch (static_cast<long>(regs.orig_rax)) {
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_ftruncate:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_mkdir:
    case SYS_mkdirat:
    case SYS_fallocate: return true;
    case SYS_open: return (regs.rsi & O_CREAT) != 0;
    case SYS_openat: return (regs.rdx & O_CREAT) != 0;
    default: return false;
  }
}
#endif

}  // namespace syscall_killer_detail

/// The changes that were met; k = 0 kills never. 0 where the process may not be traced. Nothing:
/// the body failed or the child ended in another way.
inline std::optional<std::uint64_t> run_and_kill(std::uint64_t k,
                                                 const std::function<void()>& body) {
#if defined(__x86_64__)
  const pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
    ::raise(SIGSTOP);
    body();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int state = 0;
  ::waitpid(child, &state, 0);
  if (WIFEXITED(state))
    return WEXITSTATUS(state) == 77 ? std::optional<std::uint64_t>(0) : std::nullopt;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  std::uint64_t changes = 0;
  long signal = 0;
  for (bool entering = true;;) {
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, signal) != 0) return std::nullopt;
    if (::waitpid(child, &state, 0) != child) return std::nullopt;
    if (WIFEXITED(state)) {
      return WEXITSTATUS(state) == 0 ? std::optional(changes) : std::nullopt;
    }
    if (WIFSIGNALED(state)) return std::nullopt;
    signal = 0;
    if (WSTOPSIG(state) != (SIGTRAP | 0x80)) {
      signal = WSTOPSIG(state);
      continue;
    }
    user_regs_struct regs{};
    ::ptrace(PTRACE_GETREGS, child, nullptr, &regs);
    if (entering && syscall_killer_detail::changes_a_file(regs) && ++changes == k) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &state, 0);
      return changes;
    }
    entering = !entering;
  }
#else
  (void)k;
  (void)body;
  return 0;
#endif
}

}  // namespace phlower::testing
