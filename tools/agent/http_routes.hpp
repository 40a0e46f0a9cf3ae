// What each path of the agent's HTTP answers. All of it by calls that plugin.h marks ANY THREAD.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "agent_options.hpp"
#include "counters.hpp"
#include "http_exchange.hpp"
#include "http_query.hpp"
#include "metrics_text.hpp"
#include "phlower/ground/text.hpp"
#include "plugin_engine.hpp"
#include "record_json.hpp"

namespace phlower::agent {

inline HttpAnswer http_json(int status, const Json& json) {
  return {status, "application/json", dumped(json) + "\n", "", status == 503};
}
inline HttpAnswer http_error(int status, std::string_view text) {
  return http_json(status, Json{{"error", text}});
}

/// Thread safety: safe.
class HttpRoutes {
 public:
  HttpRoutes(const HttpOptions& options, PluginEngine& engine, const Counters& counters)
      : options_(options), engine_(engine), counters_(counters) {}

  void set_draining() { draining_ = true; }

  HttpAnswer answer(const HttpRequest& request) {
    if (request.method != "GET" && request.method != "HEAD") {
      HttpAnswer answer = http_error(405, "only GET and HEAD are answered");
      answer.allow = "GET, HEAD";
      return answer;
    }
    if (Status status = check_encoding(request); !status.ok()) {
      return http_error(400, status.message());
    }
    const std::string& path = request.path;
    if (path == "/healthz") return health();
    if (path == "/livez") return live();
    if (path == "/readyz") return ready();
    if (path == "/metrics") {
      return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(engine_, counters_)};
    }
    return history(request);
  }

 private:
  static constexpr std::size_t kPageBytesMax = 4 << 20;

  static Status check_encoding(const HttpRequest& request) {
    const Status bad(Code::kInvalidArgument, "the address is no UTF-8, or wrongly escaped");
    const std::string& target = request.target;
    for (std::size_t at = target.find('%'); at != std::string::npos;
         at = target.find('%', at + 1)) {
      const bool good = at + 2 < target.size() && url_detail::hex(target[at + 1]) >= 0 &&
                        url_detail::hex(target[at + 2]) >= 0;
      if (!good) return bad;
    }
    bool good = is_plain_utf8(request.path);
    for (const auto& [name, value] : request.parameters) {
      good = good && is_plain_utf8(name) && is_plain_utf8(value);
    }
    return good ? Status() : bad;
  }

  // ---- health

  Json reasons(const phlower_health& health) const {
    Json all = Json::array();
    if (health.state != PHLOWER_HEALTH_OK) all.push_back(std::string("engine: ") + health.reason);
    for (const CountEntry& entry : counters_.entries()) {
      if (entry.name == "phlower_agent_connected" && entry.count.get() == 0 && !draining_.load()) {
        all.push_back(entry.source + ": not subscribed");
      }
    }
    return all;
  }

  HttpAnswer health() const {
    const phlower_health health = engine_.health();
    const phlower_stats stats = engine_.stats();
    const auto ms = [](std::uint64_t ns) {
      return ns == std::numeric_limits<std::uint64_t>::max() ? Json()
                                                             : Json(static_cast<double>(ns) / 1e6);
    };
    const Json why = reasons(health);
    const bool failed = health.state == PHLOWER_HEALTH_FAILED;
    return http_json(
        why.empty() ? 200 : 503,
        {{"status", failed        ? "failed"
                    : why.empty() ? "ok"
                                  : "degraded"},
         {"reasons", why},
         {"draining", draining_.load()},
         {"rows",
          {{"invocations", stats.invocations},
           {"details", stats.details},
           {"exact", stats.counts_exact != 0}}},
         {"records",
          {{"offered", stats.offered},
           {"accepted", stats.accepted},
           {"refused", stats.refused},
           {"committed", stats.committed},
           {"in_ring", stats.in_ring}}},
         {"purge_backlog_rows", stats.purge_backlog},
         {"flush_age_max_ms", ms(stats.flush_age_max_ns)},
         {"since_commit_ms", ms(stats.since_commit_ns)},
         {"ring_fill_percent", static_cast<double>(stats.ring_fill_ppm) / 1e4},
         {"wal_bytes", stats.wal_bytes},
         {"disk",
          {{"free_bytes", stats.disk_free_bytes}, {"total_bytes", stats.disk_total_bytes}}}});
  }

  // What a restart could cure: not a full disk, nor a broker that is away.
  HttpAnswer live() const {
    const phlower_health health = engine_.health();
    const bool failed = health.state == PHLOWER_HEALTH_FAILED;
    return http_json(failed ? 503 : 200, {{"live", !failed}, {"reason", health.reason}});
  }

  HttpAnswer ready() const {
    const bool ready = engine_.health().ready != 0 && !draining_.load();
    return http_json(ready ? 200 : 503, {{"ready", ready}, {"draining", draining_.load()}});
  }

  // ---- history

  HttpAnswer history(const HttpRequest& request) {
    constexpr std::string_view kOne = "/invocations/";
    constexpr std::string_view kTasks = "/tasks/";
    constexpr std::string_view kOfTask = "/invocations";
    const std::string_view path = request.path;
    std::function<HttpAnswer()> read;
    if (path.starts_with(kOne) && path.size() > kOne.size()) {
      if (!request.parameters.empty()) return http_error(400, "takes no parameters");
      read = [&] { return one(path.substr(kOne.size())); };
    } else if (path == "/search") {
      read = [&] { return page(request, ""); };
    } else if (path.starts_with(kTasks) && path.ends_with(kOfTask) &&
               path.size() > kTasks.size() + kOfTask.size()) {
      read = [&] {
        return page(request,
                    path.substr(kTasks.size(), path.size() - kTasks.size() - kOfTask.size()));
      };
    } else {
      return http_error(404,
                        "there is /healthz, /livez, /readyz, /metrics, /invocations/{task_id}, "
                        "/tasks/{name}/invocations and /search");
    }
    // Reads wait for the disk and for each other; one worker is always left for health and metrics.
    if (reads_.fetch_add(1) >= static_cast<int>(options_.threads) - 1) {
      reads_.fetch_sub(1);
      return http_error(503, "too many reads at once, try again");
    }
    HttpAnswer answer = read();
    reads_.fetch_sub(1);
    return answer;
  }

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

  HttpAnswer one(std::string_view task_id) const {
    if (task_id.size() > 255) return http_error(400, "task_id: is longer than 255 bytes");
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

  HttpAnswer page(const HttpRequest& request, std::string_view task) const {
    SystemClock clock;
    Result<HttpQuery> query =
        read_http_query(request.parameters, task.empty(), options_.page_max, clock.wall());
    if (!query.ok()) return http_error(400, query.status().message());
    if (!task.empty()) query->task = task;
    struct Rows {
      std::string json;
      bool details;
    } rows{"", query->details};
    const phlower_query wanted = query->query();
    phlower_page page{};
    const auto list = [&](phlower_err* err) {
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
    return failed_or(list, [&] {
      const Json next = page.next_size == 0 ? Json() : Json(std::string(page.next, page.next_size));
      std::string body = "{\"records\":[" + rows.json + "],\n\"next\":" + dumped(next) +
                         ",\"scanned\":" + std::to_string(page.scanned) + "}\n";
      return HttpAnswer{200, "application/json", std::move(body)};
    });
  }

  const HttpOptions options_;
  PluginEngine& engine_;
  const Counters& counters_;
  std::atomic<bool> draining_{false};
  std::atomic<int> reads_{0};
};

}  // namespace phlower::agent
