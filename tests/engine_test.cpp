// The engine as a whole, on a clock that the test moves.
#include "phlower/engine/engine.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "phlower/sqlite/sqlite.hpp"
#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"
#include "support/store_content.hpp"

namespace phlower {
namespace {

using testing::EngineRig;

TEST(Engine, StoresWhatProducersSubmit) {
  EngineRig rig;
  rig.open();
  rig.attach();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(rig.submit("task-" + std::to_string(i), rig.now()).ok());
  }
  rig.settle();
  EXPECT_EQ(rig.engine->stats().committed, 500u);
  EXPECT_EQ(rig.engine->counts().invocations, 500u);
  EXPECT_TRUE(rig.engine->counts().exact);
  const auto found = rig.engine->get("task-77");
  ASSERT_TRUE(found.ok()) << found.status().message();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->state, "SUCCESS");
  EXPECT_EQ((*found)->args, "(1, 'two')");
  const auto listed = rig.engine->list_by_task("shop.orders.pack", 10);
  ASSERT_TRUE(listed.ok());
  EXPECT_EQ(listed->size(), 10u);
}

TEST(Engine, KeepsBothSumsWhenTheRingOverflows) {
  EngineRig rig;
  rig.open();
  rig.attach();
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  for (int i = 0; i < 5000; ++i) {
    const Status status = rig.submit("task-" + std::to_string(i), rig.now());
    status.ok() ? ++accepted : ++refused;
  }
  ASSERT_GT(refused, 0u) << "the ring was not filled: this proves nothing";
  const RingStats full = rig.engine->ring_stats();
  EXPECT_EQ(full.offered, 5000u);
  EXPECT_EQ(full.accepted, accepted);
  EXPECT_EQ(full.refused(), refused);
  rig.settle();
  const RingStats empty = rig.engine->ring_stats();
  EXPECT_EQ(empty.offered, empty.accepted + empty.refused());
  EXPECT_EQ(empty.accepted, rig.engine->stats().committed + empty.unread);
  EXPECT_EQ(rig.engine->stats().committed, accepted);
  EXPECT_GT(empty.shed, 0u);
  EXPECT_TRUE(rig.submit("after", rig.now()).ok());
}

TEST(Engine, TakesUpWhereTheLastOneEnded) {
  EngineRig rig(Microseconds(200));
  rig.open();
  rig.attach();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(rig.submit("task-" + std::to_string(i), rig.now()).ok());
  }
  rig.clock.advance(Seconds(1));
  rig.engine->tick(Milliseconds(3));  // some of them
  const std::uint64_t before = rig.engine->stats().committed;
  ASSERT_GT(before, 0u);
  ASSERT_LT(before, 300u);
  rig.engine.reset();
  rig.open();
  rig.settle();
  EXPECT_EQ(before + rig.engine->stats().committed, 300u);
  EXPECT_EQ(rig.engine->counts().invocations, 300u);
}

TEST(Engine, PurgesExpiredRowsWhileRecordsArrive) {
  EngineRig rig;
  rig.options.retention.invocations = std::chrono::hours(120);
  rig.options.retention.details = std::chrono::hours(60);
  rig.open();
  rig.attach();
  const double hour = 3600;
  for (int i = 0; i < 200; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_TRUE(rig.submit("old-" + n, rig.now() - 121 * hour).ok());
    ASSERT_TRUE(rig.submit("thin-" + n, rig.now() - 61 * hour).ok());
    ASSERT_TRUE(rig.submit("fresh-" + n, rig.now() - hour).ok());
  }
  rig.settle();
  const Counts counts = rig.engine->counts();
  EXPECT_EQ(counts.invocations, 400u);
  EXPECT_EQ(counts.details, 200u);
  EXPECT_FALSE(rig.engine->get("old-7")->has_value());
  EXPECT_TRUE((*rig.engine->get("thin-7"))->args.empty());
  EXPECT_FALSE((*rig.engine->get("fresh-7"))->args.empty());
}

TEST(Engine, SaysOnceADayWhichRowsItCannotJudgeAndKeepsThem) {
  EngineRig rig;
  rig.open();
  rig.engine.reset();
  {
    auto db = testing::open_db(rig.options.store.path);
    testing::exec(db,
                  "INSERT INTO invocations (task_id, task_name, state, finished_at) VALUES "
                  "('odd', 't', 'SUCCESS', 'long ago'), "
                  "('dated', 't', 'SUCCESS', '2026-01-01 12:00:00')");
  }
  std::vector<std::string> warnings;
  rig.log = Log([&](LogLevel, std::string_view text) { warnings.emplace_back(text); }, rig.clock);
  rig.open();
  for (int hour = 0; hour < 40; ++hour) {
    rig.settle();
    rig.clock.advance(std::chrono::hours(1));
  }
  EXPECT_TRUE(rig.engine->get("odd")->has_value());
  EXPECT_FALSE(rig.engine->get("dated")->has_value());
  EXPECT_EQ(rig.engine->figures().purged_invocations, 1u);
  EXPECT_EQ(rig.engine->health().health, Health::kOk);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("invocations.finished_at = 'long ago' of task 'odd'"),
            std::string::npos)
      << warnings[0];
}

TEST(Engine, ForgetsNothingWhenToldToKeepForever) {
  EngineRig rig;
  rig.options.retention.keep_forever = true;
  rig.open();
  rig.attach();
  ASSERT_TRUE(rig.submit("old", 1000).ok());
  rig.settle();
  EXPECT_EQ(rig.engine->figures().purged_invocations, 0u);
  EXPECT_TRUE(rig.engine->get("old")->has_value());
}

TEST(Engine, GoesOnByItselfWhenAnotherProcessLetsTheLockGo) {
  EngineRig rig;
  rig.open();
  rig.attach();
  auto other = sqlite::Connection::open(rig.options.store.path, sqlite::Access::kReadWrite);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(rig.submit("waits", rig.now()).ok());
  rig.settle(200);
  EXPECT_EQ(rig.engine->stats().committed, 0u);
  EXPECT_GT(rig.engine->stats().busy, 3u);
  EXPECT_EQ(rig.engine->health().health, Health::kDegraded);
  EXPECT_NE(rig.engine->health().reason.find("write lock"), std::string::npos);
  ASSERT_TRUE(other->exec("ROLLBACK").ok());
  rig.settle(200);
  EXPECT_EQ(rig.engine->stats().committed, 1u);
  EXPECT_EQ(rig.engine->health().health, Health::kOk);
}

TEST(Engine, ChecksItsPlacesAtTheStart) {
  EngineRig rig;
  rig.options.store.durability = Durability::kPower;
  rig.options.ring.path = "/dev/shm/phlower-engine-test.ring";
  auto in_memory = Engine::open(rig.options, rig.clock);
  EXPECT_EQ(in_memory.status().code(), Code::kInvalidConfig);
  EXPECT_NE(in_memory.status().message().find("ring.path"), std::string_view::npos);
  rig.options.ring.path = rig.dir / "no/such/ring";
  auto nowhere = Engine::open(rig.options, rig.clock);
  EXPECT_EQ(nowhere.status().code(), Code::kNotFound);
}

TEST(Engine, IsTheOnlyReaderOfItsRing) {
  EngineRig rig;
  rig.open();
  rig.options.store.path = rig.dir / "other.db";
  auto second = Engine::open(rig.options, rig.clock);
  EXPECT_EQ(second.status().code(), Code::kBusy);
}

TEST(Engine, CheckpointsByItselfAtTheSoftBound) {
  EngineRig rig;
  rig.options.store.wal_soft_bytes = 1 << 20;
  rig.options.store.wal_hard_bytes = 4 << 20;
  rig.open();
  rig.attach();
  for (int i = 0; i < 4000; ++i) {
    Status status = rig.submit("task-" + std::to_string(i), rig.now());
    if (!status.ok()) {
      rig.settle();
      status = rig.submit("task-" + std::to_string(i), rig.now());
    }
    ASSERT_TRUE(status.ok());
  }
  rig.settle();
  EXPECT_GT(rig.engine->figures().checkpoints, 0u);
  EXPECT_LT(rig.engine->figures().log_bytes_max, 4u << 20);
  EXPECT_EQ(rig.engine->stats().committed, 4000u);
}

TEST(Engine, KeepsTheLogAtItsBoundUnderAFloodOnASlowDisk) {
  testing::FaultVfs disk;
  EngineRig rig;
  disk.at_sync([&] { rig.clock.advance(Milliseconds(200)); });
  rig.options.ring.size_bytes = 4 << 20;
  rig.options.store.wal_soft_bytes = 1 << 20;
  rig.options.store.wal_hard_bytes = 4 << 20;
  rig.open();
  rig.attach();
  std::uint64_t number = 0;
  for (int tick = 0; tick < 150; ++tick) {
    // In no order, so that the key's index grows the log as real ids do.
    while (rig.submit(std::to_string(number * 2654435761u % 4294967291u), rig.now()).ok()) ++number;
    rig.engine->tick(Milliseconds(20));
  }
  EXPECT_GT(rig.engine->figures().checkpoints, 3u);
  EXPECT_GT(rig.engine->stats().committed, 10'000u);
  // A slice is begun below the bound and ends above it; on this clock it is a long one.
  EXPECT_LT(rig.engine->figures().log_bytes_max, 8u << 20);
}

TEST(Engine, IsWellAgainWhenACheckpointThatFailedGoesWellThoughNoRecordComes) {
  testing::FaultVfs disk;
  EngineRig rig;
  rig.options.store.wal_soft_bytes = 1 << 20;
  rig.open();
  rig.attach();
  rig.settle();
  // One slice a tick, until the next thing to do is the checkpoint.
  for (int i = 0; rig.engine->figures().log_bytes < rig.options.store.wal_soft_bytes; ++i) {
    ASSERT_TRUE(rig.submit("task-" + std::to_string(i), rig.now()).ok());
    rig.clock.advance(Seconds(1));
    rig.engine->tick(Nanoseconds(1));
  }
  ASSERT_EQ(rig.engine->figures().checkpoints, 0u);
  disk.fail_at(1, testing::Fault::kFull, /*for_ever=*/true);
  rig.settle(20);
  EXPECT_EQ(rig.engine->health().health, Health::kDegraded);
  EXPECT_NE(rig.engine->health().reason.find("checkpoint"), std::string::npos);
  disk.heal();
  rig.clock.advance(Seconds(5));
  rig.settle();
  EXPECT_GT(rig.engine->figures().checkpoints, 0u);
  EXPECT_EQ(rig.engine->health().health, Health::kOk) << rig.engine->health().reason;
}

TEST(Engine, PurgesOnWhenAFullDiskHasRoomAgainThoughNoRecordComes) {
  testing::FaultVfs disk;
  EngineRig rig;
  rig.open();
  rig.attach();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(rig.submit("task-" + std::to_string(i), rig.now()).ok());
  }
  rig.settle();
  disk.fail_at(1, testing::Fault::kFull, /*for_ever=*/true);
  rig.clock.advance(rig.options.retention.invocations + Seconds(1));
  for (int i = 0; i < 100; ++i) {
    const MonoTime begin = rig.clock.mono();
    const TickReport report = rig.engine->tick(Milliseconds(20));
    if (!report.may_wait) continue;
    ASSERT_GT(report.next_due, begin) << "the host would spin";
    rig.clock.advance(report.next_due - begin);
  }
  EXPECT_EQ(rig.engine->health().health, Health::kDegraded);
  EXPECT_EQ(rig.engine->figures().purged_invocations, 0u);
  disk.heal();
  rig.clock.advance(Seconds(5));
  rig.settle();
  EXPECT_EQ(rig.engine->figures().purged_invocations, 300u);
  EXPECT_EQ(rig.engine->health().health, Health::kOk) << rig.engine->health().reason;
}

TEST(Engine, SleepsThroughThePauseThatOthersGetThoughARecordIsLongOverdue) {
  bool slow = false;  // before the engine, whose end syncs, too
  testing::FaultVfs disk;
  EngineRig rig;
  rig.options.store.durability = Durability::kPower;
  rig.open();
  rig.attach();
  rig.settle();
  ASSERT_TRUE(rig.submit("one", rig.now()).ok());
  rig.clock.advance(Seconds(1));
  disk.at_sync([&] {
    if (std::exchange(slow, true)) return;
    EXPECT_TRUE(rig.submit("two", rig.now()).ok());
    rig.clock.advance(Seconds(4));
  });
  rig.engine->tick(Milliseconds(20));
  ASSERT_TRUE(slow) << "the commit was not slow";
  const TickReport report = rig.engine->tick(Milliseconds(20));
  ASSERT_TRUE(report.may_wait);
  EXPECT_EQ(rig.engine->stats().committed, 1u);
  EXPECT_GT(report.next_due, rig.clock.mono()) << "the host would spin";
}

TEST(Engine, CountsARecordThatIsTooOldOnceHoweverManySlicesFollow) {
  EngineRig rig;
  rig.options.store.layout = Layout::kSegmented;
  rig.open();
  rig.attach();
  ASSERT_TRUE(rig.submit("old", rig.now() - 3600.0 * 200).ok());
  rig.settle(50);
  EXPECT_EQ(rig.engine->stats().too_old, 1u);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(rig.submit("new-" + std::to_string(i), rig.now()).ok());
    rig.settle(50);
  }
  EXPECT_EQ(rig.engine->stats().committed, 4u);
  EXPECT_EQ(rig.engine->stats().too_old, 1u);
}

TEST(Trouble, IsNotOverForAllWhenOneOfTwoJobsThatFailedGoesWell) {
  Trouble trouble;
  const MonoTime now = MonoTime() + Seconds(1);
  trouble.note(Status(Code::kIo, "one"), now, 1);
  trouble.note(Status(Code::kDiskFull, "two"), now, 2);
  trouble.succeeded(2);
  EXPECT_TRUE(trouble.blocking()) << "the first has not been well since";
  EXPECT_TRUE(trouble.disk_full());
  trouble.write_succeeded();
  EXPECT_FALSE(trouble.blocking());
  EXPECT_FALSE(trouble.disk_full());
  trouble.note(Status(Code::kIo, "two"), now, 2);
  trouble.note(Status(Code::kIo, "two"), now, 2);
  trouble.succeeded(1);
  EXPECT_TRUE(trouble.blocking());
  trouble.succeeded(2);
  EXPECT_FALSE(trouble.blocking());
}

TEST(Engine, IsDoneAtOnceWhenNothingIsDue) {
  EngineRig rig;
  rig.open();
  rig.settle();
  const TickReport report = rig.engine->tick(Milliseconds(20));
  EXPECT_TRUE(report.may_wait);
  EXPECT_GT(report.next_due, rig.clock.mono());
  EXPECT_TRUE(report.status.ok());
}

}  // namespace
}  // namespace phlower
