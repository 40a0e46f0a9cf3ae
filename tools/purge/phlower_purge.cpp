// phlower-purge: deletes what has expired from a Phlower database, also while others use it.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/cli.hpp"
#include "cli/signals.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/single/single_store.hpp"
#include "phlower/sqlite/lock_holders.hpp"
#include "purge/baseline.hpp"
#include "purge/folder.hpp"
#include "purge/options.hpp"
#include "purge/outcome.hpp"
#include "purge/run.hpp"

namespace phlower::tools {
namespace {

Status check_target(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Status::from_errno(path);
  if (S_ISDIR(info.st_mode)) return Status();
  if (!S_ISREG(info.st_mode)) return Status(Code::kNotOurs, path + ": is no regular file");
  return Status();
}

/// Opens; while somebody holds a lock that opening needs, tries again.
Result<std::unique_ptr<SingleStore>> open_store(const PurgeOptions& options, OpenMode mode,
                                                Clock& clock) {
  const MonoTime begin = clock.mono();
  const Nanoseconds patience = options.max_time.value_or(kLockedForEver);
  for (;;) {
    auto store = SingleStore::open(options.store, options.retention, mode);
    if (store.ok() || store.status().code() != Code::kBusy) return store;
    if (stop_requested() || clock.mono() - begin >= patience) {
      return Status(Code::kBusy, options.target + ": locked by " + whoever_locks(options.target) +
                                     "; gave up after " + format_duration(clock.mono() - begin));
    }
    std::this_thread::sleep_for(Milliseconds(20));
  }
}

// Whoever declared ON DELETE CASCADE must know that it does not happen here.
void note_references(SingleStore& store, PurgeOutcome& outcome) {
  const std::string tables = store.referring_tables();
  if (tables.empty()) return;
  outcome.notes.push_back(store.path() +
                          ": foreign keys are not enforced, as is SQLite's default; " +
                          "rows that refer to what is deleted stay in: " + tables);
}

Status dry_run(const PurgeOptions& options, Clock& clock, PurgeOutcome& outcome) {
  outcome.dry_run = true;
  const MonoTime begin = clock.mono();
  const WallTime now = clock.wall();
  auto store = open_store(options, OpenMode::kReadOnly, clock);
  if (!store.ok()) return store.status();
  note_references(**store, outcome);
  Progress progress(options.common.quiet);
  for (bool more = true; more;) {
    if (stop_requested()) {
      outcome.failure = "stopped by a signal";
      return Status();
    }
    // Short steps: a long read would keep the log of the process that writes from starting anew.
    const auto totals = (*store)->census_some(now, 2000);
    if (!totals.ok()) return totals.status();
    outcome.invocations = totals->invocations;
    outcome.details = totals->details;
    more = totals->more;
    outcome.elapsed = clock.mono() - begin;
    if (progress.due(clock.mono())) {
      const std::uint64_t all = (*store)->purge_backlog_rows(now);
      progress.show({"rows looked at", totals->examined,
                     all > totals->examined ? all - totals->examined : 0, outcome.elapsed});
    }
  }
  take_doubts(**store, outcome);
  outcome.done = true;
  return Status();
}

Status purge_sliced(const PurgeOptions& options, Clock& clock, PurgeOutcome& outcome) {
  auto store = open_store(options, OpenMode::kMaintenance, clock);
  if (!store.ok()) return store.status();
  note_references(**store, outcome);
  Status status = PurgeRun(**store, clock, options, outcome).run();
  if (status.ok() && outcome.done) take_doubts(**store, outcome);
  return status;
}

int finish(const PurgeOptions& options, const Status& status, PurgeOutcome& outcome) {
  if (!status.ok()) {
    outcome.failure = status.message();
    outcome.done = false;
  }
  const bool began = status.ok() || outcome.slices > 0 || outcome.segments > 0;
  if (!options.common.quiet && began) std::fputs(to_text(outcome).c_str(), stdout);
  if (options.common.json) std::printf("%s\n", to_json(outcome).dump().c_str());
  std::vector<std::string> said = outcome.notes;
  if (!outcome.failure.empty()) said.push_back(outcome.failure);
  for (const std::string& text : said) std::fprintf(stderr, "phlower-purge: %s\n", text.c_str());
  if (outcome.done && outcome.failure.empty()) return kExitDone;
  return outcome.time_up && status.ok() ? kExitTimeUp : kExitProblem;
}

int purge(int argc, char** argv) {
  PurgeOptions options;
  PurgeText text;
  CLI::App app("Deletes what has expired from a Phlower database in short slices.",
               "phlower-purge");
  declare(app, options, text);
  if (const auto exit = parse_command_line(app, argc, argv, options.common, kPurgeExamples)) {
    return *exit;
  }
  if (const Status status = understand(text, surroundings(), options); !status.ok()) {
    return usage_error("phlower-purge", status);
  }
  if (!options.target_from.empty() && !options.common.quiet) {
    complain("phlower-purge", "the folder is " + options.target + " (" + options.target_from + ")");
  }
  catch_signals();
  SystemClock clock;
  PurgeOutcome outcome;
  Status status = check_target(options.target);
  outcome.folder = std::filesystem::is_directory(options.target);
  if (status.ok() && outcome.folder) {
    status = FolderPurge(options, clock, outcome).run();
  } else if (status.ok() && (options.verify || options.rescue)) {
    status = Status(Code::kNotOurs,
                    options.target + ": a file; --verify and --rescue need a data folder");
  } else if (status.ok()) {
    status = options.dry_run    ? dry_run(options, clock, outcome)
             : options.baseline ? run_baseline(options, clock, outcome)
                                : purge_sliced(options, clock, outcome);
  }
  return finish(options, status, outcome);
}

}  // namespace
}  // namespace phlower::tools

int main(int argc, char** argv) { return phlower::tools::purge(argc, argv); }
