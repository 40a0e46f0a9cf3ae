// What is kept, and for how long: the one rule that everything that expires goes by.
#include "phlower/history/retention.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>

namespace phlower {
namespace {

constexpr double kMoment = 1'795'000'000;
constexpr std::int64_t kUs = 1'000'000;

WallTime wall_at(double seconds) {
  return WallTime(
      std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(seconds)));
}

RecordView with_details() {
  RecordView row;
  row.args = "(1,)";
  return row;
}

TEST(RetentionPolicy, SaysWhenARowAndItsDetailsGo) {
  const RetentionPolicy policy(RetentionOptions{Hours(10), Hours(4), false});
  EXPECT_EQ(policy.longest(Part::kRows), Hours(10));
  EXPECT_EQ(policy.longest(Part::kDetails), Hours(4));
  EXPECT_DOUBLE_EQ(policy.row_expires(with_details(), kMoment), kMoment + 36'000);
  EXPECT_DOUBLE_EQ(policy.first_expiry(with_details(), kMoment), kMoment + 14'400);
  EXPECT_DOUBLE_EQ(policy.first_expiry(RecordView(), kMoment), kMoment + 36'000)
      << "it has no details";
}

TEST(RetentionPolicy, NeverLetsDetailsOutliveTheirRow) {
  const RetentionPolicy policy(RetentionOptions{Hours(10), Hours(20), false});
  EXPECT_EQ(policy.longest(Part::kDetails), Hours(10));
  EXPECT_DOUBLE_EQ(policy.first_expiry(with_details(), kMoment), kMoment + 36'000);
  const Cutoffs cutoffs = cutoffs_at(policy, wall_at(kMoment));
  EXPECT_EQ(cutoffs.details_us, cutoffs.rows_us);
  EXPECT_DOUBLE_EQ(cutoffs.details, cutoffs.invocations);
  const std::int64_t now_us = to_us(kMoment);
  EXPECT_TRUE(policy.file_is_over(Part::kDetails, now_us - 36'000 * kUs, now_us));
}

TEST(RetentionPolicy, KeepsEverythingWhereItIsToldTo) {
  const RetentionPolicy policy(RetentionOptions{Hours(10), Hours(4), true});
  EXPECT_TRUE(policy.keeps_forever());
  EXPECT_EQ(policy.row_expires(with_details(), 1), std::numeric_limits<double>::infinity());
  EXPECT_EQ(policy.first_expiry(with_details(), 1), std::numeric_limits<double>::infinity());
  EXPECT_FALSE(policy.file_is_over(Part::kRows, 1, to_us(kMoment)));
  const Cutoffs cutoffs = cutoffs_at(policy, wall_at(kMoment));
  EXPECT_FALSE(cutoffs.row_is_over(with_details(), 1));
  EXPECT_FALSE(cutoffs.details_are_over(with_details(), 1));
}

TEST(RetentionPolicy, LetsAFileGoWhenTheTimeOfItsNewestRowIsUp) {
  const RetentionPolicy policy(RetentionOptions{Hours(10), Hours(4), false});
  const std::int64_t now_us = to_us(kMoment);
  EXPECT_FALSE(policy.file_is_over(Part::kRows, now_us - 36'000 * kUs + 1, now_us));
  EXPECT_TRUE(policy.file_is_over(Part::kRows, now_us - 36'000 * kUs, now_us));
  EXPECT_FALSE(policy.file_is_over(Part::kDetails, now_us - 14'400 * kUs + 1, now_us));
  EXPECT_TRUE(policy.file_is_over(Part::kDetails, now_us - 14'400 * kUs, now_us));
}

TEST(RetentionPolicy, AgreesWithItsCutoffsAtEveryMoment) {
  const RetentionPolicy policy(RetentionOptions{Hours(10), Hours(4), false});
  const Cutoffs cutoffs = cutoffs_at(policy, wall_at(kMoment));
  for (const std::int64_t age_s : {0, 1, 14'399, 14'400, 14'401, 35'999, 36'000, 36'001, 90'000}) {
    const double then = kMoment - static_cast<double>(age_s);
    const RecordView row = with_details();
    EXPECT_EQ(cutoffs.row_is_over(row, to_us(then)), policy.row_expires(row, then) <= kMoment)
        << age_s;
    EXPECT_EQ(cutoffs.details_are_over(row, to_us(then)), policy.first_expiry(row, then) <= kMoment)
        << age_s;
  }
}

TEST(Cutoffs, TakeNoTimeForNoAge) {
  const Cutoffs cutoffs = cutoffs_at(RetentionPolicy(), wall_at(kMoment));
  EXPECT_FALSE(cutoffs.row_is_over(RecordView(), 0)) << "nothing says how old it is";
  EXPECT_TRUE(cutoffs.row_is_over(RecordView(), 1));
}

}  // namespace
}  // namespace phlower
