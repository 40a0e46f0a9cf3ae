// Bytes to and from a broker over TCP, a UNIX socket or TLS. The only includer of OpenSSL.
#pragma once

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "agent/broker/broker_url.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// How long `connect` and what follows it may take, and whether it is still wanted.
struct ConnectLimit {
  Clock& clock;
  MonoTime deadline;
  const std::atomic<bool>& cancelled;
};

class BrokerStream {
 public:
  /// Connects, with TLS and the name in the certificate checked where the URL asks for it.
  /// Errors: kIo, kNotFound (the name), kPermission (TLS). Blocks: until the limit; resolving a
  /// name takes what the system's resolver takes.
  static Result<std::unique_ptr<BrokerStream>> connect(const BrokerUrl& url,
                                                       const std::string& ca_file,
                                                       const ConnectLimit& limit) {
    std::unique_ptr<BrokerStream> stream(new BrokerStream);
    Status status = url.socket_path.empty() ? stream->connect_tcp(url, limit)
                                            : stream->connect_unix(url.socket_path);
    if (status.ok() && url.tls) status = stream->start_tls(url, ca_file, limit);
    if (!status.ok()) return status.with_context(url.shown());
    return stream;
  }
  BrokerStream(const BrokerStream&) = delete;
  BrokerStream& operator=(const BrokerStream&) = delete;
  ~BrokerStream() {
    if (ssl_ != nullptr) ::SSL_free(ssl_);
    if (context_ != nullptr) ::SSL_CTX_free(context_);
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }

  enum class Io : std::uint8_t { kDone, kNotNow, kClosed };

  /// A read of less than was asked for has left nothing: not so behind TLS.
  bool tells_all() const { return ssl_ == nullptr; }

  /// Reads what is there; `got` bytes of it. Never blocks.
  Io read(char* to, std::size_t size, std::size_t& got) {
    got = 0;
    if (ssl_ != nullptr) {
      ::ERR_clear_error();
      const int count = ::SSL_read(ssl_, to, static_cast<int>(size));
      if (count > 0) got = static_cast<std::size_t>(count);
      return count > 0 ? Io::kDone : of_tls(count);
    }
    const ssize_t count = ::recv(fd_, to, size, 0);
    if (count > 0) got = static_cast<std::size_t>(count);
    return count > 0 ? Io::kDone : count < 0 && again() ? Io::kNotNow : Io::kClosed;
  }

  /// Writes all of it or nothing more than a part of a small command: then the stream is of no use.
  Io write(std::string_view text) {
    if (ssl_ != nullptr) {
      ::ERR_clear_error();
      const int count = ::SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
      return count > 0 ? Io::kDone : of_tls(count);
    }
    const ssize_t count = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (count == static_cast<ssize_t>(text.size())) return Io::kDone;
    return count < 0 && again() ? Io::kNotNow : Io::kClosed;
  }

  /// Waits until there may be something to read. False: the limit is over.
  bool wait(short events, const ConnectLimit& limit) const {
    while (!limit.cancelled.load() && limit.clock.mono() < limit.deadline) {
      pollfd fd{fd_, events, 0};
      if (::poll(&fd, 1, 50) > 0) return true;
    }
    return false;
  }

 private:
  BrokerStream() = default;

  static bool again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  Io of_tls(int count) {
    const int why = ::SSL_get_error(ssl_, count);
    want_ = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? Io::kNotNow : Io::kClosed;
  }

  Status connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
      return {Code::kInvalidConfig, "is over 107 bytes, the most for a socket"};
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool connected =
        fd_ >= 0 && ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    return connected ? Status() : Status::from_errno("connect");
  }

  Status connect_tcp(const BrokerUrl& url, const ConnectLimit& limit) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(url.port);
    const int error = ::getaddrinfo(url.host.c_str(), port.c_str(), &hints, &found);
    if (error != 0) return {Code::kNotFound, ::gai_strerror(error)};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
    Status status(Code::kNotFound, "has no address");
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
      status = connect_one(*one, limit);
      if (status.ok()) return status;
    }
    return status;
  }

  Status connect_one(const addrinfo& to, const ConnectLimit& limit) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return Status::from_errno("socket");
    if (::connect(fd_, to.ai_addr, to.ai_addrlen) != 0) {
      if (errno != EINPROGRESS) return Status::from_errno("connect");
      if (!wait(POLLOUT, limit)) return {Code::kIo, "no connection within connect_timeout"};
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return Status::from_errno("connect", error);
    }
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int room = 4 << 20;  // a tick may last a while, the events go on
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return {};
  }

  static Status tls_error(const char* what) {
    char text[160] = "";
    if (const unsigned long code = ::ERR_get_error(); code != 0) {
      ::ERR_error_string_n(code, text, sizeof text);
    }
    return {Code::kPermission, std::string("TLS: ") + what + (text[0] ? ": " : "") + text};
  }

  Status prepare_tls(const BrokerUrl& url, const std::string& ca_of_options) {
    context_ = ::SSL_CTX_new(::TLS_client_method());
    if (context_ == nullptr) return tls_error("no context");
    ::SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
    ::SSL_CTX_set_verify(context_, url.check_certificate ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                         nullptr);
    ::SSL_CTX_set_mode(context_, SSL_MODE_AUTO_RETRY);
    const std::string& ca_file = url.ca_file.empty() ? ca_of_options : url.ca_file;
    if (url.check_certificate &&
        ::SSL_CTX_load_verify_locations(context_, ca_file.c_str(), nullptr) != 1) {
      return tls_error((ca_file + " holds no certificates").c_str());
    }
    const std::string& own = url.certificate_file;
    if (own.empty()) return {};
    if (::SSL_CTX_use_certificate_chain_file(context_, own.c_str()) != 1) {
      return tls_error((own + " holds no certificate").c_str());
    }
    return ::SSL_CTX_use_PrivateKey_file(context_, url.key_file.c_str(), SSL_FILETYPE_PEM) == 1
               ? Status()
               : tls_error((url.key_file + " holds no key of that certificate").c_str());
  }

  Status start_tls(const BrokerUrl& url, const std::string& ca_file, const ConnectLimit& limit) {
    if (Status status = prepare_tls(url, ca_file); !status.ok()) return status;
    ssl_ = ::SSL_new(context_);
    if (ssl_ == nullptr || ::SSL_set_fd(ssl_, fd_) != 1) return tls_error("no session");
    unsigned char number[sizeof(in6_addr)];
    const bool is_number = ::inet_pton(AF_INET, url.host.c_str(), number) == 1 ||
                           ::inet_pton(AF_INET6, url.host.c_str(), number) == 1;
    if (is_number && url.check_host) {
      ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl_), url.host.c_str());
    } else if (!is_number) {
      if (url.check_host) ::SSL_set1_host(ssl_, url.host.c_str());
      ::SSL_set_tlsext_host_name(ssl_, url.host.c_str());
    }
    for (;;) {
      ::ERR_clear_error();
      const int done = ::SSL_connect(ssl_);
      if (done == 1) return {};
      if (of_tls(done) == Io::kClosed) return tls_error("handshake");
      if (!wait(want_, limit)) return {Code::kIo, "TLS: no handshake within connect_timeout"};
    }
  }

  int fd_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  short want_ = POLLIN;
};

}  // namespace phlower::agent
