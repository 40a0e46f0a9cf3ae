// The dictionary of a column of words: what its codes stand for. First the words that are in the
// segment's table, by their numbers, then texts that are of this chunk alone: what never repeats,
// or came when the table was full. So the table has a bound and the chunk has one.
//
//   section: with texts u32 texts, u32 bytes of them unpacked, u32 bytes of the frame
//            u16 a word, most frequent first; 0 is the empty word; 2 bytes of 0 where they are odd
//   behind the blocks: with texts one frame of zstd: u32 length of each text, then the texts
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/column_front.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/zstd.hpp"

namespace phlower {

/// Texts of a chunk, unpacked and with 4 bytes of length each: every row of the largest chunk may
/// have one of 1 KiB.
inline constexpr std::size_t kTextsBytesMax = std::size_t{kChunkRowsMax} * (4 + 1'024);

/// Texts that are of one chunk alone, by their place. Not thread safe while it is read.
class ChunkTexts {
 public:
  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(ends_.size()); }

  /// Valid while this is. Requires: text below count().
  std::string_view text(std::uint32_t text) const {
    const std::size_t from = text == 0 ? std::size_t{4} * ends_.size() : ends_[text - 1];
    return std::string_view(bytes_).substr(from, ends_[text] - from);
  }

  /// `frame` as it stands behind the blocks. Errors: kCorrupt; kIo without memory.
  Status read(std::string_view frame, std::uint32_t count, std::size_t bytes,
              Decompressor& decompressor) {
    ends_.clear();
    if (Status status = decompressor.decompress(frame, bytes, bytes_); !status.ok()) return status;
    std::size_t end = std::size_t{4} * count;
    if (bytes_.size() != bytes || end > bytes) {
      return {Code::kCorrupt, std::to_string(count) + " texts in " + std::to_string(bytes_.size()) +
                                  " bytes of " + std::to_string(bytes)};
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      end += load_number<std::uint32_t>(bytes_, std::size_t{4} * i);
      if (end > bytes) break;
      ends_.push_back(static_cast<std::uint32_t>(end));
    }
    if (end == bytes) return Status();
    ends_.clear();
    return {Code::kCorrupt,
            "texts whose lengths are not their " + std::to_string(bytes) + " bytes"};
  }

 private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_;
};

/// The part of the dictionary that is in the front of its column. Thread safety: of a value.
class WordDictionary {
 public:
  /// `front` as for ColumnFront::read, of which `column` came; the segment's table has the words
  /// below `segment_words`, the empty one included. Errors: kCorrupt.
  static Result<WordDictionary> read(std::string_view front, const ColumnFront& column,
                                     std::uint32_t segment_words) {
    const BlobHead& head = column.head();
    WordDictionary dictionary;
    dictionary.words_.reserve(head.entries);
    std::size_t at = kBlobHeadBytes;
    if ((head.flags & kColumnTexts) != 0) {
      dictionary.texts_ = load_number<std::uint32_t>(front, at);
      dictionary.texts_bytes_ = load_number<std::uint32_t>(front, at + 4);
      at += kTextsHeadBytes;
      if (Status status = dictionary.check_texts(head); !status.ok()) return status;
    }
    for (std::uint32_t i = 0; i < head.entries; ++i) {
      dictionary.words_.push_back(load_number<std::uint16_t>(front, at + std::size_t{2} * i));
    }
    std::vector<bool> seen(std::min<std::size_t>(segment_words, kDictionaryMax));
    for (const std::uint16_t word : dictionary.words_) {
      if (word >= segment_words) {
        return corrupt_column(head.member, "word " + std::to_string(word) + ", of a table of " +
                                               std::to_string(segment_words));
      }
      if (seen[word]) {
        return corrupt_column(head.member, "word " + std::to_string(word) + " twice");
      }
      seen[word] = true;
    }
    return dictionary;
  }

  /// Requires: a column of one word.
  static WordDictionary of_word(std::uint16_t word) {
    WordDictionary dictionary;
    dictionary.words_.push_back(word);
    return dictionary;
  }

  /// The numbers of the words behind the codes from 0 on; the codes from there on are texts.
  std::span<const std::uint16_t> words() const noexcept { return words_; }
  std::uint32_t texts() const noexcept { return texts_; }
  std::size_t texts_bytes() const noexcept { return texts_bytes_; }
  /// All codes are below it.
  std::uint32_t codes() const noexcept {
    return static_cast<std::uint32_t>(words_.size()) + texts_;
  }

  /// Nothing where the chunk does not have the word.
  std::optional<std::uint32_t> code_of(std::uint16_t word) const noexcept {
    for (std::uint32_t code = 0; code < words_.size(); ++code) {
      if (words_[code] == word) return code;
    }
    return std::nullopt;
  }

 private:
  Status check_texts(const BlobHead& head) const {
    const bool right = texts_ > 0 && texts_ <= head.count && texts_bytes_ <= kTextsBytesMax &&
                       texts_bytes_ >= std::size_t{4} * texts_;
    if (right) return Status();
    return corrupt_column(head.member, std::to_string(texts_) + " texts of " +
                                           std::to_string(texts_bytes_) + " bytes in " +
                                           std::to_string(head.count) + " rows");
  }

  std::vector<std::uint16_t> words_;
  std::uint32_t texts_ = 0;
  std::size_t texts_bytes_ = 0;
};

}  // namespace phlower
