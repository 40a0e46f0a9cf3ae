// The files of a history that are removed, moved or replaced under a running engine, and what one
// commit is.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "phlower/engine/engine.hpp"
#include "support/fault_vfs.hpp"
#include "support/history_rig.hpp"

namespace phlower {
namespace {

using testing::HistoryRig;

class HistoryUnderAnEngine : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    rig_.start("a");
    rig_.submit_more(20);
    rig_.settle();
    ASSERT_EQ(rig_.engine->stats().committed, 20u);
  }
  void move(const std::string& from, const std::string& to) {
    for (const char* side : {"", "-wal", "-shm"}) {
      std::error_code ignored;
      std::filesystem::rename(rig_.path_of(from) + side, rig_.path_of(to) + side, ignored);
    }
  }
  void expect_failed(const std::string& why) {
    rig_.submit_more(10);
    rig_.clock.advance(Seconds(1));
    for (int i = 0; i < 20; ++i) {
      const MonoTime begin = rig_.clock.mono();
      const TickReport report = rig_.engine->tick(Milliseconds(20));
      ASSERT_TRUE(report.may_wait);
      ASSERT_GT(report.next_due, begin) << "the host would spin";
      EXPECT_FALSE(is_fatal(report.status));
      rig_.clock.advance(report.next_due - begin);
    }
    EXPECT_EQ(rig_.engine->health().health, Health::kFailed);
    EXPECT_NE(rig_.engine->health().reason.find(why), std::string::npos)
        << rig_.engine->health().reason;
    EXPECT_EQ(rig_.engine->stats().committed, 20u);
    EXPECT_EQ(rig_.engine->ring_stats().unread, 10u);
  }

  HistoryRig rig_{GetParam()};
};

TEST_P(HistoryUnderAnEngine, ThatWasRemovedIsMissedAndNothingIsCalledCommitted) {
  rig_.remove("a");
  expect_failed("was removed or moved away; nothing is stored any more");
  rig_.start("a");  // with what is there now: nothing
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  rig_.expect_sums(30);
  EXPECT_EQ(rig_.engine->health().health, Health::kOk);
}

TEST_P(HistoryUnderAnEngine, ThatWasSwappedForACopyIsMissed) {
  rig_.copy("a", "copy");
  move("a", "old");
  move("copy", "a");
  expect_failed("is another file than the one that was opened");
  rig_.start("a");
  rig_.settle();
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 30u);
}

TEST_P(HistoryUnderAnEngine, ThatComesBackIsWrittenOn) {
  move("a", "elsewhere");
  expect_failed("was removed or moved away");
  move("elsewhere", "a");
  rig_.clock.advance(Seconds(3));
  rig_.settle();
  EXPECT_EQ(rig_.engine->health().health, Health::kOk) << rig_.engine->health().reason;
  EXPECT_EQ(rig_.engine->stats().committed, 30u);
  rig_.expect_sums(30);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 30u);
}

TEST_P(HistoryUnderAnEngine, ThatGoesInTheMiddleOfACommitKeepsItsRecordsInTheRing) {
  rig_.stop();
  testing::FaultVfs disk;
  rig_.options.store.durability = Durability::kPower;
  rig_.start("b");
  rig_.settle();
  rig_.submit_more(10);
  rig_.clock.advance(Seconds(1));
  bool moved = false;
  disk.at_sync([&] {
    if (std::exchange(moved, true)) return;
    move("b", "elsewhere");
  });
  rig_.engine->tick(Milliseconds(20));
  ASSERT_TRUE(moved) << "no commit was met";
  EXPECT_EQ(rig_.engine->stats().committed, 0u);
  EXPECT_EQ(rig_.engine->ring_stats().unread, 10u);
  move("elsewhere", "b");
  rig_.clock.advance(Seconds(3));
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  rig_.stop();
  EXPECT_EQ(rig_.ids("b").size(), 10u);
}

TEST_P(HistoryUnderAnEngine, HasRowsAndPositionsOfOneCommitAtAnyMoment) {
  rig_.stop();
  testing::FaultVfs disk;
  rig_.options.store.durability = Durability::kPower;
  rig_.options.ring.path = rig_.dir / "another";  // so that all that it delivers is stored here
  rig_.start("b");
  rig_.settle();
  const bool single = GetParam() == Layout::kSingle;
  std::string file = rig_.options.store.path;
  if (!single) {
    for (const auto& entry : std::filesystem::directory_iterator(file)) {
      const std::string name = entry.path().filename();
      // The one that is written is the older; a spare may stand behind it.
      if (name.starts_with("inv-1.") && name.ends_with(".db")) file = entry.path();
      if (name.starts_with("inv-2.") && name.ends_with(".db") && file == rig_.options.store.path)
        file = entry.path();
    }
  }
  std::uint64_t looks = 0;
  std::int64_t most = 0;
  const std::string rows =
      single ? "SELECT count(*) FROM invocations" : "SELECT count(*) FROM task";
  disk.at_sync([&] {
    auto db = sqlite::Connection::open(file, sqlite::Access::kReadOnly);
    if (!db.ok() || !db->exec("BEGIN").ok()) return;
    const auto stored = db->query_integer(rows);
    const auto delivered = db->query_integer("SELECT coalesce(sum(delivered), 0) FROM ring_lane");
    if (!stored.ok() || !delivered.ok()) return;
    ++looks;
    most = std::max(most, *stored);
    EXPECT_EQ(*stored, *delivered);
  });
  for (int i = 0; i < 20; ++i) {
    rig_.submit_more(10);
    rig_.settle(50);
  }
  disk.at_sync({});
  const std::uint64_t committed = rig_.engine->stats().committed;
  rig_.stop();  // before its disk goes
  EXPECT_EQ(committed, 200u);
  EXPECT_GE(looks, 10u);
  EXPECT_GT(most, 100);
}

TEST_P(HistoryUnderAnEngine, IsInItsPlaceAlthoughTheProcessHasGoneElsewhere) {
  rig_.stop();
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(rig_.dir.path());
  rig_.options.store.path = GetParam() == Layout::kSingle ? "b.db" : "b";
  rig_.open();
  std::filesystem::current_path("/");
  rig_.submit_more(10);
  rig_.settle();
  EXPECT_EQ(rig_.engine->health().health, Health::kOk) << rig_.engine->health().reason;
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  std::filesystem::current_path(here);
}

INSTANTIATE_TEST_SUITE_P(Layouts, HistoryUnderAnEngine,
                         ::testing::Values(Layout::kSingle, Layout::kSegmented),
                         [](const auto& layout) {
                           return layout.param == Layout::kSingle ? "Single" : "Segmented";
                         });

TEST(EngineRing, ThatWasReplacedIsReadToItsEndFirst) {
  HistoryRig rig(Layout::kSingle);
  rig.start("a");
  rig.submit_more(10);
  std::filesystem::remove(rig.options.ring.path);
  rig.clock.advance(Seconds(2));
  rig.settle();
  EXPECT_EQ(rig.engine->stats().committed, 10u);
  rig.producer.reset();
  rig.clock.advance(Seconds(2));  // and only then another one is made
  rig.settle();
  rig.submit_more(5);
  rig.settle();
  EXPECT_EQ(rig.engine->stats().committed, 15u);
}

/// 300 records wait in a ring of another size, and an engine has just begun to take them over.
class RingSetAside : public ::testing::Test {
 protected:
  void SetUp() override {
    rig_.start("a");
    rig_.submit_more(300);
    rig_.stop();
    rig_.options.ring.size_bytes *= 2;
    rig_.start("a");
    ASSERT_EQ(files().size(), 1u);
  }
  std::vector<std::string> files() { return salvage_files(rig_.options.ring.path); }

  HistoryRig rig_{Layout::kSingle};
};

TEST_F(RingSetAside, DoesNotKeepNewRecordsWaitingUntilItIsRead) {
  rig_.submit_more(3);
  rig_.clock.advance(Seconds(1));
  for (int i = 0; i < 2000 && rig_.engine->stats().salvaged < 60; ++i) {
    const TickReport report = rig_.engine->tick(Nanoseconds(1));  // one slice
    if (report.may_wait) rig_.clock.advance(Milliseconds(1));
  }
  ASSERT_GE(rig_.engine->stats().salvaged, 60u);
  ASSERT_LT(rig_.engine->stats().salvaged, 300u);
  EXPECT_EQ(rig_.engine->ring_stats().unread, 0u);
}

TEST(EngineRing, ThatWasSetAsideEmptyGoesAtOnce) {
  HistoryRig rig(Layout::kSingle);
  rig.start("a");
  rig.stop();
  rig.options.ring.size_bytes *= 2;
  rig.start("a");
  ASSERT_EQ(salvage_files(rig.options.ring.path).size(), 1u);
  rig.settle();
  EXPECT_TRUE(salvage_files(rig.options.ring.path).empty());
  EXPECT_TRUE(rig.engine->drained());
}

TEST_F(RingSetAside, ThatSomebodyMovedAwayIsNotTakenTwiceWhenItComesBack) {
  const std::string path = files().front();
  const std::string elsewhere = rig_.dir / "elsewhere";
  std::filesystem::rename(path, elsewhere);
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().salvaged, 300u);
  EXPECT_TRUE(std::filesystem::exists(elsewhere)) << "it is not where it was, and so not ours";
  rig_.stop();
  std::filesystem::rename(elsewhere, path);
  rig_.start("a");
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().salvaged, 0u);
  EXPECT_TRUE(files().empty());
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 300u);
}

}  // namespace
}  // namespace phlower
