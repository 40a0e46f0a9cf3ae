// What a purge leaves to somebody else who writes the file: on a real file, in made time.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "phlower/door/lock_gap.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::PurgeRig;

// Pauses move the clock; after each the other program may write.
struct GapRig {
  GapRig() : other(*sqlite::Connection::open(rig.path, sqlite::Access::kReadWrite)) {
    EXPECT_TRUE(other.exec("CREATE TABLE theirs (a)").ok());
    options.rest = [this](Nanoseconds time) {
      clock.advance(time);
      if (in_the_pause) in_the_pause();
    };
  }
  void other_writes() {
    const Status status = other.exec("INSERT INTO theirs VALUES (1)");
    EXPECT_TRUE(status.ok()) << status.message();
  }
  // A slice of 8 ms that leaves its pages changed, and what comes after it.
  Nanoseconds slice_and_gap() {
    EXPECT_TRUE(rig.store->begin().ok());
    EXPECT_TRUE(rig.store->purge_some(rig.now, 4).ok());
    EXPECT_TRUE(rig.store->commit().ok());
    clock.advance(Milliseconds(8));
    const MonoTime start = clock.mono();
    gap.leave(kShort);
    return clock.mono() - start;
  }
  // The other program comes in each pause for a second, and then no more.
  void hear_it_for_a_while() {
    in_the_pause = [this] { other_writes(); };
    for (int i = 0; i < 100; ++i) slice_and_gap();
    in_the_pause = nullptr;
  }
  Nanoseconds longest_of(int slices) {
    Nanoseconds longest(0);
    for (int i = 0; i < slices; ++i) longest = std::max(longest, slice_and_gap());
    return longest;
  }

  static constexpr Nanoseconds kShort = Microseconds(900);

  PurgeRig rig;
  sqlite::Connection other;
  ManualClock clock;
  MaintenanceOptions options;
  std::function<void()> in_the_pause;
  Pace pace{options, clock};
  LockGap gap{*rig.store, pace};
};

TEST(LockGap, IsShortWhereNobodyElseWrites) {
  GapRig rig;
  EXPECT_EQ(rig.longest_of(60), GapRig::kShort) << "its own commits are nobody's";
}

TEST(LockGap, IsLongOnceForWhoeverCommittedAndFellSilent) {
  GapRig rig;
  rig.hear_it_for_a_while();
  EXPECT_EQ(rig.longest_of(9), GapRig::kShort);
  EXPECT_EQ(rig.longest_of(1), Milliseconds(30));
  EXPECT_EQ(rig.longest_of(60), GapRig::kShort) << "it does not want the lock";
}

TEST(LockGap, EndsWhenTheOtherHasCommitted) {
  GapRig rig;
  rig.hear_it_for_a_while();
  int pauses = 0;
  rig.in_the_pause = [&] {
    if (++pauses == 15) rig.other_writes();
  };
  const Nanoseconds longest = rig.longest_of(12);
  EXPECT_GE(longest, Milliseconds(3));
  EXPECT_LT(longest, Milliseconds(10)) << "the gap was over when it had come";
}

}  // namespace
}  // namespace phlower
