// Damaged records and control words: counted, skipped, repaired; the others come through.

#include <gtest/gtest.h>

#include "support/ring_rig.hpp"

namespace phlower {
namespace {

using testing::make_content;
using testing::move_all;
using testing::must;
using testing::read_batch;

class RingDamage : public testing::RingRig {};

TEST_F(RingDamage, SkipsDamagedRecordsAndGivesTheOthers) {
  make(4);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 6; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  const RecordHeader first = peek_header(view().chunk(0), 0);
  const auto second_at = record_span(first.length);
  view().chunk(0)[second_at + 60] ^= std::byte{1};  // in the second record
  move_all(*consumer_, store_);
  ASSERT_EQ(store_.rows.size(), 5u);
  EXPECT_EQ(store_.rows[1].sequence, 3u);
  EXPECT_EQ(consumer_->stats().corrupt_records, 1u);
  EXPECT_EQ(consumer_->stats().torn, 0u);
  expect_sums(consumer_->stats());
}

TEST_F(RingDamage, DoesNotCountDamageTwiceAfterARollback) {
  make(4);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 3; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  view().chunk(0)[40] ^= std::byte{1};
  for (int round = 0; round < 3; ++round) {
    consumer_->scan();
    EXPECT_EQ(read_batch(*consumer_, 10).size(), 2u);
    consumer_->rollback();
  }
  EXPECT_EQ(consumer_->stats().corrupt_records, 0u);
  move_all(*consumer_, store_);
  EXPECT_EQ(consumer_->stats().corrupt_records, 1u);
}

TEST_F(RingDamage, TakesNoRecordForGoodThatWasCopiedWithinItsChunk) {
  make(4);
  const auto producer = attach();
  const Record record = make_content({0, 1});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer->submit(record.view()).ok());
  const auto span = record_span(peek_header(view().chunk(0), 0).length);
  std::memcpy(view().chunk(0) + span, view().chunk(0), span);
  move_all(*consumer_, store_);
  ASSERT_EQ(store_.rows.size(), 2u);
  EXPECT_EQ(store_.rows[0].sequence, 1u);
  EXPECT_EQ(store_.rows[1].sequence, 3u);
}

TEST_F(RingDamage, DoesNotDeliverARecordThatWasRefusedBecauseOfADamagedWord) {
  make(4);
  const auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  Ctl word = ctl(0);
  word.used += 200;
  set_ctl(0, word);
  EXPECT_EQ(submit(*producer, 1).code(), Code::kDetached);
  EXPECT_TRUE(submit(*producer, 1).ok());
  move_all(*consumer_, store_);
  expect_ids(2);
}

TEST_F(RingDamage, FreesAChunkOfNothingButDamage) {
  make(2, 1);
  const auto producer = attach();
  const std::uint32_t count = fill(*producer);
  std::memset(view().chunk(0), 0xEE, options_.chunk_bytes);
  move_all(*consumer_, store_);
  consumer_->scan();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 0u);
  EXPECT_EQ(consumer_->stats().corrupt_records, 1u);
  EXPECT_LT(store_.rows.size(), count);
  EXPECT_TRUE(submit(*producer, 0).ok());
}

TEST_F(RingDamage, RepairsControlWordsThatCannotBe) {
  const Ctl damaged[] = {{ChunkState::kInvalid, 0, 0, 0},   {ChunkState::kOwned, 4000, 0, 0},
                         {ChunkState::kFull, 1, 0, 60'000}, {ChunkState::kFree, 1, 0, 0},
                         {ChunkState::kFree, 0, 99, 0},     {ChunkState::kOwned, 1, 99, 3}};
  make(2);
  std::uint64_t repaired = 0;
  for (const bool restart : {false, true}) {
    for (const Ctl& word : damaged) {
      // A word that is only of another generation is what a new consumer must take for true.
      if (restart && word.generation == 99) continue;
      const std::uint64_t generation = ctl(0).generation;
      Ctl bad = word;
      if (bad.generation == 0) bad.generation = generation;
      set_ctl(0, bad);
      set_ctl(1, {ChunkState::kOwned, 1, ctl(1).generation, 0});  // so that chunk 0 is in scope
      if (restart) open();
      consumer_->scan();
      EXPECT_EQ(consumer_->stats().repaired_words, ++repaired);
      EXPECT_EQ(ctl(0).state, ChunkState::kFree);
      EXPECT_EQ(ctl(0).generation, generation + 1);
    }
  }
}

TEST_F(RingDamage, DoesNotLoseRecordsToAPositionAheadOfADamagedWord) {
  make(2, 1);
  auto producer = attach();
  std::uint32_t next = fill(*producer);
  move_all(*consumer_, store_);
  // The store knows generation 0 of chunk 0 in full; the word says it is free in generation 0.
  consumer_.reset();
  set_ctl(0, {});
  open();
  EXPECT_EQ(ctl(0).generation, 1u);
  const std::size_t before = store_.rows.size();
  const std::uint32_t more = fill(*producer, next);
  move_all(*consumer_, store_);
  EXPECT_EQ(store_.rows.size(), before + more);
}

TEST_F(RingDamage, SealsASecondOpenChunkOfItsLane) {
  make(4, 1);
  ASSERT_TRUE(submit(*attach(), 0).ok());
  set_ctl(2, {ChunkState::kOwned, 0, 0, 0});
  const auto producer = attach();
  EXPECT_EQ(ctl(0).state, ChunkState::kOwned);
  EXPECT_EQ(ctl(2).state, ChunkState::kFull);
  ASSERT_TRUE(submit(*producer, 1).ok());
  move_all(*consumer_, store_);
  expect_ids(2);
}

}  // namespace
}  // namespace phlower
