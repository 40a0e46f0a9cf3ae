// What the engine is promised of a store, whatever its layout: the same words mean the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "phlower/door/open_store.hpp"
#include "phlower/engine/engine.hpp"
#include "support/engine_rig.hpp"
#include "support/store_content.hpp"
#include "support/store_reading.hpp"
#include "support/temp_dir.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::EngineRig;

class EveryStore : public ::testing::TestWithParam<Layout> {
 protected:
  EveryStore() {
    rig_.options.store.layout = GetParam();
    rig_.options.store.path = rig_.dir / "history";
  }
  void open() {
    auto opened = open_store(rig_.options, rig_.clock, rig_.log);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    store_ = *std::move(opened);
  }
  Put put(const std::string& id, double finished_at) {
    EXPECT_TRUE(store_->begin().ok());
    const auto put = store_->upsert(a_record(id, finished_at).view());
    EXPECT_TRUE(put.ok()) << put.status().message();
    EXPECT_TRUE(store_->commit().ok());
    return put.ok() ? *put : Put::kTooOld;
  }
  bool shows(const std::string& id) {
    const auto found = testing::get_row(*store_, id, rig_.clock.wall(), rig_.options.retention);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() && found->has_value();
  }

  EngineRig rig_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(Layouts, EveryStore,
                         ::testing::Values(Layout::kSingle, Layout::kSegmented),
                         [](const auto& one) {
                           return one.param == Layout::kSingle ? "Single" : "Segmented";
                         });

TEST_P(EveryStore, RefusesARecordThatIsPastItsRetentionWhenItComes) {
  open();
  const double limit = rig_.now() - 120 * 3600;
  EXPECT_EQ(put("old", limit - 1), Put::kTooOld);
  EXPECT_EQ(put("young", limit + 60), Put::kStored);
  EXPECT_FALSE(shows("old"));
  EXPECT_TRUE(shows("young"));
  for (Chore* chore : store_->chores()) {
    for (int i = 0; i < 20 && chore->look(rig_.clock.mono(), {}).due; ++i) {
      ASSERT_TRUE(chore->run(Milliseconds(5)).ok()) << chore->name();
    }
  }
  const StoreFigures figures = store_->figures(rig_.clock.wall());
  EXPECT_EQ(figures.counts.invocations, 1u);
  EXPECT_EQ(figures.purged_invocations, 0u) << "it was not there";
}

TEST_P(EveryStore, GoesByTheRetentionOfTheMomentInWhatItRefuses) {
  open();
  RetentionOptions& retention = rig_.options.retention;
  const double then = rig_.now() - 200 * 3600;
  EXPECT_EQ(put("one", then), Put::kTooOld);
  retention.invocations = Hours(240);
  ASSERT_TRUE(store_->set_limits(retention, rig_.options.disk).ok());
  EXPECT_EQ(put("one", then), Put::kStored);
  retention.invocations = Hours(120);
  ASSERT_TRUE(store_->set_limits(retention, rig_.options.disk).ok());
  EXPECT_EQ(put("two", then), Put::kTooOld);
  retention.keep_forever = true;
  ASSERT_TRUE(store_->set_limits(retention, rig_.options.disk).ok());
  EXPECT_EQ(put("two", then), Put::kStored);
}

TEST_P(EveryStore, CallsARecordInvalidBeforeItCallsItOld) {
  open();
  ASSERT_TRUE(store_->begin().ok());
  const auto nameless = store_->upsert(a_record("", rig_.now() - 200 * 3600).view());
  EXPECT_EQ(nameless.status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(store_->upsert(a_record("named", rig_.now()).view()).ok()) << "it goes on";
  EXPECT_TRUE(store_->commit().ok());
  EXPECT_TRUE(shows("named"));
}

TEST_P(EveryStore, NamesItsChoresAndAsksForNoneThatItsLayoutHasNot) {
  open();
  std::vector<std::string> names;
  for (const Chore* chore : store_->chores()) names.emplace_back(chore->name());
  if (GetParam() == Layout::kSingle) {
    EXPECT_THAT(names, ::testing::ElementsAre("checkpoint", "purge", "reclaim", "recount"));
  } else {
    EXPECT_THAT(names, ::testing::ElementsAre("checkpoint", "tend"));
  }
}

TEST_P(EveryStore, DoesNothingThatWritesWhileNothingCanBeWritten) {
  rig_.options.store.wal_soft_bytes = 4096;
  open();
  for (int i = 0; i < 50; ++i) put("task-" + std::to_string(i), rig_.now());
  rig_.clock.advance(Hours(130));
  const auto due = [&](const Pressure& pressure) {
    std::vector<std::string> names;
    for (Chore* chore : store_->chores()) {
      if (chore->look(rig_.clock.mono(), pressure).due) names.emplace_back(chore->name());
    }
    return names;
  };
  EXPECT_THAT(due({.leave = Leave::kNone}),
              ::testing::IsSubsetOf(std::vector<std::string>{"tend"}));
  EXPECT_THAT(due({.leave = Leave::kNoLock}), ::testing::Contains("checkpoint"));
  EXPECT_THAT(due({.leave = Leave::kNoLock}), ::testing::Not(::testing::Contains("purge")));
  const auto all = due({});
  EXPECT_THAT(all, ::testing::Contains("checkpoint"));
  EXPECT_THAT(all, ::testing::Contains(GetParam() == Layout::kSingle ? "purge" : "tend"));
}

TEST_P(EveryStore, HasItsEngineCountWhatCameTooLate) {
  rig_.open();
  rig_.attach();
  for (int i = 0; i < 5; ++i) {
    const std::string number = std::to_string(i);
    ASSERT_TRUE(rig_.submit("old-" + number, rig_.now() - 130 * 3600).ok());
    ASSERT_TRUE(rig_.submit("new-" + number, rig_.now()).ok());
  }
  rig_.settle();
  EXPECT_EQ(rig_.engine->stats().committed, 10u);
  EXPECT_EQ(rig_.engine->stats().too_old, 5u);
  EXPECT_EQ(rig_.engine->stats().poisoned, 0u);
  EXPECT_EQ(rig_.engine->counts().invocations, 5u);
  EXPECT_EQ(rig_.engine->figures().purged_invocations, 0u);
  EXPECT_GT(rig_.engine->stats().of("flush").slices, 0u);
}

TEST_P(EveryStore, TellsWhatATickLetGo) {
  rig_.open();
  rig_.attach();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(rig_.submit("task-" + std::to_string(i), rig_.now()).ok());
  }
  rig_.settle();
  std::uint64_t purged = 0;
  for (int i = 0; i < 3000 && purged < 40; ++i) {
    const TickReport report = rig_.engine->tick(Milliseconds(20));
    purged += report.purged;
    rig_.clock.advance(report.may_wait ? Nanoseconds(Hours(1)) : Nanoseconds(0));
  }
  const StoreFigures figures = rig_.engine->figures();
  EXPECT_EQ(purged, 40u) << "rows and details";
  EXPECT_EQ(figures.purged_invocations, 20u);
  EXPECT_EQ(figures.purged_details, 20u);
}

TEST(SingleLayout, CountsAnewSomeTimeAfterAnotherProcessWrote) {
  EngineRig rig;
  rig.open();
  rig.attach();
  ASSERT_TRUE(rig.submit("ours", rig.now()).ok());
  rig.settle();
  ASSERT_TRUE(rig.engine->counts().exact);
  {
    auto other = testing::open_db(rig.options.store.path);
    testing::exec(other,
                  "INSERT INTO invocations (task_id, task_name, state, finished_at) VALUES "
                  "('theirs', 't', 'SUCCESS', " +
                      std::to_string(rig.now()) + ")");
  }
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(rig.submit("task-" + std::to_string(i), rig.now()).ok());
    rig.clock.advance(Seconds(1));
    rig.engine->tick(Milliseconds(20));
  }
  rig.settle(200);
  EXPECT_TRUE(rig.engine->counts().exact);
  EXPECT_EQ(rig.engine->counts().invocations, 102u);
}

}  // namespace
}  // namespace phlower
