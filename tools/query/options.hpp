// What phlower-query is asked for on its command line.
#pragma once

#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <string>

#include "cli/cli.hpp"
#include "cli/find_data.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/text/moment.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/history/query.hpp"

namespace phlower::tools {

struct QueryOptions {
  CommonOptions common;
  std::string data;
  std::string data_from;  // what named it, for an error
  std::string task_id;    // of `get`
  Query query;
  bool follow = false;
  bool utc = false;
  bool by_minute = false;  // of `count`
  bool by_count = false;   // of `count`: the largest first
  bool csv = false;        // of `export`
  bool all = false;        // of `export`: as many as there are
  std::optional<Nanoseconds> max_time;
  std::optional<RetentionOptions> retention;
};

struct QueryText {
  std::string data, config, since, until, cursor, max_time, sort = "name", format = "ndjson";
};

inline constexpr const char* kQueryExamples =
    "Examples:\n"
    "  phlower-query get 0029aaec-f501-47ca-bc7a-c19c14194d07 --data phlower-data\n"
    "  phlower-query list --task shop.orders.pack --limit 20\n"
    "  phlower-query search --state FAILURE --since 2h --text 'out of stock' --follow\n"
    "  phlower-query count --since 1h --by-minute\n"
    "  phlower-query times --task shop.orders.pack --since 1d\n"
    "  phlower-query export --since 2026-11-23T00:00 --until 2026-11-24T00:00 --format csv\n"
    "The history is that of --data, else of PHLOWER_DATA, else of store.path in --config\n"
    "(phlower.yaml, or agent.yaml, whose plugin.config is followed) or in\n"
    "/etc/phlower/phlower.yaml where that exists, else ./phlower-data.\n"
    "WHEN is a time before now (90m, 2h, 1d, 1w); now, today, yesterday, yesterday 18:30;\n"
    "03:00, the last one that was; 2026-11-23, 2026-11-23T18:30:05 (or with a space), 24:00 for\n"
    "the end of a day, with Z or +01:00 for a zone; Unix seconds. Without a zone it is this\n"
    "machine's, or UTC with --utc; of an hour that comes twice, the first.\n"
    "Exit: 0 done, 1 not done or not there, 2 wrong usage or configuration, 3 --max-time was up;\n"
    "Ctrl-C and SIGTERM end it as such (130, 143 in a shell), --follow and nothing else with 0.\n";

/// This machine's zone, as TZ or /etc/localtime has it.
inline std::int64_t machine_offset(std::int64_t at) {
  const std::time_t seconds = at;
  std::tm fields{};
  return ::localtime_r(&seconds, &fields) == nullptr ? 0 : fields.tm_gmtoff;
}

inline void declare_data(CLI::App& command, QueryOptions& options, QueryText& text) {
  command.add_option("--data", text.data, "the data folder, or a database file")->type_name("PATH");
  command.add_option("--config", text.config, "path and retention from phlower.yaml or agent.yaml")
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

namespace understand_detail {

inline Status read_times(const QueryText& text, WallTime now, QueryOptions& options) {
  const auto moment = [&](const char* name, const std::string& from, std::int64_t& to) {
    if (from.empty()) return Status();
    const auto parsed = parse_moment(from, now, options.utc ? utc_offset : machine_offset);
    if (parsed.ok()) {
      to = std::chrono::floor<Microseconds>(*parsed).time_since_epoch().count();
    }
    return parsed.status().with_context(name);
  };
  Status status = moment("--since", text.since, options.query.from_us);
  if (status.ok()) status = moment("--until", text.until, options.query.until_us);
  if (!status.ok() || text.max_time.empty()) return status;
  const auto most = parse_duration(text.max_time);
  if (most.ok() && most->count() > 0) options.max_time = *most;
  return most.ok() && most->count() == 0
             ? Status(Code::kInvalidArgument, "--max-time: must be longer than 0s")
             : most.status().with_context("--max-time");
}

// Of two words the second or neither.
inline Status read_choice(const char* name, const std::string& text, const char* usual,
                          const char* other, bool& is_other) {
  is_other = text == other;
  if (is_other || text == usual) return Status();
  return Status(Code::kInvalidArgument, std::string(name) + ": " + shown_text(text) +
                                            " is neither " + usual + " nor " + other);
}

}  // namespace understand_detail

/// Errors: kInvalidArgument, kInvalidConfig; exit 2.
inline Status understand(const QueryText& text, WallTime now, const Surroundings& around,
                         QueryOptions& options) {
  namespace ud = understand_detail;
  Status status = ud::read_times(text, now, options);
  if (status.ok()) {
    status = ud::read_choice("--format", text.format, "ndjson", "csv", options.csv);
  }
  if (status.ok()) {
    status = ud::read_choice("--sort", text.sort, "name", "count", options.by_count);
  }
  if (!status.ok()) return status;
  if (!text.cursor.empty()) {
    auto cursor = Cursor::parse(text.cursor);
    if (!cursor.ok()) return cursor.status().with_context("--after");
    options.query.after = *std::move(cursor);
  }
  auto found = find_data({text.data, text.config}, around);
  if (!found.ok()) return found.status();
  options.data = std::move(found->path);
  options.data_from = std::move(found->from);
  options.retention = found->retention;
  return Status();
}

}  // namespace phlower::tools
