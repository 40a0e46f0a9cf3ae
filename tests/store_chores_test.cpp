// What the purge of a file remembers between its slices: since when it starves, when it walks again
// over rows aside, and what need not be written any more.
#include <gtest/gtest.h>

#include <utility>

#include "phlower/single/chores.hpp"
#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"
#include "support/store_reading.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogPlan;
using testing::MadeSchema;
using testing::open_db;
using testing::PurgeRig;

BacklogPlan nothing_made() {
  BacklogPlan plan;
  plan.expired = plan.thin = plan.fresh = plan.timeless = plan.orphans = 0;
  return plan;
}

void put(SingleStore& store, const Record& record) {
  ASSERT_TRUE(store.begin().ok());
  const auto put = store.upsert(record.view());
  ASSERT_TRUE(put.ok()) << put.status().message();
  ASSERT_TRUE(store.commit().ok());
}

TEST(PurgeChore, StarvesFromWhenSomethingWasDueAndNotFromItsLastSlice) {
  PurgeRig rig(nothing_made());
  put(*rig.store, a_record("one", rig.seconds()));
  ManualClock clock(rig.now, Nanoseconds(0));
  StoreFigures sums;
  PurgeChore chore(*rig.store, clock, sums);
  for (int i = 0; i < 10 && chore.look(clock.mono(), {}).due; ++i) {
    ASSERT_TRUE(chore.run(Milliseconds(5)).ok());
  }
  Urgency urgency;
  int hours = 0;
  while (!urgency.due && hours < 100) {
    clock.advance(Hours(1));
    ++hours;
    urgency = chore.look(clock.mono(), {});
  }
  EXPECT_GT(hours, 10) << "once a day it looks at what is in no order of time";
  ASSERT_TRUE(urgency.due);
  EXPECT_EQ(urgency.starved_for, Hours(1)) << "since it was looked at last, and nothing was due";
  clock.advance(Seconds(7));
  EXPECT_EQ(chore.look(clock.mono(), {}).starved_for, Hours(1) + Seconds(7));
}

TEST(RowWalk, ComesBackInTimeForARowThatWasWrittenBehindIt) {
  RowWalk walk;
  walk.begin_pass();
  walk.place.rowid = 5;
  walk.note(1000);  // expires then
  walk.end_pass(500);
  EXPECT_EQ(walk.next_due, 1000);
  walk.end_pass(600);
  EXPECT_EQ(walk.next_due, 600 + 86'400) << "of this pass it knows nothing";
}

TEST(StoreUpsert, WritesNoDetailsOfAKnownTaskWhenTheirTimeIsOver) {
  PurgeRig rig(nothing_made());
  rig.purge_all(256);
  Record record = a_record("known", rig.seconds() - 70.0 * 3600);
  const std::string args = std::exchange(record.args, "");
  const std::string kwargs = std::exchange(record.kwargs, "");
  put(*rig.store, record);
  record.args = args;
  record.kwargs = kwargs;
  put(*rig.store, record);
  auto db = open_db(rig.path);
  EXPECT_EQ(*db.query_integer("SELECT count(*) FROM invocations"), 1);
  EXPECT_EQ(*db.query_integer("SELECT count(*) FROM invocation_details"), 0);
}

TEST(StorePurge, IsDueWhenDetailsOfADayWithoutATableOfRowsAreOver) {
  BacklogPlan plan;
  plan.schema = MadeSchema::kPartitioned;
  PurgeRig rig(plan);
  rig.store.reset();
  {
    auto db = open_db(rig.path);
    for (const auto& table : testing::content_of(db)) {
      const bool rows = table.first.starts_with("invocations");
      if (rows) testing::exec(db, "DROP TABLE " + table.first);
    }
  }
  rig.open();
  rig.purge_all(256);
  EXPECT_FALSE(rig.due());
  const auto days = [&] {
    std::size_t count = 0;
    for (const auto& [table, rows] : testing::content_of(rig.path)) {
      count += table.starts_with("invocation_details_") && !rows.empty();
    }
    return count;
  };
  EXPECT_GT(days(), 0u);
  for (int hour = 0; hour < 24 + 60 + 2; ++hour) {
    rig.now += Hours(1);
    if (rig.due()) rig.purge_all(256);
  }
  EXPECT_EQ(days(), 0u);
}

}  // namespace
}  // namespace phlower
