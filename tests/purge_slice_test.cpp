// How much one slice of a purge deletes, by what rows and commits cost.
#include <gtest/gtest.h>

#include <vector>

#include "phlower/single/purge_slice.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

/// Each look takes 0.9 ms, so that a step of any size does, and so does each commit of the store
/// that is watched.
class SlowCommits final : public Clock {
 public:
  static constexpr Nanoseconds kLook = Microseconds(900);

  SlowCommits(SingleStore& store, Nanoseconds commit) : store_(store), commit_(commit) {}
  MonoTime mono() override {
    now_ += kLook;
    const bool inside = store_.in_transaction();
    if (!inside_ && inside) begun_ = now_;
    if (inside) deleting_ = now_ - begun_;
    if (inside_ && !inside) now_ += commit_;
    inside_ = inside;
    return now_;
  }
  WallTime wall() override { return WallTime(); }
  /// Of the last transaction, without its commit.
  Nanoseconds deleting() const { return deleting_; }

 private:
  SingleStore& store_;
  Nanoseconds commit_;
  MonoTime now_{};
  MonoTime begun_{};
  Nanoseconds deleting_{0};
  bool inside_ = false;
};

/// How long slices of 8 ms delete, once it is known what a commit costs: that is believed slowly.
std::vector<Nanoseconds> slices_with(Nanoseconds commit) {
  testing::PurgeRig rig;
  SlowCommits clock(*rig.store, commit);
  PurgeSlice slice(*rig.store, clock);
  std::vector<Nanoseconds> deleting;
  for (int i = 0;; ++i) {
    const auto report = slice.run(rig.now, Milliseconds(8));
    EXPECT_TRUE(report.ok()) << report.status().message();
    if (!report.ok() || !report->more) return deleting;
    if (i >= 25) deleting.push_back(clock.deleting());
  }
}

TEST(PurgeSlice, EndsInTimeWithTheCommitThatItMakesNecessary) {
  const auto slices = slices_with(Milliseconds(2));
  ASSERT_GT(slices.size(), 3u);
  for (const Nanoseconds deleting : slices) {
    EXPECT_LE(deleting + Milliseconds(2), Milliseconds(8) + SlowCommits::kLook);
    EXPECT_GE(deleting + Milliseconds(2), Milliseconds(5)) << "room was left";
  }
}

TEST(PurgeSlice, DeletesForAQuarterOfItsTimeHoweverLongCommitsAre) {
  const auto slices = slices_with(Milliseconds(50));
  ASSERT_GT(slices.size(), 3u);
  for (const Nanoseconds deleting : slices) {
    EXPECT_GE(deleting, Milliseconds(2));
    EXPECT_LE(deleting, Milliseconds(2) + SlowCommits::kLook);
  }
}

TEST(PurgeSlice, KeepsNothingOfASliceThatCannotBegin) {
  testing::PurgeRig rig;
  auto other = testing::open_db(rig.path);
  testing::exec(other, "BEGIN IMMEDIATE");
  SystemClock clock;
  PurgeSlice slice(*rig.store, clock);
  EXPECT_EQ(slice.run(rig.now, Milliseconds(8)).status().code(), Code::kBusy);
  EXPECT_FALSE(rig.store->in_transaction());
  testing::exec(other, "COMMIT");
  EXPECT_TRUE(slice.run(rig.now, Milliseconds(8)).ok());
}

}  // namespace
}  // namespace phlower
