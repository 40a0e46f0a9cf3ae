// A ring, a database, an engine and a producer in one folder of a test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "phlower/engine/engine.hpp"
#include "phlower/ring/producer.hpp"
#include "temp_dir.hpp"

namespace phlower::testing {

/// Small sizes, so that a test reaches the limits.
inline Options small_options(const TempDir& dir) {
  Options options;
  options.store.layout = Layout::kSingle;
  options.store.path = dir / "history.db";
  options.store.cache_bytes = 2 << 20;
  options.ring.path = dir / "ring";
  options.ring.size_bytes = 512 << 10;
  options.ring.chunk_bytes = 32 << 10;
  options.ring.lanes = 8;
  options.record.max_bytes = 8 << 10;
  options.record.traceback_max_bytes = 3 << 10;
  return options;
}

inline Record a_record(std::string task_id, double finished_at, std::string state = "SUCCESS") {
  Record record;
  record.task_id = std::move(task_id);
  record.task_name = "shop.orders.pack";
  record.state = std::move(state);
  record.received_at = finished_at - 2;
  record.started_at = finished_at - 1;
  record.finished_at = finished_at;
  record.runtime_ms = 1000;
  record.worker = "celery@shop-1";
  record.queue = "celery";
  record.args = "(1, 'two')";
  record.kwargs = "{'three': 3}";
  return record;
}

struct EngineRig {
  explicit EngineRig(Nanoseconds step_per_read = Microseconds(20), const std::string& where = {})
      : dir(where),
        options(small_options(dir)),
        clock(WallTime(Seconds(1'795'000'000)), step_per_read) {}

  void open() {
    auto opened = Engine::open(options, clock, log);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    engine = *std::move(opened);
  }
  void attach() {
    auto attached =
        Producer::attach(options.ring.path, options.record, options.ring.high_water_percent, clock);
    ASSERT_TRUE(attached.ok()) << attached.status().message();
    producer = *std::move(attached);
  }
  double now() { return to_unix_seconds(clock.wall()); }
  Status submit(const std::string& id, double finished_at) {
    return producer->submit(a_record(id, finished_at).view());
  }

  /// Ticks and lets time pass until nothing is left to do, at most `ticks` times.
  void settle(int ticks = 2000) {
    int idle = 0;  // in a row: the engine looks for what has expired only now and then
    for (int i = 0; i < ticks; ++i) {
      const TickReport report = engine->tick(Milliseconds(20));
      idle = report.may_wait ? idle + 1 : 0;
      if (!report.may_wait) continue;
      const bool rest = engine->drained() && engine->purge_backlog_rows() == 0;
      if (rest && engine->counts().exact && idle > 10) return;
      const Nanoseconds left = report.next_due - clock.mono();
      clock.advance(std::max(left, Nanoseconds(Microseconds(50))));
    }
  }

  TempDir dir;
  Options options;
  ManualClock clock;
  Log log;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Producer> producer;
};

}  // namespace phlower::testing
