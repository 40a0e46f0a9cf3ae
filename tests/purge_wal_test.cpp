// When phlower-purge takes a checkpoint, and how long it leaves the lock free: on figures alone.
#include <gtest/gtest.h>

#include "../tools/purge/wal.hpp"

namespace phlower::tools {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

CheckpointReport emptied() { return {10, 10, false, true}; }
CheckpointReport pinned() { return {10, 4, false, false}; }

TEST(WalPolicy, TakesACheckpointAtTheSoftBound) {
  WalPolicy policy(16 * kMiB, 64 * kMiB);
  EXPECT_EQ(policy.after_commit(1 * kMiB), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(15 * kMiB), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(16 * kMiB), WalStep::kCheckpoint);
  EXPECT_EQ(policy.after_checkpoint(emptied(), 0), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(2 * kMiB), WalStep::kGoOn);
}

TEST(WalPolicy, LeavesCheckpointsToAnotherProcessThatTakesThem) {
  WalPolicy policy(16 * kMiB, 64 * kMiB);
  EXPECT_EQ(policy.after_commit(4 * kMiB), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(1 * kMiB), WalStep::kGoOn);  // it has started anew
  EXPECT_TRUE(policy.other_resets());
  for (std::uint64_t size = 2; size < 48; ++size) {
    EXPECT_EQ(policy.after_commit(size * kMiB), WalStep::kGoOn) << size;
  }
  EXPECT_EQ(policy.after_commit(48 * kMiB), WalStep::kCheckpoint) << "it has given up";
  EXPECT_FALSE(policy.other_resets());
}

TEST(WalPolicy, WaitsForAReaderBeforeTheHardBoundIsPassed) {
  WalPolicy policy(16 * kMiB, 64 * kMiB);
  std::uint64_t size = 0;
  WalStep step = WalStep::kGoOn;
  while (step != WalStep::kWait) {
    size += 2 * kMiB;
    ASSERT_LE(size, 64 * kMiB) << "past the bound without a pause";
    step = policy.after_commit(size);
    if (step == WalStep::kCheckpoint) step = policy.after_checkpoint(pinned(), size);
  }
  EXPECT_GE(size, 56 * kMiB) << "gave up its room too early";
  EXPECT_EQ(policy.after_checkpoint(emptied(), 0), WalStep::kGoOn);
}

TEST(WalPolicy, LeavesRoomForTheLargestSliceItHasSeen) {
  WalPolicy policy(16 * kMiB, 64 * kMiB);
  EXPECT_EQ(policy.after_commit(2 * kMiB), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(14 * kMiB), WalStep::kGoOn);  // 12 MiB in one slice
  EXPECT_EQ(policy.after_commit(26 * kMiB), WalStep::kCheckpoint);
  EXPECT_EQ(policy.after_checkpoint(pinned(), 38 * kMiB), WalStep::kGoOn);
  EXPECT_EQ(policy.after_checkpoint(pinned(), 41 * kMiB), WalStep::kWait);
}

TEST(WalPolicy, KeepsASoftBoundThatIsTooHighBelowTheHardOne) {
  WalPolicy policy(100 * kMiB, 64 * kMiB);
  EXPECT_EQ(policy.after_commit(48 * kMiB), WalStep::kCheckpoint);
}

TEST(DutyPause, CountsHalfOfWhatWasFreeAnyway) {
  DutyPause duty;
  EXPECT_EQ(duty.after(Milliseconds(10)), Milliseconds(10));
  duty.lock_was_free(Milliseconds(7));
  EXPECT_EQ(duty.after(Milliseconds(10)), Milliseconds(5));
  EXPECT_EQ(duty.after(Milliseconds(10)), Milliseconds(8));
  EXPECT_EQ(duty.after(Milliseconds(10)), Milliseconds(10));
}

TEST(DutyPause, DoesNotSaveUpForEver) {
  DutyPause duty;
  duty.lock_was_free(Seconds(100));
  Nanoseconds saved{0};
  for (int i = 0; i < 10'000; ++i) saved += Milliseconds(1) - duty.after(Milliseconds(1));
  EXPECT_EQ(saved, Milliseconds(500));
}

}  // namespace
}  // namespace phlower::tools
