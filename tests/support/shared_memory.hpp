// Memory that a test and the processes it forks share, and forking itself.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace phlower::testing {

/// An object in an anonymous shared mapping: zero bytes at first, pages appear when touched.
template <class T>
class Shared {
 public:
  Shared() {
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap of shared memory failed");
    value_ = static_cast<T*>(memory);  // no constructor runs: zero bytes must be a T
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(value_, sizeof(T)); }

  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

/// Runs `work` in a child that ends with `work`'s result (an int) and runs nothing else.
template <class Work>
pid_t fork_child(Work&& work) {
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) ::_exit(std::forward<Work>(work)());
  return pid;
}

/// Waits for a child to end; its wait status.
inline int wait_for_end(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

inline bool ended_with(int status, int code) {
  return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/// kill -9 and wait.
inline void kill_child(pid_t pid) {
  ::kill(pid, SIGKILL);
  wait_for_end(pid);
}

// gcc says it by a macro, clang by a feature.
#if defined(__has_feature)
#define PHLOWER_HAS_FEATURE(x) __has_feature(x)
#else
#define PHLOWER_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || PHLOWER_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__) || PHLOWER_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#undef PHLOWER_HAS_FEATURE

}  // namespace phlower::testing
