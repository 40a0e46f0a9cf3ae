// Questions to the history: one task, or a page of rows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "agent_options.hpp"
#include "http_message.hpp"
#include "http_query.hpp"
#include "phlower/ground/clock.hpp"
#include "plugin_engine.hpp"
#include "record_json.hpp"

namespace phlower::agent {

/// Checks a question at once; the plan's question then waits for the disk. Thread safety: safe.
class HttpHistory {
 public:
  HttpHistory(const HttpOptions& options, PluginEngine& engine, Clock& clock)
      : options_(options), engine_(engine), clock_(clock) {}

  HttpPlan one(const HttpRequest& request, const std::string& task_id) const {
    if (!request.parameters.empty()) return http_error(400, "takes no parameters");
    if (task_id.size() > 255) return http_error(400, "task_id: is longer than 255 bytes");
    return {[this, task_id](const HttpAsker&) { return get(task_id); }, false,
            options_.question_timeout};
  }

  /// `task` empty: of all tasks, and the parameter `task` may name one.
  HttpPlan page(const HttpRequest& request, const std::string& task) const {
    Result<HttpQuery> query =
        read_http_query(request.parameters, task.empty(), options_.page_max, clock_.wall());
    if (!query.ok()) return http_error(400, query.status().message());
    if (!task.empty()) query->task = task;
    const bool scans = query->scans();
    return {[this, query = *std::move(query)](const HttpAsker&) { return list(query); }, scans,
            options_.question_timeout};
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
      case PHLOWER_E_NOT_FOUND: return http_error(404, "no such task in the history");
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

  HttpAnswer list(const HttpQuery& query) const {
    struct Rows {
      std::string json;
      bool details;
    } rows{"", query.details};
    const phlower_query wanted = query.query();
    phlower_page page{};
    const auto call = [&](phlower_err* err) {
      rows.json.clear();
      page = {};
      page.struct_size = sizeof page;
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
      const Json next = page.next_size == 0 ? Json() : Json(std::string(page.next, page.next_size));
      return HttpAnswer{200, "{\"records\":[" + rows.json + "],\n\"next\":" + dumped(next) +
                                 ",\"scanned\":" + std::to_string(page.scanned) + "}\n"};
    });
  }

  const HttpOptions options_;
  PluginEngine& engine_;
  Clock& clock_;
};

}  // namespace phlower::agent
