// A listening UNIX socket at a path: takes over what a dead process left, never what a live one
// has.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// Movable. Closes the socket and removes its path at the end.
class UnixListener {
 public:
  static Result<UnixListener> open(const std::string& path, mode_t mode) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
      return Status(Code::kInvalidConfig, path + ": is over 107 bytes, the most for a socket");
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return Status::from_errno("socket " + path);
    UnixListener listener(fd, "");
    if (Status status = make_way(path, name, sizeof address); !status.ok()) return status;
    const mode_t before = ::umask(0777 & ~mode);
    const int bound = ::bind(fd, name, sizeof address);
    const int error = errno;
    ::umask(before);
    if (bound != 0) return Status::from_errno("listen on " + path, error);
    listener.path_ = path;
    if (::listen(fd, 128) != 0) return Status::from_errno("listen on " + path);
    return listener;
  }

  UnixListener(UnixListener&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::exchange(other.path_, {})) {}
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener() { close(); }

  int fd() const { return fd_; }
  /// A client, not blocking; -1: none now.
  int accept() const { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    if (!path_.empty()) ::unlink(std::exchange(path_, {}).c_str());
  }

 private:
  UnixListener(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  // Removes a socket on which nobody listens; anything else stays.
  static Status make_way(const std::string& path, const sockaddr* name, socklen_t size) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return {};
    if (!S_ISSOCK(info.st_mode)) {
      return {Code::kBusy, path + ": is there already and no socket"};
    }
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool lives = probe >= 0 && (::connect(probe, name, size) == 0 || errno != ECONNREFUSED);
    if (probe >= 0) ::close(probe);
    if (lives) return {Code::kBusy, path + ": another process listens there"};
    ::unlink(path.c_str());
    return {};
  }

  int fd_;
  std::string path_;
};

}  // namespace phlower::agent
