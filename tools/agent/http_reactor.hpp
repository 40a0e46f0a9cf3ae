// The HTTP service's sockets: one thread for all connections, and a few workers that answer. A
// client that sends or reads slowly costs a descriptor until its time is over, never a thread.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent_options.hpp"
#include "counters.hpp"
#include "http_connection.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

class HttpReactor {
 public:
  /// The answer to a whole request; `keep` says whether the client may ask again, in and out.
  using Serve = std::function<std::string(const std::string& head, bool& keep)>;

  /// Requires: `listener` is a listening socket that does not block; stays the caller's.
  HttpReactor(int listener, const HttpOptions& options, Clock& clock, Counters& counters,
              Serve serve)
      : listener_(listener),
        options_(options),
        clock_(clock),
        serve_(std::move(serve)),
        event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        requests_(counters.make("phlower_agent_http_requests_total", "Requests answered.", "")),
        cut_(counters.make("phlower_agent_http_cut_total",
                           "Connections cut: too slow, too long, or one too many.", "")) {}
  HttpReactor(const HttpReactor&) = delete;
  HttpReactor& operator=(const HttpReactor&) = delete;
  ~HttpReactor() {
    stop();
    ::close(event_);
  }

  void start() {
    thread_ = std::thread([this] { run(); });
    for (std::uint32_t i = 0; i < options_.threads; ++i) {
      workers_.emplace_back([this] { work(); });
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    wake();
    if (thread_.joinable()) thread_.join();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

 private:
  struct Job {
    std::uint64_t id;
    std::string text;
    bool keep;
  };
  using Connections = std::map<std::uint64_t, std::unique_ptr<HttpConnection>>;
  using State = HttpConnection::State;

  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(event_, &one, sizeof one);
  }

  void work() {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        wanted_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job.text = serve_(job.text, job.keep);
      {
        const std::lock_guard lock(mutex_);
        done_.push_back(std::move(job));
      }
      wake();
    }
  }

  void run() {
    std::vector<pollfd> fds;
    std::vector<std::uint64_t> ids;
    for (;;) {
      const MonoTime begin = clock_.mono();
      const bool accepts = begin >= accept_at_;
      fds.assign({pollfd{event_, POLLIN, 0},
                  pollfd{listener_, static_cast<short>(accepts ? POLLIN : 0), 0}});
      ids.clear();
      MonoTime due = accepts ? begin + Seconds(5) : accept_at_;
      for (const auto& [id, connection] : connections_) {
        const State state = connection->state();
        if (state == State::kWorking) continue;
        fds.push_back(
            {connection->fd(), static_cast<short>(state == State::kReading ? POLLIN : POLLOUT), 0});
        ids.push_back(id);
        due = std::min(due, connection->deadline());
      }
      const auto wait = std::chrono::ceil<Milliseconds>(due - clock_.mono()).count();
      ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(wait, 0)));
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(event_, &count, sizeof count);
      if (!take_answers()) return;
      const MonoTime now = clock_.mono();
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (fds[i + 2].revents != 0) move(ids[i], *connections_.at(ids[i]), now);
      }
      cut_late(now);
      if (fds[1].revents != 0) accept(now);
    }
  }

  // False: it is time to end.
  bool take_answers() {
    std::deque<Job> done;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      done.swap(done_);
    }
    const MonoTime now = clock_.mono();
    for (Job& job : done) {
      const auto found = connections_.find(job.id);
      if (found == connections_.end()) continue;
      requests_.add();
      found->second->answer(std::move(job.text), job.keep, now + options_.timeout);
      move(job.id, *found->second, now);
    }
    return true;
  }

  void move(std::uint64_t id, HttpConnection& connection, MonoTime now) {
    if (connection.state() == State::kReading) {
      hand_over(id, connection, connection.readable(), now);
    } else if (connection.state() == State::kWriting &&
               connection.writable(now + options_.timeout)) {
      hand_over(id, connection, connection.whole(), now);  // what came behind the last request
    }
  }

  void hand_over(std::uint64_t id, HttpConnection& connection, bool whole, MonoTime now) {
    if (connection.too_long()) {
      cut_.add();
      connection.answer(
          "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
          "Content-Length: 0\r\n\r\n",
          false, now + options_.timeout);
      connection.writable(now);
    } else if (whole) {
      {
        const std::lock_guard lock(mutex_);
        jobs_.push_back({id, connection.take_head(), true});
      }
      wanted_.notify_one();
    }
  }

  void cut_late(MonoTime now) {
    for (auto next = connections_.begin(); next != connections_.end();) {
      HttpConnection& connection = *next->second;
      const State state = connection.state();
      const bool late = state != State::kWorking && now >= connection.deadline();
      if (late && (connection.begun() || state == State::kWriting)) cut_.add();
      next = late || state == State::kGone ? connections_.erase(next) : std::next(next);
    }
  }

  // The one that has been sending its request for longest makes room: whole requests come at once.
  bool make_room() {
    if (connections_.size() < options_.connections_max) return true;
    for (auto next = connections_.begin(); next != connections_.end(); ++next) {
      if (next->second->state() != State::kReading) continue;
      connections_.erase(next);
      cut_.add();
      return true;
    }
    return false;
  }

  void accept(MonoTime now) {
    for (int i = 0; i < 64; ++i) {
      const bool room = make_room();
      const int fd =
          room ? ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
      if (fd < 0) {
        // No room, or no descriptor left: the one who waits must not make the loop spin.
        if (!room || (errno != EAGAIN && errno != ECONNABORTED)) {
          accept_at_ = now + Milliseconds(20);
        }
        return;
      }
      connections_[++last_id_] = std::make_unique<HttpConnection>(fd, now + options_.timeout);
    }
  }

  const int listener_;
  const HttpOptions options_;
  Clock& clock_;
  const Serve serve_;
  const int event_;
  Count& requests_;
  Count& cut_;
  Connections connections_;  // by age; the reactor's thread alone
  std::uint64_t last_id_ = 0;
  MonoTime accept_at_{};
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<Job> jobs_;
  std::deque<Job> done_;
  bool stopping_ = false;
  std::thread thread_;
  std::vector<std::thread> workers_;
};

}  // namespace phlower::agent
