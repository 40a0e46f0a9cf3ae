// Answers of phlower-query as one JSON object each.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/record_json.hpp"
#include "phlower/history/query.hpp"
#include "phlower/history/retention.hpp"
#include "query/print.hpp"

namespace phlower::tools {

using Json = nlohmann::ordered_json;

/// Why an answer ends where it does, how many rows were looked at, back to which time in Unix
/// seconds (null: to the beginning, or nothing was looked at).
inline void add_reach(Json& json, const Reach& reach) {
  constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();
  const bool known = reach.looked_back_to_us > 0 && reach.looked_back_to_us != kUnknown;
  json["stopped"] = ended_name(reach.ended);
  json["scanned"] = reach.scanned;
  json["looked_back_to"] = known ? Json(from_us(reach.looked_back_to_us)) : Json();
}

inline Json cursor_json(const std::optional<Cursor>& next) {
  return next ? Json(next->text()) : Json();
}

using CountRows = std::vector<std::pair<CountKey, std::uint64_t>>;

inline Json counts_json(const CountRows& counts, bool by_minute) {
  std::uint64_t total = 0;
  Json rows = Json::array();
  for (const auto& [key, count] : counts) {
    total += count;
    rows.push_back({{"task_name", key.task_name}, {"state", key.state}, {"count", count}});
    if (by_minute) rows.back()["minute"] = static_cast<double>(key.minute) * 60;
  }
  return {{"total", total}, {"counts", rows}};
}

inline Json times_json(const std::map<std::string, TaskTimes>& tasks) {
  const auto ms = [](const Histogram& of, double quantile) {
    const double value = quantile_ms(of, quantile);
    return value < 0 ? Json() : Json(value);
  };
  Json rows = Json::array();
  for (const auto& [name, times] : tasks) {
    rows.push_back(
        {{"task_name", name},
         {"runs", times.runtime.count()},
         {"runtime_ms",
          {{"p50", ms(times.runtime, 0.5)},
           {"p95", ms(times.runtime, 0.95)},
           {"p99", ms(times.runtime, 0.99)}}},
         {"pickup_ms", {{"p50", ms(times.pickup, 0.5)}, {"p95", ms(times.pickup, 0.95)}}}});
  }
  return {{"tasks", rows}};
}

}  // namespace phlower::tools
