// The pure decisions of the scheduler: weights, fairness, slice sizes, duty, back-off.
#include <gtest/gtest.h>

#include <array>
#include <iterator>
#include <limits>

#include "phlower/schedule/backoff.hpp"
#include "phlower/schedule/duty.hpp"
#include "phlower/schedule/fair_queue.hpp"
#include "phlower/schedule/slice_size.hpp"
#include "phlower/schedule/weights.hpp"

namespace phlower {
namespace {

TEST(Curve, IsStraightBetweenCornersAndFlatOutside) {
  constexpr CurvePoint curve[] = {{0, 100}, {0.5, 600}, {1, 1000}};
  const struct {
    double x, y;
  } table[] = {{-1, 100}, {0, 100}, {0.25, 350}, {0.5, 600}, {0.75, 800}, {1, 1000}, {9, 1000}};
  for (const auto& row : table) EXPECT_DOUBLE_EQ(curve_at(curve, row.x), row.y) << row.x;
  EXPECT_DOUBLE_EQ(curve_at(curve, std::numeric_limits<double>::quiet_NaN()), 100);
}

// What one moment looks like, for a store that has a chore of each kind.
struct Backlog {
  bool flush_due = false;
  double ring_fill = 0;
  Nanoseconds pending_age{0};
  double wal_fill = 0;
  bool checkpoint_due = false;
  double purge_seconds = 0;
  Nanoseconds purge_starved_for{0};
  bool reclaim_due = false;
  bool recount_due = false;
  bool tend_due = false;
  bool disk_full = false;
  bool records_wait = true;
};

struct Weighed {
  double flush = 0, checkpoint = 0, purge = 0, reclaim = 0, recount = 0, tend = 0;
};

Weighed weigh(const Backlog& backlog) {
  using Kind = Urgency::Kind;
  const Pressure pressure{.ring_fill = backlog.ring_fill,
                          .pending_age = backlog.pending_age,
                          .records_wait = backlog.records_wait,
                          .disk_full = backlog.disk_full};
  const Urgency chores[] = {
      {.kind = Kind::kRoom, .due = backlog.checkpoint_due, .fill = backlog.wal_fill},
      {.kind = Kind::kExpired,
       .due = backlog.purge_seconds > 0,
       .seconds = backlog.purge_seconds,
       .starved_for = backlog.purge_starved_for},
      {.kind = Kind::kTidy, .due = backlog.reclaim_due, .grows_log = true},
      {.kind = Kind::kTidy, .due = backlog.recount_due},
      {.kind = Kind::kSteps, .due = backlog.tend_due},
  };
  const Bounds bounds = bounds_of(chores);
  double weights[std::size(chores)];
  for (std::size_t i = 0; i < std::size(chores); ++i) {
    weights[i] = chore_weight(chores[i], pressure, bounds);
  }
  return {backlog.flush_due ? flush_weight(pressure, bounds) : 0,
          weights[0],
          weights[1],
          weights[2],
          weights[3],
          weights[4]};
}

TEST(Weights, FollowTheBacklogsPieceByPiece) {
  const struct {
    const char* name;
    Backlog backlog;
    Weighed wanted;
  } table[] = {
      {"nothing to do", {}, {}},
      {"quiet flush", {.flush_due = true}, {.flush = 100}},
      {"flush at half", {.flush_due = true, .ring_fill = 0.5}, {.flush = 600}},
      {"old record", {.flush_due = true, .pending_age = Seconds(2)}, {.flush = 1000}},
      {"small purge", {.purge_seconds = 1e-9}, {.purge = 50}},
      {"a minute of purge", {.purge_seconds = 60}, {.purge = 100}},
      {"an hour of purge", {.purge_seconds = 3600}, {.purge = 400}},
      {"crowded ring", {.ring_fill = 0.6, .purge_seconds = 3600}, {.purge = 20}},
      {"old record and purge", {.pending_age = Seconds(2), .purge_seconds = 3600}, {.purge = 20}},
      {"nearly full ring", {.ring_fill = 0.8, .purge_seconds = 3600}, {}},
      {"starved purge",
       {.ring_fill = 0.8, .purge_seconds = 3600, .purge_starved_for = Seconds(5)},
       {.purge = 20}},
      {"full WAL",
       {.wal_fill = 1, .checkpoint_due = true, .purge_seconds = 60, .reclaim_due = true},
       {.checkpoint = 1000}},
      {"a WAL at its bound is emptied before it grows",
       {.flush_due = true, .wal_fill = 1, .checkpoint_due = true},
       {.checkpoint = 1000}},
      {"a WAL at its bound that a reader keeps",
       {.flush_due = true, .wal_fill = 2, .purge_seconds = 60},
       {.flush = 100}},
      {"WAL at its soft bound", {.wal_fill = 0.25, .checkpoint_due = true}, {.checkpoint = 100}},
      {"full disk",
       {.flush_due = true,
        .purge_seconds = 60,
        .reclaim_due = true,
        .recount_due = true,
        .disk_full = true},
       {.flush = 100}},
      {"housekeeping", {.reclaim_due = true, .recount_due = true}, {.reclaim = 40, .recount = 40}},
      {"upkeep while nothing else goes",
       {.ring_fill = 0.9, .wal_fill = 2, .tend_due = true, .disk_full = true},
       {.tend = 100}},
      {"a disk that may have room again",
       {.purge_seconds = 60, .reclaim_due = true, .disk_full = true, .records_wait = false},
       {.purge = 100, .reclaim = 40}},
      {"housekeeping in a crowd", {.ring_fill = 0.6, .reclaim_due = true, .recount_due = true}, {}},
  };
  for (const auto& row : table) {
    const Weighed is = weigh(row.backlog);
    EXPECT_DOUBLE_EQ(is.flush, row.wanted.flush) << row.name;
    EXPECT_DOUBLE_EQ(is.checkpoint, row.wanted.checkpoint) << row.name;
    EXPECT_NEAR(is.purge, row.wanted.purge, 1e-6) << row.name;
    EXPECT_DOUBLE_EQ(is.reclaim, row.wanted.reclaim) << row.name;
    EXPECT_DOUBLE_EQ(is.recount, row.wanted.recount) << row.name;
  }
}

constexpr Job kPurge = 2;

template <class T>
using PerJob = std::array<T, 4>;

PerJob<double> flush_and_purge(double flush, double purge) {
  PerJob<double> weights{};
  weights[kFlush] = flush;
  weights[kPurge] = purge;
  return weights;
}

// Runs `slices` picks, each of which costs what `cost` says, and returns the time each kind got.
template <class Cost>
PerJob<Nanoseconds> share(FairQueue& queue, const PerJob<double>& weights, int slices,
                          Cost&& cost) {
  PerJob<Nanoseconds> got{};
  for (int i = 0; i < slices; ++i) {
    const auto job = queue.pick(weights);
    if (!job) break;
    queue.charge(*job, cost(*job));
    got[*job] += cost(*job);
  }
  return got;
}

TEST(FairQueue, PicksNothingWithoutWeights) {
  FairQueue queue(Milliseconds(20));
  EXPECT_FALSE(queue.pick({}).has_value());
}

TEST(FairQueue, SharesTimeByWeightWhateverASliceCosts) {
  FairQueue queue(Milliseconds(20));
  const auto got = share(queue, flush_and_purge(300, 100), 20'000, [](Job job) {
    return job == kFlush ? Microseconds(900) : Microseconds(7100);
  });
  const double ratio =
      static_cast<double>(got[kFlush].count()) / static_cast<double>(got[kPurge].count());
  EXPECT_NEAR(ratio, 3.0, 0.05);
}

TEST(FairQueue, GivesAllTimeToTheOnlyOneWithWork) {
  FairQueue queue(Milliseconds(20));
  const auto got = share(queue, flush_and_purge(0, 20), 1000, [](Job) { return Milliseconds(5); });
  EXPECT_EQ(got[kPurge], Seconds(5));
}

TEST(FairQueue, LetsAnOverrunBePaidByTheOneThatCausedIt) {
  FairQueue queue(Milliseconds(20));
  const auto weights = flush_and_purge(100, 100);
  ASSERT_EQ(queue.pick(weights), kFlush);
  queue.charge(kFlush, Milliseconds(1));
  queue.charge(kPurge, Milliseconds(100));  // a commit that took long
  Nanoseconds flush_alone{0};
  while (*queue.pick(weights) == kFlush) {
    queue.charge(kFlush, Milliseconds(1));
    flush_alone += Milliseconds(1);
  }
  EXPECT_GE(flush_alone, Milliseconds(90));
}

TEST(FairQueue, TakesCreditButNotDebtFromAnIdleKind) {
  FairQueue queue(Milliseconds(20));
  ASSERT_TRUE(queue.pick(flush_and_purge(100, 100)).has_value());
  EXPECT_GT(queue.credit(kPurge), Nanoseconds(0));
  ASSERT_TRUE(queue.pick(flush_and_purge(100, 0)).has_value());
  EXPECT_EQ(queue.credit(kPurge), Nanoseconds(0));
  queue.charge(kPurge, Milliseconds(7));
  ASSERT_TRUE(queue.pick(flush_and_purge(100, 0)).has_value());
  EXPECT_EQ(queue.credit(kPurge), -Nanoseconds(Milliseconds(7)));
}

TEST(FairQueue, ForgivesDebtBeyondFiftyRounds) {
  FairQueue queue(Milliseconds(20));
  queue.charge(kPurge, std::chrono::hours(1));
  EXPECT_EQ(queue.credit(kPurge), -Nanoseconds(Seconds(1)));
}

TEST(NextBatch, FollowsTheCostWithinHalfAndDouble) {
  const struct {
    std::uint32_t last;
    Nanoseconds spent;
    std::uint32_t next;
  } table[] = {
      {100, Milliseconds(5), 100},   // on target
      {100, Milliseconds(4), 125},   // room for a quarter more
      {100, Microseconds(1), 200},   // at most double
      {100, Milliseconds(500), 50},  // at most half
      {100, Nanoseconds(0), 200},    // not measured
      {16, Milliseconds(500), 16},   // the floor
      {900, Microseconds(1), 1000},  // the ceiling
  };
  for (const auto& row : table) {
    EXPECT_EQ(next_batch(row.last, row.spent, Milliseconds(5), 16, 1000), row.next);
  }
}

TEST(NextEstimate, RisesFasterThanItFalls) {
  const Nanoseconds start = Milliseconds(8);
  EXPECT_EQ(next_estimate(start, Milliseconds(16)), Nanoseconds(Milliseconds(12)));
  EXPECT_EQ(next_estimate(start, Nanoseconds(0)), Nanoseconds(Milliseconds(7)));
}

TEST(PauseAfter, LeavesTheRestOfTheTimeFree) {
  EXPECT_EQ(pause_after(Milliseconds(8), 80), Nanoseconds(Milliseconds(2)));
  EXPECT_EQ(pause_after(Milliseconds(5), 50), Nanoseconds(Milliseconds(5)));
  EXPECT_EQ(pause_after(Milliseconds(5), 100), Nanoseconds(0));
}

TEST(Backoff, DoublesToItsLimitAndForgetsOnSuccess) {
  Backoff backoff(Milliseconds(1), Milliseconds(5));
  MonoTime now{};
  EXPECT_FALSE(backoff.waiting(now));
  for (const int expected_ms : {1, 2, 4, 5, 5}) {
    backoff.failed(now);
    EXPECT_EQ(backoff.until() - now, Nanoseconds(Milliseconds(expected_ms)));
    EXPECT_TRUE(backoff.waiting(now));
    now = backoff.until();
    EXPECT_FALSE(backoff.waiting(now));
  }
  EXPECT_EQ(backoff.failing_for(now), Nanoseconds(Milliseconds(17)));
  backoff.succeeded();
  EXPECT_FALSE(backoff.failing());
}

}  // namespace
}  // namespace phlower
