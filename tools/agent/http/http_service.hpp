// The agent's HTTP: listener, server, token and routes put together.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "agent/host/agent_options.hpp"
#include "agent/host/secrets.hpp"
#include "agent/http/http_access.hpp"
#include "agent/http/http_address.hpp"
#include "agent/http/http_routes.hpp"
#include "agent/http/http_server.hpp"
#include "agent/source/counters.hpp"
#include "agent/source/unix_listener.hpp"

namespace phlower::agent {

class HttpService {
 public:
  /// Listens and serves. Errors: kInvalidConfig, kBusy (the address is taken), kPermission, kIo.
  static Result<std::unique_ptr<HttpService>> open(const HttpOptions& options,
                                                   const HttpSubjects& subjects, Clock& clock,
                                                   const Log& log) {
    std::unique_ptr<HttpService> service(new HttpService(options, subjects, clock));
    if (Status status = service->read_token(options); !status.ok()) return status;
    if (Status status = service->listen(options); !status.ok()) return status;
    service->server_ = std::make_unique<HttpServer>(
        service->fd_, options, clock, subjects.counters,
        [http = service.get()](const HttpRequest& request) { return http->plan(request); });
    if (Status status = service->server_->start(); !status.ok()) return status;
    log.info("listens on {}", service->shown_);
    return service;
  }
  HttpService(const HttpService&) = delete;
  HttpService& operator=(const HttpService&) = delete;
  ~HttpService() {
    stop();
    if (!unix_ && fd_ >= 0) ::close(fd_);
  }

  void set_draining() { routes_.set_draining(); }
  void stop() {
    if (server_) server_->stop();
  }

 private:
  HttpService(const HttpOptions& options, const HttpSubjects& subjects, Clock& clock)
      : routes_(options, subjects, clock) {}

  Status read_token(const HttpOptions& options) {
    if (options.token_file.empty()) return {};
    Result<std::string> token = agent::read_token(options.token_file);
    if (!token.ok()) return token.status().with_context("http.token_file");
    token_ = *std::move(token);
    return {};
  }

  Status listen(const HttpOptions& options) {
    const Result<HttpAddress> address = parse_http_address(options.listen);
    if (!address.ok()) return address.status();
    shown_ = options.listen;
    if (!address->socket_path.empty()) {
      Result<UnixListener> listener = UnixListener::open(address->socket_path, 0660);
      if (!listener.ok()) return listener.status();
      unix_.emplace(*std::move(listener));
      fd_ = unix_->fd();
      return {};
    }
    const auto* name = reinterpret_cast<const sockaddr*>(&address->address);
    fd_ = ::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd_ < 0 || ::bind(fd_, name, address->size) != 0 || ::listen(fd_, 128) != 0) {
      const int error = errno;
      const Status status = Status::from_errno("listen on " + options.listen, error);
      return error == EADDRINUSE ? Status(Code::kBusy, std::string(status.message())) : status;
    }
    if (options.listen.ends_with(":0")) show_port();
    return {};
  }

  void show_port() {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size);
    const bool v6 = bound.ss_family == AF_INET6;
    const std::uint16_t port = ntohs(v6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                        : reinterpret_cast<sockaddr_in&>(bound).sin_port);
    shown_.replace(shown_.rfind(':') + 1, 1, std::to_string(port));
  }

  HttpPlan plan(const HttpRequest& request) const {
    if (auto refusal = check_access(request, token_, unix_.has_value())) return *std::move(refusal);
    return routes_.plan(request);
  }

  HttpRoutes routes_;
  std::string token_;
  std::string shown_;
  std::optional<UnixListener> unix_;
  int fd_ = -1;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace phlower::agent
