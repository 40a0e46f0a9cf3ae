// Row counts: kept in each slice, right after every commit and rollback, counted again in slices
// after an open and after another process wrote.
#include <gtest/gtest.h>

#include "phlower/ground/random.hpp"
#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogPlan;
using testing::exec;
using testing::open_db;
using testing::PurgeRig;

/// What a plain SELECT over all tables says.
Counts counted(const std::string& path) {
  auto db = open_db(path);
  const auto look = look_at_tables(db);
  Counts sum;
  for (const TableFamily& family : look->families) {
    for (auto [table, count] : {std::pair{&family.invocations, &sum.invocations},
                                std::pair{&family.details, &sum.details}}) {
      if (table->empty()) continue;
      *count += static_cast<std::uint64_t>(*db.query_integer("SELECT count(*) FROM " + *table));
    }
    const auto end = [&](const char* which) {
      auto found = db.prepare(std::string("SELECT coalesce(") + which + "(finished_at), 0) FROM " +
                              family.invocations);
      return *found->step() ? found->real(0) : 0;
    };
    if (family.invocations.empty()) continue;
    const double oldest = end("min");
    if (oldest > 0) sum.oldest = sum.oldest > 0 ? std::min(sum.oldest, oldest) : oldest;
    sum.newest = std::max(sum.newest, end("max"));
  }
  return sum;
}

void expect_counts(const PurgeRig& rig) {
  const Counts is = rig.store->counts();
  const Counts wanted = counted(rig.path);
  EXPECT_TRUE(is.exact);
  EXPECT_EQ(is.invocations, wanted.invocations);
  EXPECT_EQ(is.details, wanted.details);
  EXPECT_EQ(is.oldest, wanted.oldest);
  EXPECT_EQ(is.newest, wanted.newest);
}

void recount(PurgeRig& rig, std::uint32_t rows) {
  for (int i = 0; i < 100'000; ++i) {
    const auto more = rig.store->recount_some(rows);
    ASSERT_TRUE(more.ok()) << more.status().message();
    if (!*more) return;
  }
  FAIL() << "the count has no end";
}

Record random_record(Random& random, double now) {
  Record record = a_record("task-" + std::to_string(random.below(300)),
                           now - static_cast<double>(random.below(130)) * 3600,
                           random.chance(1, 3) ? "RETRY" : "SUCCESS");
  if (random.chance(1, 4)) record.finished_at = 0;
  if (random.chance(1, 3)) {
    record.args.clear();
    record.kwargs.clear();
  }
  return record;
}

/// One transaction of random work; half of them are rolled back.
void random_work(PurgeRig& rig, Random& random) {
  ASSERT_TRUE(rig.store->begin().ok());
  for (std::uint64_t n = random.below(40); n > 0; --n) {
    ASSERT_TRUE(rig.store->upsert(random_record(random, rig.seconds()).view()).ok());
  }
  if (random.chance(1, 2)) {
    const auto some = static_cast<std::uint32_t>(1 + random.below(60));
    ASSERT_TRUE(rig.store->purge_some(rig.now, some).ok());
  }
  if (random.chance(1, 2)) return rig.store->rollback();
  ASSERT_TRUE(rig.store->commit().ok());
}

TEST(StoreCounts, AreRightAfterEveryTransactionWhileTheyAreTaken) {
  for (const testing::MadeSchema schema :
       {testing::MadeSchema::kSingle, testing::MadeSchema::kPartitioned}) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      BacklogPlan plan;
      plan.schema = schema;
      PurgeRig rig(plan);
      Random random(seed);
      EXPECT_FALSE(rig.store->counts().exact);
      // The count goes on between writes, so that rows come and go before and behind its place.
      for (bool more = true; more && !::testing::Test::HasFatalFailure();) {
        random_work(rig, random);
        const auto step =
            rig.store->recount_some(static_cast<std::uint32_t>(random.between(1, 40)));
        ASSERT_TRUE(step.ok()) << step.status().message();
        more = *step;
      }
      expect_counts(rig);
      for (int i = 0; i < 30 && !::testing::Test::HasFailure(); ++i) {
        random_work(rig, random);
        expect_counts(rig);
      }
      rig.purge_all(50);
      expect_counts(rig);
    }
  }
}

TEST(StoreCounts, StayRightWhenRowsWithoutATextForAKeyGo) {
  PurgeRig rig;
  auto other = open_db(rig.path);
  for (int i = 0; i < 100; ++i) {
    exec(other, "INSERT INTO invocations (task_id, task_name, state, finished_at) VALUES (x'" +
                    std::to_string(1000 + i) + "', 't', 'SUCCESS', " +
                    std::to_string(rig.seconds() - 150 * 3600 - i) + ")");
  }
  recount(rig, 1000);
  const std::uint64_t before = rig.store->counts().invocations;
  EXPECT_EQ(before + 100, counted(rig.path).invocations) << "a blob is no task";
  rig.purge_all(64);
  EXPECT_EQ(rig.store->counts().invocations, counted(rig.path).invocations);
}

TEST(StoreCounts, OfAnEmptyHistoryAreExactAfterOneStep) {
  BacklogPlan plan;
  plan.expired = plan.thin = plan.fresh = plan.timeless = plan.orphans = 0;
  plan.fresh = 1;
  PurgeRig rig(plan);
  recount(rig, 100);
  expect_counts(rig);
}

TEST(StoreCounts, AreTakenAnewSomeTimeAfterAnotherProcessWrote) {
  PurgeRig rig;
  recount(rig, 1000);
  expect_counts(rig);
  auto other = open_db(rig.path);
  exec(other,
       "DELETE FROM invocation_details WHERE rowid % 2; DELETE FROM invocations WHERE "
       "rowid % 3 = 0");
  Random random(7);
  for (int i = 0; i < 200 && !rig.store->recount_due(); ++i) random_work(rig, random);
  ASSERT_TRUE(rig.store->recount_due());
  EXPECT_FALSE(rig.store->counts().exact);
  recount(rig, 17);
  expect_counts(rig);
}

TEST(StoreCounts, OfSlicesLookAtNoMoreRowsThanAsked) {
  PurgeRig rig;
  const std::uint64_t rows = counted(rig.path).invocations + counted(rig.path).details;
  std::uint64_t steps = 1;
  while (*rig.store->recount_some(10)) ++steps;
  EXPECT_GE(steps, rows / 10);
}

}  // namespace
}  // namespace phlower
