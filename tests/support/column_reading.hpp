// Columns for tests: rows that look like those of a history, and reading in every way there is.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/columns/number_column.hpp"
#include "phlower/columns/word_column.hpp"

namespace phlower::testing {

using Numbers = std::vector<std::optional<std::int64_t>>;

struct WrittenColumn {
  std::string blob;
  Zone zone;
};

inline WrittenColumn write_numbers(const Numbers& rows, std::uint16_t member = 7) {
  std::vector<std::int64_t> numbers;
  std::vector<std::uint64_t> unknown((rows.size() + 63) / 64);
  bool gaps = false;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    numbers.push_back(rows[i].value_or(-77));
    if (rows[i]) continue;
    unknown[i / 64] |= std::uint64_t{1} << (i % 64);
    gaps = true;
  }
  WrittenColumn written;
  NumberColumnWriter writer;
  const Status status = writer.write(member, numbers, gaps ? UnknownBits(unknown) : UnknownBits(),
                                     written.blob, written.zone);
  EXPECT_TRUE(status.ok()) << status.message();
  return written;
}

inline Result<NumberColumn> open_numbers(const WrittenColumn& written, std::size_t rows) {
  if (written.zone.has(kZoneOneValue)) {
    return NumberColumn::of_zone(written.zone, static_cast<std::uint32_t>(rows));
  }
  return NumberColumn::of_blob(written.blob);
}

/// Every row, by blocks. Errors as those of the column.
inline Result<Numbers> all_numbers(const NumberColumn& column) {
  Numbers rows;
  NumberBlock block;
  for (std::uint32_t k = 0; k < column.blocks(); ++k) {
    if (Status status = column.block(k, block); !status.ok()) return status;
    for (std::uint32_t i = 0; i < block.rows; ++i) {
      rows.push_back(block.is_known(i) ? std::optional(block.numbers[i]) : std::nullopt);
    }
  }
  return rows;
}

/// What a reader does that takes one range of the blob after the other: each in memory of its own,
/// so that a sanitizer sees a read beyond.
class PartialReader {
 public:
  explicit PartialReader(std::string_view blob) : blob_(blob) {}

  std::string part(ByteRange range) const {
    if (range.offset + range.bytes > blob_.size()) return {};
    return std::string(blob_.substr(range.offset, range.bytes));
  }

  Result<ColumnFront> front(const BlobKind& kind, std::string& bytes) const {
    const auto head = read_blob_head(part({0, std::min(kBlobHeadBytes, blob_.size())}), kind);
    if (!head.ok()) return head.status();
    const auto needed = ColumnFront::bytes_of(*head);
    if (!needed.ok()) return needed.status();
    bytes = part({0, *needed});
    return ColumnFront::read(bytes, *head, blob_.size());
  }

 private:
  std::string_view blob_;
};

/// Not what any reader says: a row is another one alone than in its block.
inline Status disagreement(std::uint32_t block, std::uint32_t row) {
  return {Code::kInternal, "row " + std::to_string(row) + " of block " + std::to_string(block) +
                               " is another one when it is read alone"};
}

/// Rows of a large block that are read alone, too: behind deltas each costs as much as the block.
inline bool is_sample(std::uint32_t row, std::uint32_t rows) {
  return rows < 64 || row % 37 == 0 || row + 1 == rows;
}

/// Reads a blob that may be anything as numbers: the first error, or the rows, which are the same
/// however they are read. The checksum is not looked at.
inline Result<Numbers> numbers_by_parts(std::string_view blob) {
  const PartialReader reader(blob);
  std::string bytes;
  const auto front = reader.front(kNumberColumn, bytes);
  if (!front.ok()) return front.status();
  Numbers rows;
  NumberBlock block;
  for (std::uint32_t k = 0; k < front->blocks(); ++k) {
    const std::string body = reader.part(front->range(k));
    const Status status = read_numbers(*front, k, body, block);
    for (std::uint32_t i = 0; i < rows_in_block(front->rows(), k); ++i) {
      const bool alone = is_sample(i, block.rows);
      const auto one = alone ? read_number(*front, k * kBlockValues + i, body)
                             : Result<std::optional<std::int64_t>>(Status(Code::kNotFound));
      if (!status.ok()) continue;
      rows.push_back(block.is_known(i) ? std::optional(block.numbers[i]) : std::nullopt);
      if (alone && (!one.ok() || *one != rows.back())) return disagreement(k, i);
    }
    if (!status.ok()) return status;
  }
  return rows;
}

/// The same for words: their texts where they are the chunk's own, else their numbers.
inline Result<std::vector<std::string>> words_by_parts(std::string_view blob,
                                                       std::uint32_t segment_words) {
  const PartialReader reader(blob);
  std::string bytes;
  const auto front = reader.front(kWordColumn, bytes);
  if (!front.ok()) return front.status();
  if ((front->head().flags & kColumnWords) == 0) return Status(Code::kCorrupt);
  const auto dictionary = WordDictionary::read(bytes, *front, segment_words);
  if (!dictionary.ok()) return dictionary.status();
  std::vector<std::string> names;
  for (const std::uint16_t word : dictionary->words()) names.push_back(std::to_string(word));
  if (dictionary->texts() > 0) {
    ChunkTexts texts;
    Decompressor decompressor;
    const std::string frame = reader.part({front->blocks_end(), blob.size() - front->blocks_end()});
    const Status status =
        texts.read(frame, dictionary->texts(), dictionary->texts_bytes(), decompressor);
    if (!status.ok()) return status;
    for (std::uint32_t i = 0; i < texts.count(); ++i) {
      names.push_back("text " + std::string(texts.text(i)));
    }
  }
  std::vector<std::string> rows;
  std::uint32_t codes[kBlockValues];
  for (std::uint32_t k = 0; k < front->blocks(); ++k) {
    const std::string body = reader.part(front->range(k));
    const Status status = read_codes(*front, k, body, dictionary->codes(), codes);
    for (std::uint32_t i = 0; i < rows_in_block(front->rows(), k); ++i) {
      const auto one = read_code(*front, k * kBlockValues + i, body, dictionary->codes());
      if (!status.ok()) continue;
      if (!one.ok() || *one != codes[i]) return disagreement(k, i);
      rows.push_back(names.at(codes[i]));
    }
    if (!status.ok()) return status;
  }
  return rows;
}

/// The blob with a checksum that is right, whatever was done to it.
inline void sign(std::string& blob) {
  if (blob.size() < kBlobHeadBytes) return;
  std::fill_n(blob.begin() + kBlobChecksumAt, 8, '\0');
  finish_blob(blob);
}

}  // namespace phlower::testing
