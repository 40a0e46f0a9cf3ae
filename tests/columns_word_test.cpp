// Columns of words: dictionaries, texts of the chunk's own, and their bounds.
#include "phlower/columns/word_column.hpp"

#include <gtest/gtest.h>

#include "phlower/ground/random.hpp"
#include "support/column_reading.hpp"

namespace phlower {
namespace {

using testing::WrittenColumn;
using Rows = std::vector<std::uint32_t>;

constexpr std::uint32_t kTableWords = 4'097;

WrittenColumn write_words(const Rows& rows, const std::vector<std::string>& texts) {
  WrittenColumn written;
  WordColumnWriter writer;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const Status status = writer.write(9, rows, views, written.blob, written.zone);
  EXPECT_TRUE(status.ok()) << status.message();
  return written;
}

void expect_back(const Rows& rows, const std::vector<std::string>& texts, std::uint32_t words) {
  std::vector<std::string> expected;
  for (const std::uint32_t row : rows) {
    expected.push_back(row < kFirstText ? std::to_string(row) : "text " + texts[row - kFirstText]);
  }
  const WrittenColumn written = write_words(rows, texts);
  ASSERT_FALSE(written.zone.has(kZoneOneValue));
  const auto parts = testing::words_by_parts(written.blob, words);
  ASSERT_TRUE(parts.ok()) << parts.status().message();
  ASSERT_EQ(*parts, expected);
  const auto column = WordColumn::of_blob(written.blob, words);
  ASSERT_TRUE(column.ok()) << column.status().message();
  std::uint32_t codes[kBlockValues];
  for (std::uint32_t row = 0; row < column->rows(); ++row) {
    if (row % kBlockValues == 0) {
      ASSERT_TRUE(column->block(row / kBlockValues, codes).ok());
    }
    const auto code = column->at(row);
    ASSERT_TRUE(code.ok() && *code == codes[row % kBlockValues]) << row;
    if (*code < column->dictionary().words().size()) {
      ASSERT_EQ(column->dictionary().words()[*code], rows[row]);
      ASSERT_EQ(column->dictionary().code_of(static_cast<std::uint16_t>(rows[row])), *code);
    }
  }
}

Rows skewed(std::size_t size, std::uint32_t words, std::uint64_t seed) {
  Random random(seed);
  Rows rows;
  for (std::size_t i = 0; i < size; ++i) {
    rows.push_back(static_cast<std::uint32_t>(random.below(1 + random.below(words))));
  }
  return rows;
}

TEST(WordColumn, GivesBackEverySize) {
  for (const std::size_t size : {2, 511, 512, 513, 16'384}) {
    for (const std::uint32_t words : {2u, 3u, 200u, kTableWords}) {
      Rows rows = skewed(size, words, size + words);
      rows[0] = 0;
      rows[1] = words - 1;
      expect_back(rows, {}, words);
    }
  }
}

TEST(WordColumn, GivesTheMostFrequentTheLeastCode) {
  const WrittenColumn written = write_words({5, 7, 7, 7, 0, 0, 9}, {});
  const auto column = WordColumn::of_blob(written.blob, 10);
  ASSERT_TRUE(column.ok());
  const auto words = column->dictionary().words();
  EXPECT_EQ(Rows(words.begin(), words.end()), (Rows{7, 0, 5, 9}));
  EXPECT_EQ(column->dictionary().code_of(6), std::nullopt);
}

TEST(WordColumn, IsAZoneAndNoBytesWhereAllRowsAreTheSame) {
  for (const std::uint32_t word : {0u, 3u, 65'535u}) {
    const WrittenColumn written = write_words(Rows(600, word), {});
    EXPECT_TRUE(written.blob.empty());
    ASSERT_TRUE(written.zone.has(kZoneOneValue));
    const WordColumn column = WordColumn::of_zone(written.zone, 600);
    std::uint32_t codes[kBlockValues];
    ASSERT_TRUE(column.block(1, codes).ok());
    EXPECT_EQ(codes[87], 0u);
    EXPECT_EQ(column.at(599).value(), 0u);
    EXPECT_EQ(column.dictionary().words()[0], word);
  }
  EXPECT_TRUE(write_words({}, {}).blob.empty());
}

TEST(WordColumn, KeepsTextsOfItsOwn) {
  const std::vector<std::string> texts{"", "never seen", std::string(1'024, 'e'), "unused", "a\0b"};
  Rows rows(700, 3);
  rows[10] = rows[11] = kFirstText + 2;
  rows[600] = kFirstText + 1;
  rows[601] = kFirstText;
  rows[699] = kFirstText + 4;
  expect_back(rows, texts, 4);
  expect_back(Rows(20, kFirstText + 1), texts, 1);  // one text, and no zone can hold it
}

TEST(WordColumn, TakesATextOfItsOwnInEachRowOfTheLargestChunk) {
  std::vector<std::string> texts;
  Rows rows;
  for (std::uint32_t i = 0; i < kChunkRowsMax; ++i) {
    texts.push_back("FileNotFoundError: /spool/" + std::to_string(i * 7'919) + ".xml");
    rows.push_back(kFirstText + i);
  }
  const WrittenColumn written = write_words(rows, texts);
  EXPECT_LT(written.blob.size(), 12u * kChunkRowsMax);
  const auto column = WordColumn::of_blob(written.blob, 1);
  ASSERT_TRUE(column.ok()) << column.status().message();
  ChunkTexts own;
  Decompressor decompressor;
  ASSERT_TRUE(column->texts(decompressor, own).ok());
  ASSERT_EQ(own.count(), kChunkRowsMax);
  for (std::uint32_t i = 0; i < kChunkRowsMax; i += 1'001) {
    EXPECT_EQ(own.text(column->at(i).value()), texts[i]);
  }
}

TEST(WordColumn, RefusesWhatIsOverItsBounds) {
  WordColumnWriter writer;
  std::string blob;
  Zone zone;
  const std::vector<std::string_view> texts{"one"};
  EXPECT_EQ(writer.write(1, Rows{kFirstText + 1, 0}, texts, blob, zone).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(writer.write(1, Rows(kChunkRowsMax + 1), texts, blob, zone).code(),
            Code::kInvalidArgument);
  const std::string large(kTextsBytesMax - 3, 'x');
  EXPECT_EQ(
      writer.write(1, Rows{kFirstText, 0}, std::vector<std::string_view>{large}, blob, zone).code(),
      Code::kTooBig);
}

TEST(WordColumn, RefusesWordsThatTheSegmentDoesNotHave) {
  const WrittenColumn written = write_words({1, 2, 2}, {});
  EXPECT_TRUE(WordColumn::of_blob(written.blob, 3).ok());
  const Status status = WordColumn::of_blob(written.blob, 2).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_EQ(status.message(), "column of member 9: word 2, of a table of 2");
}

TEST(WordColumn, HasNoWordTwice) {
  WrittenColumn written = write_words({1, 2, 2}, {});
  ASSERT_EQ(written.blob.substr(kBlobHeadBytes, 4), std::string("\2\0\1\0", 4));
  written.blob[kBlobHeadBytes + 2] = 2;
  testing::sign(written.blob);
  EXPECT_EQ(WordColumn::of_blob(written.blob, 3).status().message(),
            "column of member 9: word 2 twice");
}

TEST(WordColumn, HasNoTextsWithoutWords) {
  WrittenColumn numbers = testing::write_numbers({1, 2});
  numbers.blob[1] = kColumnTexts;
  testing::sign(numbers.blob);
  EXPECT_EQ(testing::words_by_parts(numbers.blob, 9).status().message(),
            "column of member 7: texts in a column of numbers");
}

TEST(WordColumn, IsNotOneOfNumbers) {
  const WrittenColumn written = write_words({1, 2, 2}, {});
  EXPECT_EQ(NumberColumn::of_blob(written.blob).status().code(), Code::kUnsupported);
  const WrittenColumn numbers = testing::write_numbers({1, 2});
  EXPECT_EQ(WordColumn::of_blob(numbers.blob, 9).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace phlower
