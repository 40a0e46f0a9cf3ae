// The command line of phlower-replay.
#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <optional>
#include <string>

#include "cli/cli.hpp"
#include "phlower/config/options.hpp"
#include "phlower/config/options_yaml.hpp"
#include "phlower/ground/units.hpp"
#include "replay/old_purge.hpp"

namespace phlower::tools {

struct ReplayOptions {
  CommonOptions common;  // --json, --quiet
  std::string capture;
  std::string check_config;
  Options engine;
  std::optional<Rate> rate;  // none: the capture once
  Nanoseconds duration{0};
  std::uint64_t records = 0;
  int producers = 1;
  std::uint64_t seed = 1;
  std::uint64_t backlog = 0;
  std::uint64_t make_backlog = 0;
  std::optional<OldWay> baseline;
  bool engine_only = false;
  bool produce_only = false;
  bool until_purged = false;
  bool until_drained = false;
  std::string acked;
  int look_up = 0;
};

inline constexpr std::string_view kReplayExamples =
    "Examples:\n"
    "  phlower-replay events.ndjson --data history\n"
    "      the capture once, each task as it happened\n"
    "  phlower-replay events.ndjson --data history --rate 1217 --duration 60s --backlog 300000\n"
    "      a spike of 73,000 tasks a minute over 300,000 expired rows\n"
    "  phlower-replay events.ndjson --data old.db --rate 1217 --duration 60s --backlog 300000 "
    "--baseline batch50k\n"
    "      the same with the purge of old\n"
    "  phlower-replay events.ndjson --data history --adopt old.db --rate 1217 --duration 60s\n"
    "      the same beside a file of the origin's schema, taken over as it is\n"
    "  phlower-replay --data history --engine-only\n"
    "  phlower-replay events.ndjson --rate max --records 100000 --produce-only --acked acked.txt\n"
    "      engine and producers apart, for tests with kills\n"
    "  phlower-replay --check-config config/phlower.yaml\n";

/// Declares the options on `app`; `text` receives what needs a second look.
struct ReplayText {
  std::string adopt;
  std::string data, layout, ring, config, rate, duration, baseline;
  bool keep_forever = false;
};

inline void declare(CLI::App& app, ReplayOptions& options, ReplayText& text) {
  app.add_option("CAPTURE", options.capture,
                 "recorded Celery events, one JSON object a line (channel, data)")
      ->type_name(" ");
  app.add_option("--data", text.data,
                 "the data folder, or the database file of the layout single (default: store.path)")
      ->type_name("PATH");
  app.add_option(
         "--layout", text.layout,
         "segmented or single (default: single for an existing file and for --baseline, else "
         "store.layout)")
      ->type_name("NAME");
  app.add_option("--adopt", text.adopt, "take this file over as the oldest segment (store.adopt)")
      ->type_name("FILE");
  app.add_option("--ring", text.ring, "the ring file (default: ring.path)")->type_name("FILE");
  app.add_option("--config", text.config, "options from a YAML file")->type_name("FILE");
  app.add_option("--check-config", options.check_config, "check a YAML file and end")
      ->type_name("FILE");
  app.add_flag("--keep-forever", text.keep_forever, "no retention: nothing is purged");
  app.add_option(
         "--rate", text.rate,
         "records a second (5000, 73k/min) or max; the capture over and over, new task ids, "
         "times of now")
      ->type_name("RATE");
  app.add_option("--duration", text.duration, "with --rate: how long, as 60s")
      ->type_name("DURATION");
  app.add_option("--records", options.records, "with --rate: how many records in all")
      ->type_name("N");
  app.add_option("--producers", options.producers, "producer processes, 1 to 64")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  app.add_option("--seed", options.seed, "of the new task ids")->type_name("N");
  app.add_option("--backlog", options.backlog, "make this many expired rows first (a new file)")
      ->type_name("ROWS");
  app.add_option("--make-backlog", options.make_backlog, "make expired rows and end")
      ->type_name("ROWS");
  app.add_option(
         "--baseline", text.baseline,
         "run a store of old, to compare: monolith (one DELETE) or batch50k (50,000 rows a time)")
      ->type_name("WAY");
  app.add_flag("--engine-only", options.engine_only, "no producers; until SIGTERM or --duration");
  app.add_flag("--produce-only", options.produce_only, "no engine; it must run elsewhere");
  app.add_flag("--until-purged", options.until_purged, "go on until nothing is left to purge");
  app.add_flag("--until-drained", options.until_drained,
               "with --engine-only: end when the ring is empty");
  app.add_option("--acked", options.acked,
                 "file that gets each acknowledged task id, after the acknowledgement")
      ->type_name("FILE");
  app.add_option("--look-up", options.look_up, "at the end show this many tasks of the history")
      ->type_name("N");
}

/// An existing file cannot be but of the layout single, and the ways of old know no other.
inline Status choose_layout(const ReplayText& text, StoreOptions& store) {
  if (text.layout == "segmented" || text.layout == "single") {
    store.layout = text.layout == "single" ? Layout::kSingle : Layout::kSegmented;
  } else if (!text.layout.empty()) {
    return Status(Code::kInvalidArgument,
                  "--layout: '" + text.layout + "' is neither segmented nor single");
  } else if (!text.baseline.empty() || std::filesystem::is_regular_file(store.path)) {
    store.layout = Layout::kSingle;
  }
  if (!text.baseline.empty() && store.layout != Layout::kSingle) {
    return Status(Code::kInvalidArgument, "--baseline needs --layout single");
  }
  return Status();
}

/// What the words mean together. Errors: kInvalidArgument or kInvalidConfig; exit 2.
inline Status understand(const ReplayText& text, ReplayOptions& options) {
  const auto wrong = [](std::string what) {
    return Status(Code::kInvalidArgument, std::move(what));
  };
  if (!text.config.empty()) {
    auto loaded = load_options(text.config);
    if (!loaded.ok()) return loaded.status();
    options.engine = *std::move(loaded);
  }
  if (!text.data.empty()) options.engine.store.path = text.data;
  if (!text.ring.empty()) options.engine.ring.path = text.ring;
  if (text.keep_forever) options.engine.retention.keep_forever = true;
  if (!text.adopt.empty()) options.engine.store.adopt = text.adopt;
  if (Status status = choose_layout(text, options.engine.store); !status.ok()) return status;
  if (!text.rate.empty()) {
    const auto rate = parse_rate(text.rate);
    if (!rate.ok()) return rate.status().with_context("--rate");
    options.rate = *rate;
  }
  if (!text.duration.empty()) {
    const auto duration = parse_duration(text.duration);
    if (!duration.ok()) return duration.status().with_context("--duration");
    options.duration = *duration;
  }
  if (text.baseline == "monolith") {
    options.baseline = OldWay::kMonolith;
  } else if (text.baseline == "batch50k") {
    options.baseline = OldWay::kBatch50k;
  } else if (!text.baseline.empty()) {
    return wrong("--baseline: '" + text.baseline + "' is neither monolith nor batch50k");
  }
  if (options.engine_only && (options.produce_only || options.baseline)) {
    return wrong("--engine-only goes with neither --produce-only nor --baseline");
  }
  if (options.capture.empty() && !options.engine_only) {
    return wrong("CAPTURE is missing: a file of recorded events");
  }
  if (options.rate && options.duration.count() == 0 && options.records == 0) {
    return wrong("--rate needs an end: --duration or --records");
  }
  if (!options.rate && !options.engine_only &&
      (options.duration.count() > 0 || options.records > 0)) {
    return wrong("--duration and --records need --rate: without it the capture is played once");
  }
  return Status();
}

}  // namespace phlower::tools
