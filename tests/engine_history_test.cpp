// A ring belongs to a history: what one has stored comes into no other, and what nobody has stored
// is lost by none.
#include <gtest/gtest.h>

#include <fstream>

#include "phlower/engine/engine.hpp"
#include "support/history_rig.hpp"

namespace phlower {
namespace {

using testing::HistoryRig;

class RingOfHistories : public ::testing::TestWithParam<Layout> {
 protected:
  /// The ring says that its engine was killed in the middle of a commit.
  void leave_in_doubt() {
    std::fstream ring(rig_.options.ring.path, std::ios::in | std::ios::out | std::ios::binary);
    ring.seekp(offsetof(RingHeader, unsettled));
    ring.put(1);
    ASSERT_TRUE(ring.good());
  }
  bool has_said(const std::string& words) const {
    return rig_.said.find(words) != std::string::npos;
  }

  HistoryRig rig_{GetParam()};
};

TEST_P(RingOfHistories, GivesAnotherNothingThatTheFirstHasStored) {
  rig_.start("a");
  rig_.submit_more(100);
  rig_.settle();
  rig_.stop();
  rig_.start("b");
  rig_.expect_sums(100);
  rig_.submit_more(10);
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  rig_.expect_sums(110);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 100u);
  EXPECT_EQ(rig_.ids("b").size(), 10u);
}

TEST_P(RingOfHistories, GivesAnotherWhatNobodyHasStoredAndSaysSo) {
  rig_.start("a");
  rig_.submit_more(100);
  rig_.settle();
  rig_.submit_more(50);
  rig_.stop();
  rig_.start("b");
  EXPECT_TRUE(has_said("was that of the history " + rig_.path_of("a"))) << rig_.said;
  EXPECT_TRUE(has_said("50 records that wait in it")) << rig_.said;
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 50u);
  rig_.expect_sums(150);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 100u);
  EXPECT_EQ(rig_.ids("b").size(), 50u);
}

TEST_P(RingOfHistories, ComesBackToTheFirstWithoutWhatTheSecondHasStored) {
  for (const char* name : {"a", "b", "a", "b", "a"}) {
    rig_.start(name);
    rig_.submit_more(20);
    rig_.settle();
    EXPECT_EQ(rig_.engine->stats().committed, 20u) << name;
    rig_.expect_sums(static_cast<std::uint64_t>(rig_.submitted));
    rig_.stop();
  }
  EXPECT_EQ(rig_.ids("a").size(), 60u);
  EXPECT_EQ(rig_.ids("b").size(), 40u);
}

TEST_P(RingOfHistories, DoesNotBringBackTheRowsOfAHistoryThatWasDeleted) {
  rig_.start("a");
  rig_.submit_more(100);
  rig_.settle();
  rig_.submit_more(5);
  rig_.stop();
  rig_.remove("a");
  rig_.start("a");  // of the same name, and another one
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 5u);
  rig_.expect_sums(105);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 5u);
}

TEST_P(RingOfHistories, GivesARestoredBackupAgainWhatIsStillThere) {
  rig_.start("a");
  rig_.submit_more(40);
  rig_.settle();
  rig_.engine.reset();
  rig_.copy("a", "backup");
  rig_.start("a");
  rig_.submit_more(30);
  rig_.settle();
  rig_.stop();
  rig_.copy("backup", "a");
  rig_.start("a");
  rig_.settle();
  EXPECT_FALSE(has_said("was that of")) << rig_.said;
  rig_.expect_sums(70);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 70u);
}

TEST_P(RingOfHistories, CountsNothingAsTornForABackupWhoseRecordsHaveLeftTheRing) {
  rig_.start("a");
  rig_.submit_more(10);
  rig_.settle();
  rig_.engine.reset();
  rig_.copy("a", "backup");
  rig_.start("a");
  for (int i = 0; i < 60; ++i) {  // more than the ring holds
    rig_.submit_more(50);
    rig_.settle();
  }
  rig_.stop();
  rig_.copy("backup", "a");
  rig_.start("a");
  rig_.settle();
  rig_.expect_sums(3010);
  EXPECT_LT(rig_.engine->counts().invocations, 3010u) << "the ring holds all of it: proves nothing";
}

TEST_P(RingOfHistories, GivesEachOfTwoCopiesWhatItLacks) {
  rig_.start("a");
  rig_.submit_more(20);
  rig_.settle();
  rig_.engine.reset();
  rig_.copy("a", "b");
  rig_.start("a");
  rig_.submit_more(20);
  rig_.settle();
  rig_.start("b");
  rig_.submit_more(20);
  rig_.settle();
  rig_.expect_sums(60);
  rig_.start("a");
  rig_.settle();
  rig_.expect_sums(60);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 60u);
  EXPECT_EQ(rig_.ids("b").size(), 60u);
}

TEST_P(RingOfHistories, GoesOnAnewWhereItsFileWasDeleted) {
  rig_.start("a");
  rig_.submit_more(30);
  rig_.settle();
  rig_.stop();
  std::filesystem::remove(rig_.options.ring.path);
  rig_.start("a");
  rig_.submit_more(5);
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 5u);
  EXPECT_EQ(rig_.engine->ring_stats().accepted, 5u);
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 35u);
}

TEST_P(RingOfHistories, InDoubtIsSetAsideUntilItsHistoryComes) {
  rig_.start("a");
  rig_.submit_more(30);
  rig_.settle();
  rig_.submit_more(10);
  rig_.stop();
  leave_in_doubt();
  rig_.start("b");
  EXPECT_TRUE(has_said("waits for the history " + rig_.path_of("a"))) << rig_.said;
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 0u);
  EXPECT_EQ(salvage_files(rig_.options.ring.path).size(), 1u);
  rig_.start("b");  // it waits as long as it takes
  EXPECT_EQ(salvage_files(rig_.options.ring.path).size(), 1u);
  rig_.start("a");
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  EXPECT_TRUE(salvage_files(rig_.options.ring.path).empty());
  rig_.stop();
  EXPECT_EQ(rig_.ids("a").size(), 40u);
  EXPECT_EQ(rig_.ids("b").size(), 0u);
}

TEST_P(RingOfHistories, InDoubtIsNoneForItsOwnHistory) {
  rig_.start("a");
  rig_.submit_more(30);
  rig_.settle();
  rig_.submit_more(10);
  rig_.stop();
  leave_in_doubt();
  rig_.start("a");
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  rig_.expect_sums(40);
  rig_.start("b");
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 0u) << "the doubt is over";
  EXPECT_TRUE(salvage_files(rig_.options.ring.path).empty());
}

TEST_P(RingOfHistories, OfAnotherSizeIsReadByTheNewOne) {
  rig_.start("a");
  rig_.submit_more(30);
  rig_.settle();
  rig_.submit_more(10);
  rig_.stop();
  rig_.options.ring.size_bytes *= 2;
  rig_.start("b");
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  EXPECT_TRUE(salvage_files(rig_.options.ring.path).empty());
  rig_.stop();
  EXPECT_EQ(rig_.ids("b").size(), 10u);
}

TEST_P(RingOfHistories, OfABuildThatWroteNoHistoryIsTakenOver) {
  const auto forget_owner = [this] {
    std::fstream ring(rig_.options.ring.path, std::ios::in | std::ios::out | std::ios::binary);
    ring.seekp(offsetof(RingHeader, history));
    ring.write(std::string(16, '\0').data(), 16);
  };
  rig_.start("a");
  rig_.submit_more(30);
  rig_.settle();
  rig_.submit_more(10);
  rig_.stop();
  forget_owner();
  rig_.start("a");
  rig_.expect_sums(30);
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  rig_.stop();
  forget_owner();
  rig_.start("b");
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 0u);
  rig_.expect_sums(40);
}

TEST(RingOfAFile, GoesWithItIntoTheFolderThatAdoptsIt) {
  HistoryRig rig(Layout::kSingle);
  rig.start("old");
  rig.submit_more(30);
  rig.settle();
  rig.submit_more(10);
  rig.stop();
  {
    std::fstream ring(rig.options.ring.path, std::ios::in | std::ios::out | std::ios::binary);
    ring.seekp(offsetof(RingHeader, unsettled));
    ring.put(1);
  }
  rig.options.store.adopt = rig.path_of("old");
  rig.options.store.layout = Layout::kSegmented;
  rig.start("new");
  EXPECT_EQ(rig.said.find("was that of"), std::string::npos) << rig.said;
  rig.settle();
  EXPECT_EQ(rig.engine->stats().committed, 10u);
  EXPECT_TRUE(salvage_files(rig.options.ring.path).empty());
  rig.expect_sums(40);
}

INSTANTIATE_TEST_SUITE_P(Layouts, RingOfHistories,
                         ::testing::Values(Layout::kSingle, Layout::kSegmented),
                         [](const auto& layout) {
                           return layout.param == Layout::kSingle ? "Single" : "Segmented";
                         });

// -- Positions of rings that are gone
// ---------------------------------------------------------------

/// How many rings the history has positions of.
std::int64_t rings_known(HistoryRig& rig) {
  auto db = sqlite::Connection::open(rig.options.store.path, sqlite::Access::kReadOnly);
  if (!db.ok()) return -1;
  const auto count = db->query_integer(
      "SELECT count(*) FROM (SELECT ring FROM ring_chunk UNION SELECT ring FROM ring_lane)");
  return count.ok() ? *count : -1;
}

TEST(PositionsOfRings, AreForgottenAfterEachReboot) {
  HistoryRig rig(Layout::kSingle, "/dev/shm");
  if (!on_memory_file_system(rig.options.ring.path)) GTEST_SKIP() << "no tmpfs here";
  for (int boot = 0; boot < 50; ++boot) {
    rig.start("a");
    rig.submit_more(3);
    rig.settle(200);
    EXPECT_EQ(rig.engine->stats().committed, 3u);
    rig.stop();
    std::filesystem::remove(rig.options.ring.path);
    auto db = sqlite::Connection::open(rig.options.store.path, sqlite::Access::kReadWrite);
    ASSERT_TRUE(db.ok());
    const std::string another =
        "UPDATE phlower_state SET whole = whole + 1 WHERE key LIKE 'memory_ring:%'";
    ASSERT_TRUE(db->exec(another).ok());
  }
  EXPECT_EQ(rings_known(rig), 1);
}

TEST(PositionsOfRings, StayWhileTheirBootLasts) {
  HistoryRig rig(Layout::kSingle, "/dev/shm");
  for (int i = 0; i < 3; ++i) {
    rig.options.ring.path = rig.dir / ("ring-" + std::to_string(i));
    rig.start("a");
    rig.submit_more(3);
    rig.settle(200);
    rig.stop();
  }
  EXPECT_EQ(rings_known(rig), 3);
  rig.options.ring.path = rig.dir / "ring-0";
  rig.start("a");
  rig.settle(200);
  EXPECT_EQ(rig.engine->stats().committed, 0u);
}

TEST(PositionsOfRings, GoWithTheRingThatWasReadToItsEnd) {
  for (const Layout layout : {Layout::kSingle, Layout::kSegmented}) {
    HistoryRig rig(layout);
    rig.start("a");
    rig.submit_more(10);
    rig.settle(200);
    rig.submit_more(5);
    const RingId old = [&] {
      const auto file = LockFile::open(rig.options.ring.path, O_RDONLY);
      return read_identity(**file, rig.options.ring.path)->ring_id;
    }();
    rig.stop();
    rig.options.ring.size_bytes *= 2;
    rig.start("a");
    rig.settle();
    EXPECT_EQ(rig.engine->stats().committed, 5u);
    rig.engine.reset();
    if (layout == Layout::kSingle) {
      auto store = SingleStore::open(rig.options.store, rig.options.retention);
      ASSERT_TRUE(store.ok());
      const auto left = (*store)->load_positions(old);
      EXPECT_TRUE(left->chunks.empty() && left->lanes.empty());
    } else {
      auto store = SegmentedStore::open(
          {rig.options.store, rig.options.retention, rig.options.disk}, rig.clock);
      ASSERT_TRUE(store.ok()) << store.status().message();
      const auto left = (*store)->load_positions(old);
      EXPECT_TRUE(left->chunks.empty() && left->lanes.empty());
    }
  }
}

}  // namespace
}  // namespace phlower
