// Our way: the engine in this process, ticked until the producers are done and the ring is empty.
#pragma once

#include <functional>

#include "cli/memory_use.hpp"
#include "phlower/engine/engine.hpp"
#include "replay/live.hpp"
#include "replay/result.hpp"

namespace phlower::tools {

/// When a run ends: `producing` says whether records still come, `stopped` whether a person wants
/// out. With `forever` only the latter counts.
struct RunUntil {
  std::function<bool()> producing;
  std::function<bool()> stopped;
  std::function<void()> begin = [] {};  // what waits for the ring to be there
  bool forever = false;
  bool until_purged = false;
};

class ReplayEngine {
 public:
  ReplayEngine(Clock& clock, Log log) : clock_(clock), log_(std::move(log)) {}

  /// Blocks until the run has ended.
  Status run(const Options& options, const RunUntil& until, Live& live, ReplayResult& result) {
    const MonoTime begin = clock_.mono();
    auto opened = Engine::open(options, clock_, log_);
    if (!opened.ok()) return opened.status();
    engine_ = *std::move(opened);
    found_ = engine_->ring_stats().unread;
    until.begin();
    Status status;
    bool purged = false;
    while (status.ok() && !ended(until)) {
      const TickReport tick = engine_->tick(Milliseconds(20));
      if (result.first_commit_ms < 0 && engine_->stats().committed > 0) {
        result.first_commit_ms = to_ms(static_cast<std::uint64_t>((clock_.mono() - begin).count()));
      }
      purged |= tick.purged > 0;
      if (result.purged_ms < 0 && purged && engine_->purge_backlog_rows() == 0) {
        result.purged_ms = to_ms(static_cast<std::uint64_t>((clock_.mono() - begin).count()));
      }
      if (is_fatal(tick.status)) status = tick.status;
      if (engine_->health().health == Health::kFailed && status.ok()) {
        status = Status(Code::kIo, engine_->health().reason);  // nothing will be stored any more
      }
      result.rss_bytes_max = std::max(result.rss_bytes_max, sampled_memory());
      if (live.due(clock_.mono())) show(live, clock_.mono() - begin);
      engine_->wait(tick);
    }
    report(result);
    result.elapsed_s = std::chrono::duration<double>(clock_.mono() - begin).count();
    return status;
  }

  Engine& engine() { return *engine_; }

 private:
  bool ended(const RunUntil& until) {
    if (until.stopped()) return true;
    if (until.forever || until.producing()) return false;
    if (!engine_->drained()) return false;
    return !until.until_purged || engine_->purge_backlog_rows() == 0;
  }

  // Reading /proc costs some microseconds; ten times a second is enough to see a growth.
  std::uint64_t sampled_memory() {
    const MonoTime now = clock_.mono();
    if (now < next_sample_) return 0;
    next_sample_ = now + Milliseconds(100);
    return resident_bytes();
  }

  void show(Live& live, Nanoseconds elapsed) {
    const EngineStats& stats = engine_->stats();
    live.show({elapsed, stats.committed, engine_->ring_stats().fill, stats.flush_age.quantile(0.99),
               stats.hold.max(), engine_->purge_backlog_rows(), engine_->health().reason});
  }

  void report(ReplayResult& result) {
    const EngineStats& stats = engine_->stats();
    const StoreFigures figures = engine_->figures();
    result.found = found_ + stats.salvaged;
    result.committed = stats.committed;
    result.too_old = stats.too_old;
    result.in_ring = engine_->ring_stats().unread;
    result.purged = figures.purged_invocations;
    result.purged_details = figures.purged_details;
    result.purge_left = figures.expired_rows;
    result.wal_bytes_max = figures.log_bytes_max;
    result.ring_fill_max = stats.ring_fill_max;
    result.flush_age = stats.flush_age;
    result.hold = stats.hold;
    const HealthReport health = engine_->health();
    result.health = std::string(health_name(health.health));
    if (!health.reason.empty()) result.health += ": " + health.reason;
  }

  Clock& clock_;
  Log log_;
  std::unique_ptr<Engine> engine_;
  std::uint64_t found_ = 0;
  MonoTime next_sample_{};
};

}  // namespace phlower::tools
