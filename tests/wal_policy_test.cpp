// When a guest in a file takes a checkpoint, and how long it leaves the lock free: on figures
// alone.
#include <gtest/gtest.h>

#include "phlower/schedule/duty.hpp"
#include "phlower/schedule/wal_policy.hpp"

namespace phlower {
namespace {

constexpr std::uint64_t kMebi = 1u << 20;

constexpr bool kEmptied = true;
constexpr bool kPinned = false;

TEST(WalPolicy, TakesACheckpointAtTheSoftBound) {
  WalPolicy policy(16 * kMebi, 64 * kMebi);
  EXPECT_EQ(policy.after_commit(1 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(15 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(16 * kMebi), WalStep::kCheckpoint);
  EXPECT_EQ(policy.after_checkpoint(kEmptied, 0), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(2 * kMebi), WalStep::kGoOn);
}

TEST(WalPolicy, LeavesCheckpointsToAnotherProcessThatTakesThem) {
  WalPolicy policy(16 * kMebi, 64 * kMebi);
  EXPECT_EQ(policy.after_commit(4 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(1 * kMebi), WalStep::kGoOn);  // it has started anew
  EXPECT_TRUE(policy.other_resets());
  for (std::uint64_t size = 2; size < 48; ++size) {
    EXPECT_EQ(policy.after_commit(size * kMebi), WalStep::kGoOn) << size;
  }
  EXPECT_EQ(policy.after_commit(48 * kMebi), WalStep::kCheckpoint) << "it has given up";
  EXPECT_FALSE(policy.other_resets());
}

TEST(WalPolicy, WaitsForAReaderBeforeTheHardBoundIsPassed) {
  WalPolicy policy(16 * kMebi, 64 * kMebi);
  std::uint64_t size = 0;
  WalStep step = WalStep::kGoOn;
  while (step != WalStep::kWait) {
    size += 2 * kMebi;
    ASSERT_LE(size, 64 * kMebi) << "past the bound without a pause";
    step = policy.after_commit(size);
    if (step == WalStep::kCheckpoint) step = policy.after_checkpoint(kPinned, size);
  }
  EXPECT_GE(size, 56 * kMebi) << "gave up its room too early";
  EXPECT_EQ(policy.after_checkpoint(kEmptied, 0), WalStep::kGoOn);
}

TEST(WalPolicy, LeavesRoomForTheLargestSliceItHasSeen) {
  WalPolicy policy(16 * kMebi, 64 * kMebi);
  EXPECT_EQ(policy.after_commit(2 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(14 * kMebi), WalStep::kGoOn);  // 12 MiB in one slice
  EXPECT_EQ(policy.after_commit(26 * kMebi), WalStep::kCheckpoint);
  EXPECT_EQ(policy.after_checkpoint(kPinned, 38 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_checkpoint(kPinned, 41 * kMebi), WalStep::kWait);
}

TEST(WalPolicy, KeepsASoftBoundThatIsTooHighBelowTheHardOne) {
  WalPolicy policy(100 * kMebi, 64 * kMebi);
  EXPECT_EQ(policy.after_commit(48 * kMebi), WalStep::kCheckpoint);
}

TEST(WalPolicy, TakesNothingThatOthersLeftInTheLogForASliceOfItsOwn) {
  WalPolicy policy(16 * kMebi, 64 * kMebi);
  EXPECT_EQ(policy.after_commit(12 * kMebi), WalStep::kGoOn);  // nearly all of it was there before
  EXPECT_EQ(policy.after_commit(16 * kMebi), WalStep::kCheckpoint);
  EXPECT_EQ(policy.after_checkpoint(kPinned, 44 * kMebi), WalStep::kGoOn);
}

TEST(WalPolicy, GoesBackToTheSoftBoundOnceItHasEmptiedTheLogItself) {
  WalPolicy policy(16 * kMebi, 64 * kMebi);
  EXPECT_EQ(policy.after_commit(4 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(1 * kMebi), WalStep::kGoOn);  // another process has emptied it
  EXPECT_EQ(policy.after_commit(16 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_checkpoint(kEmptied, 0), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(2 * kMebi), WalStep::kGoOn);
  EXPECT_EQ(policy.after_commit(16 * kMebi), WalStep::kCheckpoint);
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
}  // namespace phlower
