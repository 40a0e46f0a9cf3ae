// Producer and consumer on one ring, in one thread: what goes in comes out once and in order, and
// the counters add up.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "support/ring_rig.hpp"

namespace phlower {
namespace {

using testing::make_content;
using testing::move_all;
using testing::move_batch;
using testing::must;
using testing::read_batch;

class Ring : public testing::RingRig {};

TEST_F(Ring, GivesARecordBackAsItWas) {
  make(4);
  const auto producer = attach();
  clock_.advance(Nanoseconds(777));
  const Record record = make_content({3, 16});
  ASSERT_TRUE(producer->submit(record.view()).ok());
  consumer_->scan();
  EXPECT_EQ(consumer_->oldest_pending_ns(), 777u);
  RingRecord got;
  ASSERT_TRUE(consumer_->next(got));
  testing::ContentId id;
  EXPECT_EQ(testing::check_content(got.record, id), "");
  EXPECT_EQ(got.lane, producer->lane());
  EXPECT_EQ(got.sequence, 1u);
  EXPECT_EQ(got.submitted_ns, 777u);
  EXPECT_FALSE(consumer_->next(got));
}

TEST_F(Ring, KeepsTheOrderOfALaneAcrossChunks) {
  make(16);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 150; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  EXPECT_EQ(move_all(*consumer_, store_, 7), 150u);
  expect_ids(150);
  for (std::uint64_t i = 0; i < 150; ++i) EXPECT_EQ(store_.rows[i].sequence, i + 1);
}

TEST_F(Ring, KeepsNoProducerWaitingBehindABusyOne) {
  make(32);
  const auto busy = attach();
  const auto rare = attach();
  for (std::uint32_t number = 0; number < 400; ++number) {
    clock_.advance(Nanoseconds(10));
    ASSERT_TRUE(submit(*busy, number).ok());
    if (number != 200) continue;
    ASSERT_TRUE(submit(*rare, 0, 1).ok());
  }
  std::uint32_t before = 0;
  for (bool found = false; !found; ++before) {
    consumer_->scan();
    const auto batch = read_batch(*consumer_, 1);
    ASSERT_FALSE(batch.empty());
    found = batch[0].lane == rare->lane();
    static_cast<void>(consumer_->pending());
    consumer_->commit();
  }
  EXPECT_GT(before, 100u);  // what came first goes first
  EXPECT_LT(before, 300u);  // a chunk that was begun is read to its end
}

TEST_F(Ring, FreesChunksOnlyAfterTheCommit) {
  make(4);
  const auto producer = attach();
  const std::uint32_t count = fill(*producer);
  EXPECT_EQ(consumer_->stats().chunks_in_use, 4u);
  consumer_->scan();
  const auto batch = read_batch(*consumer_, 100'000);
  EXPECT_EQ(batch.size(), count);
  consumer_->scan();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 4u);
  EXPECT_EQ(submit(*producer, count).code(), Code::kRefused);
  consumer_->commit();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 0u);
  EXPECT_TRUE(submit(*producer, count).ok());
}

TEST_F(Ring, GivesTheSameRecordsAgainAfterARollback) {
  make(8);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 60; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  EXPECT_EQ(move_batch(*consumer_, store_, 10), 10u);
  consumer_->scan();
  EXPECT_EQ(read_batch(*consumer_, 25).size(), 25u);
  consumer_->rollback();
  EXPECT_TRUE(consumer_->pending().chunks.empty());
  EXPECT_TRUE(consumer_->pending().lanes.empty());
  EXPECT_EQ(consumer_->stats().delivered, 10u);
  EXPECT_EQ(consumer_->stats().unread, 50u);
  move_all(*consumer_, store_);
  expect_ids(60);
  EXPECT_EQ(consumer_->stats().delivered, 60u);
}

TEST_F(Ring, ShedsDetailsFirstThenRefusesAndCountsBoth) {
  make(8);
  const auto producer = attach(50);
  std::uint32_t accepted = 0;
  bool shed_seen = false;
  while (submit(*producer, accepted).ok()) {
    ++accepted;
    if (producer->shedding()) shed_seen = true;
    if (!shed_seen) {
      EXPECT_LE(consumer_->stats().chunks_in_use, 4u);
    }
  }
  EXPECT_TRUE(shed_seen);
  EXPECT_EQ(submit(*producer, accepted).code(), Code::kRefused);
  move_all(*consumer_, store_);
  expect_ids(accepted);
  const RingStats stats = consumer_->stats();
  const auto shed = std::count_if(store_.rows.begin(), store_.rows.end(),
                                  [](const auto& row) { return (row.flags & kDetailsShed) != 0; });
  EXPECT_GT(shed, 0);
  EXPECT_EQ(stats.shed, static_cast<std::uint64_t>(shed));
  EXPECT_EQ(stats.refused_full, 2u);
  EXPECT_EQ(stats.offered, accepted + 2u);
  EXPECT_EQ(stats.torn, 0u);
  expect_sums(stats);
  ASSERT_TRUE(submit(*producer, accepted).ok());
  EXPECT_FALSE(producer->shedding());
}

TEST_F(Ring, TakesWholeRecordsUpToItsMarkAndCountsNoRefusalOfThose) {
  make(8);
  const auto patient = attach(50);
  const auto hasty = attach(50);
  std::uint32_t number = 0;
  while (patient->submit_whole(make_content({0, number}).view()).ok()) ++number;
  EXPECT_LE(consumer_->stats().chunks_in_use, 4u);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(patient->submit_whole(make_content({0, number}).view()).code(), Code::kRefused);
  }
  EXPECT_EQ(consumer_->stats().offered, number);
  EXPECT_EQ(consumer_->stats().refused_full, 0u);
  ASSERT_TRUE(submit(*hasty, 0, 1).ok());  // what is above the mark is for those that cannot wait
  move_all(*consumer_, store_);
  for (int i = 0; i < 20; ++i, ++number) {
    ASSERT_TRUE(patient->submit_whole(make_content({0, number}).view()).ok());
  }
  move_all(*consumer_, store_);
  EXPECT_EQ(store_.rows.size(), number + 1);
  EXPECT_EQ(consumer_->stats().shed, 1u);  // that of the hasty one
}

TEST_F(Ring, TakesWholeRecordsAboveItsMarkWhereNothingCanBeFreed) {
  make(5);
  std::vector<std::unique_ptr<Producer>> idle;  // each holds a chunk
  for (std::uint32_t i = 0; i < 3; ++i) {
    idle.push_back(attach());
    ASSERT_TRUE(submit(*idle.back(), 0, i).ok());
  }
  move_all(*consumer_, store_);
  EXPECT_EQ(consumer_->stats().chunks_in_use, 3u);
  const auto patient = attach(50);
  for (std::uint32_t number = 0; number < 100; ++number) {
    ASSERT_TRUE(patient->submit_whole(make_content({3, number}).view()).ok()) << number;
    move_all(*consumer_, store_);
  }
  EXPECT_EQ(consumer_->stats().shed, 0u);
  EXPECT_EQ(consumer_->stats().refused_full, 0u);
}

TEST_F(Ring, CutsDetailsToTheirLimits) {
  make(4);
  RecordOptions limits = testing::small_records();
  limits.args_max_bytes = 5;
  const auto producer = must(Producer::attach(options_.path, limits, 100, clock_));
  Record record = make_content({0, 1});
  record.args = "abcd\u00f6-and more";
  ASSERT_TRUE(producer->submit(record.view()).ok());
  consumer_->scan();
  RingRecord got;
  ASSERT_TRUE(consumer_->next(got));
  EXPECT_EQ(got.record.args, "abcd");
  EXPECT_EQ(got.record.flags, kDetailsCut);
  consumer_->commit();
  EXPECT_EQ(consumer_->stats().cut, 1u);
}

TEST_F(Ring, WaitsForTheDiskWithPowerDurability) {
  const testing::TempDir disk("/var/tmp");
  options_ = testing::small_ring(disk / "ring", 4, 8);
  if (on_memory_file_system(options_.path)) GTEST_SKIP() << "no disk here";
  consumer_ = must(RingConsumer::open(options_, Durability::kPower, clock_, store_.loader()));
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 20; ++number) {  // over pages and a chunk's end
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  move_all(*consumer_, store_);
  expect_ids(20);
  consumer_.reset();
  // The durability is the file's: with another one it is another ring.
  const auto other = RingConsumer::open(options_, Durability::kProcess, clock_, store_.loader());
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*other)->set_aside().size(), 1u);
}

TEST_F(Ring, RefusesWhatIsTooBigOrNoRecordAndCountsIt) {
  make(4);
  const auto producer = attach();
  Record big = make_content({0, 1});
  big.task_id = std::string(1025, 'n');
  EXPECT_EQ(producer->submit(big.view()).code(), Code::kTooBig);
  RecordView nameless;
  EXPECT_EQ(producer->submit(nameless).code(), Code::kInvalidArgument);
  ASSERT_TRUE(submit(*producer, 0).ok());
  const RingStats stats = consumer_->stats();
  EXPECT_EQ(stats.refused_big, 1u);
  EXPECT_EQ(stats.aborted, 1u);
  EXPECT_EQ(stats.offered, 3u);
  EXPECT_EQ(stats.unread, 1u);
  EXPECT_EQ(stats.torn, 0u);
  expect_sums(stats);
}

TEST_F(Ring, GivesEachProducerALaneUntilNoneIsLeft) {
  make(4, 3);
  std::vector<std::unique_ptr<Producer>> producers;
  std::set<std::uint32_t> lanes;
  for (int i = 0; i < 3; ++i) {
    producers.push_back(attach());
    lanes.insert(producers.back()->lane());
  }
  EXPECT_EQ(lanes.size(), 3u);
  EXPECT_EQ(testing::attach_small(options_, clock_).status().code(), Code::kBusy);
  producers.pop_back();
  EXPECT_TRUE(testing::attach_small(options_, clock_).ok());
}

TEST_F(Ring, RefusesARecordFromInsideASubmitAndCountsIt) {
  // A clock that calls back is a signal handler without the luck.
  struct Reentrant final : Clock {
    Producer* producer = nullptr;
    Status inner;
    MonoTime mono() override {
      if (Producer* const once = std::exchange(producer, nullptr)) {
        inner = once->submit(make_content({0, 9}).view());
      }
      return {};
    }
    WallTime wall() override { return {}; }
  } clock;
  make(4);
  const auto producer = must(Producer::attach(options_.path, testing::small_records(), 100, clock));
  clock.producer = producer.get();
  EXPECT_TRUE(submit(*producer, 0).ok());
  EXPECT_EQ(clock.inner.code(), Code::kRefused);
  EXPECT_EQ(consumer_->stats().unattached, 1u);
  EXPECT_EQ(consumer_->stats().offered, 2u);
  expect_sums(consumer_->stats());
  move_all(*consumer_, store_);
  expect_ids(1);
}

TEST_F(Ring, DoesNotReadANewUseOfAChunkByAnOldListOfWork) {
  make(1, 2);
  const auto first = attach();
  const std::uint32_t filled = fill(*first);
  consumer_->scan();
  EXPECT_EQ(read_batch(*consumer_, filled).size(), filled);
  consumer_->commit();  // frees the chunk that the list stands at
  const auto second = attach();
  ASSERT_TRUE(submit(*second, 1, 7).ok());
  RingRecord got;
  EXPECT_FALSE(consumer_->next(got));
  consumer_->scan();
  ASSERT_TRUE(consumer_->next(got));
  EXPECT_EQ(got.lane, second->lane());
}

TEST_F(Ring, CanScanAgainInTheMiddleOfABatch) {
  make(8);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 30; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  consumer_->scan();
  auto batch = read_batch(*consumer_, 20);
  for (std::uint32_t number = 30; number < 40; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  consumer_->scan();
  for (const auto& row : read_batch(*consumer_, 100)) batch.push_back(row);
  store_.commit(batch, consumer_->pending());
  consumer_->commit();
  expect_ids(40);
  EXPECT_FALSE(consumer_->has_unread());
}

TEST_F(Ring, WaitsOnlyWhileNothingIsThere) {
  make(4);
  const auto producer = attach();
  EXPECT_FALSE(consumer_->wait(Milliseconds(1)));
  EXPECT_FALSE(consumer_->wait(Nanoseconds(0)));
  ASSERT_TRUE(submit(*producer, 0).ok());
  EXPECT_TRUE(consumer_->wait(std::chrono::hours(1)));
  EXPECT_TRUE(consumer_->wait(Nanoseconds(0)));
  EXPECT_EQ(view().header().sleeping, 0u);
}

TEST_F(Ring, ShowsItsFiguresToOtherProcesses) {
  make(4);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 12; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  move_batch(*consumer_, store_, 5);
  const auto seen = read_ring_stats(options_.path);
  ASSERT_TRUE(seen.ok()) << seen.status().message();
  EXPECT_EQ(seen->offered, 12u);
  EXPECT_EQ(seen->delivered, 5u);
  EXPECT_EQ(seen->unread, 7u);
  EXPECT_EQ(seen->chunks, 4u);
  EXPECT_EQ(read_ring_stats(dir_ / "none").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace phlower
