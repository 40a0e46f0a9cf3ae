// Whose ring it is, and what the ring itself says of how far it is stored.
#include "phlower/ring/owner.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "phlower/ring/salvage.hpp"
#include "support/ring_rig.hpp"

namespace phlower {
namespace {

using testing::move_all;
using testing::move_batch;
using testing::must;
using testing::read_batch;
using testing::RingStore;

class RingOwners : public testing::RingRig {
 protected:
  static HistoryId history(std::uint8_t number) {
    HistoryId id{};
    id.fill(number);
    return id;
  }
  /// A home whose store is `store`.
  RingHome home(std::uint8_t number, RingStore& store) {
    RingHome home(history(number), "/histories/" + std::to_string(number), store.loader());
    home.save = [&store](const RingPositions& positions) {
      store.commit({}, positions);
      return Status();
    };
    return home;
  }
  Status open_for(const RingHome& home) {
    consumer_.reset();
    auto opened = RingConsumer::open(options_, Durability::kProcess, clock_, home);
    if (opened.ok()) consumer_ = *std::move(opened);
    return opened.status();
  }
  std::uint32_t unsettled() { return view().header().unsettled; }
};

TEST_F(RingOwners, SayBeforeACommitThatItMayHaveHappenedAndBehindItThatItHas) {
  make(4);
  const auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  consumer_->scan();
  EXPECT_EQ(read_batch(*consumer_, 10).size(), 1u);
  EXPECT_EQ(unsettled(), 0u);
  static_cast<void>(consumer_->pending());
  EXPECT_EQ(unsettled(), 1u);
  consumer_->rollback();  // of a COMMIT that failed, and may stand on the disk all the same
  EXPECT_EQ(unsettled(), 1u);
  move_all(*consumer_, store_);
  EXPECT_EQ(unsettled(), 0u);
}

TEST_F(RingOwners, AreNobodyAtFirstAndThenTheHistoryThatOpensIt) {
  make(4);
  EXPECT_EQ(view().header().history[0], 0u);
  RingStore first;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  EXPECT_FALSE(consumer_->taken_from().has_value());
  ASSERT_TRUE(open_for(home(1, first)).ok());
  EXPECT_FALSE(consumer_->taken_from().has_value());
  RingStore second;
  ASSERT_TRUE(open_for(home(2, second)).ok());
  EXPECT_EQ(consumer_->taken_from(), "/histories/1");
}

TEST_F(RingOwners, KeepWhatTheyWereGivenOverARestartWithoutACommit) {
  make(4);
  RingStore first, second;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  auto producer = attach();
  for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(submit(*producer, i).ok());
  EXPECT_EQ(move_all(*consumer_, first), 5u);
  ASSERT_TRUE(open_for(home(2, second)).ok());
  ASSERT_TRUE(open_for(home(2, second)).ok());
  EXPECT_EQ(move_all(*consumer_, second), 0u);
  expect_sums(consumer_->stats());
  EXPECT_EQ(consumer_->stats().torn, 0u);
}

TEST_F(RingOwners, OfWhichHalfWasWrittenAreAnotherForEverybody) {
  make(4);
  RingStore first;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  EXPECT_EQ(move_all(*consumer_, first), 1u);
  consumer_.reset();
  view().header().history[0] = 0x0202020202020202;
  RingStore empty;
  for (const std::uint8_t number : {1, 2}) {
    view().header().history[0] = 0x0202020202020202;
    view().header().history[1] = 0x0101010101010101;
    ASSERT_TRUE(open_for(home(number, empty)).ok());
    EXPECT_TRUE(consumer_->taken_from().has_value());
    EXPECT_EQ(move_all(*consumer_, empty), 0u);
    consumer_.reset();
  }
}

TEST_F(RingOwners, AreNamedInTextThatAnybodyMayHaveWrittenWithoutHarm) {
  make(4);
  RingStore first, second;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  auto& path = view().header().history_path;
  std::memset(path, '\n', sizeof(path));
  ASSERT_TRUE(open_for(home(2, second)).ok());
  EXPECT_EQ(consumer_->taken_from(), std::string(sizeof(path), '?'));
}

TEST_F(RingOwners, WhoWasKilledInACommitAreWaitedFor) {
  make(4);
  RingStore first, second;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  auto producer = attach();
  for (std::uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(submit(*producer, i).ok());
  consumer_->scan();
  const auto batch = read_batch(*consumer_, 2);
  first.commit(batch, consumer_->pending());  // and killed before the ring heard of it
  consumer_.reset();
  producer.reset();
  ASSERT_TRUE(open_for(home(2, second)).ok());
  EXPECT_EQ(move_all(*consumer_, second), 0u);
  ASSERT_EQ(consumer_->set_aside().size(), 1u);
  const std::string aside = consumer_->set_aside().front();
  const auto refused = RingSalvage::open(aside, home(2, second));
  EXPECT_EQ(refused.status().code(), Code::kWrongState);
  EXPECT_NE(refused.status().message().find("/histories/1"), std::string_view::npos);
  auto salvage = must(RingSalvage::open(aside, home(1, first)));
  RingRecord record;
  int again = 0;
  while (salvage->next(record)) ++again;
  EXPECT_EQ(again, 1);
}

TEST_F(RingOwners, CanTellFromTheRingWhereTheirStoreIsAfterEveryCommit) {
  make(6, 4);
  RingStore store;
  ASSERT_TRUE(open_for(home(1, store)).ok());
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Producer>> producers;
  for (int i = 0; i < 3; ++i) producers.push_back(attach());
  std::uint32_t number = 0;
  std::uint64_t compared = 0;
  for (int round = 0; round < 400; ++round) {
    for (std::uint32_t i = random() % 6; i > 0; --i) {
      static_cast<void>(submit(*producers[random() % producers.size()], number++));
    }
    if (random() % 3 == 0) continue;
    static_cast<void>(move_batch(*consumer_, store, random() % 9));
    std::map<std::uint32_t, ChunkPosition> stored;
    for (const auto& at : store.positions({}).chunks) stored[at.chunk] = at;
    const RingPositions said = positions_by_ring(view());
    for (const ChunkPosition& at : said.chunks) {
      const ChunkPosition& is = stored[at.chunk];
      EXPECT_EQ(at.used, is.generation == at.generation ? is.used : 0u) << "round " << round;
      ++compared;
    }
    std::uint64_t delivered = 0;
    for (const LanePosition& lane : said.lanes) delivered += lane.delivered;
    EXPECT_EQ(delivered, store.rows.size());
  }
  EXPECT_GT(compared, 500u);
}

TEST_F(RingOwners, WhoseStoreWasSetBackLetTheRingSaySo) {
  make(4);
  RingStore first, second;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  auto producer = attach();
  for (std::uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(submit(*producer, i).ok());
  EXPECT_EQ(move_all(*consumer_, first), 3u);
  RingStore backup = first;
  for (std::uint32_t i = 3; i < 7; ++i) ASSERT_TRUE(submit(*producer, i).ok());
  EXPECT_EQ(move_all(*consumer_, first), 4u);
  ASSERT_TRUE(open_for(home(1, backup)).ok());  // and goes before it has stored anything
  ASSERT_TRUE(open_for(home(2, second)).ok());
  EXPECT_EQ(move_all(*consumer_, second), 4u);
  EXPECT_EQ(consumer_->stats().delivered, 7u);
  EXPECT_EQ(consumer_->stats().torn, 0u);
}

TEST_F(RingOwners, LoseTheirLaneAtTheSealOfAChunkThatIsNotTheirsAnyMore) {
  make(4);
  auto producer = attach();
  const Record record = testing::make_content({0, 1});
  ASSERT_TRUE(producer->submit(record.view()).ok());
  const std::uint64_t span = record_span(peek_header(view().chunk(0), 0).length);
  while (ctl(0).used * 8 + span <= view().chunk_bytes()) {
    ASSERT_TRUE(producer->submit(record.view()).ok());
  }
  ASSERT_EQ(ctl(1).state, ChunkState::kFree);
  set_ctl(0, unpack(free_word_after(ctl(0).generation)));
  EXPECT_EQ(producer->submit(record.view()).code(), Code::kDetached);
  EXPECT_EQ(ctl(1).state, ChunkState::kFree) << "it claimed a chunk in a lane that it had lost";
  EXPECT_TRUE(producer->submit(record.view()).ok());
}

TEST_F(RingOwners, OfAnEarlierBootAreNotTakenOverByAnotherHistory) {
  make(4);
  RingStore first, second;
  ASSERT_TRUE(open_for(home(1, first)).ok());
  auto producer = attach();
  for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(submit(*producer, i).ok());
  EXPECT_EQ(move_batch(*consumer_, first, 3), 3u);
  producer.reset();
  consumer_.reset();
  RingIdentity identity = view().identity();
  identity.boot_id[5] ^= 0x55;
  identity.header_crc = identity_crc(identity);
  std::memcpy(mapping_->all().data(), &identity, sizeof(identity));
  ASSERT_TRUE(open_for(home(2, second)).ok());
  ASSERT_EQ(consumer_->set_aside().size(), 1u);
  const std::string aside = consumer_->set_aside().front();
  EXPECT_EQ(RingSalvage::open(aside, home(2, second)).status().code(), Code::kWrongState);
  const auto salvage = must(RingSalvage::open(aside, home(1, first)));
  RingRecord record;
  int given = 0;
  while (salvage->next(record)) ++given;
  EXPECT_EQ(given, 2);
}

}  // namespace
}  // namespace phlower
