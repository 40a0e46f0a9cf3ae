// The parameters of /search and /tasks/{name}/invocations as a query of the plugin, strictly.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/config/config_errors.hpp"
#include "phlower/config/nearest.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/moment.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/plugin.h"

namespace phlower::agent {

/// Text of the request and the query that points into it.
struct HttpQuery {
  std::string task, state, worker, queue, text, after;
  std::int64_t since_ns = 0;
  std::int64_t until_ns = 0;
  std::uint32_t limit = 100;
  bool details = true;
  Nanoseconds timeout{0};  // for the answer

  /// Rows have to be looked at one by one: no index leads to these.
  bool scans() const { return !(state.empty() && worker.empty() && queue.empty() && text.empty()); }

  phlower_query query() const {
    const auto of = [](const std::string& from) { return phlower_text{from.data(), from.size()}; };
    phlower_query query{};
    query.struct_size = sizeof query;
    query.limit = limit;
    query.task_name = of(task);
    query.state = of(state);
    query.worker = of(worker);
    query.queue = of(queue);
    query.text = of(text);
    query.after = of(after);
    query.from_at_ns = since_ns;
    query.until_at_ns = until_ns;
    query.without_details = details ? 0 : 1;
    return query;
  }
};

namespace query_detail {

inline Status bad(std::string text) { return {Code::kInvalidArgument, std::move(text)}; }

inline Status read_limit(const std::string& text, std::uint32_t most, std::uint32_t& out) {
  const bool digits = !text.empty() && text.size() <= 6 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  const unsigned long value = digits ? std::stoul(text) : 0;
  if (value >= 1 && value <= most) {
    out = static_cast<std::uint32_t>(value);
    return {};
  }
  return bad("limit: " + shown_text(text) + " is not from 1 to " + std::to_string(most));
}

inline Status read_timeout(const std::string& text, Nanoseconds longest, Nanoseconds& out) {
  const Result<Nanoseconds> span = parse_duration(text);
  if (span.ok() && *span > Nanoseconds(0) && *span <= longest) {
    out = *span;
    return {};
  }
  return bad("timeout: " + shown_text(text) + " is no time up to " + exact_duration(longest) +
             "; write 2s");
}

}  // namespace query_detail

/// `since` and `until` are moments as parse_moment reads them, in UTC where they name no zone.
/// `longest`: the most that `timeout` may ask for.
/// Errors: kInvalidArgument: an unknown parameter, one given twice, a value out of range.
inline Result<HttpQuery> read_http_query(const std::multimap<std::string, std::string>& given,
                                         bool with_task, std::uint32_t limit_max,
                                         Nanoseconds longest, WallTime now) {
  namespace qd = query_detail;
  HttpQuery out;
  out.limit = std::min<std::uint32_t>(out.limit, limit_max);
  out.timeout = longest;
  std::vector<std::pair<std::string_view, std::string*>> texts = {{"state", &out.state},
                                                                  {"worker", &out.worker},
                                                                  {"queue", &out.queue},
                                                                  {"text", &out.text},
                                                                  {"after", &out.after}};
  if (with_task) texts.emplace_back("task", &out.task);
  std::vector<std::string_view> known = {"since", "until", "limit", "details", "timeout"};
  for (const auto& [name, target] : texts) known.push_back(name);
  for (const auto& [name, value] : given) {
    if (given.count(name) > 1) return qd::bad(shown_text(name) + " is given twice");
    if (value.size() > 4096) return qd::bad(shown_text(name) + " is longer than 4096 bytes");
    Status status;
    if (name == "since" || name == "until") {
      const Result<WallTime> at = parse_moment(value, now, utc_offset);
      if (at.ok()) (name == "since" ? out.since_ns : out.until_ns) = at->time_since_epoch().count();
      status = at.status().with_context(name);
    } else if (name == "limit") {
      status = qd::read_limit(value, limit_max, out.limit);
    } else if (name == "timeout") {
      status = qd::read_timeout(value, longest, out.timeout);
    } else if (name == "details") {
      if (value != "true" && value != "false") status = qd::bad("details: write true or false");
      out.details = value == "true";
    } else {
      bool found = false;
      for (const auto& [text, target] : texts) {
        if (text != name) continue;
        *target = value;
        found = true;
      }
      const std::string_view near = found ? std::string_view() : nearest(name, known);
      if (!found) {
        status = qd::bad(shown_text(name) + " is an unknown parameter" +
                         (near.empty() ? "" : "; did you mean '" + std::string(near) + "'?"));
      }
    }
    if (!status.ok()) return status;
  }
  return out;
}

}  // namespace phlower::agent
