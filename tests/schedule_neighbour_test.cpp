// When a purge leaves the write lock free for longer: decisions on figures, and what they are worth
// to a writer that polls as SQLite does.
#include <gtest/gtest.h>

#include <algorithm>

#include "phlower/ground/random.hpp"
#include "phlower/schedule/neighbour.hpp"

namespace phlower {
namespace {

MonoTime at(std::int64_t ms) { return MonoTime(Milliseconds(ms)); }

TEST(BusySleep, IsWhatSqliteSleepsAfterItHasWaited) {
  const struct {
    int waited_ms, sleep_ms;
  } table[] = {{0, 1},   {1, 2},    {2, 2},    {3, 5},    {8, 10},   {33, 20},   {53, 25},
               {78, 25}, {103, 25}, {127, 25}, {128, 50}, {178, 50}, {228, 100}, {60'000, 100}};
  for (const auto& row : table) {
    EXPECT_EQ(busy_sleep(Milliseconds(row.waited_ms)), Milliseconds(row.sleep_ms)) << row.waited_ms;
  }
}

// One that was heard each 10 ms up to 1,000 ms.
SilentNeighbour steady(std::uint32_t share_percent = 4) {
  SilentNeighbour neighbour(share_percent);
  for (int ms = 0; ms <= 1000; ms += 10) neighbour.heard(at(ms));
  return neighbour;
}

TEST(SilentNeighbour, GetsAGapAsLongAsItSleepsOnceItIsSilent) {
  const struct {
    int silent_ms, gap_ms;
  } table[] = {{0, 0},    {20, 0},   {79, 0},    {80, 30},   {120, 30},
               {130, 55}, {200, 55}, {230, 105}, {9000, 105}};
  for (const auto& row : table) {
    SilentNeighbour neighbour = steady();
    EXPECT_EQ(neighbour.gap(at(1000 + row.silent_ms)), Milliseconds(row.gap_ms)) << row.silent_ms;
  }
}

TEST(SilentNeighbour, IsNoneWhoWasNeverHeardOrOnce) {
  SilentNeighbour neighbour(4);
  EXPECT_EQ(neighbour.gap(at(5000)), Nanoseconds(0));
  neighbour.heard(at(5000));
  EXPECT_EQ(neighbour.gap(at(9000)), Nanoseconds(0)) << "nothing says how often it comes";
}

TEST(SilentNeighbour, WhoComesSeldomIsGivenItsTime) {
  SilentNeighbour neighbour(4);
  for (int ms = 0; ms <= 10'000; ms += 1000) neighbour.heard(at(ms));
  EXPECT_EQ(neighbour.gap(at(11'900)), Nanoseconds(0));
  EXPECT_EQ(neighbour.gap(at(12'000)), Milliseconds(105));
}

TEST(SilentNeighbour, WhoDoesNotComeInItsGapGetsNoOtherUntilItIsHeard) {
  SilentNeighbour neighbour = steady();
  EXPECT_EQ(neighbour.gap(at(1100)), Milliseconds(30));
  neighbour.gave(Milliseconds(30));
  EXPECT_EQ(neighbour.gap(at(1500)), Nanoseconds(0));
  EXPECT_EQ(neighbour.gap(at(99'000)), Nanoseconds(0));
  neighbour.heard(at(100'000));
  EXPECT_EQ(neighbour.gap(at(100'090)), Nanoseconds(0)) << "that silence counts among the others";
  EXPECT_EQ(neighbour.gap(at(109'000)), Milliseconds(105));
}

TEST(SilentNeighbour, HasNoMoreThanItsShareAndShortGapsLeaveALongOne) {
  SilentNeighbour neighbour = steady();
  Nanoseconds given(0);
  int short_gaps = 0;
  int ms = 1000;
  for (; ms < 1600; ms += 100) {  // each 100 ms it is silent for 90
    const Nanoseconds gap = neighbour.gap(at(ms + 90));
    if (gap > Nanoseconds(0)) neighbour.gave(gap);
    short_gaps += gap == Milliseconds(30) ? 1 : 0;
    given += gap;
    neighbour.heard(at(ms + 100));
  }
  EXPECT_GE(short_gaps, 4);
  EXPECT_LE(given, Milliseconds(250) - Milliseconds(105) + Milliseconds(600) * 4 / 100);
  EXPECT_EQ(neighbour.gap(at(ms + 300)), Milliseconds(105)) << "kept for who needs the longest";
}

// -- A writer beside a purge, in made time ------------------------------------------------------

struct Beside {
  Nanoseconds longest_wait{0};
  double purging = 0;  // share of the time
};

// Holds of 8 ms and gaps of 0.9 ms, now and then a longer one (a checkpoint, a commit of somebody
// else); a writer that wants the lock each 50 ms.
class PurgeBesideWriter {
 public:
  PurgeBesideWriter(std::uint64_t seed, std::uint32_t share_percent)
      : random_(seed), rule_(share_percent) {}

  Beside run(Nanoseconds time) {
    while (now_ < at(0) + time) {
      const Nanoseconds hold = Microseconds(static_cast<std::int64_t>(random_.between(6500, 9500)));
      writer_until(now_ + hold, false);
      purged_ += hold;
      leave_lock(random_.chance(1, 6) ? Milliseconds(6) : Microseconds(900));
    }
    return {longest_, static_cast<double>(purged_.count()) / static_cast<double>(time.count())};
  }

 private:
  void leave_lock(Nanoseconds time) {
    const Nanoseconds gap = rule_.gap(now_);
    const MonoTime start = now_;
    const bool given = gap > time;
    bool heard = writer_until(now_ + (given ? Milliseconds(1) : time), true);
    while (given && !heard && now_ < start + gap)
      heard = writer_until(now_ + Milliseconds(1), true);
    if (given) rule_.gave(now_ - start);
    if (heard) rule_.heard(now_);
  }

  // True: it has had the lock.
  bool writer_until(MonoTime end, bool free) {
    bool had = false;
    for (; next_try_ < end; had |= free) {
      if (free) {
        longest_ = std::max(longest_, next_try_ - wanted_);
        wanted_ = next_try_ += Milliseconds(50);
        tries_slept_ = Nanoseconds(0);
      } else {
        const Nanoseconds sleep = busy_sleep(tries_slept_);
        tries_slept_ += sleep;
        next_try_ += sleep + Microseconds(static_cast<std::int64_t>(random_.between(60, 300)));
      }
    }
    now_ = end;
    return had;
  }

  Random random_;
  SilentNeighbour rule_;
  MonoTime now_ = at(0);
  MonoTime wanted_ = at(3), next_try_ = at(3);
  Nanoseconds tries_slept_{0}, longest_{0}, purged_{0};
};

TEST(SilentNeighbour, WaitsMuchLessForAFewPercentOfThePurge) {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u, 5u}) {
    const Beside without = PurgeBesideWriter(seed, 0).run(Seconds(120));
    const Beside with = PurgeBesideWriter(seed, 4).run(Seconds(120));
    EXPECT_LT(2 * with.longest_wait, without.longest_wait) << "seed " << seed;
    EXPECT_GT(with.purging, without.purging * 0.95) << "seed " << seed;
  }
}

}  // namespace
}  // namespace phlower
