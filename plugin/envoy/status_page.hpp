// The page /phlower of Envoy's admin listener: state and sums of the engine as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host.hpp"

namespace phlower::envoy {

struct StatusPage {
  uint32_t code = 503;  // 200: well, or in a trouble that is tried again
  std::string body;
};

inline std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + '"';
}

/// All that the engine measures, by the names of its catalogue.
inline std::string metrics_json(phlower_engine* engine) {
  phlower_plugin_info info{};
  info.struct_size = sizeof info;
  if (phlower_plugin_query(&info) != PHLOWER_OK) return "{}";
  std::vector<uint64_t> values(info.metrics);
  if (phlower_engine_metrics_read(engine, values.data(), info.metrics) != PHLOWER_OK) return "{}";
  std::string all;
  phlower_metric_desc metric{};
  metric.struct_size = sizeof metric;
  for (uint32_t i = 0; i < info.metrics; ++i) {
    if (phlower_metrics_describe(i, &metric) != PHLOWER_OK) break;
    std::string name(metric.name);
    if (metric.label[0] != '\0') name += "{" + std::string(metric.label) + "}";
    all += (i == 0 ? "" : ", ") + quoted(name) + ": " + std::to_string(values[i]);
  }
  return "{" + all + "}";
}

inline StatusPage status_page(phlower_engine* engine) {
  phlower_health health{};
  health.struct_size = sizeof health;
  phlower_stats stats{};
  stats.struct_size = sizeof stats;
  StatusPage page;
  if (engine == nullptr || phlower_engine_health(engine, &health) != PHLOWER_OK) {
    page.body = "{\"state\": \"ended\"}\n";
    return page;
  }
  constexpr std::string_view kStates[] = {"ok", "degraded", "failed"};
  page.code = health.state == PHLOWER_HEALTH_FAILED ? 503 : 200;
  page.body = "{\"state\": " + quoted(kStates[health.state < 3 ? health.state : 2]) +
              ", \"ready\": " + (health.ready != 0 ? "true" : "false") +
              ", \"reason\": " + quoted(health.reason);
  if (phlower_engine_stats(engine, &stats) == PHLOWER_OK) {
    const std::pair<const char*, uint64_t> figures[] = {
        {"offered", stats.offered},
        {"accepted", stats.accepted},
        {"refused", stats.refused},
        {"committed", stats.committed},
        {"in_ring", stats.in_ring},
        {"shed", stats.shed},
        {"invocations", stats.invocations},
        {"purged_invocations", stats.purged_invocations},
        {"purge_backlog", stats.purge_backlog},
        {"flush_age_max_ns", stats.flush_age_max_ns},
        {"ring_fill_ppm", stats.ring_fill_ppm},
        {"wal_bytes", stats.wal_bytes},
        {"disk_free_bytes", stats.disk_free_bytes},
    };
    for (const auto& [name, value] : figures) {
      page.body += ", " + quoted(name) + ": " + std::to_string(value);
    }
    page.body += ", \"metrics\": " + metrics_json(engine);
  }
  page.body += "}\n";
  return page;
}

}  // namespace phlower::envoy
