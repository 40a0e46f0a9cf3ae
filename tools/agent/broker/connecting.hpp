// Connecting to a broker on a thread of its own: names are looked up and hands are shaken by calls
// that block, and the loop must not.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// One attempt at a time. The thread lives only as long as the attempt.
template <class Connection>
class Connecting {
 public:
  using Made = Result<std::unique_ptr<Connection>>;
  using Attempt = std::function<Made(const std::atomic<bool>& cancelled)>;

  Connecting() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  ~Connecting() {
    cancelled_ = true;
    if (thread_.joinable()) thread_.join();
    ::close(event_);
  }

  void start(Attempt attempt) {
    thread_ = std::thread([this, attempt = std::move(attempt)] {
      made_.emplace(attempt(cancelled_));
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t put = ::write(event_, &one, sizeof one);
    });
  }

  bool running() const { return thread_.joinable(); }
  /// Readable when the attempt is over.
  int fd() const { return event_; }

  /// What came of it, once it is over.
  std::optional<Made> take() {
    std::uint64_t count = 0;
    if (!running() || ::read(event_, &count, sizeof count) != sizeof count) return std::nullopt;
    thread_.join();
    return std::exchange(made_, std::nullopt);
  }

 private:
  int event_;
  std::atomic<bool> cancelled_{false};
  std::optional<Made> made_;  // the thread's until it has written to event_
  std::thread thread_;
};

}  // namespace phlower::agent
