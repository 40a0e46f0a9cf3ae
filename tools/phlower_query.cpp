// phlower-query: looks into a history, while an engine writes it or at rest.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "phlower/segment/history_reader.hpp"
#include "query_options.hpp"
#include "query_print.hpp"
#include "signals.hpp"

namespace phlower::tools {
namespace {

void put(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

class QueryRun {
 public:
  QueryRun(HistoryReader& history, Clock& clock, const QueryOptions& options)
      : history_(history),
        clock_(clock),
        options_(options),
        json_(options.common.json || ::isatty(STDOUT_FILENO) == 0) {}

  Status get() {
    auto view = history_.view(clock_.wall());
    if (!view.ok()) return view.status();
    const auto found = view->get(options_.task_id);
    if (!found.ok()) return found.status();
    if (!found->has_value()) {
      return Status(Code::kNotFound, "task " + options_.task_id + " is not in " + options_.data);
    }
    put(json_ ? dumped(to_json(**found)) : whole_record(**found, options_.utc));
    return Status();
  }

  Status list() {
    auto view = history_.view(clock_.wall());
    if (!view.ok()) return view.status();
    auto answer = view->list(options_.query);
    history_.release();
    if (!answer.ok()) return answer.status();
    if (options_.follow) return follow(std::move(answer->rows));
    if (json_) {
      nlohmann::ordered_json json = {{"records", nlohmann::ordered_json::array()}};
      for (const Row& row : answer->rows) json["records"].push_back(to_json(row.record));
      json["next"] =
          answer->next ? nlohmann::ordered_json(answer->next->text()) : nlohmann::ordered_json();
      put(dumped(json));
      return Status();
    }
    put(list_head(options_.utc));
    for (const Row& row : answer->rows) put(list_line(row.record, options_.utc));
    if (answer->next && !options_.common.quiet) {
      std::fprintf(stderr, "more: --after %s\n", answer->next->text().c_str());
    }
    return Status();
  }

  Status count() {
    auto view = history_.view(clock_.wall());
    if (!view.ok()) return view.status();
    const auto answer = view->count(options_.query, options_.by_minute);
    if (!answer.ok()) return answer.status();
    std::uint64_t sum = 0;
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const auto& [key, rows_of] : answer->counts) {
      sum += rows_of;
      const double minute = static_cast<double>(key.minute) * 60;
      if (json_) {
        rows.push_back({{"task_name", key.task_name}, {"state", key.state}, {"count", rows_of}});
        if (options_.by_minute) rows.back()["minute"] = minute;
        continue;
      }
      const std::string when =
          options_.by_minute ? shown_time(minute, options_.utc).substr(0, 16) : "";
      put(fmt::format("{:>12}  {:<8}  {}  {}\n", rows_of, key.state, when, key.task_name));
    }
    put(json_ ? dumped({{"total", sum}, {"counts", rows}}) : fmt::format("{:>12}  in all\n", sum));
    return Status();
  }

  Status times() {
    auto view = history_.view(clock_.wall());
    if (!view.ok()) return view.status();
    const auto answer = view->times(options_.query);
    if (!answer.ok()) return answer.status();
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    if (!json_) {
      put(fmt::format("{:<40} {:>9}  {:>10} {:>10} {:>10}  {:>10} {:>10}\n", "task", "runs", "p50",
                      "p95", "p99", "pickup p50", "p95"));
    }
    const auto ms = [](const Histogram& of, double quantile) {
      return of.count() == 0 ? -1 : static_cast<double>(of.quantile(quantile)) / 1e6;
    };
    const auto known = [&](const Histogram& of, double quantile) {
      return of.count() == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(ms(of, quantile));
    };
    for (const auto& [name, times] : answer->tasks) {
      if (json_) {
        json.push_back({{"task_name", name},
                        {"runs", times.runtime.count()},
                        {"runtime_ms",
                         {{"p50", known(times.runtime, 0.5)},
                          {"p95", known(times.runtime, 0.95)},
                          {"p99", known(times.runtime, 0.99)}}},
                        {"pickup_ms",
                         {{"p50", known(times.pickup, 0.5)}, {"p95", known(times.pickup, 0.95)}}}});
        continue;
      }
      put(fmt::format("{:<40} {:>9}  {:>10} {:>10} {:>10}  {:>10} {:>10}\n", printable(name),
                      times.runtime.count(), shown_runtime(ms(times.runtime, 0.5)),
                      shown_runtime(ms(times.runtime, 0.95)),
                      shown_runtime(ms(times.runtime, 0.99)), shown_runtime(ms(times.pickup, 0.5)),
                      shown_runtime(ms(times.pickup, 0.95))));
    }
    if (json_) put(dumped({{"tasks", json}}));
    return Status();
  }

  // Page by page, so that the view never stays for long.
  Status export_all() {
    if (options_.csv) put(kCsvHead);
    Query query = options_.query;
    const std::uint64_t wanted = options_.all ? ~0ull : query.limit;
    for (std::uint64_t given = 0; given < wanted && !stop_requested();) {
      query.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted - given, 1000));
      auto view = history_.view(clock_.wall());
      if (!view.ok()) return view.status();
      const auto answer = view->list(query);
      if (!answer.ok() && answer.status().code() == Code::kReload) continue;
      if (!answer.ok()) return answer.status();
      for (const Row& row : answer->rows) {
        put(options_.csv ? csv_line(row.record) : dumped(to_json(row.record)));
      }
      given += answer->rows.size();
      if (!answer->next) return Status();
      query.after = answer->next;
    }
    return stop_requested() ? Status(Code::kBusy, "stopped by a signal") : Status();
  }

 private:
  static constexpr std::int64_t kLateness = 10'000'000;  // us; what comes later is not followed

  // What is new since the last look, oldest first. A row may come a little after its time.
  Status follow(std::vector<Row> rows) {
    std::map<std::pair<std::int64_t, std::string>, std::string> seen;  // to the state it was in
    std::int64_t newest = 0;
    const std::int64_t first = rows.empty() ? 0 : rows.back().at_us;
    if (!json_) put(list_head(options_.utc));
    while (!stop_requested()) {
      std::reverse(rows.begin(), rows.end());
      const std::int64_t now = to_us(to_unix_seconds(clock_.wall()));
      for (const auto& [record, at] : rows) {
        newest = std::max(newest, std::min(at, now));  // a time in the future is no news
        if (at < first) continue;                      // was there before, behind the limit
        if (!seen.emplace(std::pair(at, record.task_id), record.state).second) continue;
        put(json_ ? dumped(to_json(record)) : list_line(record, options_.utc));
      }
      std::fflush(stdout);
      std::erase_if(seen,
                    [&](const auto& row) { return row.first.first < newest - 2 * kLateness; });
      std::this_thread::sleep_for(Milliseconds(300));
      Query query = options_.query;
      query.from_us = std::max(query.from_us, newest - kLateness);
      query.limit = 100'000;
      auto view = history_.view(clock_.wall());
      if (!view.ok() && view.status().code() == Code::kReload) continue;
      if (!view.ok()) return view.status();
      auto answer = view->list(query);
      history_.release();
      if (!answer.ok() && answer.status().code() != Code::kReload) return answer.status();
      rows = answer.ok() ? std::move(answer->rows) : std::vector<Row>();
    }
    return Status();
  }

  HistoryReader& history_;
  Clock& clock_;
  const QueryOptions& options_;
  bool json_;
};

int query(int argc, char** argv) {
  QueryOptions options;
  QueryText text;
  CLI::App app("Looks into the history of a task queue.", "phlower-query");
  app.require_subcommand(1);
  app.fallthrough();
  declare_data(app, options, text);
  CLI::App* get = app.add_subcommand("get", "one task by its id, with everything that is known");
  get->add_option("TASK_ID", options.task_id, "the task's id")->required()->type_name(" ");
  CLI::App* list = app.add_subcommand("list", "the newest tasks, newest first");
  CLI::App* search = app.add_subcommand("search", "the same: tasks by any of the filters");
  CLI::App* count = app.add_subcommand("count", "how many, by task and state");
  CLI::App* times = app.add_subcommand("times", "runtimes and pickup latency, by task");
  CLI::App* exported = app.add_subcommand("export", "all that match, newest first");
  for (CLI::App* command : {list, search, count, times, exported}) {
    declare_filters(*command, options, text);
  }
  for (CLI::App* command : app.get_subcommands({})) {
    command->footer("And those of phlower-query --help: --data, --config, --utc, --json, --quiet.");
  }
  for (CLI::App* command : {list, search}) {
    command->add_option("--limit", options.query.limit, "at most this many (100)")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->add_option("--after", text.cursor, "go on behind the cursor of the last answer")
        ->type_name("CURSOR");
    command->add_flag("--follow", options.follow, "and what comes from now on, until Ctrl-C");
  }
  count->add_flag("--by-minute", options.by_minute, "and by minute");
  auto* limit = exported->add_option("--limit", options.query.limit, "at most this many (all)");
  limit->type_name("N")->check(CLI::PositiveNumber);
  exported->add_option("--format", text.format, "ndjson or csv")->type_name("NAME");
  if (const auto exit = parse_command_line(app, argc, argv, options.common, kQueryExamples)) {
    return *exit;
  }
  SystemClock clock;
  options.all = limit->count() == 0;
  // A list shows no details: nothing of them is read.
  options.query.details = exported->parsed() || options.common.json || ::isatty(STDOUT_FILENO) == 0;
  const bool data_given = app.get_option("--data")->count() > 0;
  if (Status status = understand(text, clock.wall(), data_given, options); !status.ok()) {
    return usage_error("phlower-query", status);
  }
  catch_signals();
  auto history = HistoryReader::open(
      options.data, options.retention, [](std::int64_t seq, const Status& status) {
        std::fprintf(stderr, "phlower-query: segment %lld is left out: %s\n",
                     static_cast<long long>(seq), std::string(status.message()).c_str());
      });
  Status status = history.status();
  if (history.ok()) {
    QueryRun run(**history, clock, options);
    status = get->parsed()        ? run.get()
             : count->parsed()    ? run.count()
             : times->parsed()    ? run.times()
             : exported->parsed() ? run.export_all()
                                  : run.list();
  }
  if (std::fflush(stdout) != 0 && status.ok()) status = Status::from_errno("write to stdout");
  if (status.ok()) return kExitDone;
  std::fprintf(stderr, "phlower-query: %s\n", std::string(status.message()).c_str());
  return kExitProblem;
}

}  // namespace
}  // namespace phlower::tools

int main(int argc, char** argv) { return phlower::tools::query(argc, argv); }
