// What a purge in slices removes, in every schema, against one plain DELETE for each rule.
#include <gtest/gtest.h>

#include <tuple>

#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogPlan;
using testing::content_of;
using testing::MadeSchema;
using testing::open_db;
using testing::open_store;
using testing::Purged;
using testing::PurgeRig;

constexpr Nanoseconds kHour = std::chrono::hours(1);

// -- Every schema, every size of a slice ------------------------------------------------------

struct Shape {
  const char* name;
  MadeSchema schema;
  bool legacy;
  bool finished_index;
};

void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

class EverySchema : public ::testing::TestWithParam<std::tuple<Shape, OpenMode, std::uint32_t>> {
 protected:
  static BacklogPlan plan() {
    const Shape& shape = std::get<Shape>(GetParam());
    BacklogPlan plan;
    plan.schema = shape.schema;
    plan.legacy = shape.legacy;
    plan.finished_index = shape.finished_index;
    return plan;
  }
  static std::uint32_t rows() { return std::get<std::uint32_t>(GetParam()); }

  PurgeRig rig_{plan(), std::get<OpenMode>(GetParam())};
};

TEST_P(EverySchema, LosesInSlicesWhatOneDeleteWouldDelete) {
  const PurgeReport done = rig_.purge_all(rows());
  const Purged plain = rig_.expect_as_plain();
  EXPECT_GT(plain.invocations, 0u);
  EXPECT_GT(plain.details, 0u);
  EXPECT_EQ(done.invocations, plain.invocations);
  EXPECT_EQ(done.details, plain.details);
}

TEST_P(EverySchema, IsCountedBeforehandAsItIsPurged) {
  const auto before = content_of(rig_.path);
  const PurgeReport census = rig_.census(rows());
  EXPECT_EQ(content_of(rig_.path), before);
  const PurgeReport done = rig_.purge_all(rows());
  EXPECT_EQ(census.invocations, done.invocations);
  EXPECT_EQ(census.details, done.details);
  const PurgeReport after = rig_.census(rows());
  EXPECT_EQ(after.invocations, 0u);
  EXPECT_EQ(after.details, 0u);
}

TEST_P(EverySchema, IsQuietOnceItIsPurged) {
  EXPECT_TRUE(rig_.due());
  const std::uint64_t estimate = rig_.store->purge_backlog_rows(rig_.now);
  EXPECT_GE(estimate, 120u);
  EXPECT_LE(estimate, 10'000u);
  rig_.purge_all(rows());
  EXPECT_FALSE(rig_.due());
  EXPECT_EQ(rig_.store->purge_backlog_rows(rig_.now), 0u);
  EXPECT_EQ(rig_.slice(*rig_.store, rows()).examined, 0u);
}

// Purged only when the store itself says that it is due: what it has forgotten stays in the file.
TEST_P(EverySchema, IsPurgedInTimeHourAfterHour) {
  for (int hour = 0; hour < 140; ++hour) {
    rig_.now += kHour;
    if (rig_.due()) rig_.purge_all(rows());
    if (hour % 20 != 19) continue;
    SCOPED_TRACE(hour);
    rig_.expect_as_plain();
  }
  EXPECT_FALSE(HasFailure());
}

std::string every_schema_name(const ::testing::TestParamInfo<EverySchema::ParamType>& param) {
  const auto& [shape, mode, rows] = param.param;
  return std::string(shape.name) + (mode == OpenMode::kEngine ? "_engine_" : "_tool_") +
         std::to_string(rows);
}

INSTANTIATE_TEST_SUITE_P(
    SingleStore, EverySchema,
    ::testing::Combine(
        ::testing::Values(Shape{"single", MadeSchema::kSingle, false, true},
                          Shape{"presplit", MadeSchema::kPresplit, false, true},
                          Shape{"partitioned", MadeSchema::kPartitioned, false, true},
                          Shape{"single_legacy", MadeSchema::kSingle, true, true},
                          Shape{"presplit_legacy", MadeSchema::kPresplit, true, true},
                          Shape{"partitioned_legacy", MadeSchema::kPartitioned, true, true},
                          Shape{"without_index", MadeSchema::kSingle, false, false},
                          Shape{"presplit_without_index", MadeSchema::kPresplit, false, false}),
        ::testing::Values(OpenMode::kEngine, OpenMode::kMaintenance),
        ::testing::Values(1u, 7u, 256u)),
    every_schema_name);

// -- Rows that come while it runs -------------------------------------------------------------

Status store_record(SingleStore& store, const Record& record) {
  if (Status status = store.begin(); !status.ok()) return status;
  if (Status status = store.upsert(record.view()).status(); !status.ok()) return status;
  return store.commit();
}

bool has_row(PurgeRig& rig, const std::string& table, const std::string& task_id) {
  auto db = open_db(rig.path);
  return *db.query_integer("SELECT count(*) FROM " + table + " WHERE task_id = '" + task_id +
                           "'") == 1;
}

TEST(StorePurge, FindsRowsThatCameBehindIt) {
  PurgeRig rig;
  for (int i = 0; i < 5; ++i) rig.slice(*rig.store, 60);
  const double now = rig.seconds();
  Record open = a_record("late-open", 0, "STARTED");
  open.received_at = open.started_at = now - 150 * 3600;
  Record soon = a_record("late-soon", now - 50 * 3600);
  for (const Record& late : {a_record("late-gone", now - 170 * 3600),
                             a_record("late-thin", now - 99 * 3600), open, soon}) {
    ASSERT_TRUE(store_record(*rig.store, late).ok());
  }
  rig.purge_all(60);
  EXPECT_FALSE(has_row(rig, "invocations", "late-gone"));
  EXPECT_FALSE(has_row(rig, "invocation_details", "late-gone"));
  EXPECT_TRUE(has_row(rig, "invocations", "late-thin"));
  EXPECT_FALSE(has_row(rig, "invocation_details", "late-thin"));
  EXPECT_FALSE(has_row(rig, "invocations", "late-open"));
  EXPECT_TRUE(has_row(rig, "invocation_details", "late-soon"));
}

TEST(StorePurge, FindsDetailsThatCameBehindItsMarkAndExpireLater) {
  PurgeRig rig;
  rig.purge_all(256);
  rig.now -= 40 * kHour;  // so that the mark is ahead of what expires
  rig.slice(*rig.store, 256);
  const double at = rig.seconds() - 59 * 3600;
  ASSERT_TRUE(store_record(*rig.store, a_record("late", at)).ok());
  EXPECT_FALSE(rig.due());
  EXPECT_TRUE(has_row(rig, "invocation_details", "late"));
  rig.now += 2 * kHour;
  EXPECT_TRUE(rig.due());
  rig.purge_all(256);
  EXPECT_TRUE(has_row(rig, "invocations", "late"));
  EXPECT_FALSE(has_row(rig, "invocation_details", "late"));
}

TEST(StorePurge, KnowsWhenARowExpiresThatItHasJustWritten) {
  for (const bool finished : {true, false}) {
    BacklogPlan plan;
    plan.expired = plan.thin = plan.fresh = 0;
    PurgeRig rig(plan);
    rig.purge_all(256);
    const double at = rig.seconds() - 119 * 3600;
    Record record = a_record("last", finished ? at : 0, finished ? "SUCCESS" : "STARTED");
    record.received_at = record.started_at = at;
    ASSERT_TRUE(store_record(*rig.store, record).ok());
    EXPECT_FALSE(rig.due());
    rig.now += kHour;
    EXPECT_TRUE(rig.due());
    rig.purge_all(256);
    EXPECT_FALSE(has_row(rig, "invocations", "last")) << finished;
    EXPECT_FALSE(rig.due());
  }
}

TEST(StorePurge, FindsWhatAnotherProcessWritesBehindIt) {
  PurgeRig rig;
  rig.purge_all(256);
  EXPECT_FALSE(rig.due());
  const std::string at = std::to_string(rig.seconds() - 130 * 3600);
  auto other = open_db(rig.path);
  testing::exec(other,
                "INSERT INTO invocations (task_id, task_name, state, finished_at) VALUES "
                "('other', 't', 'SUCCESS', " +
                    at + "); INSERT INTO invocation_details VALUES ('other', '1', '2', '3')");
  rig.purge_all(256);
  EXPECT_FALSE(has_row(rig, "invocations", "other"));
  EXPECT_FALSE(has_row(rig, "invocation_details", "other"));
}

// Such rows are met by a walk over all that have not finished, so it must come back by itself.
TEST(StorePurge, FindsUnfinishedRowsOfAnotherProcessWithinADay) {
  BacklogPlan plan;
  plan.fresh = 0;
  plan.thin = 0;
  PurgeRig rig(plan);
  rig.purge_all(256);
  auto other = open_db(rig.path);
  testing::exec(other,
                "INSERT INTO invocations (task_id, task_name, state, started_at) VALUES "
                "('other', 't', 'STARTED', " +
                    std::to_string(rig.seconds() - 130 * 3600) + ")");
  rig.slice(*rig.store, 256);  // sees that somebody has written
  for (int hour = 0; hour < 25; ++hour) {
    rig.now += kHour;
    if (rig.due()) rig.purge_all(256);
  }
  EXPECT_FALSE(has_row(rig, "invocations", "other"));
}

TEST(StorePurge, SharesAFileWithAnotherPurge) {
  for (const MadeSchema schema :
       {MadeSchema::kSingle, MadeSchema::kPresplit, MadeSchema::kPartitioned}) {
    BacklogPlan plan;
    plan.schema = schema;
    plan.legacy = true;
    PurgeRig rig(plan);
    auto tool = open_store(rig.path, rig.retention, OpenMode::kMaintenance);
    PurgeReport total;
    bool more = true;
    for (int i = 0; more && i < 10'000; ++i) {
      const PurgeReport a = rig.slice(*rig.store, 7);
      const PurgeReport b = rig.slice(*tool, 5);
      total.invocations += a.invocations + b.invocations;
      total.details += a.details + b.details;
      more = a.more || b.more;
    }
    EXPECT_FALSE(more);
    tool.reset();
    const Purged plain = rig.expect_as_plain();
    EXPECT_EQ(total.invocations, plain.invocations);
    EXPECT_EQ(total.details, plain.details);
  }
}

// -- Transactions, clocks, retention ----------------------------------------------------------

TEST(StorePurge, LosesNothingByARollback) {
  for (const MadeSchema schema :
       {MadeSchema::kSingle, MadeSchema::kPresplit, MadeSchema::kPartitioned}) {
    BacklogPlan plan;
    plan.schema = schema;
    PurgeRig rig(plan);
    const auto before = content_of(rig.path);
    for (const std::uint32_t rows : {1u, 500u, 100'000u}) {
      ASSERT_TRUE(rig.store->begin().ok());
      const auto report = rig.store->purge_some(rig.now, rows);
      ASSERT_TRUE(report.ok());
      EXPECT_GT(report->invocations + report->details, 0u);
      rig.store->rollback();
      EXPECT_EQ(content_of(rig.path), before);
      EXPECT_TRUE(rig.due());
    }
    // Every other slice is taken back.
    for (int i = 0; i < 10'000; ++i) {
      ASSERT_TRUE(rig.store->begin().ok());
      ASSERT_TRUE(rig.store->purge_some(rig.now, 64).ok());
      rig.store->rollback();
      if (!rig.slice(*rig.store, 31).more) break;
    }
    rig.expect_as_plain();
  }
}

TEST(StorePurge, RemovesNothingForAClockThatWentBack) {
  PurgeRig rig;
  rig.purge_all(256);
  const auto purged = content_of(rig.path);
  const WallTime ahead = rig.now;
  for (const int hours : {1, 50, 100'000}) {
    rig.now = ahead - hours * kHour;
    rig.purge_all(256);
    EXPECT_EQ(content_of(rig.path), purged) << hours;
  }
  rig.now = ahead + 48 * kHour;
  EXPECT_TRUE(rig.due());
  rig.purge_all(256);
  rig.expect_as_plain();
}

TEST(StorePurge, FollowsANewRetentionBothWays) {
  PurgeRig rig;
  rig.purge_all(256);
  for (const auto& [invocations, details] : {std::pair{90, 30}, {200, 199}, {50, 1}}) {
    rig.retention.invocations = Hours(invocations);
    rig.retention.details = Hours(details);
    rig.store->set_retention(rig.retention);
    rig.purge_all(256);
    rig.expect_as_plain();
  }
  rig.retention.keep_forever = true;
  rig.store->set_retention(rig.retention);
  rig.now += 10'000 * kHour;
  EXPECT_FALSE(rig.due());
  EXPECT_EQ(rig.purge_all(256).invocations, 0u);
  EXPECT_EQ(rig.store->purge_backlog_rows(rig.now), 0u);
  rig.expect_as_plain();
}

TEST(StorePurge, GoesOnWhereItWasAfterAReopen) {
  PurgeRig rig;
  rig.purge_all(256);
  rig.reopen();
  // Only rows without an end are looked at again: those that lost their details are not.
  EXPECT_LT(rig.purge_all(256).examined, 80u);
  rig.now += 10 * kHour;
  rig.reopen();
  rig.purge_all(256);
  rig.expect_as_plain();
}

TEST(StorePurge, RefusesAPurgeOutsideATransaction) {
  PurgeRig rig;
  const auto report = rig.store->purge_some(rig.now, 10);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), Code::kInternal);
}

// -- Tables of days ---------------------------------------------------------------------------

TEST(StorePurge, ForgetsTheMarkOfATableThatItDrops) {
  BacklogPlan plan;
  plan.schema = MadeSchema::kPartitioned;
  PurgeRig rig(plan);
  const auto marks = [&] {
    auto db = open_db(rig.path);
    return *db.query_integer(
        "SELECT count(*) FROM phlower_state WHERE key LIKE 'details_mark:%' AND substr(key, 14) "
        "NOT IN (SELECT name FROM sqlite_master)");
  };
  for (int day = 0; day < 8; ++day) {
    rig.purge_all(64);
    EXPECT_EQ(marks(), 0) << day;
    rig.now += 24 * kHour;
  }
  EXPECT_EQ(content_of(rig.path).count("invocation_details"), 1u);
}

TEST(StorePurge, LeavesTablesAloneWhoseNumberIsNoDate) {
  PurgeRig rig;
  {
    auto db = open_db(rig.path);
    testing::exec(db,
                  "CREATE TABLE invocation_details_20261399 (task_id TEXT PRIMARY KEY, "
                  "args_preview TEXT, kwargs_preview TEXT, traceback_snippet TEXT); INSERT INTO "
                  "invocation_details_20261399 VALUES ('a', '1', '2', '3')");
  }
  rig.purge_all(256);
  EXPECT_TRUE(has_row(rig, "invocation_details_20261399", "a"));
}

TEST(StorePurge, KeepsDetailsOfADayWithoutItsRowsUntilTheyAreOld) {
  BacklogPlan plan;
  plan.schema = MadeSchema::kPartitioned;
  PurgeRig rig(plan);
  rig.store.reset();
  for (const std::string& path : {rig.path, rig.plain_path}) {
    auto db = open_db(path);
    for (const auto& table : content_of(db)) {
      if (table.first.starts_with("invocations_")) testing::exec(db, "DROP TABLE " + table.first);
    }
  }
  rig.open();
  rig.purge_all(7);
  const auto left = content_of(rig.path);
  std::size_t days = 0;
  for (const auto& [table, rows] : left) days += table.starts_with("invocation_details_");
  EXPECT_GT(days, 0u);
  EXPECT_LT(days, content_of(rig.plain_path).size());
  rig.now += 140 * kHour;
  rig.purge_all(7);
  for (const auto& [table, rows] : content_of(rig.path)) {
    EXPECT_FALSE(table.starts_with("invocation_details_")) << table;
  }
}

}  // namespace
}  // namespace phlower
