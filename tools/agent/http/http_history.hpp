// Questions to the history: one task, or a page of rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "agent/host/agent_options.hpp"
#include "agent/host/plugin_engine.hpp"
#include "agent/host/record_json.hpp"
#include "agent/http/http_in_flight.hpp"
#include "agent/http/http_message.hpp"
#include "agent/http/http_query.hpp"
#include "agent/http/page_reach.hpp"
#include "cli/state_hint.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/record/limits.hpp"

namespace phlower::agent {

/// Checks a question at once; the plan's question then waits for the disk. Thread safety: safe.
class HttpHistory {
 public:
  HttpHistory(const HttpOptions& options, PluginEngine& engine, const HttpInFlight& in_flight,
              Clock& clock)
      : options_(options), engine_(engine), in_flight_(in_flight), clock_(clock) {}

  HttpPlan one(const HttpRequest& request, const std::string& task_id) const {
    if (!request.parameters.empty()) return http_error(400, "takes no parameters");
    if (task_id.size() > kTaskIdBytesMax) {
      return http_error(400,
                        "task_id: is longer than " + std::to_string(kTaskIdBytesMax) + " bytes");
    }
    return {[this, task_id](HttpAsker&) {
              HttpAnswer answer = get(task_id);
              if (answer.status != 404) return answer;
              return in_flight_.one(task_id).value_or(std::move(answer));
            },
            false, options_.question_timeout};
  }

  /// `task` empty: of all tasks, and the parameter `task` may name one.
  HttpPlan page(const HttpRequest& request, const std::string& task) const {
    Result<HttpQuery> query = read_http_query(request.parameters, task.empty(), options_.page_max,
                                              options_.question_timeout, clock_.wall());
    if (!query.ok()) return http_error(400, query.status().message());
    if (!task.empty()) query->task = task;
    const bool scans = query->scans();
    const Nanoseconds timeout = query->timeout;
    return {[this, query = *std::move(query)](HttpAsker& asker) { return list(query, asker); },
            scans, timeout};
  }

 private:
  static constexpr std::size_t kPageBytesMax = 4 << 20;

  template <class Call>
  HttpAnswer failed_or(Call call, const std::function<HttpAnswer()>& good) const {
    phlower_err err = empty_err();
    std::int32_t code = PHLOWER_E_RELOAD;
    for (int tries = 0; tries < 3 && code == PHLOWER_E_RELOAD; ++tries) code = call(&err);
    switch (code) {
      case PHLOWER_OK: return good();
      case PHLOWER_E_NOT_FOUND:
        return http_error(404, "no such task in the history, and none in flight");
      case PHLOWER_E_ARGUMENT: return http_error(400, err.message);
      case PHLOWER_E_BUSY:
      case PHLOWER_E_RELOAD:
      case PHLOWER_E_STATE: return http_error(503, engine_.calls().strerror(code));
      default: return http_error(500, err.message);
    }
  }

  HttpAnswer get(const std::string& task_id) const {
    Json found;
    return failed_or(
        [&](phlower_err* err) {
          return engine_.calls().engine_get(
              engine_.handle(), task_id.data(), task_id.size(),
              [](void* ctx, const phlower_record* record) -> std::int32_t {
                *static_cast<Json*>(ctx) = record_json(*record, true);
                return 0;
              },
              &found, err);
        },
        [&] { return http_json(200, found); });
  }

  HttpAnswer list(const HttpQuery& query, HttpAsker& asker) const {
    struct Rows {
      std::string json;
      bool details;
    } rows{"", query.details};
    phlower_query wanted = query.query();
    wanted.wanted = [](void* ctx) -> std::int32_t {
      return static_cast<const HttpAsker*>(ctx)->gone() ? 0 : 1;
    };
    wanted.wanted_ctx = &asker;
    phlower_page page{};
    const auto call = [&](phlower_err* err) {
      rows.json.clear();
      page = {};
      page.struct_size = sizeof page;
      const auto left = std::max(asker.left(), Nanoseconds(1));  // 0 would be no bound
      wanted.deadline_ns = static_cast<std::uint64_t>(left.count());
      return engine_.calls().engine_list(
          engine_.handle(), &wanted,
          [](void* ctx, const phlower_record* record) -> std::int32_t {
            Rows& out = *static_cast<Rows*>(ctx);
            if (!out.json.empty()) out.json += ",\n";
            out.json += dumped(record_json(*record, out.details));
            return out.json.size() > kPageBytesMax ? 1 : 0;
          },
          &rows, &page, err);
    };
    return failed_or(call, [&] {
      const bool none = page.records == 0 && page.stopped == PHLOWER_STOPPED_END;
      const std::string hint = none ? tools::state_hint(query.state) : "";
      const std::string more = hint.empty() ? "" : ",\"hint\":" + dumped(Json(hint));
      HttpAnswer answer{200,
                        "{\"records\":[" + rows.json + "],\n" + reach_json(page) + more + "}\n"};
      answer.scanned = page.scanned;
      return answer;
    });
  }

  const HttpOptions options_;
  PluginEngine& engine_;
  const HttpInFlight& in_flight_;
  Clock& clock_;
};

}  // namespace phlower::agent
