// The ids of a chunk in the order of its rows, in one of four forms: 15.25 bytes a row where all
// are random UUIDs, of which six bits say nothing, 16 where all are UUIDs, and two for everything
// else.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "phlower/columns/blob.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/packed_id.hpp"

namespace phlower {

/// How the ids stand behind the head: its flags.
enum IdForm : std::uint8_t {
  kIdsUuid = 0,   // 16 bytes each
  kIdsUuid4 = 1,  // 15 bytes each, then two bits each
  kIdsMixed = 2,  // a directory of groups, the UUIDs, lengths of 2 bytes, the texts
  kIdsLong = 3,   // the same with lengths of 4 bytes
};
inline constexpr BlobKind kIdColumn{2, 3};

inline constexpr std::uint32_t kIdGroupRows = 64;
inline constexpr std::size_t kIdGroupBytes = 16;
inline constexpr std::size_t kUuid4Bytes = 15;
/// All texts of one column. What an id may have is decided where it is taken.
inline constexpr std::uint64_t kIdTextBytesMax = 1u << 30;

/// One entry of the directory: which of 64 rows are UUIDs, and what stands before them.
struct IdGroup {
  std::uint64_t uuids = 0;  // bit i: row i of the group
  std::uint32_t uuids_before = 0;
  std::uint32_t text_bytes_before = 0;
  bool operator==(const IdGroup&) const = default;
};

inline IdGroup load_id_group(std::string_view bytes, std::size_t at) noexcept {
  return {load_number<std::uint64_t>(bytes, at), load_number<std::uint32_t>(bytes, at + 8),
          load_number<std::uint32_t>(bytes, at + 12)};
}

/// Where the parts of a column stand in its blob. Requires a head that read_blob_head gave.
struct IdLayout {
  explicit IdLayout(const BlobHead& head) noexcept
      : form(static_cast<IdForm>(head.flags)), count(head.count), uuids(head.entries) {
    if (form == kIdsUuid4) {
      lengths_at = uuids_at + kUuid4Bytes * count;  // here: the two bits each
      texts_at = lengths_at + (count + 3) / 4;
      return;
    }
    uuids_at += head.section_bytes;
    lengths_at = uuids_at + kUuidBytes * uuids;
    length_bytes = form == kIdsLong ? 4 : 2;
    texts_at = lengths_at + length_bytes * (count - uuids);
  }
  bool mixed() const noexcept { return form == kIdsMixed || form == kIdsLong; }

  IdForm form;
  std::size_t count;
  std::size_t uuids;
  std::size_t uuids_at = kBlobHeadBytes;
  std::size_t lengths_at = 0;
  std::size_t length_bytes = 0;
  std::size_t texts_at = 0;
};

/// A head whose numbers agree with each other: nothing behind it was looked at. Errors: as
/// read_blob_head.
inline Result<BlobHead> read_id_head(std::string_view bytes) {
  auto head = read_blob_head(bytes, kIdColumn);
  if (!head.ok()) return head;
  const bool mixed = head->flags >= kIdsMixed;
  const std::size_t groups =
      mixed ? (std::size_t{head->count} + kIdGroupRows - 1) / kIdGroupRows : 0;
  if (head->section_bytes != groups * kIdGroupBytes) {
    return corrupt_column(head->member, "a directory of " + std::to_string(head->section_bytes) +
                                            " bytes for " + std::to_string(groups) + " groups");
  }
  if (mixed ? head->entries > head->count : head->entries != head->count) {
    return corrupt_column(head->member, std::to_string(head->entries) + " UUIDs in " +
                                            std::to_string(head->count) + " rows");
  }
  if (head->base != 0) return corrupt_column(head->member, "ids with a base");
  return head;
}

/// The UUID of version 4 that 15 bytes and two bits stand for.
inline PackedId unpack_uuid4(const char* packed, unsigned two_bits) noexcept {
  char bytes[kUuidBytes];
  const auto low = static_cast<unsigned char>(packed[6]);
  const unsigned middle = two_bits << 8 | low;  // 4 bits of byte 6 and 6 of byte 8
  std::memcpy(bytes, packed, 6);
  bytes[6] = static_cast<char>(0x40 | middle >> 6);
  bytes[7] = packed[7];
  bytes[8] = static_cast<char>(0x80 | (middle & 63));
  std::memcpy(bytes + 9, packed + 8, 7);
  return PackedId::of_uuid(bytes);
}

/// The checked ids of a blob that is here as a whole, which must outlive it and what it gives.
/// Thread safety: any number of threads.
class IdColumn {
 public:
  /// Everything is checked, so that no row can lead outside. Errors: kCorrupt, kUnsupported.
  static Result<IdColumn> open(std::string_view blob) {
    if (auto sum = check_blob(blob, kIdColumn); !sum.ok()) return sum.status();
    const auto head = read_id_head(blob);
    if (!head.ok()) return head.status();
    const IdColumn column(blob, *head);
    if (column.layout_.texts_at > blob.size()) {
      return corrupt_column(head->member, "ids of " + std::to_string(head->count) +
                                              " rows in a blob of " + std::to_string(blob.size()) +
                                              " bytes");
    }
    if (Status status = column.check(head->member); !status.ok()) return status;
    return column;
  }

  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(layout_.count); }

  /// Requires: row < count().
  PackedId at(std::uint32_t row) const noexcept {
    if (layout_.form == kIdsUuid) return uuid(row);
    if (layout_.form == kIdsUuid4) {
      const auto bits = static_cast<unsigned char>(blob_[layout_.lengths_at + row / 4]);
      return unpack_uuid4(blob_.data() + kBlobHeadBytes + kUuid4Bytes * row,
                          bits >> (row % 4 * 2) & 3u);
    }
    const std::size_t number = row / kIdGroupRows;
    const unsigned inside = row % kIdGroupRows;
    const IdGroup group = load_id_group(blob_, kBlobHeadBytes + kIdGroupBytes * number);
    const auto before =
        static_cast<unsigned>(std::popcount(group.uuids & ((std::uint64_t{1} << inside) - 1)));
    if ((group.uuids >> inside & 1) != 0) return uuid(group.uuids_before + before);
    std::size_t text = number * kIdGroupRows - group.uuids_before;
    std::size_t at = layout_.texts_at + group.text_bytes_before;
    for (unsigned i = 0; i < inside - before; ++i) at += length(text++);
    return PackedId(blob_.substr(at, length(text)));
  }

 private:
  IdColumn(std::string_view blob, const BlobHead& head) noexcept : blob_(blob), layout_(head) {}

  PackedId uuid(std::size_t number) const noexcept {
    return PackedId::of_uuid(blob_.data() + layout_.uuids_at + kUuidBytes * number);
  }
  std::size_t length(std::size_t text) const noexcept {
    const std::size_t at = layout_.lengths_at + layout_.length_bytes * text;
    return layout_.length_bytes == 2 ? load_number<std::uint16_t>(blob_, at)
                                     : load_number<std::uint32_t>(blob_, at);
  }

  Status check(std::uint16_t member) const {
    if (layout_.mixed()) return check_groups(member);
    if (blob_.size() != layout_.texts_at) {
      return corrupt_column(
          member, std::to_string(blob_.size() - layout_.texts_at) + " bytes behind the last id");
    }
    const unsigned used = layout_.count % 4 * 2;
    if (layout_.form == kIdsUuid4 && used != 0 &&
        static_cast<unsigned char>(blob_.back()) >> used != 0) {
      return corrupt_column(member, "bits behind those of the last id");
    }
    return Status();
  }

  // What the directory says is what its bits and the lengths add up to.
  Status check_groups(std::uint16_t member) const {
    IdGroup sum;
    std::size_t text = 0;
    for (std::size_t row = 0; row < layout_.count; row += kIdGroupRows) {
      const IdGroup group =
          load_id_group(blob_, kBlobHeadBytes + row / kIdGroupRows * kIdGroupBytes);
      const std::size_t rows = std::min<std::size_t>(kIdGroupRows, layout_.count - row);
      sum.uuids = group.uuids;
      const auto uuids = static_cast<std::uint32_t>(std::popcount(group.uuids));
      if (group != sum || (rows < kIdGroupRows && group.uuids >> rows != 0) ||
          sum.uuids_before + uuids > layout_.uuids) {
        return corrupt_column(member, "the group of ids from row " + std::to_string(row) +
                                          " on does not follow the one before");
      }
      sum.uuids_before += uuids;
      for (std::size_t i = uuids; i < rows; ++i) {
        if (text == layout_.count - layout_.uuids) return too_few(member);
        const std::size_t left = blob_.size() - layout_.texts_at - sum.text_bytes_before;
        if (length(text) > left || left > kIdTextBytesMax) {
          return corrupt_column(
              member, "the id of text " + std::to_string(text) + " ends outside of the blob");
        }
        sum.text_bytes_before += static_cast<std::uint32_t>(length(text++));
      }
    }
    if (sum.uuids_before != layout_.uuids) return too_few(member);
    if (layout_.texts_at + sum.text_bytes_before != blob_.size()) {
      return corrupt_column(member, "bytes behind the last id");
    }
    return Status();
  }
  static Status too_few(std::uint16_t member) {
    return corrupt_column(member, "the directory has fewer UUIDs than the head");
  }

  std::string_view blob_;
  IdLayout layout_;
};

}  // namespace phlower
