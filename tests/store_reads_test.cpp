// Reads of the history: by id, by task newest first; and retention that is exact to the second,
// whatever the purge has got to.
#include <gtest/gtest.h>

#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"
#include "support/store_reading.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogMaker;
using testing::BacklogPlan;
using testing::kNow;
using testing::MadeSchema;
using testing::open_store;
using testing::TempDir;

constexpr double kHourSeconds = 3600;

WallTime at(double seconds) { return testing::PurgeRig::at(seconds); }

class StoreReads : public ::testing::Test {
 protected:
  void put(const std::vector<Record>& records) {
    ASSERT_TRUE(store_->begin().ok());
    for (const Record& record : records) ASSERT_TRUE(store_->upsert(record.view()).ok());
    ASSERT_TRUE(store_->commit().ok());
  }
  std::optional<Record> get(const std::string& id, double now) {
    const auto found = testing::get_row(*store_, id, at(now), retention_);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? *found : std::nullopt;
  }
  std::vector<std::string> list(const std::string& task, std::uint32_t limit, double now) {
    const auto found = testing::list_task(*store_, task, limit, at(now), retention_);
    EXPECT_TRUE(found.ok()) << found.status().message();
    std::vector<std::string> ids;
    if (!found.ok()) return ids;
    for (const Row& row : *found) ids.push_back(row.record.task_id);
    return ids;
  }

  TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "history.db";
  RetentionOptions retention_;
  std::unique_ptr<SingleStore> store_ = open_store(path_);
};

TEST_F(StoreReads, GiveARowBackAsItWas) {
  Record record = a_record("one", kNow - 1.25, "FAILURE");
  record.exception_type = "ValueError";
  record.traceback = "Traceback ...";
  put({record});
  const auto found = get("one", kNow);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->task_name, record.task_name);
  EXPECT_EQ(found->state, "FAILURE");
  EXPECT_EQ(found->received_at, record.received_at);
  EXPECT_EQ(found->started_at, record.started_at);
  EXPECT_EQ(found->finished_at, record.finished_at);
  EXPECT_EQ(found->runtime_ms, record.runtime_ms);
  EXPECT_EQ(found->worker, record.worker);
  EXPECT_EQ(found->queue, record.queue);
  EXPECT_EQ(found->exception_type, record.exception_type);
  EXPECT_EQ(found->args, record.args);
  EXPECT_EQ(found->kwargs, record.kwargs);
  EXPECT_EQ(found->traceback, record.traceback);
  EXPECT_FALSE(get("on", kNow).has_value());
  EXPECT_FALSE(get("", kNow).has_value());
}

TEST_F(StoreReads, TellWhatIsNotKnownFromWhatIsZero) {
  Record record = a_record("bare", 0, "STARTED");
  record.received_at = record.finished_at = 0;
  record.started_at = kNow - 5;
  record.runtime_ms = -1;
  record.worker.clear();
  Record quick = a_record("quick", kNow - 5);
  quick.runtime_ms = 0;
  put({record, quick});
  EXPECT_EQ(get("bare", kNow)->runtime_ms, -1);
  EXPECT_EQ(get("bare", kNow)->finished_at, 0);
  EXPECT_EQ(get("bare", kNow)->worker, "");
  EXPECT_EQ(get("quick", kNow)->runtime_ms, 0);
}

TEST_F(StoreReads, ShowNothingPastItsTimeToTheSecond) {
  put({a_record("row", kNow)});
  const double details_end = kNow + 60 * kHourSeconds;
  const double end = kNow + 120 * kHourSeconds;
  EXPECT_NE(get("row", details_end - 1)->args, "");
  EXPECT_EQ(get("row", details_end)->args, "");
  EXPECT_EQ(get("row", details_end)->kwargs, "");
  EXPECT_TRUE(get("row", end - 1).has_value());
  EXPECT_FALSE(get("row", end).has_value());
  EXPECT_EQ(list("shop.orders.pack", 9, end - 1).size(), 1u);
  EXPECT_TRUE(list("shop.orders.pack", 9, end).empty());
}

TEST_F(StoreReads, GoByTheRetentionOfWhoeverAsks) {
  put({a_record("row", kNow)});
  retention_.invocations = Hours(2);
  retention_.details = Hours(1);
  EXPECT_NE(get("row", kNow + kHourSeconds - 1)->args, "");
  EXPECT_EQ(get("row", kNow + kHourSeconds)->args, "");
  EXPECT_FALSE(get("row", kNow + 2 * kHourSeconds).has_value());
  EXPECT_TRUE(list("shop.orders.pack", 9, kNow + 2 * kHourSeconds).empty());
  retention_.keep_forever = true;
  EXPECT_NE(get("row", kNow + 1e6 * kHourSeconds)->args, "");
}

TEST_F(StoreReads, CountTheTimeOfARowWithoutAnEndFromItsStart) {
  Record open = a_record("open", 0, "STARTED");
  open.finished_at = 0;
  open.received_at = kNow - 10;
  open.started_at = kNow;
  Record timeless = open;
  timeless.task_id = "timeless";
  timeless.received_at = timeless.started_at = 0;
  put({open, timeless});
  EXPECT_TRUE(get("open", kNow + 120 * kHourSeconds - 1).has_value());
  EXPECT_FALSE(get("open", kNow + 120 * kHourSeconds).has_value());
  using Ids = std::vector<std::string>;
  EXPECT_EQ(list("shop.orders.pack", 9, kNow + 120 * kHourSeconds - 1), (Ids{"open", "timeless"}));
  EXPECT_EQ(list("shop.orders.pack", 9, kNow + 120 * kHourSeconds), Ids{"timeless"});
  EXPECT_TRUE(get("timeless", kNow + 1e6).has_value());
}

TEST_F(StoreReads, ListATaskNewestFirstAndWhatHasNotEndedByItsStart) {
  std::vector<Record> records;
  for (const int i : {3, 1, 4, 0, 2}) records.push_back(a_record(std::to_string(i), kNow + i));
  records.push_back(a_record("open", kNow + 2.5, "STARTED"));  // which started at 1.5
  records.back().finished_at = 0;
  records.push_back(a_record("waits", kNow + 5.5, "RECEIVED"));  // since 3.5
  records.back().finished_at = records.back().started_at = 0;
  records.push_back(a_record("timeless", 0, "STARTED"));
  records.back().finished_at = records.back().started_at = records.back().received_at = 0;
  records.push_back(a_record("other", kNow + 9));
  records.back().task_name = "shop.orders.pack.other";
  put(records);
  using Ids = std::vector<std::string>;
  EXPECT_EQ(list("shop.orders.pack", 100, kNow + 9),
            (Ids{"4", "waits", "3", "2", "open", "1", "0", "timeless"}));
  EXPECT_EQ(list("shop.orders.pack", 2, kNow + 9), (Ids{"4", "waits"}));
  EXPECT_EQ(list("shop.orders.pack", 0, kNow + 9), Ids());
  EXPECT_EQ(list("no.such.task", 100, kNow + 9), Ids());
}

TEST_F(StoreReads, AndPurgesKeepRowsWhoseEndIsNoTime) {
  testing::PurgeRig rig;
  auto other = testing::open_db(rig.path);
  for (const char* end : {"0", "-5"}) {
    const std::string row = std::string("('end") + end + "', 't', 'STARTED', " +
                            std::to_string(rig.seconds() - 9) + ", NULL, " + end + ")";
    testing::exec(other,
                  "INSERT INTO invocations (task_id, task_name, state, received_at, "
                  "started_at, finished_at) VALUES " +
                      row);
    testing::exec(other, std::string("INSERT INTO invocation_details VALUES ('end") + end +
                             "', '[1]', NULL, NULL)");
  }
  const PurgeReport census = rig.census(1000);
  const PurgeReport purged = rig.purge_all(7);
  EXPECT_EQ(purged.invocations, census.invocations);
  for (const char* id : {"end0", "end-5"}) {
    const auto found = testing::get_row(*rig.store, id, rig.now);
    ASSERT_TRUE(found.ok() && found->has_value()) << id;
    EXPECT_EQ((*found)->args, "[1]") << id;
  }
}

TEST_F(StoreReads, AndPurgesKeepRowsThatTellNeitherStateNorTime) {
  testing::PurgeRig rig;
  auto other = testing::open_db(rig.path);
  testing::exec(other,
                "INSERT INTO invocations (task_id, task_name, state) VALUES ('bare', 't', '')");
  testing::exec(other,
                "INSERT INTO invocations (task_id, task_name, state, started_at) VALUES ('begun', "
                "'t', '', " +
                    std::to_string(rig.seconds() - 60) + ")");
  const std::uint64_t counted = rig.census(1000).invocations;
  EXPECT_GT(counted, 0u);
  EXPECT_EQ(rig.purge_all(7).invocations, counted);
  for (const char* id : {"bare", "begun"}) {
    const auto found = testing::get_row(*rig.store, id, rig.now);
    ASSERT_TRUE(found.ok() && found->has_value()) << id;
    EXPECT_EQ((*found)->state, "") << id;
  }
  const auto listed = testing::list_task(*rig.store, "t", 9, rig.now);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ(listed->back().record.task_id, "bare");
  auto history = testing::history_of(*rig.store, rig.now);
  ASSERT_TRUE(history.ok());
  const auto counts = history->count({}, false);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->counts.at({"t", "", 0}), 2u);
}

TEST_F(StoreReads, GoOverTheTablesOfEverySchema) {
  for (const MadeSchema schema :
       {MadeSchema::kSingle, MadeSchema::kPresplit, MadeSchema::kPartitioned}) {
    store_.reset();
    std::filesystem::remove(path_);
    BacklogPlan plan;
    plan.schema = schema;
    plan.legacy = true;
    ASSERT_TRUE(BacklogMaker::make(path_, plan).ok());
    store_ = open_store(path_);
    put({a_record("new", plan.now)});
    EXPECT_TRUE(get("new", plan.now).has_value());
    auto db = testing::open_db(path_);
    std::size_t shown = 0;
    for (const char* group : {"fresh", "thin", "expired"}) {
      std::string sql;
      for (std::string table :
           testing::lines(db, "SELECT name FROM sqlite_master WHERE name GLOB 'invocations*'", 1)) {
        table.pop_back();
        sql += (sql.empty() ? "SELECT task_id FROM " : " UNION ALL SELECT task_id FROM ") + table +
               " WHERE task_id GLOB '*-" + group + "*'";
      }
      const auto ids = testing::lines(db, sql, 1);
      EXPECT_GT(ids.size(), 100u) << group;
      for (std::string id : ids) {
        id.pop_back();
        const auto found = get(id, plan.now);
        EXPECT_EQ(found.has_value(), std::string_view(group) != "expired") << id;
        if (!found) continue;
        ++shown;
        EXPECT_TRUE(std::string_view(group) == "fresh" || found->args.empty()) << id;
      }
    }
    std::size_t listed = 0;
    for (int task = 0; task < 4; ++task) {
      const std::string name = "task." + std::to_string(task);
      const auto rows = testing::list_task(*store_, name, 100'000, at(plan.now));
      ASSERT_TRUE(rows.ok());
      std::int64_t last = std::numeric_limits<std::int64_t>::max();
      for (const Row& row : *rows) {
        EXPECT_LE(row.at_us, last) << row.record.task_id;
        const Record& record = row.record;
        EXPECT_EQ(row.at_us,
                  to_us(retention_time(record.finished_at, record.started_at, record.received_at)));
        last = row.at_us;
        listed += row.record.task_id.find("timeless") == std::string::npos ? 1 : 0;
      }
    }
    EXPECT_EQ(listed, shown);
  }
}

}  // namespace
}  // namespace phlower
