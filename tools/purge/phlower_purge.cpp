// phlower-purge: deletes what has expired from a Phlower history, also while others use it.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/cli.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "phlower/door/maintenance.hpp"
#include "purge/options.hpp"
#include "purge/outcome.hpp"

namespace phlower::tools {
namespace {

std::string_view name_of(MaintenanceProgress::Unit unit) {
  switch (unit) {
    case MaintenanceProgress::Unit::kDeletedRows: return "deleted";
    case MaintenanceProgress::Unit::kFreedBytes: return "bytes given back";
    case MaintenanceProgress::Unit::kRowsLookedAt: return "rows looked at";
  }
  return "";
}

/// Has the run tell the terminal how far it is, and stop at a signal.
void attach(PurgeOptions& options, Progress& progress) {
  MaintenanceOptions& how = options.how;
  how.wanted = [] { return !stop_requested(); };
  if (progress.visible()) {
    how.on_progress = [&progress](const MaintenanceProgress& now) {
      progress.show({name_of(now.unit), now.done, now.left, now.elapsed, now.hold, now.trouble});
    };
  }
  // Who rescues has named the file; whoever purges may not know that it goes.
  const bool rescues = options.work == PurgeWork::kRescue;
  const bool quiet = options.common.quiet;
  how.on_news = [&progress, rescues, quiet](MaintenanceNews news, const std::string& text) {
    const bool matters =
        news == MaintenanceNews::kDamage || (news == MaintenanceNews::kUnlinks && !rescues);
    if (quiet && !matters) return;
    progress.clear();
    std::fprintf(stderr, "phlower-purge: %s\n", text.c_str());
  };
}

MaintenanceReport work(const PurgeOptions& options, Clock& clock) {
  Maintenance maintenance(options.how, clock);
  switch (options.work) {
    case PurgeWork::kPurge: break;
    case PurgeWork::kDryRun: return maintenance.dry_run();
    case PurgeWork::kVerify: return maintenance.verify();
    case PurgeWork::kRescue: return maintenance.rescue(*options.rescue);
    case PurgeWork::kDryRescue: return maintenance.dry_rescue(*options.rescue);
  }
  return maintenance.purge();
}

int finish(const PurgeOptions& options, const MaintenanceReport& report) {
  const bool began = report.status.ok() || report.slices > 0 || report.segments > 0;
  if (!options.common.quiet && began) {
    std::fputs(to_text(report, options.work).c_str(), stdout);
  }
  if (options.common.json) std::printf("%s\n", to_json(report, options).dump().c_str());
  std::vector<std::string> said = report.notes;
  const std::string failure = failure_of(report, options);
  if (!failure.empty()) said.push_back(failure);
  for (const std::string& text : said) std::fprintf(stderr, "phlower-purge: %s\n", text.c_str());
  switch (report.end) {
    case MaintenanceEnd::kDone: return kExitDone;
    case MaintenanceEnd::kTimeUp: return kExitTimeUp;
    case MaintenanceEnd::kUnwanted:
    case MaintenanceEnd::kProblem: break;
  }
  return kExitProblem;
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
    complain("phlower-purge",
             "the folder is " + options.how.path + " (" + options.target_from + ")");
  }
  catch_signals();
  SystemClock clock;
  Progress progress(options.common.quiet);
  attach(options, progress);
  const MaintenanceReport report = work(options, clock);
  progress.clear();
  return finish(options, report);
}

}  // namespace
}  // namespace phlower::tools

int main(int argc, char** argv) { return phlower::tools::purge(argc, argv); }
