// An engine inside a host that nobody here wrote: START HERE for the plugin. What the functions of
// plugin.h do once their arguments are checked.
#pragma once

#include <sys/eventfd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "handles.hpp"
#include "helper.hpp"
#include "host_services.hpp"
#include "lanes.hpp"
#include "phlower/config/live_options.hpp"
#include "phlower/config/options_yaml.hpp"
#include "phlower/engine/engine.hpp"
#include "reads.hpp"
#include "snapshot.hpp"
#include "turns.hpp"

namespace phlower::plugin {

/// Thread safety: as plugin.h says for the function of the same name; calls that it wants one at a
/// time wait for each other here.
class alignas(64) HostedEngine {
 public:
  HostedEngine(Options options, const phlower_host& host)
      : host_(host),
        options_(std::move(options)),
        clock_(host_),
        log_(host_sink(host_), clock_, log_level(options_)),
        reads_(clock_, machine_, log_) {}
  HostedEngine(const HostedEngine&) = delete;
  HostedEngine& operator=(const HostedEngine&) = delete;
  ~HostedEngine() {
    static_cast<void>(stop());
    const int fd = event_fd_.load();
    if (fd >= 0) ::close(fd);
  }

  /// kForked in a child of the process that started it. One that was not started goes with the
  /// child: hosts read their configuration, then fork.
  Status check_process() {
    if (!mark_.forked()) return Status();
    if (state_.load() == State::kRunning) {
      return Status(Code::kForked, "this engine was started before the fork; make one of your own");
    }
    mark_.set();
    return Status();
  }

  Status start() {
    const Turns::Turn turn(turns_);
    helper_.wait();
    if (state_.load() == State::kRunning) return wrong_state("is started already");
    if (event_fd_.load() < 0) {
      const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (fd < 0) return Status::from_errno("eventfd");
      event_fd_.store(fd);
    }
    auto engine = Engine::open(options_, clock_, log_);
    if (!engine.ok()) return engine.status();
    engine_ = *std::move(engine);
    failed_ = Status();
    publisher_.emplace(shared_, options_.store.path);
    publish();
    draining_.store(false);
    reads_.open(options_.store.path, options_.retention);
    set_running(true);
    lanes_.open(options_, clock_);
    if (options_.plugin.own_thread) {
      thread_ = quiet_thread([this] { run(); });
    } else if (options_.store.helper_thread) {
      helper_.when_late([this] { static_cast<void>(wake()); });
      ticked_ = false;
      helper_.start();
    }
    return Status();
  }

  Status tick(Nanoseconds budget, phlower_tick_out& out) {
    const Turns::Turn turn(turns_);
    if (Status status = running(); !status.ok()) return status;
    if (thread_.joinable()) return wrong_state("has a thread of its own (plugin.own_thread)");
    clear_event();
    if (!failed_.ok()) {  // for good: no work, and no waiting for a thread to say so
      publish();
      return failed_;
    }
    const MonoTime begin = machine_.mono();
    const Nanoseconds measure = budget > Nanoseconds(0) ? budget : kHostBudget;
    if (!helper_.runs()) {
      done_ = done_tick(measure);
    } else if (!tick_by_helper(budget)) {
      out.wait_ns = count(options_.schedule.flush_age);  // or until the event says that it is done
      out.spent_ns = count(machine_.mono() - begin);
      return Status();
    }
    const DoneTick done = std::exchange(done_, DoneTick());
    out.more_work = done.report.may_wait ? 0 : 1;
    const Nanoseconds left = done.report.next_due - clock_.mono();
    if (done.report.may_wait && left > Nanoseconds(0)) out.wait_ns = count(left);
    out.wait_ns = std::min(out.wait_ns, count(options_.schedule.flush_age));
    out.spent_ns = count(machine_.mono() - begin);
    out.over_budget_ns = count(Nanoseconds(out.spent_ns) - measure);
    out.committed = done.committed;
    out.purged = done.report.purged;
    if (is_fatal(done.report.status)) failed_ = done.report.status;
    return failed_;
  }

  int event_fd() const { return state_.load() == State::kRunning ? event_fd_.load() : -1; }

  /// Async-signal-safe as far as the host's own callback is.
  Status wake() {
    const int fd = event_fd();
    if (fd < 0) return Status(Code::kWrongState);
    const std::uint64_t one = 1;
    static_cast<void>(!::write(fd, &one, sizeof one));
    if (host_.wake != nullptr) host_.wake(host_.ctx);
    return Status();
  }

  Status submit(std::uint32_t lane, const RecordView& record, bool whole) {
    if (draining_.load(std::memory_order_relaxed)) {          // relaxed: sooner or later is enough
      refused_here_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a counter
      return Status(Code::kRefused);
    }
    bool shedding = false;
    Status status = lanes_.submit(lane, record, whole, shedding);
    // Relaxed is enough: one wake-up too many or a tick later does no harm.
    if (shedding && !signalled_.exchange(true, std::memory_order_relaxed)) {
      static_cast<void>(wake());
    }
    return status;
  }

  Status flush(Nanoseconds within, phlower_drain_out& out) {
    const Turns::Turn turn(turns_);
    helper_.wait();
    if (Status status = running(); !status.ok()) return status;
    return flush_now(within, out);
  }

  Status drain(Nanoseconds within, phlower_drain_out& out) {
    const Turns::Turn turn(turns_);
    helper_.wait();
    if (Status status = running(); !status.ok()) return status;
    draining_.store(true);
    shared_.change([](Snapshot& value) { value.draining = true; });
    Status status = flush_now(within, out);
    if (out.done == 0) return status;
    finish_store();
    publish();
    return status;
  }

  /// All that changed is named in the report, by index of option_keys.
  Status reload(std::string_view yaml, phlower_reload_report& report) {
    auto parsed = parse_options(yaml, "yaml");
    if (!parsed.ok()) return parsed.status();
    const Turns::Turn turn(turns_);
    helper_.wait();
    sort_changes(*parsed, report);
    take_live_options(options_, *parsed);
    reads_.set_retention(options_.retention);
    log_.set_level(log_level(options_));
    return engine_ ? engine_->set_limits(options_) : Status();
  }

  /// Ends the thread and closes everything. What is in the ring stays there.
  Status stop() {
    ending_.store(true);
    {
      const Turns::Turn turn(turns_);
      if (state_.load() == State::kRunning) {
        set_running(false);
        lanes_.close();
      }
    }
    if (thread_.joinable()) thread_.join();
    const Turns::Turn turn(turns_);
    helper_.stop();
    ending_.store(false);
    try {  // the destructor comes through here, too
      if (engine_) publish();
    } catch (...) {
    }
    engine_.reset();
    reads_.close();
    return Status();
  }

  /// Calls visit(snapshot) under its lock.
  template <class Visit>
  auto figures(Visit&& visit) {
    return shared_.read([&](const Snapshot& value) { return visit(value); });
  }
  std::uint64_t refused_here() const { return refused_here_.load(); }
  MonoTime now() { return clock_.mono(); }

  Clock& machine() noexcept { return machine_; }
  Reads& reads() noexcept { return reads_; }

 private:
  enum class State : std::uint8_t { kIdle, kRunning };

  static constexpr Nanoseconds kThreadBudget = Milliseconds(20);
  static constexpr Nanoseconds kHostBudget = Milliseconds(5);  // of a host that names none

  static std::uint64_t count(Nanoseconds span) {
    return span > Nanoseconds(0) ? static_cast<std::uint64_t>(span.count()) : 0;
  }
  static LogLevel log_level(const Options& options) {
    const auto level = parse_log_level(options.log.level);
    return level.ok() ? *level : LogLevel::kInfo;  // it was checked when it was read
  }
  static Status wrong_state(const char* what) {
    return Status(Code::kWrongState, std::string("the engine ") + what);
  }
  Status running() const {
    return state_.load() == State::kRunning ? Status() : wrong_state("is not started");
  }
  void set_running(bool now) {
    state_.store(now ? State::kRunning : State::kIdle);
    shared_.change([&](Snapshot& value) {
      value.running = now;
      value.draining = false;
    });
  }

  /// What a tick did, wherever it ran.
  struct DoneTick {
    TickReport report;
    std::uint64_t committed = 0;
  };

  DoneTick done_tick(Nanoseconds budget) {
    DoneTick done;
    const std::uint64_t committed_before = engine_->stats().committed;
    done.report = tick_once(budget);
    done.committed = engine_->stats().committed - committed_before;
    return done;
  }
  // False: it takes longer than the budget, and goes on.
  bool tick_by_helper(Nanoseconds budget) {
    if (helper_.busy()) return helper_.wait(Nanoseconds(0));
    // Who does not wait is not kept from anything: a longer turn costs nobody time.
    const Nanoseconds work = budget > Nanoseconds(0) ? budget : kThreadBudget;
    if (!ticked_) helper_.post([this, work] { done_ = done_tick(work); });
    ticked_ = !helper_.wait(budget);
    return !ticked_;
  }

  // Nothing may come out of the plugin's own threads: it would end the host.
  TickReport tick_once(Nanoseconds budget) noexcept {
    TickReport report = engine_->tick(budget);
    // Without memory for new figures the last ones stay, and health tells their age.
    try {
      const bool due = publisher_->after_tick(clock_.mono(), report.spent - budget, *engine_);
      if (due || is_fatal(report.status)) publish();
    } catch (...) {
    }
    return report;
  }
  void publish() { publisher_->publish(*engine_, lanes_.times(), clock_.mono()); }

  // Waits between ticks, so the caller's thread sleeps. The deadline is the machine's time: a clock
  // of the host's own may stand still.
  Status flush_now(Nanoseconds within, phlower_drain_out& out) {
    const MonoTime deadline = machine_.mono() + within;
    const MonoTime begin = clock_.mono();
    const std::uint64_t committed = engine_->stats().committed;
    Status fatal;
    bool done = engine_->flushed(begin);
    while (!done && fatal.ok() && machine_.mono() < deadline) {
      const TickReport report = tick_once(kThreadBudget);
      if (is_fatal(report.status)) fatal = report.status;
      done = engine_->flushed(begin);
      if (!done) engine_->wait(report);
    }
    publish();
    out.done = engine_->drained() ? 1 : 0;
    out.committed = engine_->stats().committed - committed;
    out.left = engine_->ring_stats().unread;
    if (!fatal.ok()) return fatal;
    return done ? Status() : Status(Code::kBusy, "not all of it was committed in time");
  }

  // One log at a time. What does not get on (a reader, a full disk) keeps nothing from ending.
  void finish_store() {
    constexpr int kSteps = 16;  // more logs than are ever open
    for (int i = 0; i < kSteps; ++i) {
      const auto done = engine_->finish_some();
      if (!done.ok()) log_.warn("{}", done.status().message());
      if (!done.ok() || *done) return;
    }
  }

  void clear_event() {
    signalled_.store(false, std::memory_order_relaxed);  // relaxed: see `submit`
    std::uint64_t ignored = 0;
    static_cast<void>(!::read(event_fd_.load(), &ignored, sizeof ignored));
  }

  void run() {
    while (!ending_.load()) {
      const Turns::Turn turn(turns_, true);
      if (ending_.load()) break;
      clear_event();
      const TickReport report = tick_once(kThreadBudget);
      if (turns_.wanted() || ending_.load()) continue;
      try {
        engine_->wait(report);
      } catch (...) {  // a clock of the host's that throws: the next tick meets it too, and says so
      }
    }
  }

  void sort_changes(const Options& wanted, phlower_reload_report& report) const {
    const auto texts = [](const Options& options) {
      std::vector<std::string> all;
      visit_options(options, [&](std::string_view, const auto& value, auto kind) {
        all.push_back(field::write(value, kind));
      });
      return all;
    };
    const std::vector<std::string> is = texts(options_);
    const std::vector<std::string> will = texts(wanted);
    const std::vector<std::string_view> keys = option_keys();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (is[i] == will[i]) continue;
      (is_live_option(keys[i]) ? report.applied : report.needs_restart) |= std::uint64_t{1} << i;
    }
  }

  const phlower_host host_;
  Options options_;  // changed in a turn
  HostClock clock_;
  SystemClock machine_;  // for what a host waits, whatever its clock says
  Log log_;
  ForkMark mark_;
  Turns turns_;
  SharedSnapshot shared_;
  std::atomic<State> state_{State::kIdle};
  std::atomic<bool> ending_{false};
  std::atomic<bool> draining_{false};
  std::atomic<bool> signalled_{false};
  std::atomic<std::uint64_t> refused_here_{0};
  std::atomic<int> event_fd_{-1};
  Lanes lanes_;
  std::unique_ptr<Engine> engine_;
  std::optional<Publisher> publisher_;
  Reads reads_;
  std::thread thread_;
  Helper helper_;
  DoneTick done_;        // the helper's while it is busy
  Status failed_;        // what a tick ended with for good
  bool ticked_ = false;  // the helper was given a tick whose end the host has not seen
};

}  // namespace phlower::plugin
