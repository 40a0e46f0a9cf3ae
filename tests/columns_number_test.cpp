// Columns of numbers: any numbers, there and back, and at the price that was promised.
#include "phlower/columns/number_column.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "phlower/ground/random.hpp"
#include "support/column_reading.hpp"

namespace phlower {
namespace {

using testing::Numbers;
using testing::WrittenColumn;

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kSizes[] = {0, 1, 2, 63, 64, 65, 511, 512, 513, 1'024, 1'025, 16'384};

/// Writes, reads in every way and compares; the bytes of the column.
std::size_t expect_back(const Numbers& rows, const std::string& what) {
  const WrittenColumn written = testing::write_numbers(rows);
  EXPECT_EQ(written.zone.column_bytes, written.blob.size()) << what;
  const auto column = testing::open_numbers(written, rows.size());
  EXPECT_TRUE(column.ok()) << what << ": " << column.status().message();
  if (!column.ok()) return 0;
  EXPECT_EQ(column->rows(), rows.size()) << what;
  const auto all = testing::all_numbers(*column);
  EXPECT_TRUE(all.ok() && *all == rows) << what << ": " << all.status().message();
  for (std::size_t i = 0; i < rows.size(); i += rows.size() < 2'000 ? 1 : 97) {
    const auto one = column->at(static_cast<std::uint32_t>(i));
    EXPECT_TRUE(one.ok() && *one == rows[i]) << what << " row " << i;
  }
  if (!written.blob.empty()) {
    const std::string moved = "x" + written.blob;  // from an odd address on
    const auto parts = testing::numbers_by_parts(std::string_view(moved).substr(1));
    EXPECT_TRUE(parts.ok() && *parts == rows) << what << ": " << parts.status().message();
  }
  return written.blob.size();
}

TEST(NumberColumn, GivesBackRandomNumbersOfEverySize) {
  Random random(3);
  for (const std::size_t size : kSizes) {
    for (const unsigned bits : {1u, 13u, 31u, 32u, 33u, 63u, 64u}) {
      Numbers rows;
      for (std::size_t i = 0; i < size; ++i) {
        rows.push_back(static_cast<std::int64_t>(random.next() >> (64 - bits)));
      }
      expect_back(rows, std::to_string(size) + " of " + std::to_string(bits) + " bits");
    }
  }
}

TEST(NumberColumn, GivesBackTheEndsOfEveryType) {
  const std::int64_t ends[] = {kMin,
                               kMin + 1,
                               -(std::int64_t{1} << 32) - 1,
                               -(std::int64_t{1} << 32),
                               std::numeric_limits<std::int32_t>::min(),
                               -1,
                               0,
                               1,
                               std::numeric_limits<std::int32_t>::max(),
                               std::numeric_limits<std::uint32_t>::max(),
                               std::int64_t{1} << 32,
                               kMax - 1,
                               kMax};
  for (const std::int64_t first : ends) {
    for (const std::int64_t second : ends) {
      Numbers rows;
      for (int i = 0; i < 30; ++i) rows.push_back(i % 3 == 0 ? first : second);
      expect_back(rows, std::to_string(first) + " and " + std::to_string(second));
      rows[7] = std::nullopt;
      expect_back(rows, std::to_string(first) + " and " + std::to_string(second) + " and unknown");
    }
  }
  Random random(4);
  Numbers rows;
  for (int i = 0; i < 3'000; ++i) rows.push_back(ends[random.below(std::size(ends))]);
  expect_back(rows, "all ends");
}

TEST(NumberColumn, GivesBackUnknownOnesWhereverTheyAre) {
  Random random(5);
  for (const std::size_t size : kSizes) {
    for (const std::uint64_t share : {0, 1, 50, 99, 100}) {
      Numbers rows;
      for (std::size_t i = 0; i < size; ++i) {
        const bool known = random.below(100) >= share;
        const auto number = static_cast<std::int64_t>(1'000'000'000 + i * 800 + random.below(900));
        rows.push_back(known ? std::optional(number) : std::nullopt);
      }
      expect_back(rows, std::to_string(share) + " % unknown of " + std::to_string(size));
    }
  }
}

TEST(NumberColumn, IsAZoneAndNoBytesWhereAllRowsAreTheSame) {
  for (const std::size_t size : kSizes) {
    for (const std::optional<std::int64_t> same :
         {std::optional<std::int64_t>(), std::optional(kMin), std::optional<std::int64_t>(0),
          std::optional(kMax)}) {
      const Numbers rows(size, same);
      EXPECT_EQ(expect_back(rows, "the same"), 0u);
    }
  }
}

TEST(NumberColumn, OfOneNumberAndUnknownOnesCostsABitARow) {
  Numbers rows(16'384, 5);
  rows[100] = std::nullopt;
  EXPECT_EQ(expect_back(rows, "one unknown"), 32 + 32 * 8 + 64u);
  for (std::size_t i = 0; i < rows.size(); i += 2) rows[i] = std::nullopt;
  EXPECT_EQ(expect_back(rows, "every other unknown"), 32 + 32 * (8 + 64u));
}

TEST(NumberColumn, ThatIsMostlyUnknownCostsLittle) {
  Numbers rows(16'384);
  rows[5'000] = kMax / 3;
  EXPECT_EQ(expect_back(rows, "one known"), 32 + 32 * 8 + 64u);
  Random random(6);
  for (std::optional<std::int64_t>& row : rows) {
    if (random.below(100) < 5) row = static_cast<std::int64_t>(random.below(1 << 20));
  }
  EXPECT_LT(expect_back(rows, "5 % known"), 16'384 * 4u / 10);
}

TEST(NumberColumn, TakesDeltasOnlyWhereTheyAreSmaller) {
  Random random(7);
  Numbers in_order;
  Numbers out_of_order;
  std::int64_t at = 1'700'000'000'000'000;
  for (int i = 0; i < 16'384; ++i) {
    at += static_cast<std::int64_t>(random.below(1'000));
    in_order.push_back(at);
    out_of_order.push_back(static_cast<std::int64_t>(random.below(1 << 23)));
  }
  const std::size_t ordered = expect_back(in_order, "in order");
  EXPECT_LE(ordered, 32 + 32 * (8 + 8 + 11 * 64u));
  EXPECT_LE(expect_back(out_of_order, "out of order"), 32 + 32 * (8 + 23 * 64u));
}

TEST(NumberColumn, GoesBackwardsForAFewBitsAndLeapsForAThird) {
  Numbers backwards;
  Numbers leaping;
  for (std::int64_t i = 0; i < 4'096; ++i) {
    backwards.push_back(kMax - i * 3);
    leaping.push_back(i % 512 == 100 ? kMin + i : i);
  }
  EXPECT_LT(expect_back(backwards, "backwards"), 1'000u);
  EXPECT_LT(expect_back(leaping, "leaping"), 8 * kBlockValues * 8 / 3u);
}

TEST(NumberColumn, RefusesMoreRowsThanAChunkHas) {
  NumberColumnWriter writer;
  std::string blob;
  Zone zone;
  std::vector<std::int64_t> rows(kChunkRowsMax, 1);
  rows[3] = 2;
  EXPECT_TRUE(writer.write(1, rows, {}, blob, zone).ok());
  EXPECT_TRUE(NumberColumn::of_blob(blob).ok());
  const std::uint64_t bits[2] = {};
  EXPECT_EQ(writer.write(1, std::span(rows).first(129), bits, blob, zone).code(),
            Code::kInvalidArgument);
  rows.push_back(1);
  EXPECT_EQ(writer.write(1, rows, {}, blob, zone).code(), Code::kInvalidArgument);
}

TEST(NumberColumn, KnowsItsRowsFromThoseBehindThem) {
  // Bits of unknown ones beyond the rows are not the column's: none may come of them.
  std::vector<std::int64_t> rows{1, 2, 3};
  const std::uint64_t bits[1] = {~std::uint64_t{0} << 3 | 0b010};
  NumberColumnWriter writer;
  std::string blob;
  Zone zone;
  ASSERT_TRUE(writer.write(1, rows, bits, blob, zone).ok());
  const auto all = testing::numbers_by_parts(blob);
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(*all, (Numbers{1, std::nullopt, 3}));
}

}  // namespace
}  // namespace phlower
