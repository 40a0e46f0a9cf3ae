// Questions to what is in flight: the tasks that have begun and not ended.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/host/agent_options.hpp"
#include "agent/host/plugin_engine.hpp"
#include "agent/host/record_json.hpp"
#include "agent/http/http_message.hpp"
#include "agent/http/http_query.hpp"
#include "agent/source/in_flight.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// Plans ask the loop, which may take a turn of it. Thread safety: safe.
class HttpInFlight {
 public:
  HttpInFlight(const HttpOptions& options, const InFlight& in_flight, Clock& clock)
      : options_(options), in_flight_(in_flight), clock_(clock) {}

  /// The longest silent first; parameters: task, state, worker, limit.
  HttpPlan page(const HttpRequest& request) const {
    InFlightFilter filter;
    filter.limit = std::min(filter.limit, options_.page_max);
    if (Status status = read(request.parameters, filter); !status.ok()) {
      return http_error(400, status.message());
    }
    return {[this, filter](HttpAsker&) { return list(filter); }, false, options_.question_timeout};
  }

  /// The answer for a task that the history does not have; none: it is not in flight either.
  std::optional<HttpAnswer> one(const std::string& task_id) const {
    const auto found = in_flight_.find(task_id);
    if (!found.ok()) return http_error(503, found.status().message());
    if (!*found) return std::nullopt;
    return http_json(200, shown(**found));
  }

 private:
  using Parameters = std::multimap<std::string, std::string>;

  Status read(const Parameters& given, InFlightFilter& filter) const {
    namespace qd = query_detail;
    for (const auto& [name, value] : given) {
      if (given.count(name) > 1) return qd::bad(shown_text(name) + " is given twice");
      Status status;
      if (name == "limit") {
        status = qd::read_limit(value, options_.page_max, filter.limit);
      } else if (name == "task" || name == "state" || name == "worker") {
        (name == "task" ? filter.task : name == "state" ? filter.state : filter.worker) = value;
      } else {
        status = qd::bad(shown_text(name) + " is no parameter of tasks in flight; write task, " +
                         "state, worker or limit");
      }
      if (!status.ok()) return status;
    }
    return {};
  }

  HttpAnswer list(const InFlightFilter& filter) const {
    const auto found = in_flight_.list(filter);
    if (!found.ok()) return http_error(503, found.status().message());
    Json records = Json::array();
    for (const TaskInFlight& task : *found) records.push_back(shown(task));
    return http_json(200, {{"records", records}});
  }

  Json shown(const TaskInFlight& task) const {
    Json json = record_json(PluginEngine::to_struct(task.record.view()), true);
    json["in_flight"] = true;
    json["source"] = task.source;
    json["silent_ms"] = (clock_.mono() - task.heard) / Milliseconds(1);
    return json;
  }

  const HttpOptions options_;
  const InFlight& in_flight_;
  Clock& clock_;
};

}  // namespace phlower::agent
