// A column of words: names, states, workers, queues, what exceptions say. Each row has a code, the
// place of its word in the chunk's dictionary, most frequent first; codes are packed as numbers
// are.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/column_front.hpp"
#include "phlower/columns/patched_block.hpp"
#include "phlower/columns/word_dictionary.hpp"
#include "phlower/columns/zone.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/zstd.hpp"

namespace phlower {

/// A row's word for the writer: the number of a word of the segment below it, from it on the place
/// of a text of the chunk.
inline constexpr std::uint32_t kFirstText = 0x10000;

/// Writes columns, one after the other. Not thread safe.
class WordColumnWriter {
 public:
  /// Replaces `blob` by the column, or by nothing where `zone` says all of it. `texts` that no row
  /// has are left out. Errors: kInvalidArgument for more rows than a chunk has or a text that is
  /// not there; kTooBig for texts of more than kTextsBytesMax; kIo without memory.
  Status write(std::uint16_t member, std::span<const std::uint32_t> rows,
               std::span<const std::string_view> texts, std::string& blob, Zone& zone) {
    blob.clear();
    if (Status status = count(member, rows, texts); !status.ok()) return status;
    rank();
    zone = zone_of(member);
    if (zone.has(kZoneOneValue)) return Status();
    std::string frame;
    BlobHead head;
    head.encoding = kWordColumn.encoding;
    head.flags = kColumnWords;
    head.member = member;
    head.count = static_cast<std::uint32_t>(rows.size());
    head.entries = words_;
    std::string section;
    if (order_.size() > words_) {
      head.flags |= kColumnTexts;
      if (Status status = pack_texts(member, texts, section, frame); !status.ok()) return status;
    }
    for (std::size_t i = 0; i < words_; ++i) {
      append_number(section, static_cast<std::uint16_t>(order_[i]));
    }
    section.resize((section.size() + 3) / 4 * 4);
    head.section_bytes = static_cast<std::uint32_t>(section.size());
    start_blob(blob, head);
    blob += section;
    append_codes(rows, blob);
    blob += frame;
    finish_blob(blob);
    zone.column_bytes = static_cast<std::uint32_t>(blob.size());
    return Status();
  }

 private:
  Status count(std::uint16_t member, std::span<const std::uint32_t> rows,
               std::span<const std::string_view> texts) {
    const std::uint32_t most = rows.empty() ? 0 : *std::max_element(rows.begin(), rows.end());
    if (rows.size() > kChunkRowsMax || (most >= kFirstText && most - kFirstText >= texts.size())) {
      return {Code::kInvalidArgument,
              "column of member " + std::to_string(member) + ": " + std::to_string(rows.size()) +
                  " rows with words up to " + std::to_string(most) + "; at most " +
                  std::to_string(kChunkRowsMax) + " rows, and words below " +
                  std::to_string(kFirstText + texts.size())};
    }
    counts_.assign(std::size_t{most} + 1, 0);
    for (const std::uint32_t word : rows) ++counts_[word];
    return Status();
  }

  /// Words before texts, of each the most frequent first; after that the least number.
  void rank() {
    order_.clear();
    for (std::uint32_t word = 0; word < counts_.size(); ++word) {
      if (counts_[word] > 0) order_.push_back(word);
    }
    std::sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      if ((a < kFirstText) != (b < kFirstText)) return a < kFirstText;
      return counts_[a] != counts_[b] ? counts_[a] > counts_[b] : a < b;
    });
    const auto is_word = [](std::uint32_t word) { return word < kFirstText; };
    words_ = static_cast<std::uint32_t>(std::count_if(order_.begin(), order_.end(), is_word));
    for (std::uint32_t code = 0; code < order_.size(); ++code) counts_[order_[code]] = code;
  }

  Zone zone_of(std::uint16_t member) const {
    Zone zone;
    zone.member = member;
    zone.flags = kZoneWords;
    if (order_.empty() || (order_.size() == 1 && words_ == 1)) {
      zone.flags |= kZoneOneValue;
      zone.first = order_.empty() ? 0 : order_.front();
      return zone;
    }
    if (order_.size() > words_) zone.flags |= kZoneTexts;
    for (std::uint32_t i = 0; i < words_; ++i) zone.add_word(order_[i]);
    return zone;
  }

  Status pack_texts(std::uint16_t member, std::span<const std::string_view> texts,
                    std::string& section, std::string& frame) {
    const std::span own = std::span(order_).subspan(words_);
    std::size_t bytes = 0;
    for (const std::uint32_t text : own) bytes += 4 + texts[text - kFirstText].size();
    if (bytes > kTextsBytesMax) {
      return {Code::kTooBig, "column of member " + std::to_string(member) + ": texts of " +
                                 std::to_string(bytes) + " bytes, at most " +
                                 std::to_string(kTextsBytesMax)};
    }
    std::string raw;
    raw.reserve(bytes);
    for (const std::uint32_t text : own) {
      append_number(raw, static_cast<std::uint32_t>(texts[text - kFirstText].size()));
    }
    for (const std::uint32_t text : own) raw += texts[text - kFirstText];
    if (Status status = compressor_.compress(raw, frame); !status.ok()) return status;
    append_number(section, static_cast<std::uint32_t>(own.size()));
    append_number(section, static_cast<std::uint32_t>(raw.size()));
    append_number(section, static_cast<std::uint32_t>(frame.size()));
    return Status();
  }

  void append_codes(std::span<const std::uint32_t> rows, std::string& blob) const {
    std::string bodies;
    std::array<std::uint32_t, kBlockValues> codes;
    for (std::size_t at = 0; at < rows.size(); at += kBlockValues) {
      const std::size_t count = std::min<std::size_t>(kBlockValues, rows.size() - at);
      std::uint32_t least = ~std::uint32_t{0};
      for (std::size_t i = 0; i < count; ++i) {
        codes[i] = counts_[rows[at + i]];
        least = std::min(least, codes[i]);
      }
      BlockCensus census;
      for (std::size_t i = 0; i < count; ++i) {
        codes[i] -= least;
        census.add(codes[i]);
      }
      std::fill(codes.begin() + static_cast<std::ptrdiff_t>(count), codes.end(), 0u);
      const BlockShape shape = census.best();
      append_block_head(blob, shape, 0, least);
      append_block(bodies, codes.data(), shape);
    }
    blob += bodies;
  }

  std::vector<std::uint32_t> counts_;  // of each word; once they are ranked, its code
  std::vector<std::uint32_t> order_;   // the word of each code
  std::uint32_t words_ = 0;            // codes that are no texts
  Compressor compressor_;
};

namespace word_detail {

inline Status check_code(std::uint32_t code, std::uint32_t codes) {
  if (code < codes) return Status();
  return {Code::kCorrupt,
          "code " + std::to_string(code) + " of a dictionary of " + std::to_string(codes)};
}

}  // namespace word_detail

/// The codes of one block, from the bytes of its range; room for 512, those behind its rows mean
/// nothing. Every code is below `codes`, those of the dictionary. Requires: a front of words, a
/// block of it. Errors: kCorrupt, with the member and the block.
inline Status read_codes(const ColumnFront& front, std::uint32_t block, std::string_view body,
                         std::uint32_t codes, std::uint32_t* row_codes) {
  const BlockHead& head = front.block(block);
  const std::uint32_t rows = rows_in_block(front.rows(), block);
  Status status = read_block(body, head.lower, rows, row_codes);
  if (status.ok()) {
    const auto least = static_cast<std::uint32_t>(head.least);
    std::uint32_t most = 0;
    for (std::uint32_t i = 0; i < rows; ++i) {
      row_codes[i] += least;
      most = std::max(most, row_codes[i]);
    }
    status = word_detail::check_code(most, codes);
  }
  return status.ok() ? status : ColumnFront::of_block(front.head().member, block, status);
}

/// The code of one row, from the bytes of the range of its block. Requires: as above, and a row
/// below front.rows().
inline Result<std::uint32_t> read_code(const ColumnFront& front, std::uint32_t row,
                                       std::string_view body, std::uint32_t codes) {
  const std::uint32_t block = row / kBlockValues;
  const BlockHead& head = front.block(block);
  const auto low = read_one(body, head.lower, row % kBlockValues);
  if (!low.ok()) return ColumnFront::of_block(front.head().member, block, low.status());
  const std::uint32_t code = *low + static_cast<std::uint32_t>(head.least);
  const Status status = word_detail::check_code(code, codes);
  if (!status.ok()) return ColumnFront::of_block(front.head().member, block, status);
  return code;
}

/// A column that is here as a whole, or that is one word. Reading does not change it: any number of
/// threads may.
class WordColumn {
 public:
  /// `blob` outlives this; `segment_words` as for WordDictionary. Errors: kCorrupt, kUnsupported.
  static Result<WordColumn> of_blob(std::string_view blob, std::uint32_t segment_words) {
    const auto head = check_blob(blob, kWordColumn);
    if (!head.ok()) return head.status();
    if ((head->flags & kColumnWords) == 0) {
      return corrupt_column(head->member, "numbers where words should be");
    }
    auto front = ColumnFront::read(blob, *head, blob.size());
    if (!front.ok()) return front.status();
    auto dictionary = WordDictionary::read(blob, *front, segment_words);
    if (!dictionary.ok()) return dictionary.status();
    WordColumn column;
    column.blob_ = blob;
    column.rows_ = head->count;
    column.front_ = *std::move(front);
    column.dictionary_ = *std::move(dictionary);
    return column;
  }

  /// Requires: a zone of one value, of words.
  static WordColumn of_zone(const Zone& zone, std::uint32_t rows) {
    WordColumn column;
    column.rows_ = rows;
    column.dictionary_ = WordDictionary::of_word(static_cast<std::uint16_t>(zone.first));
    return column;
  }

  std::uint32_t rows() const noexcept { return rows_; }
  std::uint32_t blocks() const noexcept { return blocks_of(rows_); }
  const WordDictionary& dictionary() const noexcept { return dictionary_; }

  /// Room for 512 at `codes`. Requires: block below blocks(). Errors: kCorrupt.
  Status block(std::uint32_t block, std::uint32_t* codes) const {
    if (front_) return read_codes(*front_, block, body(block), dictionary_.codes(), codes);
    std::fill_n(codes, kBlockValues, 0u);
    return Status();
  }

  /// Requires: row below rows(). Errors: kCorrupt.
  Result<std::uint32_t> at(std::uint32_t row) const {
    if (!front_) return std::uint32_t{0};
    return read_code(*front_, row, body(row / kBlockValues), dictionary_.codes());
  }

  /// The texts behind the codes from dictionary().words().size() on. Errors: kCorrupt; kIo without
  /// memory.
  Status texts(Decompressor& decompressor, ChunkTexts& texts) const {
    if (dictionary_.texts() == 0) {
      texts = ChunkTexts();
      return Status();
    }
    const Status status = texts.read(blob_.substr(front_->blocks_end()), dictionary_.texts(),
                                     dictionary_.texts_bytes(), decompressor);
    return status.ok() ? status : corrupt_texts(status);
  }

 private:
  WordColumn() = default;

  std::string_view body(std::uint32_t block) const {
    const ByteRange range = front_->range(block);
    return blob_.substr(range.offset, range.bytes);
  }
  Status corrupt_texts(const Status& status) const {
    return status.with_context("column of member " + std::to_string(front_->head().member) +
                               ": texts");
  }

  std::string_view blob_;
  std::uint32_t rows_ = 0;
  std::optional<ColumnFront> front_;
  WordDictionary dictionary_;
};

}  // namespace phlower
