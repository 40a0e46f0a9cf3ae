// The index of ids: all rows in the order of their ids' hashes, in buckets of about four. A page is
// some buckets and two blobs: the filter part (how many rows a bucket has, and some more bits of
// each hash) tells nearly every absent id, and the rows part has the rows. doc/column_format.md is
// normative.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "phlower/columns/blob.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

inline constexpr std::uint32_t kIndexedRowsMax = (1u << 24) - 1;
/// Bits of a hash that an index goes by, the upper ones.
inline constexpr unsigned kIndexHashBits = 40;
/// The sealed index of 2,000,000 rows has 1 false hit in 256 for 0.25 bytes a row more than 1
/// in 64.
inline constexpr std::uint8_t kSealedRemainderBits = 10;
/// Every run of a file that is written is asked for every id.
inline constexpr std::uint8_t kRunRemainderBits = 12;

/// A row and its hash as one number, the hash in the upper 40 bits: sorted by it, rows are in the
/// order of an index.
using HashedRow = std::uint64_t;

constexpr HashedRow hashed_row(std::uint64_t hash, std::uint32_t row) noexcept {
  return hash >> 24 << 24 | (row & kIndexedRowsMax);
}
constexpr std::uint64_t index_hash(std::uint64_t hash) noexcept { return hash >> 24; }
constexpr std::uint32_t row_of_hashed(HashedRow entry) noexcept {
  return static_cast<std::uint32_t>(entry & kIndexedRowsMax);
}

/// The numbers from which everything else of an index follows. They stand in each of its pages.
struct IdIndexShape {
  std::uint32_t rows = 0;
  std::uint8_t remainder_bits = kSealedRemainderBits;
  std::uint8_t page_bits = 10;  // buckets of a page, as a power of 2

  /// Of a sealed file, and of one chunk of a file that is written: one page.
  static constexpr IdIndexShape sealed(std::uint32_t rows) noexcept {
    return {rows, kSealedRemainderBits, 10};
  }
  static constexpr IdIndexShape run(std::uint32_t rows) noexcept {
    return {rows, kRunRemainderBits, 12};
  }

  constexpr bool valid() const noexcept {
    return rows <= kIndexedRowsMax && page_bits <= 16 &&
           (remainder_bits == 8 || remainder_bits == 10 || remainder_bits == 12);
  }
  constexpr std::uint32_t buckets() const noexcept { return std::max(1u, rows / 4); }
  constexpr std::uint32_t pages() const noexcept {
    return rows == 0 ? 0 : ((buckets() - 1) >> page_bits) + 1;
  }
  /// Buckets of one page: the last may have fewer.
  constexpr std::uint32_t buckets_in(std::uint32_t page) const noexcept {
    return std::min(1u << page_bits, buckets() - (page << page_bits));
  }
  constexpr unsigned row_bits() const noexcept {
    return rows == 0 ? 0 : static_cast<unsigned>(std::bit_width(rows - 1));
  }

  /// Bucket and remainder of a hash of 40 bits, as one number: bucket << remainder_bits |
  /// remainder.
  constexpr std::uint64_t key_of(std::uint64_t hash40) const noexcept {
    return hash40 * buckets() >> (kIndexHashBits - remainder_bits);
  }
  /// The least hash of 40 bits with at least this key.
  constexpr std::uint64_t least_hash(std::uint64_t key) const noexcept {
    return ((key << (kIndexHashBits - remainder_bits)) + buckets() - 1) / buckets();
  }
  bool operator==(const IdIndexShape&) const = default;
};

inline constexpr BlobKind kIdFilterPage{3, 0};
inline constexpr BlobKind kIdRowsPage{4, 0};
/// Behind the head: u32 page, u32 rows of the index, u8 remainder bits, u8 page bits, u16 0, u32
/// exceptions.
inline constexpr std::size_t kIndexSectionBytes = 16;
inline constexpr std::size_t kIndexBodyAt = kBlobHeadBytes + kIndexSectionBytes;

/// What a page says of itself.
struct IdPageHead {
  IdIndexShape shape;
  std::uint32_t page = 0;
  std::uint32_t buckets = 0;
  std::uint32_t entries = 0;
  std::uint32_t exceptions = 0;
};

/// Head and section of a page of an index, whose checksum is not looked at: from the first page a
/// reader learns the shape of all. Errors: kCorrupt, kUnsupported.
inline Result<IdPageHead> read_id_page_head(std::string_view bytes, const BlobKind& kind) {
  const auto head = read_blob_head(bytes, kind);
  if (!head.ok()) return head.status();
  if (head->section_bytes != kIndexSectionBytes || bytes.size() < kIndexBodyAt) {
    return corrupt_column(head->member, "a page of ids without the section that all have");
  }
  IdPageHead page;
  page.page = load_number<std::uint32_t>(bytes, kBlobHeadBytes);
  page.shape.rows = load_number<std::uint32_t>(bytes, kBlobHeadBytes + 4);
  page.shape.remainder_bits = load_number<std::uint8_t>(bytes, kBlobHeadBytes + 8);
  page.shape.page_bits = load_number<std::uint8_t>(bytes, kBlobHeadBytes + 9);
  page.exceptions = load_number<std::uint32_t>(bytes, kBlobHeadBytes + 12);
  page.buckets = head->count;
  page.entries = head->entries;
  const bool good = page.shape.valid() && page.page < page.shape.pages() && head->base == 0 &&
                    load_number<std::uint16_t>(bytes, kBlobHeadBytes + 10) == 0 &&
                    page.buckets == page.shape.buckets_in(page.page) &&
                    page.entries <= page.shape.rows && page.exceptions <= page.buckets &&
                    (kind.encoding == kIdFilterPage.encoding || page.exceptions == 0);
  if (!good) {
    return corrupt_column(head->member, "page " + std::to_string(page.page) + " of an index of " +
                                            std::to_string(page.shape.rows) +
                                            " ids: " + std::to_string(page.entries) + " in " +
                                            std::to_string(page.buckets) +
                                            " buckets do not belong there");
  }
  return page;
}

/// The same, and it is the page that is wanted.
inline Result<IdPageHead> expect_id_page(std::string_view bytes, const BlobKind& kind,
                                         const IdIndexShape& shape, std::uint32_t page) {
  auto head = read_id_page_head(bytes, kind);
  if (!head.ok() || (head->shape == shape && head->page == page)) return head;
  return Status(Code::kCorrupt, "page " + std::to_string(head->page) + " of an index of " +
                                    std::to_string(head->shape.rows) + " ids in place of page " +
                                    std::to_string(page) + " of " + std::to_string(shape.rows));
}

inline void start_id_page(std::string& blob, const BlobKind& kind, const IdPageHead& page) {
  start_blob(blob, {.encoding = kind.encoding,
                    .count = page.buckets,
                    .entries = page.entries,
                    .section_bytes = kIndexSectionBytes});
  append_number(blob, page.page);
  append_number(blob, page.shape.rows);
  append_number(blob, page.shape.remainder_bits);
  append_number(blob, page.shape.page_bits);
  append_number(blob, std::uint16_t{0});
  append_number(blob, page.exceptions);
}

}  // namespace phlower
