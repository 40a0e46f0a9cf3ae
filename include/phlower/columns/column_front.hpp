// What stands before the blocks of a column, and so where each block lies: who wants one block
// reads the front and then the bytes of that block, and nothing else.
//
//   head (blob.hpp) | section | a head of 8 bytes a block | the blocks | texts (words only)
//
//   offset  bytes  head of a block
//   0       1      width of the lower halves, 0 to 32
//   1       1      flags (BlockFlag)
//   2       2      patches
//   4       4      least: lower half of the least number
//
// In a column of numbers the section has such a head again for each wide block, for the upper
// halves; its flags are 0. In a column of words it is the dictionary (word_dictionary.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/columns/bit_packing.hpp"
#include "phlower/columns/blob.hpp"
#include "phlower/columns/patched_block.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// The encoding of columns of numbers and of words, and its flags.
inline constexpr std::uint8_t kColumnEncoding = 1;
enum ColumnFlag : std::uint8_t {
  kColumnWords = 1,  // the numbers are places in a dictionary
  kColumnTexts = 2,  // and the dictionary has texts that are of this chunk alone
};
inline constexpr BlobKind kNumberColumn{kColumnEncoding, 0};
inline constexpr BlobKind kWordColumn{kColumnEncoding, kColumnWords | kColumnTexts};

enum BlockFlag : std::uint8_t {
  kBlockDeltas = 1,       // differences from row to row; the first number stands before them
  kBlockWide = 2,         // upper halves follow
  kBlockSomeUnknown = 4,  // 64 bytes say which
  kBlockAllUnknown = 8,   // nothing follows
};
inline constexpr std::uint8_t kBlockFlags = 15;

inline constexpr std::size_t kBlockHeadBytes = 8;
inline constexpr std::size_t kTextsHeadBytes = 12;
inline constexpr std::size_t kTextsFrameAt = 8;  // of that head: bytes behind the blocks
inline constexpr std::uint32_t kDictionaryMax = 65'536;
inline constexpr std::size_t kUnknownBytes = kBlockValues / 8;
inline constexpr std::size_t kStartBytes = 8;

struct BlockHead {
  BlockShape lower;
  BlockShape upper;
  std::uint8_t flags = 0;
  std::uint64_t least = 0;

  bool has(BlockFlag flag) const noexcept { return (flags & flag) != 0; }
  constexpr std::size_t bytes() const noexcept {
    return ((flags & kBlockDeltas) != 0 ? kStartBytes : 0) +
           ((flags & kBlockSomeUnknown) != 0 ? kUnknownBytes : 0) + lower.bytes() + upper.bytes();
  }
};

/// A part of a blob: what to hand to an incremental read.
struct ByteRange {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

constexpr std::uint32_t blocks_of(std::uint32_t rows) noexcept {
  return (rows + kBlockValues - 1) / kBlockValues;
}

/// Rows of one block: all but the last are full.
constexpr std::uint32_t rows_in_block(std::uint32_t rows, std::uint32_t block) noexcept {
  const std::uint32_t left = rows - block * kBlockValues;
  return left < kBlockValues ? left : kBlockValues;
}

inline void append_block_head(std::string& bytes, const BlockShape& shape, std::uint8_t flags,
                              std::uint32_t least) {
  append_number(bytes, shape.width);
  append_number(bytes, flags);
  append_number(bytes, shape.patches);
  append_number(bytes, least);
}

/// The front of one column, checked. Thread safety: of a value.
class ColumnFront {
 public:
  /// How many bytes from the start of the blob `read` needs. Errors: kCorrupt for a head that no
  /// column of its kind has, so that nobody makes room for what it claims.
  static Result<std::size_t> bytes_of(const BlobHead& head) {
    const bool words = (head.flags & kColumnWords) != 0;
    if (!words && (head.flags & kColumnTexts) != 0) {
      return corrupt_column(head.member, "texts in a column of numbers");
    }
    const std::uint32_t most = words ? kDictionaryMax : blocks_of(head.count);
    const std::size_t section = !words ? kBlockHeadBytes * std::size_t{head.entries}
                                       : ((head.flags & kColumnTexts) != 0 ? kTextsHeadBytes : 0) +
                                             (std::size_t{head.entries} + 1) / 2 * 4;
    if (head.entries > most || head.section_bytes != section) {
      return corrupt_column(head.member, "a section of " + std::to_string(head.section_bytes) +
                                             " bytes with " + std::to_string(head.entries) +
                                             " entries, at most " + std::to_string(most));
    }
    return front_bytes(head);
  }

  /// `front` is the start of a blob of `blob_bytes`, at least bytes_of(head). What it says adds up
  /// to all of the blob, so every range of it is inside. Errors: kCorrupt; kUnsupported for flags
  /// of a later build.
  static Result<ColumnFront> read(std::string_view front, const BlobHead& head,
                                  std::size_t blob_bytes) {
    const auto needed = bytes_of(head);
    if (!needed.ok()) return needed.status();
    if (front.size() < *needed) {
      return corrupt_column(head.member, std::to_string(front.size()) + " bytes of a front of " +
                                             std::to_string(*needed));
    }
    ColumnFront column;
    column.head_ = head;
    const bool words = (head.flags & kColumnWords) != 0;
    std::size_t end = *needed;
    std::uint32_t wide = 0;
    for (std::uint32_t k = 0; k < blocks_of(head.count); ++k) {
      BlockHead block;
      const Status status = read_block_head(front, head, k, words, wide, block);
      if (!status.ok()) return of_block(head.member, k, status);
      column.offsets_.push_back(static_cast<std::uint32_t>(end));
      column.blocks_.push_back(block);
      end += block.bytes();
    }
    if (!words && wide != head.entries) {
      return corrupt_column(head.member, std::to_string(head.entries) + " wide blocks, found " +
                                             std::to_string(wide));
    }
    column.blocks_end_ = end;
    if ((head.flags & kColumnTexts) != 0) {
      end += load_number<std::uint32_t>(front, kBlobHeadBytes + kTextsFrameAt);
    }
    if (end != blob_bytes) {
      return corrupt_column(
          head.member, std::to_string(blob_bytes) + " bytes of a column of " + std::to_string(end));
    }
    return column;
  }

  const BlobHead& head() const noexcept { return head_; }
  std::uint32_t rows() const noexcept { return head_.count; }
  std::uint32_t blocks() const noexcept { return static_cast<std::uint32_t>(blocks_.size()); }
  /// Requires: block below blocks().
  const BlockHead& block(std::uint32_t block) const noexcept { return blocks_[block]; }
  ByteRange range(std::uint32_t block) const noexcept {
    return {offsets_[block], blocks_[block].bytes()};
  }
  /// Where the last block ends.
  std::size_t blocks_end() const noexcept { return blocks_end_; }

  /// An error of this block, with its place.
  static Status of_block(std::uint16_t member, std::uint32_t block, const Status& status) {
    return status.with_context("column of member " + std::to_string(member) + ": block " +
                               std::to_string(block));
  }

 private:
  static std::size_t front_bytes(const BlobHead& head) noexcept {
    return kBlobHeadBytes + head.section_bytes + kBlockHeadBytes * blocks_of(head.count);
  }

  static Status read_block_head(std::string_view front, const BlobHead& head, std::uint32_t k,
                                bool words, std::uint32_t& wide, BlockHead& block) {
    const std::size_t at = kBlobHeadBytes + head.section_bytes + kBlockHeadBytes * std::size_t{k};
    block.lower = {load_number<std::uint8_t>(front, at), load_number<std::uint16_t>(front, at + 2)};
    block.flags = load_number<std::uint8_t>(front, at + 1);
    block.least = load_number<std::uint32_t>(front, at + 4);
    const int known = words ? 0 : kBlockFlags;
    if ((block.flags & ~known) != 0) {
      return {Code::kUnsupported, "flags " + std::to_string(block.flags) + ", known are " +
                                      std::to_string(known) +
                                      ". A later build wrote it and reads it"};
    }
    const std::uint32_t rows = rows_in_block(head.count, k);
    if (block.has(kBlockAllUnknown) &&
        (block.flags != kBlockAllUnknown || block.lower != BlockShape{} || block.least != 0)) {
      return {Code::kCorrupt, "all is unknown, and yet it has numbers"};
    }
    if (Status status = check_shape(block.lower, rows); !status.ok()) return status;
    if (!block.has(kBlockWide)) return Status();
    if (wide == head.entries) return {Code::kCorrupt, "wide, without a head of its upper halves"};
    const std::size_t upper_at = kBlobHeadBytes + kBlockHeadBytes * std::size_t{wide++};
    block.upper = {load_number<std::uint8_t>(front, upper_at),
                   load_number<std::uint16_t>(front, upper_at + 2)};
    block.least |= std::uint64_t{load_number<std::uint32_t>(front, upper_at + 4)} << 32;
    if (load_number<std::uint8_t>(front, upper_at + 1) != 0) {
      return {Code::kCorrupt, "flags in the head of its upper halves"};
    }
    return check_shape(block.upper, rows).with_context("upper halves");
  }

  BlobHead head_;
  std::vector<BlockHead> blocks_;
  std::vector<std::uint32_t> offsets_;
  std::size_t blocks_end_ = 0;
};

}  // namespace phlower
