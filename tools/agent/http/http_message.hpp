// What goes between the HTTP server and the routes: a request with everything decoded, an answer, a
// question that takes a while.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/host/record_json.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

struct HttpRequest {
  std::string method;
  std::string path;
  std::multimap<std::string, std::string> parameters;
  std::string host;  // as the request's address has it, else its header
  std::string authorization;
};

struct HttpAnswer {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::uint64_t scanned = 0;  // rows looked at for it
};

inline HttpAnswer http_json(int status, const Json& json) {
  HttpAnswer answer{status, dumped(json) + "\n"};
  if (status == 503) answer.headers.emplace_back("Retry-After", "1");
  return answer;
}
inline HttpAnswer http_error(int status, std::string_view text) {
  return http_json(status, Json{{"error", text}});
}

/// Who waits for an answer, and for how long. Thread safety: safe.
class HttpAsker {
 public:
  HttpAsker(Clock& clock, MonoTime deadline) : clock_(clock), deadline_(deadline) {}

  /// Nobody waits any more.
  void leave() { gone_.store(true, std::memory_order_relaxed); }
  /// Relaxed is enough: a moment later does no harm.
  bool gone() const { return gone_.load(std::memory_order_relaxed); }
  /// Until the deadline; 0 or less: it is past.
  Nanoseconds left() const { return deadline_ - clock_.mono(); }

 private:
  Clock& clock_;
  const MonoTime deadline_;
  std::atomic<bool> gone_{false};
};

/// What a route makes of a request: the answer, or a question to the history, which blocks.
struct HttpPlan {
  HttpPlan(HttpAnswer now) : answer(std::move(now)) {}  // NOLINT(google-explicit-constructor)
  using Ask = std::function<HttpAnswer(HttpAsker&)>;
  HttpPlan(Ask ask, bool is_long, Nanoseconds within)
      : question(std::move(ask)), scans(is_long), at_most(within) {}

  HttpAnswer answer;
  Ask question;        // empty: `answer` is it
  bool scans = false;  // may look at very many rows: others need not wait behind it
  Nanoseconds at_most{0};
};

}  // namespace phlower::agent
