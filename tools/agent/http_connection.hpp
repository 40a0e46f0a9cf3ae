// One client of the HTTP service: bytes in until a request is whole, bytes out until they are gone.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// Owned by the reactor's thread; a worker gets the request and gives back an answer, no more.
class HttpConnection {
 public:
  /// The request line and all headers.
  static constexpr std::size_t kHeadMax = 16 << 10;

  enum class State : std::uint8_t { kReading, kWorking, kWriting, kGone };

  HttpConnection(int fd, MonoTime deadline) : fd_(fd), deadline_(deadline) {}
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection() { ::close(fd_); }

  int fd() const { return fd_; }
  State state() const { return state_; }
  MonoTime deadline() const { return deadline_; }
  bool begun() const { return !in_.empty(); }

  /// Takes what has come. True: a request is whole, see `take_head`.
  bool readable() {
    char buffer[4096];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
      state_ = State::kGone;
      return false;
    }
    in_.append(buffer, static_cast<std::size_t>(got));
    return whole();
  }
  bool whole() {
    while (in_.starts_with("\r\n")) in_.erase(0, 2);
    return in_.find("\r\n\r\n") != std::string::npos;
  }
  bool too_long() const { return in_.size() > kHeadMax; }

  std::string take_head() {
    const std::size_t end = in_.find("\r\n\r\n") + 4;
    std::string head = in_.substr(0, end);
    in_.erase(0, end);
    state_ = State::kWorking;
    return head;
  }

  /// Sends `text`, then closes unless `keep`.
  void answer(std::string text, bool keep, MonoTime deadline) {
    out_ = std::move(text);
    sent_ = 0;
    keep_ = keep;
    deadline_ = deadline;
    state_ = State::kWriting;
  }

  /// Sends what the client takes. True: it has all of it and may ask again.
  bool writable(MonoTime next_deadline) {
    while (sent_ < out_.size()) {
      const ssize_t put =
          ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0 && (errno == EAGAIN || errno == EINTR)) return false;
      if (put <= 0) {
        state_ = State::kGone;
        return false;
      }
      sent_ += static_cast<std::size_t>(put);
    }
    out_ = std::string();
    state_ = keep_ ? State::kReading : State::kGone;
    if (!keep_) ::shutdown(fd_, SHUT_WR);
    deadline_ = next_deadline;
    return keep_;
  }
  void drop() { state_ = State::kGone; }

 private:
  int fd_;
  MonoTime deadline_;
  State state_ = State::kReading;
  bool keep_ = false;
  std::string in_;
  std::string out_;
  std::size_t sent_ = 0;
};

}  // namespace phlower::agent
