// The store in segments: what goes in comes out, whatever has been rotated, sealed, reopened.
#include "phlower/segment/segmented_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using ::testing::HasSubstr;
using testing::SegmentRig;
using testing::uuid_of;

class SegmentStore : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override {
    const Status status = open();
    ASSERT_TRUE(status.ok()) << status.message();
  }
};

void expect_same(const Record& is, const Record& wanted) {
  EXPECT_EQ(is.task_id, wanted.task_id);
  EXPECT_EQ(is.task_name, wanted.task_name);
  EXPECT_EQ(is.state, wanted.state);
  EXPECT_NEAR(is.received_at, wanted.received_at, 1e-6);
  EXPECT_NEAR(is.started_at, wanted.started_at, 1e-6);
  EXPECT_NEAR(is.finished_at, wanted.finished_at, 1e-6);
  EXPECT_NEAR(is.runtime_ms, wanted.runtime_ms, 1e-3);
  EXPECT_EQ(is.worker, wanted.worker);
  EXPECT_EQ(is.queue, wanted.queue);
  EXPECT_EQ(is.exception_type, wanted.exception_type);
  EXPECT_EQ(is.args, wanted.args);
  EXPECT_EQ(is.kwargs, wanted.kwargs);
  EXPECT_EQ(is.traceback, wanted.traceback);
  EXPECT_EQ(is.flags, wanted.flags);
}

TEST_F(SegmentStore, GivesBackEveryFieldWhileWrittenAndWhenSealedAndAfterAStart) {
  std::vector<Record> records;
  for (int i = 0; i < 8; ++i) records.push_back(a_record(uuid_of(i), now() - i));
  records[1].task_id = "not a uuid \xc3\xa9";
  records[2].task_id = "AAAAAAAA-0000-4000-8000-000000000002";  // upper case: kept as it is
  records[3].received_at = records[3].started_at = 0;
  records[3].runtime_ms = -1;
  records[4].finished_at = 0;
  records[4].state = "STARTED";
  records[5].args = records[5].kwargs = "";
  records[5].traceback.assign(7000, 't');
  records[5].exception_type = "KeyError('x')";
  records[6].worker = records[6].queue = records[6].task_name = "";
  records[7].args = records[7].kwargs = "";
  records[7].flags = kDetailsShed;
  ASSERT_TRUE(put(records).ok());
  const auto check = [&](const char* when) {
    SCOPED_TRACE(when);
    for (const Record& record : records) {
      const auto found = get(record.task_id);
      ASSERT_TRUE(found.has_value()) << record.task_id;
      expect_same(*found, record);
    }
  };
  check("being written");
  reopen();
  check("after a start");
  put_many(1000, 100, now());
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  check("sealed");
  reopen();
  check("sealed, after a start");
}

TEST_F(SegmentStore, MergesVersionsInWhateverSegmentsTheyStand) {
  Record retry = a_record(uuid_of(1), now() - 10, "RETRY");
  retry.traceback = "Traceback of the first try";
  ASSERT_TRUE(put({retry}).ok());
  put_many(100, 100, now());
  tend();
  Record success = a_record(uuid_of(1), now());
  success.task_name = "";
  success.args = success.kwargs = "";
  ASSERT_TRUE(put({success}).ok());
  auto found = get(uuid_of(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state, "SUCCESS");
  EXPECT_EQ(found->task_name, "shop.orders.pack");
  EXPECT_EQ(found->args, "(1, 'two')");
  EXPECT_EQ(found->traceback, "");
  // And an older version that comes last changes nothing.
  ASSERT_TRUE(put({retry}).ok());
  EXPECT_EQ(get(uuid_of(1))->state, "SUCCESS");
  Query query;
  query.state = "RETRY";
  EXPECT_THAT(list(query), ::testing::IsEmpty());
  const auto counts = history().count({}, false);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->counts.at({"shop.orders.pack", "SUCCESS", 0}), 101u);
  EXPECT_EQ(counts->counts.size(), 1u);
}

TEST_F(SegmentStore, UpdatesATaskInPlaceWithinASegment) {
  Record started = a_record(uuid_of(1), 0, "STARTED");
  started.received_at = now() - 3;
  started.started_at = now() - 2;
  ASSERT_TRUE(put({started}).ok());
  ASSERT_TRUE(put({a_record(uuid_of(1), now())}).ok());
  EXPECT_EQ(store->counts().invocations, 1u);
  EXPECT_EQ(get(uuid_of(1))->state, "SUCCESS");
  ASSERT_TRUE(put({a_record(uuid_of(1), now() - 1, "FAILURE")}).ok());
  EXPECT_EQ(get(uuid_of(1))->state, "SUCCESS");
}

TEST_F(SegmentStore, ListsNewestFirstAcrossSegmentsWithACursor) {
  for (std::uint64_t i = 0; i < 450; i += 50) {
    put_many(i, 50, now() + static_cast<double>(i));
    tend(1);
  }
  ASSERT_GE(in_state(SegmentState::kSealed), 3u);
  for (const bool by_name : {false, true}) {
    Query query;
    if (by_name) query.task_name = "shop.orders.pack";
    query.limit = 7;
    std::vector<std::string> ids;
    for (;;) {
      auto answer = history().list(query);
      ASSERT_TRUE(answer.ok()) << answer.status().message();
      for (const Row& row : answer->rows) ids.push_back(row.record.task_id);
      if (!answer->next) break;
      query.after = answer->next;
    }
    ASSERT_EQ(ids.size(), 450u);
    for (std::uint64_t i = 0; i < 450; ++i) EXPECT_EQ(ids[i], uuid_of(449 - i));
  }
}

TEST_F(SegmentStore, SearchesByFieldsTimeAndText) {
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < 300; ++i) {
    Record record = a_record(uuid_of(i), now() - 300 + static_cast<double>(i));
    record.task_name = i % 3 == 0 ? "a" : "b";
    record.state = i % 5 == 0 ? "FAILURE" : "SUCCESS";
    record.worker = "w" + std::to_string(i % 4);
    record.kwargs = "{'order': 'N" + std::to_string(i) + "'}";
    if (i % 10 == 0) record.traceback = "ValueError: no stock in HALL 7";
    records.push_back(record);
  }
  const double begin = now() - 300;
  for (std::size_t at = 0; at < 300; at += 100) {
    ASSERT_TRUE(put({records.begin() + static_cast<std::ptrdiff_t>(at),
                     records.begin() + static_cast<std::ptrdiff_t>(at) + 100})
                    .ok());
    tend();
  }
  Query query;
  query.limit = 1000;
  query.text = "hall 7";
  EXPECT_EQ(list(query).size(), 30u);
  query.task_name = "a";
  EXPECT_EQ(list(query).size(), 10u);
  query.worker = "w2";
  EXPECT_EQ(list(query).size(), 5u);
  query = {};
  query.text = "'n123'";
  EXPECT_THAT(list(query), ::testing::ElementsAre(uuid_of(123)));
  query = {};
  query.limit = 1000;
  query.from_us = to_us(begin + 50);
  query.until_us = to_us(begin + 250);
  EXPECT_EQ(list(query).size(), 200u);
  query.state = "FAILURE";
  EXPECT_EQ(list(query).size(), 40u);
  const auto counts = history().count(query, true);
  ASSERT_TRUE(counts.ok());
  std::uint64_t sum = 0;
  for (const auto& [key, count] : counts->counts) sum += count;
  EXPECT_EQ(sum, 40u);
  const auto times = history().times({});
  ASSERT_TRUE(times.ok());
  EXPECT_EQ(times->tasks.at("a").runtime.count(), 100u);
  EXPECT_NEAR(static_cast<double>(times->tasks.at("a").pickup.quantile(0.5)), 1e9, 0.1e9);
}

TEST_F(SegmentStore, FindsEveryIdAmongManyInRunsInTheIndexAndInTheMap) {
  options.store.segment_rows = 1'000'000;
  options.store.cache_bytes = 16 << 20;
  reopen();
  constexpr std::uint64_t kRows = 40'000;
  for (std::uint64_t i = 0; i < kRows; i += 4000) put_many(i, 4000, now());
  const auto check = [&](const char* when) {
    SCOPED_TRACE(when);
    History all = history();
    for (std::uint64_t i = 0; i < kRows; i += 37) {
      const auto found = all.get(uuid_of(i));
      ASSERT_TRUE(found.ok() && *found) << i;
      ASSERT_EQ((*found)->task_id, uuid_of(i));
      const auto absent = all.get(uuid_of(i + 10'000'000));
      ASSERT_TRUE(absent.ok() && !*absent);
    }
  };
  check("map");
  reopen();
  check("map after a start");
  options.store.segment_rows = 1000;
  reopen();
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  check("index");
}

TEST_F(SegmentStore, RollsBackToWhatItWas) {
  put_many(0, 50, now());
  ASSERT_TRUE(store->begin().ok());
  for (int i = 0; i < 30; ++i) {
    Record record = a_record(uuid_of(1000 + i), now());
    record.task_name = "new.name." + std::to_string(i);
    record.args.assign(900, 'x');
    ASSERT_TRUE(store->upsert(record.view()).ok());
  }
  ASSERT_TRUE(store->upsert(a_record(uuid_of(3), now() + 1, "FAILURE").view()).ok());
  store->rollback();
  EXPECT_EQ(store->counts().invocations, 50u);
  EXPECT_FALSE(get(uuid_of(1003)));
  EXPECT_EQ(get(uuid_of(3))->state, "SUCCESS");
  put_many(1000, 30, now());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(get(uuid_of(1000 + i))->args, "(1, 'two')");
  reopen();
  EXPECT_EQ(store->counts().invocations, 80u);
  EXPECT_EQ(get(uuid_of(1003))->task_name, "shop.orders.pack");
}

TEST_F(SegmentStore, KeepsWordsInTheirColumnsWhenThereAreTooMany) {
  options.store.segment_rows = 100'000;
  reopen();
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    records.push_back(a_record(uuid_of(i), now()));
    records.back().task_name = "generated." + std::to_string(i);
  }
  ASSERT_TRUE(put(records).ok());
  reopen();
  EXPECT_EQ(get(uuid_of(4999))->task_name, "generated.4999");
  Query query;
  query.task_name = "generated.4998";
  EXPECT_THAT(list(query), ::testing::ElementsAre(uuid_of(4998)));
  query.task_name = "generated.5";
  EXPECT_THAT(list(query), ::testing::ElementsAre(uuid_of(5)));
}

TEST_F(SegmentStore, LetsOnlyOneEngineIn) {
  auto second = SegmentedStore::open(options, clock);
  ASSERT_EQ(second.status().code(), Code::kBusy);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another engine"));
}

}  // namespace
}  // namespace phlower
