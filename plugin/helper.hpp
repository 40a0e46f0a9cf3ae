// A thread that does a tick's work, so that a host waits for its budget and not for the disk: an
// fsync cannot be cut into slices, and only the connection that writes may checkpoint.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "phlower/ground/clock.hpp"

namespace phlower::plugin {

/// Starts a thread of this name that gets none of the process's signals: they are for the host's.
inline std::thread quiet_thread(std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread made(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(made.native_handle(), "phlower");
  return made;
}

/// Thread safety: one caller at a time. What a job wrote is seen when `wait` has said true.
class Helper {
 public:
  Helper() = default;
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() { stop(); }

  void start() {
    ending_ = false;
    thread_ = quiet_thread([this] { run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard guard(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  bool runs() const { return thread_.joinable(); }

  /// Requires: idle.
  void post(std::function<void()> job) {
    {
      const std::lock_guard guard(mutex_);
      job_ = std::move(job);
      busy_ = true;
      late_ = false;
    }
    changed_.notify_all();
  }
  bool busy() {
    const std::lock_guard guard(mutex_);
    return busy_;
  }
  /// True: the job is done. False: it is not, and `when_late` will be called when it is.
  bool wait(Nanoseconds at_most) {
    std::unique_lock guard(mutex_);
    late_ = !changed_.wait_for(guard, at_most, [this] { return !busy_; });
    return !late_;
  }
  void wait() {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [this] { return !busy_; });
  }
  /// Called on the thread. Set before `start`.
  void when_late(std::function<void()> call) { when_late_ = std::move(call); }

 private:
  void run() {
    std::unique_lock guard(mutex_);
    for (;;) {
      changed_.wait(guard, [this] { return ending_ || (busy_ && job_); });
      if (!job_) return;
      const std::function<void()> job = std::exchange(job_, nullptr);
      guard.unlock();
      job();
      guard.lock();
      busy_ = false;
      changed_.notify_all();
      if (!late_ || !when_late_) continue;
      guard.unlock();
      when_late_();
      guard.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> job_;
  std::function<void()> when_late_;
  bool busy_ = false;
  bool late_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace phlower::plugin
