// The threads that ask the history, and the short queue before them. What scans many rows takes
// turns behind itself: one thread is always left for what is found at once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "agent/host/agent_options.hpp"
#include "agent/http/http_message.hpp"

namespace phlower::agent {

/// One question on its way: the server's until it is pushed, then a worker's, then the server's.
struct HttpQuestion {
  HttpQuestion(HttpPlan from, std::uint64_t from_client, Clock& clock)
      : plan(std::move(from)), client(from_client), asker(clock, clock.mono() + plan.at_most) {}

  HttpPlan plan;
  const std::uint64_t client;
  HttpAsker asker;
  HttpAnswer answer;
};

/// Thread safety: safe, but for `start` and `stop`.
class HttpWorkers {
 public:
  using Question = std::shared_ptr<HttpQuestion>;

  /// `when_done` is called on a worker's thread, with an answer in the question.
  HttpWorkers(const HttpOptions& options, std::function<void(Question)> when_done)
      : threads_(options.threads),
        waiting_max_(options.waiting_max),
        when_done_(std::move(when_done)) {}
  HttpWorkers(const HttpWorkers&) = delete;
  HttpWorkers& operator=(const HttpWorkers&) = delete;
  ~HttpWorkers() { stop(); }

  void start() {
    for (std::uint32_t i = 0; i < threads_; ++i) workers_.emplace_back([this] { work(); });
  }

  /// Those that wait get no answer.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  /// False: too many wait.
  bool push(Question question) {
    {
      const std::lock_guard lock(mutex_);
      if (is_full()) drop_gone();
      if (is_full()) return false;
      (question->plan.scans ? scans_ : quick_).push_back(std::move(question));
    }
    wanted_.notify_one();
    return true;
  }

  struct Load {
    std::uint64_t waiting = 0;
    std::uint64_t running = 0;
  };
  Load load() {
    const std::lock_guard lock(mutex_);
    return {quick_.size() + scans_.size(), running_};
  }

 private:
  using Queue = std::deque<Question>;

  bool is_full() const { return quick_.size() + scans_.size() >= waiting_max_; }

  // Whoever left makes room for who comes.
  void drop_gone() {
    for (Queue* queue : {&quick_, &scans_}) {
      std::erase_if(*queue, [this](const Question& question) {
        if (!question->asker.gone()) return false;
        question->answer = http_error(503, "not answered: the asker has gone");
        when_done_(question);
        return true;
      });
    }
  }

  bool may_scan() const { return !scans_.empty() && scanning_ + 1 < threads_; }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wanted_.wait(lock, [this] { return stopping_ || !quick_.empty() || may_scan(); });
      if (stopping_) return;
      Queue& queue = quick_.empty() ? scans_ : quick_;
      const Question question = std::move(queue.front());
      queue.pop_front();
      const bool scans = question->plan.scans;
      scanning_ += scans ? 1 : 0;
      ++running_;
      lock.unlock();
      answer(*question);
      when_done_(question);
      lock.lock();
      --running_;
      scanning_ -= scans ? 1 : 0;
      if (scans) wanted_.notify_one();
    }
  }

  // Also one whose time went by in the queue: its answer says so.
  static void answer(HttpQuestion& question) {
    try {
      question.answer = question.plan.question(question.asker);
    } catch (const std::exception& error) {
      question.answer = http_error(500, error.what());
    }
  }

  const std::uint32_t threads_;
  const std::uint32_t waiting_max_;
  const std::function<void(Question)> when_done_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  Queue quick_;
  Queue scans_;
  std::uint32_t scanning_ = 0;
  std::uint64_t running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace phlower::agent
