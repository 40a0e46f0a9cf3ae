// The histogram against sorted values, and the generator that feeds it.
#include "phlower/ground/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "phlower/ground/random.hpp"

namespace phlower {
namespace {

TEST(Histogram, SaysZeroWhenItIsEmpty) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.min(), 0u);
  EXPECT_EQ(empty.max(), 0u);
  EXPECT_EQ(empty.quantile(0.5), 0u);
}

TEST(Histogram, StaysWithinItsErrorBoundOfSortedValues) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    Histogram histogram;
    std::vector<std::uint64_t> values(1000 + random.below(1000));
    for (auto& value : values) {
      value = random.next() >> random.below(64);
      histogram.record(value);
    }
    std::sort(values.begin(), values.end());
    for (const double part : {0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999}) {
      const auto rank =
          static_cast<std::size_t>(std::ceil(part * static_cast<double>(values.size())));
      const std::uint64_t exact = values[std::max<std::size_t>(rank, 1) - 1];
      const std::uint64_t said = histogram.quantile(part);
      EXPECT_GE(said, exact) << "seed " << seed << " part " << part;
      EXPECT_LE(said - exact, exact / 32) << "seed " << seed << " part " << part;
      EXPECT_LE(said, histogram.max()) << "seed " << seed << " part " << part;
    }
    EXPECT_EQ(histogram.quantile(0), values.front());
    EXPECT_EQ(histogram.quantile(1), values.back());
    EXPECT_EQ(histogram.min(), values.front());
    EXPECT_EQ(histogram.max(), values.back());
  }
}

TEST(Histogram, IsExactForSmallValues) {
  for (std::uint64_t value = 0; value < 64; ++value) {
    Histogram histogram;
    histogram.record(value);
    histogram.record(1'000'000);
    EXPECT_EQ(histogram.quantile(0.5), value);
  }
}

TEST(Histogram, TakesTheWholeRangeOfValues) {
  Histogram histogram;
  histogram.record(0);
  histogram.record(~std::uint64_t{0});
  EXPECT_EQ(histogram.quantile(0.4), 0u);
  EXPECT_EQ(histogram.quantile(0.9), ~std::uint64_t{0});
  histogram.record(Nanoseconds(-5));
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.quantile(0.6), 0u);
  histogram.record_many(7, 0);
  EXPECT_EQ(histogram.count(), 3u);
}

TEST(Histogram, MergesToWhatOneWouldHaveHeld) {
  Random random(3);
  Histogram whole, left, right, untouched;
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t value = random.below(1'000'000);
    whole.record(value);
    (i % 3 == 0 ? left : right).record(value);
  }
  left.merge(right);
  left.merge(untouched);
  EXPECT_EQ(left.count(), whole.count());
  EXPECT_EQ(left.sum(), whole.sum());
  EXPECT_EQ(left.min(), whole.min());
  for (int percent = 0; percent <= 100; ++percent) {
    EXPECT_EQ(left.quantile(percent / 100.0), whole.quantile(percent / 100.0));
  }
  left.clear();
  EXPECT_EQ(left.count(), 0u);
  EXPECT_EQ(left.min(), 0u);
}

TEST(RandomNumbers, RepeatFromTheirSeed) {
  Random one(42), two(42), other(43);
  const std::uint64_t first = one.next();
  EXPECT_EQ(first, two.next());
  EXPECT_NE(first, other.next());
  // The published first outputs of SplitMix64 for seed 0.
  Random zero(0);
  EXPECT_EQ(zero.next(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(zero.next(), 0x6e789e6aa1b965f4u);
}

TEST(RandomNumbers, StayInTheirRangeAndReachAllOfIt) {
  Random random(1);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(random.between(3, 7));
    const double part = random.unit();
    EXPECT_TRUE(part >= 0 && part < 1);
  }
  EXPECT_EQ(seen, (std::set<std::uint64_t>{3, 4, 5, 6, 7}));
  EXPECT_EQ(random.below(0), 0u);
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_EQ(random.between(9, 9), 9u);
  random.between(0, ~std::uint64_t{0});
}

TEST(RandomNumbers, SplitIntoSequencesOfTheirOwn) {
  Random parent(5);
  Random child = parent.split();
  EXPECT_NE(child.next(), parent.next());
}

TEST(Histogram, KeepsTheEndsOfBothThatAreMerged) {
  Histogram slow;
  slow.record(1'000'000);
  Histogram quick;
  quick.record(1000);
  Histogram sum = slow;
  sum.merge(quick);
  EXPECT_EQ(sum.min(), 1000u);
  EXPECT_EQ(sum.max(), 1'000'000u);
  quick.merge(slow);
  EXPECT_EQ(quick.min(), 1000u);
  EXPECT_EQ(quick.max(), 1'000'000u);
}

TEST(Histogram, CountsAllOfThemUpToTheLargest) {
  Histogram histogram;
  histogram.record(1'000'001);  // within its bucket, not at its end
  histogram.record(5);
  EXPECT_EQ(histogram.count_at_most(1'000'001), 2u);
  EXPECT_EQ(histogram.count_at_most(999'999), 1u);
}

}  // namespace
}  // namespace phlower
