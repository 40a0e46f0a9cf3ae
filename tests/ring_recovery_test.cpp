// The states that a death, a lost lock or a replaced file leaves behind, made by hand.

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "support/ring_rig.hpp"

namespace phlower {
namespace {

using testing::make_content;
using testing::move_all;
using testing::move_batch;
using testing::must;
using testing::read_batch;
using testing::RingStore;

class RingRecovery : public testing::RingRig {};

TEST_F(RingRecovery, GoesOnAfterARestartFromTheStoredPositions) {
  make(8);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 60; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  move_batch(*consumer_, store_, 23);
  // Read, and killed before the commit: the store knows nothing of these.
  consumer_->scan();
  EXPECT_EQ(read_batch(*consumer_, 9).size(), 9u);
  open();
  EXPECT_EQ(consumer_->stats().delivered, 23u);
  move_all(*consumer_, store_);
  expect_ids(60);
  EXPECT_EQ(consumer_->stats().delivered, 60u);
  expect_sums(consumer_->stats());
}

TEST_F(RingRecovery, DoesNotRepeatWhatWasStoredWhenTheConsumerDiedBeforeFreeing) {
  make(4);
  auto producer = attach();
  const std::uint32_t count = fill(*producer);
  consumer_->scan();
  const auto batch = read_batch(*consumer_, 100'000);
  store_.commit(batch, consumer_->pending());
  open();  // without commit(): the transaction was the last thing it did
  EXPECT_EQ(move_all(*consumer_, store_), 0u);
  EXPECT_EQ(consumer_->stats().chunks_in_use, 0u);
  EXPECT_EQ(consumer_->stats().delivered, count);
  EXPECT_TRUE(submit(*producer, count).ok());
}

TEST_F(RingRecovery, ReadsAgainWhatAnOlderStoreDoesNotKnow) {
  make(8);
  const auto producer = attach();
  for (std::uint32_t number = 0; number < 20; ++number) {
    ASSERT_TRUE(submit(*producer, number).ok());
  }
  move_batch(*consumer_, store_, 5);
  const RingStore older = store_;
  move_batch(*consumer_, store_, 5);
  store_ = older;
  open();
  move_all(*consumer_, store_);
  expect_ids(20);
}

TEST_F(RingRecovery, LeavesUsesOfAChunkAloneThatStalePositionsSpeakOf) {
  make(2);
  const auto producer = attach();
  std::uint32_t next = 0;
  for (int round = 0; round < 5; ++round) {
    next += fill(*producer, next);
    move_all(*consumer_, store_);
  }
  const RingStore stale = store_;  // positions of generation 4
  next += fill(*producer, next);
  open();
  store_ = stale;
  move_all(*consumer_, store_);
  expect_ids(next);
}

TEST_F(RingRecovery, GoesOnInTheChunkThatTheLastHolderOfALaneLeft) {
  make(4, 1);
  for (std::uint32_t number = 0; number < 5; ++number) {
    ASSERT_TRUE(submit(*attach(), number).ok());
  }
  EXPECT_EQ(consumer_->stats().chunks_in_use, 1u);
  move_all(*consumer_, store_);
  expect_ids(5);
  EXPECT_EQ(store_.rows.back().sequence, 5u);
}

TEST_F(RingRecovery, CountsAnAttemptThatDiedBeforeItsCommitAsTorn) {
  make(4, 1);
  ASSERT_TRUE(submit(*attach(), 0).ok());
  // Killed while writing: the attempt is counted, bytes above `used` are scribbled on.
  ++view().lane(0).sequence;
  const std::uint32_t used = ctl(0).used;
  std::memset(view().chunk(0) + used * 8, 0xAB, 100);
  ASSERT_TRUE(submit(*attach(), 1).ok());
  move_all(*consumer_, store_);
  expect_ids(2);
  EXPECT_EQ(store_.rows.back().sequence, 3u);
  EXPECT_EQ(consumer_->stats().torn, 1u);
  expect_sums(consumer_->stats());
}

// The consumer freed what it had stored and was killed before it said so.
TEST_F(RingRecovery, TellsProducersAtItsStartToLookForFreeChunksAgain) {
  make(4, 2);
  const auto producer = attach();
  const std::uint32_t filled = fill(*producer);
  ASSERT_GT(filled, 0u);
  for (std::uint32_t chunk = 0; chunk < 3; ++chunk) {
    set_ctl(chunk, unpack(free_word_after(ctl(chunk).generation)));
  }
  ASSERT_FALSE(submit(*producer, filled).ok()) << "nobody has told it";
  open();
  EXPECT_TRUE(submit(*producer, filled).ok());
}

TEST_F(RingRecovery, FindsWhatWaitsBehindChunksThatAreFreeAgain) {
  make(4);
  const auto producer = attach();
  std::uint32_t before = 0;  // records in the first two chunks
  while (ctl(2).state == ChunkState::kFree) ASSERT_TRUE(submit(*producer, before++).ok());
  --before;
  ASSERT_EQ(move_batch(*consumer_, store_, before), before);
  ASSERT_TRUE(ctl(0).state == ChunkState::kFree && ctl(1).state == ChunkState::kFree);
  open();
  EXPECT_TRUE(consumer_->has_unread());
  EXPECT_EQ(move_all(*consumer_, store_), 1u);
  expect_ids(before + 1);
}

TEST_F(RingRecovery, ReapsTheEmptyChunkOfADeadProducer) {
  make(4, 2);
  {
    const auto producer = attach();
    ASSERT_TRUE(submit(*producer, 0).ok());
  }
  consumer_->reap();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 1u) << "freed with a record in it";
  move_all(*consumer_, store_);
  consumer_->reap();  // sees it idle for the first time
  EXPECT_EQ(consumer_->stats().chunks_in_use, 1u);
  consumer_->reap();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 0u);
  EXPECT_EQ(ctl(0).generation, 1u);
}

TEST_F(RingRecovery, DoesNotReapALivingProducer) {
  make(4, 2);
  const auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  move_all(*consumer_, store_);
  for (int i = 0; i < 4; ++i) consumer_->reap();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 1u);
  ASSERT_TRUE(submit(*producer, 1).ok());
  move_all(*consumer_, store_);
  expect_ids(2);
}

TEST_F(RingRecovery, DoesNotReapAHolderThatOnlyLostItsLock) {
  make(4, 2);
  const auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  move_all(*consumer_, store_);
  const auto thief = must(LockFile::open(options_.path, O_RDWR));
  std::vector<int> others;  // the producer's descriptor is the one that holds its lane
  for (int fd = 3; fd < 64; ++fd) {
    struct ::stat info {};
    if (fd != thief->fd() && ::fstat(fd, &info) == 0 && info.st_ino == thief->inode()) {
      others.push_back(fd);
    }
  }
  ASSERT_EQ(others.size(), 2u);  // consumer and producer
  ::close(others.back());
  ASSERT_TRUE(thief->try_lock(lane_lock(producer->lane())).ok());
  thief->unlock(lane_lock(producer->lane()));
  for (int i = 0; i < 4; ++i) consumer_->reap();
  EXPECT_EQ(consumer_->stats().chunks_in_use, 1u);
  const auto second = attach();
  EXPECT_NE(second->lane(), producer->lane());
}

TEST_F(RingRecovery, TakesUpItsOwnLaneAgainAfterItsDescriptorWasClosed) {
  make(4, 2);
  const auto producer = attach();
  const std::uint32_t lane = producer->lane();
  ASSERT_TRUE(submit(*producer, 0).ok());
  // Everything that is open on the ring, as a daemon closes what it does not know.
  for (int fd = 3; fd < 64; ++fd) {
    struct ::stat info {};
    struct ::stat ring {};
    if (::fstat(fd, &info) == 0 && ::stat(options_.path.c_str(), &ring) == 0 &&
        info.st_ino == ring.st_ino) {
      ::close(fd);
    }
  }
  std::uint32_t number = 1;
  std::uint32_t detached = 0;
  for (; number < 40; ++number) {
    const Status status = submit(*producer, number);
    if (status.code() == Code::kDetached) ++detached;
    if (detached == 1 && status.ok()) break;
  }
  EXPECT_EQ(detached, 1u);
  EXPECT_EQ(producer->lane(), lane);
  open();
  move_all(*consumer_, store_);
  EXPECT_EQ(store_.rows.size(), number);  // 0..number without the detached one
  EXPECT_EQ(consumer_->stats().torn, 1u);
  expect_sums(consumer_->stats());
}

TEST_F(RingRecovery, ChangesToTheNewFileWhenItsOwnIsRetired) {
  make(4);
  const auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  const RingId old = consumer_->id();
  options_.lanes = 5;
  open();
  ASSERT_NE(consumer_->id(), old);
  ASSERT_TRUE(submit(*producer, 1).ok());
  EXPECT_EQ(move_all(*consumer_, store_), 1u);
  EXPECT_EQ(store_.rows.back().task_id, make_content({0, 1}).task_id);
}

TEST_F(RingRecovery, NoticesThatItsFileWasDeleted) {
  make(4);
  const auto producer = attach();
  std::filesystem::remove(options_.path);
  EXPECT_EQ(submit(*producer, 0).code(), Code::kDetached);
  EXPECT_EQ(submit(*producer, 1).code(), Code::kDetached);
  consumer_->reap();
  EXPECT_TRUE(consumer_->replaced());
  open();
  clock_.advance(Seconds(1));
  EXPECT_TRUE(submit(*producer, 2).ok());
}

TEST_F(RingRecovery, DetachesWhenSomebodyElseMovedItsChunk) {
  make(4);
  const auto producer = attach();
  ASSERT_TRUE(submit(*producer, 0).ok());
  Ctl stolen = ctl(0);
  stolen.state = ChunkState::kFull;
  set_ctl(0, stolen);
  EXPECT_EQ(submit(*producer, 1).code(), Code::kDetached);
  EXPECT_TRUE(submit(*producer, 2).ok());
  move_all(*consumer_, store_);
  ASSERT_EQ(store_.rows.size(), 2u);
  EXPECT_EQ(consumer_->stats().torn, 1u);
  expect_sums(consumer_->stats());
}

}  // namespace
}  // namespace phlower
