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

/// A key of any type, as SQL; `n` makes it one of its own.
std::string key_of(Random& random, int n) {
  const std::string number = std::to_string(n);
  switch (random.below(5)) {
    case 0: return "NULL";
    case 1: return random.chance(1, 2) ? number : "-" + number;
    case 2: return number + ".5";
    case 3: return "x'" + std::to_string(1000 + n) + "'";
    default: return "'task-" + number + "'";
  }
}

TEST(StoreCounts, TakeKeysOfEveryTypeAndNone) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    BacklogPlan plan;
    plan.expired = plan.thin = plan.fresh = 30;
    PurgeRig rig(plan);
    rig.store.reset();
    Random random(seed);
    {
      // Columns that leave a key what it is.
      auto other = open_db(rig.path);
      exec(other,
           "ALTER TABLE invocations RENAME TO old; CREATE TABLE invocations (task_id PRIMARY "
           "KEY, task_name TEXT NOT NULL, state TEXT NOT NULL, received_at REAL, started_at "
           "REAL, finished_at REAL, runtime_ms REAL, worker TEXT, queue TEXT, "
           "exception_type TEXT); INSERT INTO invocations SELECT * FROM old; DROP TABLE old; "
           "CREATE INDEX again ON invocations (finished_at)");
      for (int n = 0; n < 300; ++n) {
        const double at = rig.seconds() - static_cast<double>(random.below(200)) * 3600;
        const std::string end = random.chance(1, 4) ? "NULL" : std::to_string(at);
        exec(other,
             "INSERT INTO invocations (task_id, task_name, state, started_at, finished_at) "
             "VALUES (" +
                 key_of(random, n) + ", 't', 'SUCCESS', " + std::to_string(at) + ", " + end + ")");
      }
    }
    rig.open();
    for (bool more = true; more && !::testing::Test::HasFatalFailure();) {
      random_work(rig, random);
      const auto step = rig.store->recount_some(static_cast<std::uint32_t>(random.between(1, 9)));
      ASSERT_TRUE(step.ok()) << step.status().message();
      more = *step;
    }
    EXPECT_EQ(rig.store->counts().invocations, counted(rig.path).invocations);
    rig.purge_all(64);
    EXPECT_EQ(rig.store->counts().invocations, counted(rig.path).invocations);
    EXPECT_EQ(rig.store->counts().details, counted(rig.path).details);
  }
}

TEST(Cell, ComesInTheOrderOfAnIndex) {
  auto db = sqlite::Connection::open(":memory:", sqlite::Access::kCreate);
  ASSERT_TRUE(db.ok()) << db.status().message();
  exec(*db, "CREATE TABLE k (v)");
  for (const char* value : {"NULL", "-9223372036854775808", "9223372036854775807",
                            "9007199254740993", "9007199254740992.0", "-1", "0", "0.5", "-1e300",
                            "1e300", "''", "'a'", "'aa'", "'\u00e9'", "x''", "x'00'", "x'61'"}) {
    exec(*db, std::string("INSERT INTO k VALUES (") + value + ")");
  }
  auto select = db->prepare(
      "SELECT a.v, b.v, a.v < b.v FROM k a, k b "
      "WHERE typeof(a.v) <> 'null' AND typeof(b.v) <> 'null'");
  ASSERT_TRUE(select.ok());
  int pairs = 0;
  for (; *select->step(); ++pairs) {
    const Cell a = Cell::of(*select, 0);
    const Cell b = Cell::of(*select, 1);
    EXPECT_EQ(compare(a, b) < 0, select->integer(2) != 0) << shown(a) << " and " << shown(b);
    EXPECT_EQ(compare(a, b) < 0, compare(b, a) > 0);
    EXPECT_LT(compare(Cell(), a), 0);
  }
  EXPECT_EQ(pairs, 16 * 16);
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
