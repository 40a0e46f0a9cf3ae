// The head of a column's blob: what it is, how many rows it has, and the checksum over all of it.
// Every byte that is read may be anybody's: what is in it is checked before it is believed.
//
//   offset  bytes  field (little endian; doc/column_format.md is normative)
//   0       1      encoding: how the rest is to be read
//   1       1      flags, of that encoding
//   2       2      member: which field of a record
//   4       4      count: rows
//   8       8      base: what numbers count from, signed
//   16      4      entries of the section behind the head
//   20      4      bytes of that section, a multiple of 4
//   24      8      XXH3-64 of the whole blob, these 8 bytes as 0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/ground/checksum.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

static_assert(std::endian::native == std::endian::little, "columns are written as memory is");

inline constexpr std::size_t kBlobHeadBytes = 32;
inline constexpr std::size_t kBlobChecksumAt = 24;
/// Rows of the largest chunk: one of a sealed file. While a file is written it is a quarter.
inline constexpr std::uint32_t kChunkRowsMax = 65'536;

/// The head as a value; the checksum is not part of it.
struct BlobHead {
  std::uint8_t encoding = 0;
  std::uint8_t flags = 0;
  std::uint16_t member = 0;
  std::uint32_t count = 0;
  std::int64_t base = 0;
  std::uint32_t entries = 0;
  std::uint32_t section_bytes = 0;
  bool operator==(const BlobHead&) const = default;
};

/// What a reader knows: one encoding, and the flags in it that it can follow.
struct BlobKind {
  std::uint8_t encoding = 0;
  std::uint8_t flags = 0;
};

/// The number at a place, wherever that lies in memory. Requires: it is inside of `bytes`.
template <std::integral T>
T load_number(std::string_view bytes, std::size_t at) noexcept {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <std::integral T>
void append_number(std::string& bytes, T value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes.append(raw, sizeof value);
}

/// kCorrupt, of this member. `what` says which byte or number is wrong, and what would be right.
inline Status corrupt_column(std::uint16_t member, std::string_view what) {
  return {Code::kCorrupt, "column of member " + std::to_string(member) + ": " + std::string(what)};
}

/// Puts the head before whatever the caller appends next. Requires: `blob` is empty.
inline void start_blob(std::string& blob, const BlobHead& head) {
  append_number(blob, head.encoding);
  append_number(blob, head.flags);
  append_number(blob, head.member);
  append_number(blob, head.count);
  append_number(blob, head.base);
  append_number(blob, head.entries);
  append_number(blob, head.section_bytes);
  append_number(blob, std::uint64_t{0});
}

/// Writes the checksum over all that stands in the blob. Requires: started, and not finished.
inline void finish_blob(std::string& blob) {
  const std::uint64_t sum = hash_of(blob.data(), blob.size());
  std::memcpy(blob.data() + kBlobChecksumAt, &sum, sizeof sum);
}

/// The head at the start of `bytes`, of which more or nothing may follow; nothing behind it is
/// looked at. Errors: kCorrupt for what no writer writes, kUnsupported for an encoding or a flag of
/// a later build.
inline Result<BlobHead> read_blob_head(std::string_view bytes, const BlobKind& kind) {
  if (bytes.size() < kBlobHeadBytes) {
    return Status(Code::kCorrupt, "a column of " + std::to_string(bytes.size()) +
                                      " bytes; its head alone has " +
                                      std::to_string(kBlobHeadBytes));
  }
  BlobHead head;
  head.encoding = load_number<std::uint8_t>(bytes, 0);
  head.flags = load_number<std::uint8_t>(bytes, 1);
  head.member = load_number<std::uint16_t>(bytes, 2);
  head.count = load_number<std::uint32_t>(bytes, 4);
  head.base = load_number<std::int64_t>(bytes, 8);
  head.entries = load_number<std::uint32_t>(bytes, 16);
  head.section_bytes = load_number<std::uint32_t>(bytes, 20);
  const int unknown_flags = head.flags & ~kind.flags;
  if (head.encoding != kind.encoding || unknown_flags != 0) {
    return Status(Code::kUnsupported,
                  "column of member " + std::to_string(head.member) + ": encoding " +
                      std::to_string(head.encoding) + " with flags " + std::to_string(head.flags) +
                      "; this build knows encoding " + std::to_string(kind.encoding) +
                      " with flags in " + std::to_string(kind.flags) +
                      ". A later build wrote it and reads it");
  }
  if (head.count > kChunkRowsMax) {
    return corrupt_column(head.member, std::to_string(head.count) + " rows, at most " +
                                           std::to_string(kChunkRowsMax));
  }
  if (head.section_bytes % 4 != 0) {
    return corrupt_column(head.member, "a section of " + std::to_string(head.section_bytes) +
                                           " bytes, no multiple of 4");
  }
  return head;
}

/// The head of a blob that is here as a whole: the checksum first, so that what is damaged is never
/// taken for what a later build wrote. Errors: as `read_blob_head`, and kCorrupt for a wrong sum.
inline Result<BlobHead> check_blob(std::string_view blob, const BlobKind& kind) {
  if (blob.size() < kBlobHeadBytes) return read_blob_head(blob, kind);
  constexpr std::uint64_t kNoSum = 0;
  Checksum sum;
  sum.add(blob.data(), kBlobChecksumAt);
  sum.add(&kNoSum, sizeof kNoSum);
  sum.add(blob.data() + kBlobHeadBytes, blob.size() - kBlobHeadBytes);
  if (sum.value() != load_number<std::uint64_t>(blob, kBlobChecksumAt)) {
    return corrupt_column(load_number<std::uint16_t>(blob, 2),
                          "its " + std::to_string(blob.size()) + " bytes fail their checksum");
  }
  return read_blob_head(blob, kind);
}

}  // namespace phlower
