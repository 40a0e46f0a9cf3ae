// How the agent is: what /healthz, /livez and /readyz answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "agent/host/plugin_engine.hpp"
#include "agent/http/http_message.hpp"
#include "agent/source/counters.hpp"
#include "agent/source/source_health.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// By calls that plugin.h marks ANY THREAD and that wait for nothing. Thread safety: safe.
class HttpHealth {
 public:
  HttpHealth(PluginEngine& engine, const Counters& counters, const SourceBoard& board, Clock& clock)
      : engine_(engine), counters_(counters), board_(board), clock_(clock) {}

  void set_draining() { draining_ = true; }

  HttpAnswer health() const {
    const phlower_health health = engine_.health();
    const phlower_stats stats = engine_.stats();
    const auto ms = [](std::uint64_t ns) {
      return ns == std::numeric_limits<std::uint64_t>::max() ? Json()
                                                             : Json(static_cast<double>(ns) / 1e6);
    };
    Json why = reasons(health);
    // What a source does not hear is told, but nothing of the agent fails.
    const int status = why.empty() ? 200 : 503;
    const std::vector<SourceHealth> heard = board_.all();
    for (const SourceHealth& source : heard) {
      if (!source.trouble.empty()) why.push_back(source.name + ": " + source.trouble);
    }
    const bool failed = health.state == PHLOWER_HEALTH_FAILED;
    return http_json(
        status,
        {{"status", failed        ? "failed"
                    : why.empty() ? "ok"
                                  : "degraded"},
         {"reasons", why},
         {"draining", draining_.load()},
         {"sources", sources(heard)},
         {"rows",
          {{"invocations", stats.invocations},
           {"details", stats.details},
           {"exact", stats.counts_exact != 0}}},
         {"records",
          {{"offered", stats.offered},
           {"accepted", stats.accepted},
           {"refused", stats.refused},
           {"committed", stats.committed},
           {"too_old", stats.too_old},
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

 private:
  Json sources(const std::vector<SourceHealth>& heard) const {
    const MonoTime now = clock_.mono();
    Json all = Json::array();
    for (const SourceHealth& source : heard) {
      Json one = {{"name", source.name}, {"connected", source.connected}};
      if (source.workers) {
        one["last_event_s"] =
            source.last_event
                ? Json(static_cast<double>((now - *source.last_event) / Milliseconds(1)) / 1e3)
                : Json();
        one["workers"] = *source.workers;
      }
      all.push_back(one);
    }
    return all;
  }

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

  PluginEngine& engine_;
  const Counters& counters_;
  const SourceBoard& board_;
  Clock& clock_;
  std::atomic<bool> draining_{false};
};

}  // namespace phlower::agent
