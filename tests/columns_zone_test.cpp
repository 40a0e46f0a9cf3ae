// Zones: they may promise too much and never too little.
#include "phlower/columns/zone.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "phlower/ground/random.hpp"
#include "support/column_reading.hpp"

namespace phlower {
namespace {

using testing::Numbers;

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();

TEST(Zone, HoldsEveryNumberOfItsColumn) {
  Random random(8);
  for (int round = 0; round < 2'000; ++round) {
    Numbers rows;
    const unsigned shift = static_cast<unsigned>(random.below(64));
    for (std::uint64_t n = random.below(20); n > 0; --n) {
      const auto number = static_cast<std::int64_t>(random.next()) >> shift;
      rows.push_back(random.below(4) == 0 ? std::nullopt : std::optional(number));
    }
    const Zone zone = testing::write_numbers(rows).zone;
    for (const auto& row : rows) {
      if (!row) {
        ASSERT_TRUE(zone.may_hold_unknown());
        continue;
      }
      ASSERT_TRUE(zone.may_hold(*row, *row));
      ASSERT_TRUE(zone.may_hold(kLowest, *row));
      ASSERT_TRUE(zone.may_hold(*row, kHighest));
    }
  }
}

TEST(Zone, RulesOutWhatIsBeyondItsEnds) {
  const Zone zone = testing::write_numbers({-5, 10, 7}).zone;
  EXPECT_FALSE(zone.may_hold(kLowest, -6));
  EXPECT_FALSE(zone.may_hold(11, kHighest));
  EXPECT_FALSE(zone.may_hold(9, 8));
  EXPECT_TRUE(zone.may_hold(-2, 3));
  EXPECT_FALSE(zone.may_hold_unknown());
  const Zone empty = testing::write_numbers(Numbers(3)).zone;
  EXPECT_FALSE(empty.may_hold(kLowest, kHighest));
  EXPECT_TRUE(empty.may_hold_unknown());
}

Zone zone_of_words(const std::vector<std::uint32_t>& rows) {
  WordColumnWriter writer;
  std::string blob;
  Zone zone;
  EXPECT_TRUE(writer.write(3, rows, std::vector<std::string_view>{"own"}, blob, zone).ok());
  return zone;
}

TEST(Zone, HoldsEveryWordOfItsColumn) {
  Random random(9);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<std::uint32_t> rows;
    const std::uint64_t below = 1 + random.below(round % 2 == 0 ? 300 : 65'536);
    for (std::uint64_t n = random.below(20); n > 0; --n) {
      rows.push_back(static_cast<std::uint32_t>(random.below(below)));
    }
    const Zone zone = zone_of_words(rows);
    for (const std::uint32_t row : rows) ASSERT_TRUE(zone.may_hold_word(row)) << row;
    ASSERT_FALSE(zone.may_hold_text());
  }
}

TEST(Zone, RulesOutWordsThatItsColumnDoesNotHave) {
  const Zone zone = zone_of_words({0, 63, 64, 127});
  for (std::uint32_t word = 0; word < 1'000; ++word) {
    const std::uint32_t left = word % 128;
    const bool held = left == 0 || left == 63 || left == 64 || left == 127;
    EXPECT_EQ(zone.may_hold_word(word), held) << word;
  }
  EXPECT_TRUE(zone_of_words({130, 130}).may_hold_word(130));
  EXPECT_FALSE(zone_of_words({130, 130}).may_hold_word(2));  // one value: the word itself
}

TEST(Zone, WithTextsOfTheChunkHoldsAnyWord) {
  const Zone zone = zone_of_words({1, kFirstText});
  EXPECT_TRUE(zone.may_hold_text());
  EXPECT_TRUE(zone.may_hold_word(77));  // what is a word of the segment today was a text then
}

std::vector<Zone> some_zones() {
  return {testing::write_numbers({kLowest, std::nullopt, kHighest}, 1).zone,
          zone_of_words({7, 200}), testing::write_numbers({4, 4}, 8).zone};
}

TEST(Zone, ComesBackFromItsBytes) {
  const std::vector<Zone> zones = some_zones();
  const std::string bytes = write_zones(zones);
  EXPECT_EQ(bytes.size(), 3 * kZoneBytes + 8);
  const auto back = read_zones(bytes);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(*back, zones);
  EXPECT_TRUE(read_zones(write_zones({})).ok());
}

TEST(Zone, IsCorruptWithAnyBitFlippedOrCutAnywhere) {
  std::string bytes = write_zones(some_zones());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(read_zones(bytes).status().code(), Code::kCorrupt) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(read_zones(bytes.substr(0, size)).status().code(), Code::kCorrupt) << size;
  }
}

TEST(Zone, RefusesWhatNoWriterWrites) {
  struct Case {
    Zone zone;
    Code code;
  };
  const Case cases[] = {
      {{9, 0, 40, 1, 2}, Code::kOk},
      {{9, 16, 40, 1, 2}, Code::kUnsupported},
      {{9, 0, 40, 2, 1}, Code::kCorrupt},                                       // least above
      {{9, 0, 0, 1, 2}, Code::kCorrupt},                                        // no column
      {{9, kZoneOneValue, 40, 1, 1}, Code::kCorrupt},                           // and one
      {{9, kZoneOneValue, 0, 1, 2}, Code::kCorrupt},                            // two values
      {{9, kZoneTexts, 40, 1, 2}, Code::kCorrupt},                              // numbers
      {{9, kZoneWords | kZoneUnknown, 40, 1, 2}, Code::kCorrupt},               // words
      {{9, kZoneWords | kZoneOneValue | kZoneTexts, 0, 1, 0}, Code::kCorrupt},  // a text
      {{9, kZoneWords | kZoneOneValue, 0, 0x10000, 0}, Code::kCorrupt},         // no word
      {{9, kZoneWords, 40, -1, 2}, Code::kOk},
      {{8, 0, 40, 1, 2}, Code::kCorrupt},  // member 8 again
  };
  for (const Case& one : cases) {
    const Zone zones[] = {{8, 0, 40, 1, 2}, one.zone};
    EXPECT_EQ(read_zones(write_zones(zones)).status().code(), one.code)
        << one.zone.flags << " " << one.zone.first;
  }
}

}  // namespace
}  // namespace phlower
