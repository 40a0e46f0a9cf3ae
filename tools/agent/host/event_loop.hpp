// The agent's loop: one thread that takes turns between sources and the engine's ticks.
#pragma once

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "agent/host/agent_options.hpp"
#include "agent/host/errands.hpp"
#include "agent/host/plugin_engine.hpp"
#include "agent/host/service_notify.hpp"
#include "agent/host/signal_fd.hpp"
#include "agent/source/counters.hpp"
#include "agent/source/source.hpp"
#include "agent/source/source_health.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"

namespace phlower::agent {

/// Why the loop ended.
enum class LoopEnd : std::uint8_t { kSignal, kSourceEnded, kEngineFailed };

/// Waits for descriptors, deadlines and signals; serves what is due; nothing in it waits for
/// anything else, but that a tick waits for the disk.
class EventLoop {
 public:
  EventLoop(const LoopOptions& options, PluginEngine& engine, Clock& clock, SignalFd& signals,
            ServiceNotify& notify, Counters& counters, SourceBoard& board, Errands& errands,
            Log log)
      : options_(options),
        engine_(engine),
        clock_(clock),
        signals_(signals),
        notify_(notify),
        board_(board),
        errands_(errands),
        log_(std::move(log)),
        ticks_(counters.make("phlower_agent_ticks_total", "Ticks of the engine.", "")),
        tick_over_(counters.make("phlower_agent_tick_over_budget_nanoseconds_total",
                                 "Time by which ticks were longer than loop.tick_budget.", "")),
        tick_max_(counters.make("phlower_agent_tick_max_nanoseconds", "The longest tick so far.",
                                "", CountKind::kGauge)) {}

  /// Runs until there is a reason to end. `reload` is called for SIGHUP.
  LoopEnd run(const std::vector<std::unique_ptr<Source>>& sources,
              const std::function<void()>& reload) {
    std::vector<pollfd> fds;
    std::vector<std::size_t> begins(sources.size() + 1);
    bool more = true;
    for (;;) {
      fds.assign({pollfd{signals_.fd(), POLLIN, 0}, pollfd{engine_.event_fd(), POLLIN, 0},
                  pollfd{errands_.fd(), POLLIN, 0}});
      for (std::size_t i = 0; i < sources.size(); ++i) {
        begins[i] = fds.size();
        sources[i]->watches(fds);
      }
      begins[sources.size()] = fds.size();
      wait(fds, more ? Nanoseconds(0) : until_due(sources));
      const MonoTime now = clock_.mono();
      notify_.alive(now);
      while (fds[0].revents != 0) {
        const int signal = signals_.take();
        if (signal == 0) break;
        if (signal != SIGHUP) return LoopEnd::kSignal;
        reload();
      }
      more = false;
      for (std::size_t i = 0; i < sources.size(); ++i) {
        const std::span<const pollfd> found(fds.data() + begins[i], begins[i + 1] - begins[i]);
        more = sources[i]->turn(found, now) || more;
        if (sources[i]->ends_agent()) return LoopEnd::kSourceEnded;
      }
      if (now >= board_due_) show(sources, now);
      if (fds[2].revents != 0) errands_.run();
      if (now >= tick_due_ || fds[1].revents != 0) {
        if (!tick()) return LoopEnd::kEngineFailed;
      }
    }
  }

 private:
  Nanoseconds until_due(const std::vector<std::unique_ptr<Source>>& sources) {
    const MonoTime now = clock_.mono();
    MonoTime due = now + Seconds(1);
    if (notify_.period().count() > 0) due = std::min(due, now + notify_.period());
    if (!own_thread_) due = std::min(due, tick_due_);
    for (const auto& source : sources) {
      if (const auto wanted = source->due()) due = std::min(due, *wanted);
    }
    return due > now ? due - now : Nanoseconds(0);
  }

  void show(const std::vector<std::unique_ptr<Source>>& sources, MonoTime now) {
    board_due_ = now + Seconds(1);
    std::vector<SourceHealth> all;
    all.reserve(sources.size());
    for (const auto& source : sources) all.push_back(source->health());
    board_.set(std::move(all));
  }

  static void wait(std::vector<pollfd>& fds, Nanoseconds time) {
    const timespec limit{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
    if (::ppoll(fds.data(), fds.size(), &limit, nullptr) >= 0) return;
    for (pollfd& fd : fds) fd.revents = 0;
  }

  // False: the engine will never work again.
  bool tick() {
    if (own_thread_) return true;
    phlower_tick_out out{};
    const std::int32_t code = engine_.tick(options_.tick_budget, out);
    const MonoTime now = clock_.mono();
    if (code == PHLOWER_E_STATE) {
      log_.info("the engine has a thread of its own and gets no ticks");
      own_thread_ = true;
      tick_due_ = MonoTime::max();
      return true;
    }
    ticks_.add();
    tick_over_.add(out.over_budget_ns);
    tick_max_.set(std::max(tick_max_.get(), out.spent_ns));
    const std::uint64_t wait_ns = std::min<std::uint64_t>(out.wait_ns, 1'000'000'000);
    tick_due_ = out.more_work != 0 ? now : now + Nanoseconds(static_cast<std::int64_t>(wait_ns));
    if (code == PHLOWER_OK) return true;
    log_.error("the engine has failed: {}: {}", engine_.calls().strerror(code),
               std::string(engine_.health().reason));
    return false;
  }

  const LoopOptions options_;
  PluginEngine& engine_;
  Clock& clock_;
  SignalFd& signals_;
  ServiceNotify& notify_;
  SourceBoard& board_;
  Errands& errands_;
  Log log_;
  Count& ticks_;
  Count& tick_over_;
  Count& tick_max_;
  MonoTime tick_due_{};
  MonoTime board_due_{};
  bool own_thread_ = false;
};

}  // namespace phlower::agent
