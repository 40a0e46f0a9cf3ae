// What other threads want from the loop: it runs their errands between its turns, so that what is
// the loop's needs no lock.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// `ask` any thread but the loop's; the rest the loop's.
class Errands {
 public:
  Errands() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;
  ~Errands() { ::close(event_); }

  /// Blocks until the loop has run `work`. False: it did not come to it within `patience`, or it
  /// has ended; then `work` is not run any more.
  bool ask(std::function<void()> work, Nanoseconds patience) {
    const auto errand = std::make_shared<Errand>(Errand{std::move(work)});
    std::unique_lock<std::mutex> lock(mutex_);
    if (closed_) return false;
    waiting_.push_back(errand);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(event_, &one, sizeof one);
    changed_.wait_for(lock, patience, [&] { return errand->state == State::kDone || closed_; });
    // What the loop has begun it ends, and soon: `work` may use what is its asker's.
    changed_.wait(lock, [&] { return errand->state != State::kRuns; });
    std::erase(waiting_, errand);
    return errand->state == State::kDone;
  }

  /// Readable when there is something to run.
  int fd() const { return event_; }

  void run() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_, &count, sizeof count);
    std::unique_lock<std::mutex> lock(mutex_);
    while (!waiting_.empty()) {
      const std::shared_ptr<Errand> errand = waiting_.front();
      waiting_.erase(waiting_.begin());
      errand->state = State::kRuns;
      lock.unlock();
      errand->work();
      lock.lock();
      errand->state = State::kDone;
      changed_.notify_all();
    }
  }

  /// The loop has ended: who waits goes away without.
  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  enum class State : std::uint8_t { kWaits, kRuns, kDone };
  struct Errand {
    std::function<void()> work;
    State state = State::kWaits;
  };

  int event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Errand>> waiting_;
  bool closed_ = false;
};

}  // namespace phlower::agent
