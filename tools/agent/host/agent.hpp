// The agent as a whole: what is made in which order, and how it ends. Start here.
#pragma once

#include <poll.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/host/agent_log.hpp"
#include "agent/host/agent_options.hpp"
#include "agent/host/event_loop.hpp"
#include "agent/host/plugin_engine.hpp"
#include "agent/host/reloads.hpp"
#include "agent/host/service_notify.hpp"
#include "agent/host/signal_fd.hpp"
#include "agent/host/told_options.hpp"
#include "agent/http/http_service.hpp"
#include "agent/source/counters.hpp"
#include "agent/source/source_kinds.hpp"
#include "phlower/config/options_yaml.hpp"

namespace phlower::agent {

/// The text of the engine's configuration; empty where none is named.
inline Result<std::string> engine_config_text(const AgentOptions& options) {
  if (options.plugin.config.empty()) return std::string();
  return read_config_text(options.plugin.config);
}

class Agent {
 public:
  /// `path`: the file of the options, which SIGHUP reads again.
  Agent(const AgentOptions& options, const std::string& path, Clock& clock,
        const PluginLibrary& library)
      : options_(options),
        path_(path),
        clock_(clock),
        logs_(options.log, clock),
        log_(logs_.part("agent")),
        notify_(clock),
        reloads_(counters_, clock.wall()),
        engine_(library, logs_.part("engine")) {}

  /// Runs until it is told to end. Errors: what kept it from starting or from ending in order.
  Status run() {
    if (Status status = start(); !status.ok()) return status;
    EventLoop loop(options_.loop, engine_, clock_, signals_, notify_, counters_, board_, errands_,
                   log_);
    if (Status status = start_http(); !status.ok()) return status;
    say_what_runs();
    notify_.ready("runs");
    const LoopEnd end = loop.run(sources_, [this] { reload(); });
    return finish(end);
  }

 private:
  Status start() {
    const Result<std::string> yaml = engine_config_text(options_);
    if (!yaml.ok()) return yaml.status();
    if (Status status = check_engine_config(engine_.library(), *yaml, options_.plugin.config);
        !status.ok()) {
      return status;
    }
    if (Status status = engine_.start(*yaml); !status.ok()) {
      return status.with_context("the engine does not start");
    }
    // The plugin has taken it. One of another version may know more than is known here.
    const auto known = parse_options<Options>(*yaml, options_.plugin.config);
    if (known.ok()) log_.info("{}", told_history(*known, engine_.stats()));
    auto sources = open_sources(options_, engine_, counters_, clock_, logs_);
    if (!sources.ok()) return sources.status();
    sources_ = *std::move(sources);
    return {};
  }

  void say_what_runs() {
    std::string names;
    for (const auto& source : sources_) {
      names.append(names.empty() ? ": " : ", ").append(source->name());
    }
    const std::string text = "phlower " + engine_.library().version() + " runs with " +
                             std::to_string(sources_.size()) +
                             (sources_.size() == 1 ? " source" : " sources") + names;
    if (!sources_.empty()) return log_.info("{}", text);
    log_.warn(
        "{}: it takes what other processes put into the ring; for Celery's events write "
        "redis.url or rabbitmq.url",
        text);
  }

  Status start_http() {
    if (options_.http.listen.empty()) return {};
    auto service = HttpService::open(options_.http, {engine_, counters_, board_, in_flight_},
                                     clock_, logs_.part("http"));
    if (!service.ok()) return service.status();
    http_ = *std::move(service);
    return {};
  }

  void reload() {
    notify_.reloading();
    std::string said;
    const Status status = reload_both(said);
    reloads_.done(status.ok(), clock_.wall());
    if (status.ok()) {
      log_.info("{}", said);
    } else {
      log_.error("not reloaded, the old configuration stays: {}", status.message());
    }
    notify_.ready(status.ok() ? "runs" : "runs, with the old configuration");
  }

  // Both files are read first: an error in one leaves all as it is.
  Status reload_both(std::string& said) {
    const auto own = load_options<AgentOptions>(path_);
    if (!own.ok()) return own.status();
    const Result<std::string> yaml = engine_config_text(options_);
    if (!yaml.ok()) return yaml.status();
    const std::string& name = options_.plugin.config;
    Status status = check_engine_config(engine_.library(), *yaml, name);
    std::string applied;
    std::string waiting;
    if (status.ok()) status = engine_.reload(*yaml, applied, waiting);
    if (!status.ok()) return status;
    said = "reloaded " + (name.empty() ? "the engine's defaults" : name) + ": " +
           (applied.empty() ? "nothing" : applied) + " changed" +
           (waiting.empty() ? "" : "; after a restart only: " + waiting) + "; " + path_ + ": ";
    const std::string own_changes = changed_keys(options_, *own);
    said += own_changes.empty() ? "nothing changed" : "after a restart only: " + own_changes;
    return {};
  }

  // What the sources have read goes into the ring as the engine makes room there.
  void hand_over_rest(LoopEnd end, MonoTime deadline) {
    constexpr Nanoseconds kBudget = Milliseconds(20);
    for (MonoTime now = clock_.mono(); end != LoopEnd::kEngineFailed && now < deadline;
         now = clock_.mono()) {
      bool all = true;
      for (const auto& source : sources_) all = source->hand_over(now) && all;
      if (all) break;
      phlower_tick_out out{};
      static_cast<void>(engine_.tick(kBudget, out));  // refused by an engine with its own thread
      ::poll(nullptr, 0, 1);
      notify_.alive(now);
    }
    for (const auto& source : sources_) source->give_up();
  }

  Status finish(LoopEnd end) {
    const MonoTime deadline = clock_.mono() + options_.loop.drain_deadline;
    log_.info("ends: {}", end == LoopEnd::kSignal        ? "asked to by a signal"
                          : end == LoopEnd::kSourceEnded ? "its input has ended"
                                                         : "the engine has failed");
    notify_.stopping("drains");
    errands_.close();
    if (http_) http_->set_draining();
    for (const auto& source : sources_) source->close();
    hand_over_rest(end, deadline);
    phlower_drain_out out{};
    std::uint64_t committed = 0;
    std::int32_t code = PHLOWER_OK;
    // In steps, so that the watchdog sees that it goes on.
    while (end != LoopEnd::kEngineFailed && clock_.mono() < deadline) {
      const Nanoseconds left = deadline - clock_.mono();
      code = engine_.drain(std::min<Nanoseconds>(left, Milliseconds(200)), out);
      committed += out.committed;
      notify_.alive(clock_.mono());
      const bool again = code == PHLOWER_OK || code == PHLOWER_E_BUSY;
      if (out.done != 0 || !again) break;
    }
    const phlower_stats stats = engine_.stats();
    if (http_) http_->stop();
    engine_.stop();
    const bool whole = out.done != 0;
    const std::string too_old =
        stats.too_old == 0 ? ""
                           : "; " + std::to_string(stats.too_old) +
                                 " were past their retention when they came, and are not stored";
    log_.info("ended: {} records accepted, {} committed, {} of them while draining{}{}",
              stats.accepted, stats.committed, committed, too_old,
              whole ? "" : "; what is left stays in the ring for the next start");
    if (end == LoopEnd::kEngineFailed) return {Code::kCorrupt, "the engine has failed"};
    return whole ? Status()
                 : Status(Code::kBusy, "not drained within loop.drain_deadline: " +
                                           std::to_string(out.left) + " records are in the ring");
  }

  const AgentOptions options_;
  const std::string path_;
  Clock& clock_;
  AgentLog logs_;
  Log log_;
  SignalFd signals_;
  ServiceNotify notify_;
  Counters counters_;
  SourceBoard board_;
  Errands errands_;
  Reloads reloads_;
  PluginEngine engine_;
  InFlight::Sources sources_;
  const InFlight in_flight_{errands_, sources_};
  std::unique_ptr<HttpService> http_;
};

}  // namespace phlower::agent
