// Blocks of 512 numbers in few bits: every width, every place, patches and what patches may not be.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "phlower/columns/bit_packing.hpp"
#include "phlower/columns/patched_block.hpp"
#include "phlower/ground/random.hpp"

namespace phlower {
namespace {

using Values = std::vector<std::uint32_t>;

Values random_values(Random& random, unsigned width) {
  Values values(kBlockValues);
  for (std::uint32_t& value : values) {
    value = static_cast<std::uint32_t>(random.next()) & width_mask(width);
  }
  return values;
}

/// In memory of its own and of just these bytes, from an odd address on.
struct Packed {
  explicit Packed(std::string_view bytes) : memory(bytes.size() + 1) {
    std::copy(bytes.begin(), bytes.end(), memory.begin() + 1);
  }
  std::string_view view() const { return {memory.data() + 1, memory.size() - 1}; }
  std::vector<char> memory;
};

TEST(BitPacking, GivesBackEveryValueInEveryWidth) {
  Random random(1);
  for (unsigned width = 0; width <= 32; ++width) {
    const Values values = random_values(random, width);
    std::string bytes(packed_bytes(width), 'x');
    pack_block(values.data(), width, bytes.data());
    const Packed packed(bytes);
    Values back(kBlockValues, 99);
    unpack_block(packed.view().data(), width, back.data());
    ASSERT_EQ(back, values) << width;
    for (std::uint32_t i = 0; i < kBlockValues; ++i) {
      ASSERT_EQ(unpack_one(packed.view().data(), width, i), values[i]) << width << " at " << i;
    }
  }
}

TEST(BitPacking, PutsANumberWhereThePageSays) {
  // Number 33 is the third of lane 1, so in width 12 from bit 24 of the lane on: over two words.
  Values values(kBlockValues, 0);
  values[33] = 0xabc;
  std::string bytes(packed_bytes(12), '\0');
  pack_block(values.data(), 12, bytes.data());
  std::string expected(packed_bytes(12), '\0');
  expected[4 * 1 + 3] = static_cast<char>(0xbc);  // word 0 of lane 1
  expected[64 + 4 * 1] = 0x0a;                    // word 1 of lane 1
  EXPECT_EQ(bytes, expected);
}

BlockShape shape_of(const Values& values) {
  BlockCensus census;
  for (const std::uint32_t value : values) census.add(value);
  return census.best();
}

TEST(PatchedBlock, TakesTheWidthThatCostsLeast) {
  struct Case {
    std::uint32_t common;
    std::size_t outliers;
    std::uint32_t outlier;
    BlockShape shape;
  };
  const Case cases[] = {
      {0, 0, 0, {0, 0}},           {1, 0, 0, {1, 0}},
      {0, 1, 1, {0, 1}},    // 4 bytes, not 64
      {0, 15, 1, {0, 15}},  // 60 bytes
      {0, 16, 1, {1, 0}},   // 64 either way: without patches
      {255, 20, 1 << 20, {8, 20}}, {255, 300, 1 << 20, {21, 0}},
      {0, 1, 1u << 22, {0, 1}},  // 23 bits above the width fit into a patch
      {0, 1, 1u << 23, {1, 1}},  // and 24 do not
      {0, 1, ~0u, {9, 1}},         {~0u, 0, 0, {32, 0}},
  };
  for (const Case& one : cases) {
    Values values(kBlockValues, one.common);
    for (std::size_t i = 0; i < one.outliers; ++i) values[i * 30 % 511] = one.outlier;
    EXPECT_EQ(shape_of(values), one.shape) << one.common << " " << one.outliers;
  }
}

TEST(PatchedBlock, GivesBackWhatHasOutliers) {
  Random random(2);
  for (int round = 0; round < 300; ++round) {
    const auto width = static_cast<unsigned>(random.below(33));
    Values values = random_values(random, width);
    for (std::uint64_t n = random.below(40); n > 0; --n) {
      values[random.below(kBlockValues)] = static_cast<std::uint32_t>(random.next());
    }
    const BlockShape shape = shape_of(values);
    std::string bytes;
    Values given = values;
    append_block(bytes, given.data(), shape);
    ASSERT_EQ(bytes.size(), shape.bytes());
    const Packed packed(bytes);
    Values back(kBlockValues);
    ASSERT_TRUE(read_block(packed.view(), shape, kBlockValues, back.data()).ok());
    ASSERT_EQ(back, values) << round;
    for (std::uint32_t i = 0; i < kBlockValues; ++i) {
      const auto value = read_one(packed.view(), shape, i);
      ASSERT_TRUE(value.ok() && *value == values[i]) << round << " at " << i;
    }
  }
}

TEST(PatchedBlock, RefusesShapesThatAreNone) {
  EXPECT_TRUE(check_shape({32, 0}, 512).ok());
  EXPECT_TRUE(check_shape({31, 512}, 512).ok());
  EXPECT_EQ(check_shape({33, 0}, 512).code(), Code::kCorrupt);
  EXPECT_EQ(check_shape({32, 1}, 512).code(), Code::kCorrupt);
  EXPECT_EQ(check_shape({4, 11}, 10).code(), Code::kCorrupt);
}

std::string with_patches(unsigned width, const Values& patches) {
  std::string bytes(packed_bytes(width), '\0');
  for (const std::uint32_t patch : patches) append_number(bytes, patch);
  return bytes;
}

TEST(PatchedBlock, RefusesPatchesThatNoWriterWrites) {
  struct Case {
    std::uint8_t width;
    Values patches;
    bool ok;
  };
  const Case cases[] = {
      {4, {1 << 9 | 3, 1 << 9 | 4}, true},
      {4, {1 << 9 | 4, 1 << 9 | 3}, false},  // backwards
      {4, {1 << 9 | 3, 1 << 9 | 3}, false},  // twice
      {4, {1 << 9 | 9}, true},
      {4, {1 << 9 | 10}, false},  // beyond the rows
      {31, {1 << 9}, true},
      {31, {2 << 9}, false},  // a number of 33 bits
      {9, {~0u << 9}, true},
      {10, {~0u << 9}, false},
  };
  for (const Case& one : cases) {
    const std::string bytes = with_patches(one.width, one.patches);
    const BlockShape shape{one.width, static_cast<std::uint16_t>(one.patches.size())};
    Values back(kBlockValues);
    const Status status = read_block(bytes, shape, 10, back.data());
    EXPECT_EQ(status.ok(), one.ok) << int{one.width} << ": " << status.message();
    EXPECT_EQ(read_block(bytes.substr(0, bytes.size() - 1), shape, 10, back.data()).code(),
              Code::kCorrupt);
    EXPECT_EQ(read_one(bytes + '\0', shape, 3).status().code(), Code::kCorrupt);
  }
  EXPECT_EQ(read_one(with_patches(31, {2 << 9}), {31, 1}, 0).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace phlower
