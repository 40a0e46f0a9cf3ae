// The command line of phlower-purge.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "cli/cli.hpp"
#include "cli/find_data.hpp"
#include "phlower/door/maintenance_options.hpp"
#include "phlower/ground/units.hpp"

namespace phlower::tools {

enum class PurgeWork : std::uint8_t { kPurge, kDryRun, kVerify, kRescue, kDryRescue };

struct PurgeOptions {
  CommonOptions common;
  std::string target_from;  // what named it; empty: the command line
  PurgeWork work = PurgeWork::kPurge;
  bool dry_run = false;
  bool verify = false;
  std::optional<Hours> rescue;
  MaintenanceOptions how;
};

inline constexpr std::string_view kPurgeExamples =
    "Examples:\n"
    "  phlower-purge --dry-run /var/lib/phlower/history.db\n"
    "      how much has expired; writes nothing\n"
    "  phlower-purge /var/lib/phlower/history.db\n"
    "      deletes rows after 120h and their details after 60h, in short slices;\n"
    "      the process that writes the file may go on\n"
    "  phlower-purge --invocations-older-than 48h --details-older-than 12h --reclaim \\\n"
    "      --max-time 10min --json history.db\n"
    "      a shorter memory, free pages back to the disk, at most ten minutes\n"
    "  phlower-purge phlower-data\n"
    "      unlinks the segments that are past their retention\n"
    "  phlower-purge --verify phlower-data\n"
    "      reads everything and says what is damaged\n"
    "  phlower-purge --rescue 12h phlower-data\n"
    "      an adopted file that is too large to wait for: its newest 12 hours, then the original\n"
    "      file is unlinked; with --dry-run: what that would be\n"
    "Exit: 0 done, 1 not done or a problem found (also: --reclaim of a file that cannot shrink),\n"
    "2 wrong usage or configuration, 3 the --max-time was up and more is left.\n"
    "Ctrl-C stops after the current slice; another run goes on from there.\n";

/// What was written, before it is understood.
struct PurgeText {
  std::string rescue;
  std::string invocations, details, slice, duty, max_time, config;
};

inline void declare(CLI::App& app, PurgeOptions& options, PurgeText& text) {
  app.add_option(
         "TARGET", options.how.path,
         "a Phlower data folder or database file; others may have it open (default: the folder of "
         "PHLOWER_DATA, of store.path in --config or in /etc/phlower/phlower.yaml)")
      ->type_name(" ");
  app.add_option(
         "--invocations-older-than", text.invocations,
         "delete rows this long after their task ended (default: 120h, of a folder what its "
         "engine was told)")
      ->type_name("DURATION");
  app.add_option("--details-older-than", text.details,
                 "delete arguments and tracebacks after this long (default: 60h, of a folder as "
                 "above)")
      ->type_name("DURATION");
  app.add_option("--slice", text.slice,
                 "aim for one hold of the write lock while others have the file open, 1ms to 100ms "
                 "(default: 8ms); 40ms while nobody has")
      ->type_name("DURATION");
  app.add_option("--duty", text.duty,
                 "share of time the write lock may be held while others have the file open, 10% to "
                 "100% (default: 90%)")
      ->type_name("SHARE");
  app.add_flag("--reclaim", options.how.reclaim, "give free pages back to the file system");
  app.add_option("--max-time", text.max_time, "stop after this long, as 10min (default: never)")
      ->type_name("DURATION");
  app.add_flag(
      "--verify", options.verify,
      "of a folder: check catalog, files, checksums and counts; set aside what is damaged");
  app.add_option("--rescue", text.rescue,
                 "of a folder with an adopted file: copy its newest hours into segments, let the "
                 "rest go")
      ->type_name("DURATION");
  app.add_flag("--dry-run", options.dry_run, "count what has expired; write nothing");
  app.add_option("--config", text.config,
                 "retention, slices, cache and WAL bounds from phlower.yaml, or from the one that "
                 "agent.yaml "
                 "names; options given beside it win")
      ->type_name("FILE");
}

namespace detail {

inline Status wrong_usage(std::string what) {
  return Status(Code::kInvalidArgument, std::move(what));
}

/// Whole hours are what the store keeps. Leaves `out` alone where nothing was written.
inline Status read_hours(const char* name, const std::string& text, Hours& out) {
  if (text.empty()) return Status();
  const auto read = parse_duration(text);
  if (!read.ok()) return read.status().with_context(name);
  const Hours whole = std::chrono::duration_cast<Hours>(*read);
  if (whole != *read || whole < Hours(1) || whole > Hours(87600)) {
    return wrong_usage(std::string(name) + ": '" + text + "' must be whole hours, 1h to 87600h");
  }
  out = whole;
  return Status();
}

inline Status read_slice(const PurgeText& text, MaintenanceOptions& how) {
  if (!text.slice.empty()) {
    const auto read = parse_duration(text.slice);
    if (!read.ok()) return read.status().with_context("--slice");
    if (*read < Milliseconds(1) || *read > Milliseconds(100)) {
      return wrong_usage("--slice: '" + text.slice + "' is out of range, 1ms to 100ms");
    }
    how.slice = *read;
  }
  if (!text.duty.empty()) {
    const auto read = parse_percent(text.duty);
    if (!read.ok()) return read.status().with_context("--duty");
    if (*read < 10) return wrong_usage("--duty: '" + text.duty + "' is out of range, 10% to 100%");
    how.duty_percent = *read;
  }
  if (!text.max_time.empty()) {
    const auto read = parse_duration(text.max_time);
    if (!read.ok()) return read.status().with_context("--max-time");
    if (read->count() == 0) return wrong_usage("--max-time: must be longer than 0s");
    how.max_time = *read;
  }
  return Status();
}

/// A folder that is named elsewhere will do where the command line names none: it knows its own
/// retention. A file is named on the command line or left alone, and so is a folder that nothing
/// names.
inline Status find_target(const PurgeText& text, const Surroundings& around,
                          PurgeOptions& options) {
  if (!options.how.path.empty()) return Status();
  auto found = find_data({"", text.config}, around);
  if (!found.ok()) return found.status();
  std::error_code error;
  if (!found->named || !std::filesystem::is_directory(found->path, error)) {
    return wrong_usage("TARGET is missing: a Phlower data folder or database file" +
                       (found->named ? "; " + found->path + " (" + found->from + ") is no folder"
                                     : "; nothing else names a folder (" + found->from + ")"));
  }
  options.how.path = std::move(found->path);
  options.target_from = std::move(found->from);
  return Status();
}

/// The retention that the words and the configuration name; what neither names is left open.
inline Status read_retention(const PurgeText& text, MaintenanceOptions& how) {
  RetentionOptions retention;
  if (!text.config.empty()) {
    const auto loaded = load_engine_config(text.config);
    if (!loaded.ok()) return loaded.status();
    retention = loaded->options.retention;
    how.store = loaded->options.store;
    how.slice = loaded->options.schedule.slice;
    how.duty_percent = loaded->options.schedule.duty_percent;
  }
  const bool own = !text.invocations.empty() || !text.details.empty();
  Status status = read_hours("--invocations-older-than", text.invocations, retention.invocations);
  if (status.ok()) status = read_hours("--details-older-than", text.details, retention.details);
  if (!status.ok()) return status;
  if (retention.keep_forever && !own) {
    return wrong_usage(text.config +
                       ": retention.keep_forever is true: nothing would be purged; "
                       "give --invocations-older-than to purge nevertheless");
  }
  const bool rows_given = !text.config.empty() || !text.invocations.empty();
  const bool known = rows_given || !std::filesystem::is_directory(how.path);
  // Details go with their row; only asking for the opposite is a mistake.
  if (known && !text.details.empty() && retention.details > retention.invocations) {
    return wrong_usage("--details-older-than: details cannot outlive their row (" +
                       exact_duration(retention.invocations) + ")");
  }
  if (rows_given) how.invocations = retention.invocations;
  if (!text.config.empty() || !text.details.empty()) how.details = retention.details;
  return Status();
}

/// What is to be done. What does not go together is a mistake.
inline Status read_work(const PurgeText& text, PurgeOptions& options) {
  if (!text.rescue.empty()) {
    Hours hours{1};
    if (Status status = read_hours("--rescue", text.rescue, hours); !status.ok()) return status;
    options.rescue = hours;
  }
  if ((options.verify || options.rescue) &&
      (options.how.reclaim || (options.verify && options.rescue))) {
    return wrong_usage("--verify and --rescue stand alone; --rescue goes with --dry-run");
  }
  if (options.verify && options.dry_run) {
    return wrong_usage("--verify writes nothing but what it sets aside; it has no --dry-run");
  }
  if (options.dry_run && options.how.reclaim) {
    return wrong_usage("--dry-run and --reclaim exclude each other");
  }
  options.work = options.verify    ? PurgeWork::kVerify
                 : !options.rescue ? (options.dry_run ? PurgeWork::kDryRun : PurgeWork::kPurge)
                 : options.dry_run ? PurgeWork::kDryRescue
                                   : PurgeWork::kRescue;
  return Status();
}

}  // namespace detail

/// What the words mean together. Every error is wrong usage: exit 2.
inline Status understand(const PurgeText& text, const Surroundings& around, PurgeOptions& options) {
  Status status = detail::find_target(text, around, options);
  if (status.ok()) status = detail::read_retention(text, options.how);
  if (status.ok()) status = detail::read_slice(text, options.how);
  if (status.ok()) status = detail::read_work(text, options);
  return status;
}

}  // namespace phlower::tools
