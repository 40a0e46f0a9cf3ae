// Versions of one task in any order become the same row, in each schema; what cannot be stored
// leaves no trace; positions go with the rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "phlower/ground/random.hpp"
#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"
#include "support/store_reading.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogMaker;
using testing::BacklogPlan;
using testing::kNow;
using testing::lines;
using testing::MadeSchema;
using testing::open_db;
using testing::open_store;
using testing::TempDir;

/// The life of a task that is tried twice and then succeeds, as records.
std::vector<Record> versions() {
  Record received;
  received.task_id = "t";
  received.task_name = "shop.pay";
  received.state = "RECEIVED";
  received.received_at = kNow - 100;
  received.args = "(1,)";
  received.kwargs = "{}";
  received.queue = "default";
  Record started = received;
  started.queue.clear();
  started.state = "STARTED";
  started.started_at = kNow - 90;
  started.worker = "w1";
  started.args.clear();
  started.kwargs.clear();
  Record retry = started;
  retry.state = "RETRY";
  retry.finished_at = kNow - 80;
  retry.exception_type = "Timeout";
  retry.traceback = "first try";
  Record again = started;
  again.started_at = kNow - 50;
  again.worker = "w2";
  Record success = again;
  success.state = "SUCCESS";
  success.finished_at = kNow - 40;
  success.runtime_ms = 10'000;
  return {received, started, retry, again, success};
}

class StoreUpsert : public ::testing::TestWithParam<MadeSchema> {
 protected:
  void SetUp() override {
    BacklogPlan plan;
    plan.schema = GetParam();
    plan.expired = plan.thin = plan.fresh = plan.timeless = plan.orphans = 0;
    plan.fresh = 2;
    ASSERT_TRUE(BacklogMaker::make(path_, plan).ok());
    store_ = open_store(path_);
  }
  void put(const std::vector<Record>& records) {
    ASSERT_TRUE(store_->begin().ok());
    for (const Record& record : records) {
      const Status status = store_->upsert(record.view()).status();
      ASSERT_TRUE(status.ok()) << status.message();
    }
    ASSERT_TRUE(store_->commit().ok());
  }
  Record get(const std::string& id) {
    const auto found = testing::get_row(*store_, id, testing::PurgeRig::at(kNow));
    EXPECT_TRUE(found.ok() && found->has_value()) << id;
    return found.ok() && found->has_value() ? **found : Record();
  }
  bool has(const std::string& id) {
    const auto found = testing::get_row(*store_, id, testing::PurgeRig::at(kNow));
    return found.ok() && found->has_value();
  }

  TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "history.db";
  std::unique_ptr<SingleStore> store_;
};

TEST_P(StoreUpsert, EndsWithTheSameRowWhateverTheOrder) {
  const std::vector<Record> all = versions();
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), 0);
  int n = 0;
  do {
    const std::string id = "t" + std::to_string(n++);
    std::vector<Record> records;
    for (const std::size_t i : order) {
      records.push_back(all[i]);
      records.back().task_id = id;
    }
    put(records);
    const Record row = get(id);
    std::string label = "order";
    for (const std::size_t i : order) label += " " + std::to_string(i);
    ASSERT_EQ(row.state, "SUCCESS") << label;
    ASSERT_EQ(row.received_at, kNow - 100) << label;
    ASSERT_EQ(row.started_at, kNow - 50) << label;
    ASSERT_EQ(row.finished_at, kNow - 40) << label;
    ASSERT_EQ(row.runtime_ms, 10'000) << label;
    ASSERT_EQ(row.worker, "w2") << label;
    ASSERT_EQ(row.queue, "default") << label;
    ASSERT_EQ(row.exception_type, "") << label << ": a success has no exception";
    ASSERT_EQ(row.traceback, "") << label;
    ASSERT_EQ(row.args, "(1,)") << label;
    ASSERT_EQ(row.kwargs, "{}") << label;
  } while (std::next_permutation(order.begin(), order.end()));
  auto db = open_db(path_);
  EXPECT_EQ(*db.query_integer("SELECT count(*) FROM invocations WHERE task_id GLOB 't[0-9]*'"), n);
}

TEST_P(StoreUpsert, LetsNoEarlierVersionWin) {
  const auto all = versions();
  put({all[4], all[0]});
  EXPECT_EQ(get("t").state, "SUCCESS") << "received after success";
  put({all[2]});
  EXPECT_EQ(get("t").state, "SUCCESS") << "retry after the success of the next try";
  Record failure = all[4];
  failure.state = "FAILURE";
  failure.finished_at = kNow - 41;
  put({failure});
  EXPECT_EQ(get("t").state, "SUCCESS") << "an end before the one that is known";
  failure.finished_at = kNow - 39;
  failure.exception_type = "Late";
  put({failure});
  EXPECT_EQ(get("t").state, "SUCCESS") << "one run of it has succeeded";
  EXPECT_EQ(get("t").exception_type, "");
}

TEST_P(StoreUpsert, LetsALaterVersionOfOneStateWin) {
  Record failure = versions()[4];
  failure.state = "REVOKED";
  put({failure});
  failure.state = "FAILURE";
  failure.finished_at = kNow - 42;
  put({failure});
  EXPECT_EQ(get("t").state, "FAILURE") << "it weighs more, though it was earlier";
  failure.finished_at = kNow - 39;
  failure.exception_type = "Late";
  put({failure});
  EXPECT_EQ(get("t").exception_type, "Late");
  failure.finished_at = kNow - 41;
  failure.exception_type = "Early";
  put({failure});
  EXPECT_EQ(get("t").exception_type, "Late");
}

TEST_P(StoreUpsert, KeepsTheSecondOfTwoVersionsOfTheSameTime) {
  Record one = a_record("same", kNow - 5);
  one.worker = "first";
  Record two = one;
  two.worker = "second";
  put({one, two});
  EXPECT_EQ(get("same").worker, "second");
}

TEST_P(StoreUpsert, TakesAVersionWithoutAStateForOneThatHasNotEnded) {
  for (const char* end : {"SUCCESS", "FAILURE", "REVOKED", "REJECTED", "shop.SKIPPED"}) {
    for (const bool end_first : {true, false}) {
      const std::string id = std::string(end) + (end_first ? "-1" : "-2");
      const Record ended = a_record(id, kNow - 10, end);
      Record stateless = a_record(id, kNow - 5, "");  // later, and with an end
      stateless.worker = "later";
      put(end_first ? std::vector{ended, stateless} : std::vector{stateless, ended});
      EXPECT_EQ(get(id).state, end);
      EXPECT_EQ(get(id).finished_at, kNow - 10);
      EXPECT_EQ(get(id).worker, ended.worker);
    }
  }
}

TEST_P(StoreUpsert, GivesAVersionWithoutAStateTheOneThatIsKnown) {
  Record started = versions()[1];
  Record later = started;
  later.state.clear();
  later.started_at += 10;
  put({started, later});
  EXPECT_EQ(get("t").state, "STARTED");
  EXPECT_EQ(get("t").started_at, later.started_at);
  for (Record* record : {&started, &later}) record->task_id = "u";
  put({later, started});
  EXPECT_EQ(get("u").state, "STARTED");
  EXPECT_EQ(get("u").started_at, later.started_at);
}

TEST_P(StoreUpsert, KeepsALaterArrivalAgainstEarlierStartsInAnyOrder) {
  Record arrived = versions()[0];
  arrived.received_at = kNow - 10;
  Record first = versions()[1];
  first.received_at = kNow - 40;
  first.started_at = kNow - 30;
  Record second = first;
  second.started_at = kNow - 20;
  put({arrived, first, second});
  EXPECT_EQ(get("t").state, "RECEIVED");
  for (Record* record : {&arrived, &first, &second}) record->task_id = "u";
  put({second, arrived, first});
  EXPECT_EQ(get("u").state, "RECEIVED");
}

TEST_P(StoreUpsert, AddsDetailsThatComeLater) {
  Record bare = a_record("later", kNow - 5);
  bare.args.clear();
  bare.kwargs.clear();
  put({bare});
  EXPECT_EQ(get("later").args, "");
  Record full = bare;
  full.state = "RECEIVED";
  full.finished_at = full.started_at = 0;
  full.args = "(7,)";
  put({full});
  EXPECT_EQ(get("later").args, "(7,)");
  EXPECT_EQ(get("later").state, "SUCCESS");
}

TEST_P(StoreUpsert, GivesTextBackByteForByte) {
  Record record = a_record("odd", kNow - 5);
  record.args = std::string("a\0b", 3) + "\xf0\x9f\x8c\xb8 '\"--";
  record.kwargs = "{'k': \"\xc3\xa9\"}";
  put({record});
  EXPECT_EQ(get("odd").args, record.args);
  EXPECT_EQ(get("odd").kwargs, record.kwargs);
}

TEST_P(StoreUpsert, RefusesWhatNoRowCanHoldAndGoesOn) {
  ASSERT_TRUE(store_->begin().ok());
  std::vector<Record> bad(4, a_record("bad", kNow - 5));
  bad[0].task_id.clear();
  bad[1].finished_at = std::nan("");
  bad[2].started_at = 1e300;
  bad[3].runtime_ms = HUGE_VAL;
  for (const Record& record : bad) {
    EXPECT_EQ(store_->upsert(record.view()).status().code(), Code::kInvalidArgument);
  }
  ASSERT_TRUE(store_->upsert(a_record("good", kNow - 5).view()).ok());
  ASSERT_TRUE(store_->commit().ok());
  EXPECT_TRUE(has("good"));
  EXPECT_FALSE(has("bad"));
}

TEST_P(StoreUpsert, KeepsNothingOfWhatWasRolledBack) {
  put({a_record("kept", kNow - 5, "RETRY")});
  ASSERT_TRUE(store_->begin().ok());
  ASSERT_TRUE(store_->upsert(a_record("kept", kNow - 1).view()).ok());
  ASSERT_TRUE(store_->upsert(a_record("gone", kNow - 1).view()).ok());
  ASSERT_TRUE(store_->save_positions({RingId{1}, {{3, 4, 5}}, {{0, 9, 9}}}).ok());
  store_->rollback();
  EXPECT_EQ(get("kept").state, "RETRY");
  EXPECT_FALSE(has("gone"));
  EXPECT_TRUE(store_->load_positions(RingId{1})->chunks.empty());
}

TEST_P(StoreUpsert, StoresPositionsWithTheRowsAndForgetsThemByRing) {
  for (const std::uint8_t ring : {1, 2}) {
    ASSERT_TRUE(store_->begin().ok());
    ASSERT_TRUE(store_->upsert(a_record("ring" + std::to_string(ring), kNow - 5).view()).ok());
    ASSERT_TRUE(store_->save_positions({RingId{ring}, {{3, 4, ring}}, {{0, ring, 9}}}).ok());
    ASSERT_TRUE(store_->commit().ok());
  }
  store_ = open_store(path_);
  const auto one = store_->load_positions(RingId{1});
  ASSERT_TRUE(one.ok());
  ASSERT_EQ(one->chunks.size(), 1u);
  EXPECT_EQ(one->chunks[0].used, 1u);
  EXPECT_EQ(one->lanes.at(0).delivered, 1u);
  ASSERT_TRUE(store_->forget_ring(RingId{1}).ok());
  EXPECT_TRUE(store_->load_positions(RingId{1})->chunks.empty());
  EXPECT_EQ(store_->load_positions(RingId{2})->chunks.size(), 1u);
}

std::string schema_name(const ::testing::TestParamInfo<MadeSchema>& schema) {
  constexpr const char* names[] = {"Single", "Presplit", "Partitioned"};
  return names[static_cast<int>(schema.param)];
}

INSTANTIATE_TEST_SUITE_P(Schemas, StoreUpsert,
                         ::testing::Values(MadeSchema::kSingle, MadeSchema::kPresplit,
                                           MadeSchema::kPartitioned),
                         schema_name);

TEST(StoreTransaction, SaysWhatIsOutOfOrder) {
  const TempDir dir("/dev/shm");
  const auto store = open_store(dir / "history.db");
  EXPECT_EQ(store->upsert(a_record("t", kNow).view()).status().code(), Code::kInternal);
  EXPECT_EQ(store->commit().code(), Code::kInternal);
  EXPECT_EQ(store->save_positions({}).code(), Code::kInternal);
  ASSERT_TRUE(store->begin().ok());
  EXPECT_EQ(store->begin().code(), Code::kInternal);
  store->rollback();
  store->rollback();  // does nothing outside a transaction
}

}  // namespace
}  // namespace phlower
