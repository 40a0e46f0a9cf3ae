// phlower-replay: recorded Celery events into an engine, once or as a spike at any rate, in the old
// ways or in ours.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/cli.hpp"
#include "cli/signals.hpp"
#include "phlower/ground/clock.hpp"
#include "replay/backlog.hpp"
#include "replay/baseline.hpp"
#include "replay/capture.hpp"
#include "replay/engine.hpp"
#include "replay/look_up.hpp"
#include "replay/options.hpp"
#include "replay/producers.hpp"
#include "replay/result.hpp"

namespace phlower::tools {
namespace {

/// Expired rows end this long ago: past both retentions, with a day to spare.
constexpr Nanoseconds kBacklogAge = std::chrono::hours(156);

Production production_of(const ReplayOptions& options) {
  Production plan;
  plan.ring_path = options.engine.ring.path;
  plan.limits = options.engine.record;
  plan.high_water_percent = options.engine.ring.high_water_percent;
  plan.producers = options.producers;
  plan.once = !options.rate.has_value();
  plan.unlimited = options.rate && options.rate->unlimited;
  plan.rate = options.rate ? options.rate->per_second : 0;
  plan.records = options.records;
  plan.duration = options.duration;
  plan.seed = options.seed;
  plan.acked_path = options.acked;
  return plan;
}

Status make_backlog_file(const ReplayOptions& options, std::uint64_t rows, const Capture& capture,
                         Clock& clock) {
  const std::string& path = options.engine.store.path;
  if (std::filesystem::exists(path)) {
    return Status(Code::kInvalidArgument, path + ": exists already; a backlog needs a new one");
  }
  if (!options.common.quiet) {
    std::fprintf(stderr, "making %s expired rows in %s\n", format_count(rows).c_str(),
                 path.c_str());
  }
  // In a process of its own, so that its memory does not count as the engine's.
  const pid_t child = ::fork();
  if (child < 0) return Status::from_errno("fork");
  if (child == 0) {
    const Status status =
        options.engine.store.layout == Layout::kSingle
            ? make_backlog(path, rows, kBacklogAge, capture.ended, clock)
            : make_backlog_segments(options.engine, rows, kBacklogAge, capture.ended, clock);
    if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    ::_exit(status.ok() ? 0 : 1);
  }
  int ended = 0;
  ::waitpid(child, &ended, 0);
  return ended == 0 ? Status() : Status(Code::kIo, path + ": the backlog was not made");
}

void add_producers(const Producers& producers, ReplayResult& result) {
  producers.for_each([&](const ProducerReport& report) {
    result.offered += report.offered.load();  // seq_cst; the writers have ended
    result.accepted += report.accepted.load();
    result.refused += report.refused.load();
    result.shed += report.shed.load();
    result.submit.merge(report.submit_ns);
    if (report.failed.load() && result.failure.empty()) result.failure = report.failure;
  });
}

LogSink to_stderr() {
  return [](LogLevel level, std::string_view text) {
    std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(log_level_name(level).size()),
                 log_level_name(level).data(), static_cast<int>(text.size()), text.data());
  };
}

Status run(const ReplayOptions& options, const Capture& capture, ReplayResult& result) {
  SystemClock clock;
  Producers producers;
  if (!options.engine_only) {
    const auto& templates = options.rate ? capture.ended : capture.records;
    if (Status status = producers.start(production_of(options), templates); !status.ok()) {
      return status;
    }
  }
  const MonoTime begin = clock.mono();
  const bool timed = options.engine_only && options.duration.count() > 0;
  RunUntil until;
  until.producing = [&] { return producers.running(); };
  until.stopped = [&] {
    return stop_requested() || (timed && clock.mono() - begin >= options.duration);
  };
  until.begin = [&] { producers.go(); };
  until.forever = options.engine_only && !options.until_drained;
  until.until_purged = options.until_purged;
  Live live(options.common.quiet);
  Status status;
  if (options.produce_only) {
    producers.go();
    while (producers.running() && !stop_requested()) std::this_thread::sleep_for(Milliseconds(20));
    result.elapsed_s = std::chrono::duration<double>(clock.mono() - begin).count();
  } else if (options.baseline) {
    status = ReplayBaseline(*options.baseline, clock).run(options.engine, until, live, result);
  } else {
    const auto level = parse_log_level(options.engine.log.level);
    ReplayEngine engine(clock, Log(to_stderr(), clock, level.ok() ? *level : LogLevel::kInfo));
    status = engine.run(options.engine, until, live, result);
    if (status.ok() && options.look_up > 0 && !capture.ended.empty()) {
      status = look_up(engine.engine(), capture.ended.front().task_name, options.look_up);
    }
  }
  producers.stop();
  producers.wait();
  add_producers(producers, result);
  return status;
}

int finish(const ReplayOptions& options, const Status& status, ReplayResult& result) {
  if (!status.ok()) result.failure = status.message();
  // Apart from the engine the producers' counts cannot be compared with anything.
  const bool whole = !options.engine_only && !options.produce_only;
  // A run that failed before its first record has nothing to show but the reason.
  const bool began = result.failure.empty() || result.offered + result.committed > 0;
  if (!options.common.quiet && began) std::fputs(to_table(result, whole).c_str(), stdout);
  if (options.common.json) std::printf("%s\n", to_json(result, whole).dump().c_str());
  if (!result.failure.empty()) {
    std::fprintf(stderr, "phlower-replay: %s\n", result.failure.c_str());
    return kExitProblem;
  }
  return whole && !result.sums_hold() ? kExitProblem : kExitDone;
}

int check_config(const ReplayOptions& options) {
  const auto loaded = load_options(options.check_config);
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\n", std::string(loaded.status().message()).c_str());
    return kExitUsage;
  }
  if (!options.common.quiet) std::printf("%s: good\n", options.check_config.c_str());
  return kExitDone;
}

int replay(int argc, char** argv) {
  ReplayOptions options;
  ReplayText text;
  CLI::App app("Plays recorded Celery events into Phlower.", "phlower-replay");
  declare(app, options, text);
  if (const auto exit = parse_command_line(app, argc, argv, options.common, kReplayExamples)) {
    return *exit;
  }
  if (!options.check_config.empty()) return check_config(options);
  if (const Status status = understand(text, options); !status.ok()) {
    return usage_error("phlower-replay", status);
  }
  catch_signals();
  SystemClock clock;
  Capture capture;
  ReplayResult result;
  Status status;
  if (!options.capture.empty()) {
    auto read = read_capture(options.capture, options.engine.celery, clock);
    status = read.status();
    if (read.ok()) capture = *std::move(read);
    if (status.ok() && capture.ended.empty()) {
      status = Status(Code::kNotFound, options.capture + ": no task that ended in it");
    }
  }
  const std::uint64_t rows = std::max(options.backlog, options.make_backlog);
  if (status.ok() && rows > 0) status = make_backlog_file(options, rows, capture, clock);
  if (status.ok() && options.make_backlog > 0) return kExitDone;
  if (status.ok()) status = run(options, capture, result);
  return finish(options, status, result);
}

}  // namespace
}  // namespace phlower::tools

int main(int argc, char** argv) { return phlower::tools::replay(argc, argv); }
