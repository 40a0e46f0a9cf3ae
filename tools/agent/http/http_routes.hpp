// What each path of the agent's HTTP answers: one line a path.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "agent/host/agent_options.hpp"
#include "agent/host/metrics_text.hpp"
#include "agent/host/plugin_engine.hpp"
#include "agent/http/http_health.hpp"
#include "agent/http/http_history.hpp"
#include "agent/http/http_in_flight.hpp"
#include "agent/http/http_message.hpp"
#include "agent/http/http_request.hpp"
#include "agent/source/counters.hpp"
#include "agent/source/source_health.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// What stands for {this} in `pattern`; empty for a pattern without. None: the path is another.
inline std::optional<std::string> match_path(std::string_view pattern, std::string_view path) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) {
    return path == pattern ? std::optional<std::string>("") : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, open);
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= before.size() + after.size()) return std::nullopt;
  if (!path.starts_with(before) || !path.ends_with(after)) return std::nullopt;
  return std::string(path.substr(before.size(), path.size() - before.size() - after.size()));
}

/// What is asked about; outlives who answers.
struct HttpSubjects {
  PluginEngine& engine;
  Counters& counters;
  const SourceBoard& board;
  const InFlight& in_flight;
};

/// Thread safety: safe.
class HttpRoutes {
 public:
  HttpRoutes(const HttpOptions& options, const HttpSubjects& subjects, Clock& clock)
      : engine_(subjects.engine),
        counters_(subjects.counters),
        health_(subjects.engine, subjects.counters, subjects.board, clock),
        in_flight_(options, subjects.in_flight, clock),
        history_(options, subjects.engine, in_flight_, clock) {}

  void set_draining() { health_.set_draining(); }

  /// Does not block: what would is the plan's question.
  HttpPlan plan(const HttpRequest& request) const {
    if (request.method == "OPTIONS") return HttpAnswer{204, "", "", {{"Allow", kHttpMethods}}};
    std::string known;
    for (const Route& route : kRoutes) {
      if (const auto part = match_path(route.pattern, request.path)) {
        return (this->*route.plan)(request, *part);
      }
      known.append(known.empty() ? "there is " : ", ").append(route.pattern);
    }
    return http_error(404, known);
  }

 private:
  struct Route {
    std::string_view pattern;
    HttpPlan (HttpRoutes::*plan)(const HttpRequest&, const std::string& part) const;
  };
  static const Route kRoutes[8];

  HttpPlan healthz(const HttpRequest&, const std::string&) const { return health_.health(); }
  HttpPlan livez(const HttpRequest&, const std::string&) const { return health_.live(); }
  HttpPlan readyz(const HttpRequest&, const std::string&) const { return health_.ready(); }
  HttpPlan metrics(const HttpRequest&, const std::string&) const {
    return HttpAnswer{200, metrics_text(engine_, counters_),
                      "text/plain; version=0.0.4; charset=utf-8"};
  }
  HttpPlan one(const HttpRequest& request, const std::string& id) const {
    return history_.one(request, id);
  }
  HttpPlan in_flight(const HttpRequest& request, const std::string&) const {
    return in_flight_.page(request);
  }
  HttpPlan page(const HttpRequest& request, const std::string& name) const {
    return history_.page(request, name);
  }

  PluginEngine& engine_;
  const Counters& counters_;
  HttpHealth health_;
  HttpInFlight in_flight_;
  HttpHistory history_;
};

inline const HttpRoutes::Route HttpRoutes::kRoutes[] = {
    {"/healthz", &HttpRoutes::healthz},
    {"/livez", &HttpRoutes::livez},
    {"/readyz", &HttpRoutes::readyz},
    {"/metrics", &HttpRoutes::metrics},
    {"/invocations/{task_id}", &HttpRoutes::one},
    {"/tasks/{name}/invocations", &HttpRoutes::page},
    {"/search", &HttpRoutes::page},
    {"/in-flight", &HttpRoutes::in_flight},
};

}  // namespace phlower::agent
