// The agent as a whole: what is made in which order, and how it ends. Start here.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent_log.hpp"
#include "agent_options.hpp"
#include "capture_source.hpp"
#include "counters.hpp"
#include "event_loop.hpp"
#include "http_service.hpp"
#include "phlower/config/options_yaml.hpp"
#include "plugin_engine.hpp"
#include "rabbitmq_source.hpp"
#include "redis_source.hpp"
#include "service_notify.hpp"
#include "signal_fd.hpp"
#include "socket_source.hpp"
#include "stdin_source.hpp"

namespace phlower::agent {

/// The text of the engine's configuration; empty where none is named.
inline Result<std::string> engine_config_text(const AgentOptions& options) {
  if (options.plugin.config.empty()) return std::string();
  return read_config_text(options.plugin.config);
}

class Agent {
 public:
  Agent(const AgentOptions& options, Clock& clock, const PluginLibrary& library)
      : options_(options),
        clock_(clock),
        logs_(options.log, clock),
        log_(logs_.part("agent")),
        notify_(clock),
        engine_(library, logs_.part("engine")) {}

  /// Runs until it is told to end. Errors: what kept it from starting or from ending in order.
  Status run() {
    if (Status status = start(); !status.ok()) return status;
    EventLoop loop(options_.loop, engine_, clock_, signals_, notify_, counters_, log_);
    if (Status status = start_http(); !status.ok()) return status;
    log_.info("phlower {} runs with {} source{}", engine_.library().version(), sources_.size(),
              sources_.size() == 1 ? "" : "s");
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
    return open_sources();
  }

  template <class SourceT, class... Args>
  Status open(Args&&... args) {
    auto source = SourceT::open(std::forward<Args>(args)...);
    if (!source.ok()) return source.status();
    sources_.push_back(*std::move(source));
    return {};
  }

  template <class SourceT>
  Status open_broker(const char* name) {
    const Log log = logs_.part(name);
    return open<SourceT>(BrokerParts{options_, engine_, counters_, clock_, log});
  }

  Status open_sources() {
    const AgentOptions& o = options_;
    Status status;
    if (!o.redis.url.empty()) status = open_broker<RedisSource>("redis");
    if (status.ok() && !o.rabbitmq.url.empty()) status = open_broker<RabbitmqSource>("rabbitmq");
    if (status.ok() && !o.socket.path.empty()) {
      status = open<SocketSource>(o.socket, engine_, counters_, logs_.part("socket"));
    }
    if (status.ok() && !o.capture.path.empty()) {
      status = open<CaptureSource>(o, engine_, counters_, logs_.part("capture"));
    }
    if (status.ok() && o.standard_input.enabled) {
      sources_.push_back(
          std::make_unique<StdinSource>(o.standard_input, engine_, counters_, logs_.part("stdin")));
    }
    return status;
  }

  Status start_http() {
    if (options_.http.listen.empty()) return {};
    auto service = HttpService::open(options_.http, engine_, counters_, clock_, logs_.part("http"));
    if (!service.ok()) return service.status();
    http_ = *std::move(service);
    return {};
  }

  void reload() {
    notify_.reloading();
    const Result<std::string> yaml = engine_config_text(options_);
    const std::string& name = options_.plugin.config;
    Status status = yaml.ok() ? check_engine_config(engine_.library(), *yaml, name) : yaml.status();
    std::string applied;
    std::string waiting;
    if (status.ok()) status = engine_.reload(*yaml, applied, waiting);
    if (!status.ok()) {
      log_.error("not reloaded, the old configuration stays: {}", status.message());
    } else {
      log_.info("reloaded {}: {} changed{}{}", name, applied.empty() ? "nothing" : applied,
                waiting.empty() ? "" : "; after a restart only: ", waiting);
    }
    notify_.ready(status.ok() ? "runs" : "runs, with the old configuration");
  }

  Status finish(LoopEnd end) {
    const MonoTime deadline = clock_.mono() + options_.loop.drain_deadline;
    log_.info("ends: {}", end == LoopEnd::kSignal        ? "asked to by a signal"
                          : end == LoopEnd::kSourceEnded ? "its input has ended"
                                                         : "the engine has failed");
    notify_.stopping("drains");
    if (http_) http_->set_draining();
    for (const auto& source : sources_) source->close();
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
    log_.info("ended: {} records accepted, {} committed, {} of them while draining{}",
              stats.accepted, stats.committed, committed,
              whole ? "" : "; what is left stays in the ring for the next start");
    if (end == LoopEnd::kEngineFailed) return {Code::kCorrupt, "the engine has failed"};
    return whole ? Status()
                 : Status(Code::kBusy, "not drained within loop.drain_deadline: " +
                                           std::to_string(out.left) + " records are in the ring");
  }

  const AgentOptions options_;
  Clock& clock_;
  AgentLog logs_;
  Log log_;
  SignalFd signals_;
  ServiceNotify notify_;
  Counters counters_;
  PluginEngine engine_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::unique_ptr<HttpService> http_;
};

}  // namespace phlower::agent
