// One HTTP request as bytes to one answer as bytes. The only includer of cpp-httplib.
#pragma once

#include <httplib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace phlower::agent {

/// What a route sees of a request; everything decoded.
struct HttpRequest {
  std::string method;
  std::string target;  // as it came, not decoded
  std::string path;
  std::multimap<std::string, std::string> parameters;
  std::string host;
  std::string authorization;
};

struct HttpAnswer {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::string allow = {};  // header Allow, for 405
  bool try_later = false;  // header Retry-After
};

/// Uses the library's parser and writer on memory: its own sockets and threads would let a client
/// that sends slowly keep a thread, and there are few of them.
class HttpExchange final : private httplib::Server {
 public:
  using Route = std::function<HttpAnswer(const HttpRequest&)>;

  /// `keep_alive_seconds` is what clients are told about how long a connection waits for them.
  HttpExchange(Route route, std::int64_t keep_alive_seconds) : route_(std::move(route)) {
    set_keep_alive_timeout(keep_alive_seconds);
    set_keep_alive_max_count(1'000'000);  // as many as they like
    set_pre_routing_handler([this](const httplib::Request& from, httplib::Response& to) {
      answer(from, to);
      return HandlerResponse::Handled;
    });
  }

  /// Requires: `head` is a request up to its empty line. The answer's bytes; `keep` says whether
  /// the connection may serve another. Thread safety: safe.
  std::string serve(std::string_view head, bool& keep) {
    MemoryStream stream(head);
    bool closed = false;
    bool has_body = true;  // or what is no request at all
    const auto set_up = [&has_body](httplib::Request& request) {
      has_body = (request.has_header("Content-Length") &&
                  request.get_header_value("Content-Length") != "0") ||
                 request.has_header("Transfer-Encoding");
      // Either multiplies what an answer costs.
      request.ranges.clear();
      request.headers.erase("Accept-Encoding");
      request.headers.erase("Expect");
    };
    const bool done = process_request(stream, !keep, closed, set_up);
    keep = keep && done && !closed && !has_body;
    return std::move(stream.out);
  }

 private:
  struct MemoryStream final : httplib::Stream {
    explicit MemoryStream(std::string_view text) : in(text) {}
    bool is_readable() const override { return !in.empty(); }
    bool is_writable() const override { return true; }
    ssize_t read(char* to, size_t size) override {
      const std::size_t count = std::min(size, in.size());
      std::memcpy(to, in.data(), count);
      in.remove_prefix(count);
      return static_cast<ssize_t>(count);
    }
    ssize_t write(const char* from, size_t size) override {
      out.append(from, size);
      return static_cast<ssize_t>(size);
    }
    void get_remote_ip_and_port(std::string&, int&) const override {}
    void get_local_ip_and_port(std::string&, int&) const override {}
    socket_t socket() const override { return -1; }

    std::string_view in;
    std::string out;
  };

  void answer(const httplib::Request& from, httplib::Response& to) const {
    HttpRequest request{from.method,
                        from.target,
                        from.path,
                        {from.params.begin(), from.params.end()},
                        from.get_header_value("Host"),
                        from.get_header_value("Authorization")};
    HttpAnswer answer = route_(request);
    to.status = answer.status;
    if (!answer.allow.empty()) to.set_header("Allow", answer.allow);
    if (answer.try_later) to.set_header("Retry-After", "1");
    if (answer.status == 401) to.set_header("WWW-Authenticate", "Bearer");
    to.set_header("Cache-Control", "no-store");
    to.set_header("X-Content-Type-Options", "nosniff");
    to.set_content(answer.body, answer.type);
  }

  const Route route_;
};

}  // namespace phlower::agent
