// What phlower-query is asked for on its command line.
#pragma once

#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <string>

#include "cli.hpp"
#include "phlower/config/options_yaml.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/store/query.hpp"

namespace phlower::tools {

struct QueryOptions {
  CommonOptions common;
  std::string data = Options().store.path;
  std::string task_id;  // of `get`
  Query query;
  bool follow = false;
  bool utc = false;
  bool by_minute = false;  // of `count`
  bool csv = false;        // of `export`
  bool all = false;        // of `export`: as many as there are
  std::optional<RetentionOptions> retention;
};

struct QueryText {
  std::string config, since, until, cursor, format = "ndjson";
};

inline constexpr const char* kQueryExamples =
    "Examples:\n"
    "  phlower-query get 0029aaec-f501-47ca-bc7a-c19c14194d07 --data phlower-data\n"
    "  phlower-query list --task shop.orders.pack --limit 20\n"
    "  phlower-query search --state FAILURE --since 2h --text 'out of stock' --follow\n"
    "  phlower-query count --since 1h --by-minute\n"
    "  phlower-query times --task shop.orders.pack --since 1d\n"
    "  phlower-query export --since 2026-11-23T00:00 --until 2026-11-24T00:00 --format csv\n"
    "      times without a zone are those of this machine, or UTC with --utc\n";

/// "90m" before now, or a time as 2026-11-23, 2026-11-23T18:30, 2026-11-23T18:30:05, with Z for
/// UTC. Errors: kInvalidArgument.
inline Result<std::int64_t> parse_moment(const std::string& text, bool utc, WallTime now) {
  const auto ago = parse_duration(text);
  if (ago.ok()) return to_us(to_unix_seconds(now - *ago));
  std::string rest = text;
  const bool zulu = !rest.empty() && (rest.back() == 'Z' || rest.back() == 'z');
  if (zulu) rest.pop_back();
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm fields{};
    const char* const end = ::strptime(rest.c_str(), format, &fields);
    if (end == nullptr || *end != '\0') continue;
    fields.tm_isdst = -1;
    const std::time_t seconds = utc || zulu ? ::timegm(&fields) : std::mktime(&fields);
    return static_cast<std::int64_t>(seconds) * 1'000'000;
  }
  return Status(Code::kInvalidArgument,
                "'" + text + "' is no time; write 2h (before now) or 2026-11-23T18:30");
}

inline void declare_data(CLI::App& command, QueryOptions& options, QueryText& text) {
  command.add_option("--data", options.data, "the data folder, or a database file")
      ->type_name("PATH");
  command.add_option("--config", text.config, "path and retention from a YAML file")
      ->type_name("FILE");
  command.add_flag("--utc", options.utc, "times in UTC instead of this machine's zone");
}

inline void declare_filters(CLI::App& command, QueryOptions& options, QueryText& text) {
  Query& query = options.query;
  command.add_option("--task", query.task_name, "the task's name")->type_name("NAME");
  command.add_option("--state", query.state, "SUCCESS, FAILURE, ...")->type_name("STATE");
  command.add_option("--worker", query.worker, "the worker's name")->type_name("NAME");
  command.add_option("--queue", query.queue, "the queue's name")->type_name("NAME");
  command.add_option("--text", query.text, "somewhere in arguments, exception or traceback")
      ->type_name("TEXT");
  command.add_option("--since", text.since, "2h before now, or a time")->type_name("WHEN");
  command.add_option("--until", text.until, "the same; not included")->type_name("WHEN");
}

/// Errors: kInvalidArgument, kInvalidConfig; exit 2.
inline Status understand(const QueryText& text, WallTime now, bool data_given,
                         QueryOptions& options) {
  if (!text.config.empty()) {
    auto loaded = load_options(text.config);
    if (!loaded.ok()) return loaded.status();
    if (!data_given) options.data = loaded->store.path;
    options.retention = loaded->retention;
  }
  const auto moment = [&](const char* name, const std::string& from, std::int64_t& to) {
    if (from.empty()) return Status();
    const auto parsed = parse_moment(from, options.utc, now);
    if (parsed.ok()) to = *parsed;
    return parsed.status().with_context(name);
  };
  if (Status status = moment("--since", text.since, options.query.from_us); !status.ok()) {
    return status;
  }
  if (Status status = moment("--until", text.until, options.query.until_us); !status.ok()) {
    return status;
  }
  if (!text.cursor.empty()) {
    auto cursor = Cursor::parse(text.cursor);
    if (!cursor.ok()) return cursor.status().with_context("--after");
    options.query.after = *std::move(cursor);
  }
  options.csv = text.format == "csv";
  if (!options.csv && text.format != "ndjson") {
    return Status(Code::kInvalidArgument,
                  "--format: '" + text.format + "' is neither ndjson nor csv");
  }
  return Status();
}

}  // namespace phlower::tools
