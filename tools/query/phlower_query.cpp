// phlower-query: looks into a history, while an engine writes it or at rest.
#include <algorithm>
#include <cstdio>
#include <string>

#include "cli/cli.hpp"
#include "phlower/door/history_reader.hpp"
#include "query/options.hpp"
#include "query/run.hpp"

namespace phlower::tools {
namespace {

constexpr const char* kName = "phlower-query";

struct Commands {
  CLI::App* get;
  CLI::App* list;
  CLI::App* search;
  CLI::App* count;
  CLI::App* times;
  CLI::App* exported;
};

Commands declare_commands(CLI::App& app, QueryOptions& options, QueryText& text) {
  const Commands of = {
      app.add_subcommand("get", "one task by its id, with everything that is known"),
      app.add_subcommand("list", "the newest tasks, newest first"),
      app.add_subcommand("search", "the same: tasks by any of the filters"),
      app.add_subcommand("count", "how many, by task and state"),
      app.add_subcommand("times", "runtimes and pickup latency, by task"),
      app.add_subcommand("export",
                         "all that match, newest first; a task that ends anew meanwhile "
                         "(a retry) can be missing")};
  of.get->add_option("TASK_ID", options.task_id, "the task's id")->required()->type_name(" ");
  for (CLI::App* command : {of.list, of.search, of.count, of.times, of.exported}) {
    declare_filters(*command, options, text);
    command->add_option("--max-time", text.max_time, "stop after this long, as 30s; exit 3")
        ->type_name("DURATION");
  }
  for (CLI::App* command : {of.list, of.search, of.exported}) {
    const bool all = command == of.exported;
    command
        ->add_option("--limit", options.query.limit,
                     all ? "at most this many (all)" : "at most this many (100)")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    command->add_option("--after", text.cursor, "go on behind the cursor of the last answer")
        ->type_name("CURSOR");
  }
  for (CLI::App* command : {of.list, of.search}) {
    command->add_flag("--follow", options.follow, "and what comes from now on, until Ctrl-C");
  }
  of.count->add_flag("--by-minute", options.by_minute, "and by minute");
  of.count->add_option("--sort", text.sort, "by name, or by count: the largest first")
      ->type_name("NAME");
  of.exported->add_option("--format", text.format, "ndjson or csv")->type_name("NAME");
  for (CLI::App* command : app.get_subcommands({})) {
    command->footer("And those of phlower-query --help: --data, --config, --utc, --json, --quiet.");
  }
  return of;
}

// An answer that is not whole never ends with 0.
int finish(const Status& status, const QueryRun& run, const QueryOptions& options) {
  const Reach& reach = run.reach();
  const bool stopped = stop_requested() && (reach.ended == Ended::kUnwanted || !status.ok());
  if (stopped || (status.ok() && reach.ended == Ended::kDeadline)) {
    std::string text = stopped ? "stopped by a signal" : "the time was up";
    text += ": " + reach_text(reach, options.utc);
    if (run.next()) text += "; go on with --after " + run.next()->text();
    complain(kName, text);
    if (stopped) die_by_signal();
    return kExitTimeUp;
  }
  if (status.ok()) return kExitDone;
  complain(kName, status);
  return kExitProblem;
}

int ask(const Commands& of, const QueryOptions& options, Clock& clock) {
  auto history = HistoryReader::open(
      options.data, options.retention, [](std::int64_t seq, const Status& status) {
        complain(kName, "segment " + std::to_string(seq) +
                            " is left out: " + std::string(status.message()));
      });
  if (!history.ok()) {
    const std::string why = options.data_from.empty() ? "" : " (" + options.data_from + ")";
    complain(kName, std::string(history.status().message()) + why);
    return kExitProblem;
  }
  Output out;
  QueryRun run(**history, clock, options, out);
  Status status = of.get->parsed()        ? run.get()
                  : of.count->parsed()    ? run.count()
                  : of.times->parsed()    ? run.times()
                  : of.exported->parsed() ? run.export_all()
                                          : run.list();
  if (status.ok()) status = out.flush();
  return out.reader_gone() ? kExitPipe : finish(status, run, options);
}

int query(int argc, char** argv) {
  QueryOptions options;
  QueryText text;
  CLI::App app("Looks into the history of a task queue.", kName);
  app.require_subcommand(1);
  app.fallthrough();
  declare_data(app, options, text);
  const Commands of = declare_commands(app, options, text);
  if (const auto exit = parse_command_line(app, argc, argv, options.common, kQueryExamples,
                                           "one JSON object instead of text")) {
    return *exit;
  }
  SystemClock clock;
  options.all = of.exported->parsed() && of.exported->count("--limit") == 0;
  // A list shows no details: nothing of them is read.
  options.query.details = of.exported->parsed() || options.common.json;
  if (Status status = understand(text, clock.wall(), surroundings(), options); !status.ok()) {
    return usage_error(kName, status);
  }
  catch_signals(SA_RESETHAND);
  return ask(of, options, clock);
}

}  // namespace
}  // namespace phlower::tools

int main(int argc, char** argv) { return phlower::tools::query(argc, argv); }
