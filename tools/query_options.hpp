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
#include "phlower/ground/moment.hpp"
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
    "WHEN is a time before now (90m, 2h, 1d, 1w), now, today, yesterday, yesterday 18:30; 03:00, "
    "the\n"
    "last one that was; 2026-11-23, 2026-11-23T18:30:05 (or with a space), 24:00 for the end of a\n"
    "day, with Z or +01:00 for a zone; Unix seconds. Without a zone it is this machine's, or UTC\n"
    "with --utc; of an hour that comes twice when clocks are set back, the first.\n";

/// This machine's zone, as TZ or /etc/localtime has it.
inline std::int64_t machine_offset(std::int64_t at) {
  const std::time_t seconds = at;
  std::tm fields{};
  return ::localtime_r(&seconds, &fields) == nullptr ? 0 : fields.tm_gmtoff;
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
  command
      .add_option("--since", text.since,
                  "2h, yesterday, 03:00, 2026-11-23T18:30, Unix seconds, ...")
      ->type_name("WHEN");
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
    const auto parsed = parse_moment(from, now, options.utc ? utc_offset : machine_offset);
    if (parsed.ok()) {
      to = std::chrono::floor<Microseconds>(*parsed).time_since_epoch().count();
    }
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
