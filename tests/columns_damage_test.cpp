// Columns that were damaged: each bit flipped, cut at each length, with the checksum wrong as it is
// then, and with one that is right, as a reader of a part sees it, who does not look at it.
#include <gtest/gtest.h>

#include <limits>

#include "phlower/ground/random.hpp"
#include "support/column_reading.hpp"

namespace phlower {
namespace {

using testing::Numbers;

constexpr std::uint32_t kWordsThere = 300;

/// Small blobs with all that a column can have: patches, deltas, wide, unknown, a last part of a
/// block.
std::vector<std::string> number_blobs() {
  Random random(10);
  Numbers plain;
  Numbers deltas;
  Numbers wide;
  Numbers gaps(1'100);
  for (int i = 0; i < 40; ++i) {
    plain.push_back(i == 30 ? 70'000 : static_cast<std::int64_t>(random.below(100)));
    wide.push_back(static_cast<std::int64_t>(random.below(8)) << (i == 5 ? 60 : 0));
  }
  for (int i = 0; i < 540; ++i) deltas.push_back(std::int64_t{5'000'000'000} + i * 3 + (i == 9));
  for (std::size_t i = 600; i < 1'100; i += 90) gaps[i] = static_cast<std::int64_t>(i) << 30;
  std::vector<std::string> blobs;
  for (const Numbers& rows : {plain, deltas, wide, gaps}) {
    blobs.push_back(testing::write_numbers(rows).blob);
  }
  return blobs;
}

std::vector<std::string> word_blobs() {
  std::vector<std::uint32_t> words;
  std::vector<std::uint32_t> texts;
  for (std::uint32_t i = 0; i < 520; ++i) {
    words.push_back(i % 7 == 0 ? 3 : i % 257 == 1 ? 290 : 8);
    texts.push_back(i % 100 == 5 ? kFirstText + i % 3 : i % 2);
  }
  std::vector<std::string> blobs(2);
  WordColumnWriter writer;
  Zone zone;
  EXPECT_TRUE(writer.write(9, words, {}, blobs[0], zone).ok());
  const std::vector<std::string_view> own{"no such file", "timeout", "x"};
  EXPECT_TRUE(writer.write(9, texts, own, blobs[1], zone).ok());
  return blobs;
}

/// Reads as a whole and by parts, as numbers and as words; whether all of it went well.
struct Readings {
  Status whole;
  Status parts;
};

Readings read_numbers_of(const std::string& blob) {
  const auto column = NumberColumn::of_blob(blob);
  Status whole = column.ok() ? testing::all_numbers(*column).status() : column.status();
  return {std::move(whole), testing::numbers_by_parts(blob).status()};
}

Readings read_words_of(const std::string& blob) {
  const auto column = WordColumn::of_blob(blob, kWordsThere);
  Status whole = column.status();
  std::uint32_t codes[kBlockValues];
  for (std::uint32_t k = 0; column.ok() && k < column->blocks(); ++k) {
    if (Status status = column->block(k, codes); !status.ok()) whole = status;
  }
  if (column.ok() && whole.ok()) {
    Decompressor decompressor;
    ChunkTexts texts;
    whole = column->texts(decompressor, texts);
  }
  return {std::move(whole), testing::words_by_parts(blob, kWordsThere).status()};
}

bool is_refusal(const Status& status) {
  return status.code() == Code::kCorrupt || status.code() == Code::kUnsupported;
}

template <class Read>
void expect_flips_to_be_found(const std::vector<std::string>& blobs, Read&& read) {
  for (std::string blob : blobs) {
    ASSERT_TRUE(read(blob).whole.ok()) << read(blob).whole.message();
    ASSERT_TRUE(read(blob).parts.ok()) << read(blob).parts.message();
    for (std::size_t bit = 0; bit < blob.size() * 8; ++bit) {
      const std::string good = blob;
      blob[bit / 8] = static_cast<char>(blob[bit / 8] ^ (1 << (bit % 8)));
      const Readings seen = read(blob);
      ASSERT_EQ(seen.whole.code(), Code::kCorrupt) << bit;
      ASSERT_TRUE(seen.parts.ok() || is_refusal(seen.parts)) << seen.parts.message();
      testing::sign(blob);
      const Readings believed = read(blob);
      ASSERT_TRUE(believed.whole.ok() || is_refusal(believed.whole)) << believed.whole.message();
      ASSERT_EQ(believed.whole.code(), believed.parts.code()) << bit;
      blob = good;
    }
  }
}

template <class Read>
void expect_cuts_to_be_found(const std::vector<std::string>& blobs, Read&& read) {
  for (const std::string& blob : blobs) {
    for (std::size_t size = 0; size < blob.size(); ++size) {
      std::string cut = blob.substr(0, size);
      ASSERT_EQ(read(cut).whole.code(), Code::kCorrupt) << size;
      ASSERT_EQ(read(cut).parts.code(), Code::kCorrupt) << size;
      testing::sign(cut);
      ASSERT_EQ(read(cut).whole.code(), Code::kCorrupt) << size;
    }
    std::string longer = blob + '\0';
    testing::sign(longer);
    ASSERT_EQ(read(longer).whole.code(), Code::kCorrupt);
  }
}

TEST(DamagedColumn, OfNumbersIsFoundWithAnyBitFlipped) {
  expect_flips_to_be_found(number_blobs(), read_numbers_of);
}

TEST(DamagedColumn, OfWordsIsFoundWithAnyBitFlipped) {
  expect_flips_to_be_found(word_blobs(), read_words_of);
}

TEST(DamagedColumn, OfNumbersIsFoundWhenCutAnywhere) {
  expect_cuts_to_be_found(number_blobs(), read_numbers_of);
}

TEST(DamagedColumn, OfWordsIsFoundWhenCutAnywhere) {
  expect_cuts_to_be_found(word_blobs(), read_words_of);
}

TEST(DamagedColumn, OfManyFlippedBitsNeverReadsBeyondItself) {
  Random random(11);
  for (int round = 0; round < 1'500; ++round) {
    const bool words = round % 2 == 0;
    static const std::vector<std::string> kinds[] = {number_blobs(), word_blobs()};
    const auto& blobs = kinds[words ? 1 : 0];
    std::string blob = blobs[random.below(blobs.size())];
    for (std::uint64_t n = 1 + random.below(6); n > 0; --n) {
      const std::uint64_t below = random.below(2) == 0 ? 80 : blob.size();
      blob[random.below(std::min<std::uint64_t>(below, blob.size()))] =
          static_cast<char>(random.next());
    }
    testing::sign(blob);
    const Readings seen = words ? read_words_of(blob) : read_numbers_of(blob);
    ASSERT_TRUE(seen.whole.ok() || is_refusal(seen.whole)) << seen.whole.message();
    ASSERT_EQ(seen.whole.code(), seen.parts.code()) << seen.whole.message();
  }
}

TEST(DamagedColumn, HasAHeadOfUpperHalvesForEachWideBlockAndNoOther) {
  // Of the second block the upper halves are all the same: they have a head and no bytes.
  Numbers rows(512, 0);
  rows.insert(rows.end(), 10, std::int64_t{1} << 40);
  std::string blob = testing::write_numbers(rows).blob;
  const std::size_t flags_at = kBlobHeadBytes + 2 * kBlockHeadBytes + 1;
  ASSERT_EQ(blob[flags_at], kBlockWide);
  blob[flags_at] = 0;
  testing::sign(blob);
  EXPECT_EQ(NumberColumn::of_blob(blob).status().message(),
            "column of member 7: 1 wide blocks, found 0");
  blob[flags_at] = kBlockWide;
  blob[flags_at - kBlockHeadBytes] = kBlockWide;
  testing::sign(blob);
  EXPECT_EQ(NumberColumn::of_blob(blob).status().message(),
            "column of member 7: block 1: wide, without a head of its upper halves");
}

TEST(DamagedColumn, HasNoUnknownRowsBehindItsLast) {
  std::string blob = testing::write_numbers({1, std::nullopt, 3}).blob;
  const std::size_t bits_at = kBlobHeadBytes + kBlockHeadBytes;
  ASSERT_EQ(blob[bits_at], 0b10);
  blob[bits_at] = 0b1010;
  testing::sign(blob);
  EXPECT_EQ(testing::numbers_by_parts(blob).status().message(),
            "column of member 7: block 0: row 3 of 3 is unknown");
}

TEST(DamagedColumn, IsToldWithItsMemberAndItsBlock) {
  std::string blob = number_blobs()[1];
  blob[kBlobHeadBytes + kBlockHeadBytes] = 33;  // the width of block 1
  testing::sign(blob);
  EXPECT_EQ(NumberColumn::of_blob(blob).status().message(),
            "column of member 7: block 1: a width of 33 bits, at most 32");
  blob[kBlobHeadBytes + kBlockHeadBytes] = 0;
  blob[kBlobHeadBytes + kBlockHeadBytes + 1] = 64;  // a flag of a block
  testing::sign(blob);
  EXPECT_EQ(NumberColumn::of_blob(blob).status().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace phlower
