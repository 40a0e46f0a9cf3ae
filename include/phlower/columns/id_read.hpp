// One id of a column that is read in pieces: 32 bytes of head, and then what this row needs of the
// rest: 16 bytes of UUIDs alone, or the directory's entry, up to 256 bytes of lengths and the text.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_column.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/packed_id.hpp"

namespace phlower {

/// The id of one row of a blob of `blob_bytes`, whose head read_id_head gave. `read(at, bytes, to)`
/// copies bytes of the blob to a char* and returns a Status; it is asked for nothing outside of the
/// blob, and never for more than 256 bytes that are not the id itself. A text stands in `text`,
/// which must outlive the answer. No checksum is looked at. Errors: those of `read`,
/// kInvalidArgument for a row that is not there, kCorrupt where numbers lead outside of the blob.
template <class Read>
Result<PackedId> read_id(const BlobHead& head, std::uint64_t blob_bytes, std::uint32_t row,
                         Read&& read, std::string& text) {
  if (row >= head.count) {
    return Status(Code::kInvalidArgument,
                  "row " + std::to_string(row) + " of " + std::to_string(head.count) + " ids");
  }
  const IdLayout layout(head);
  if (layout.texts_at > blob_bytes) {
    return corrupt_column(head.member, "ids that end outside of their blob");
  }
  char raw[kUuidBytes];
  if (layout.form == kIdsUuid4) {
    char bits = 0;
    Status status = read(layout.uuids_at + kUuid4Bytes * row, kUuid4Bytes, raw);
    if (status.ok()) status = read(layout.lengths_at + row / 4, std::size_t{1}, &bits);
    if (!status.ok()) return status;
    return unpack_uuid4(raw, static_cast<unsigned char>(bits) >> (row % 4 * 2) & 3u);
  }
  std::size_t uuid = row;
  if (layout.mixed()) {
    const std::size_t number = row / kIdGroupRows;
    const unsigned inside = row % kIdGroupRows;
    if (Status status = read(kBlobHeadBytes + kIdGroupBytes * number, kIdGroupBytes, raw);
        !status.ok()) {
      return status;
    }
    const IdGroup group = load_id_group(std::string_view(raw, sizeof raw), 0);
    const auto before =
        static_cast<unsigned>(std::popcount(group.uuids & ((std::uint64_t{1} << inside) - 1)));
    const bool is_text = (group.uuids >> inside & 1) == 0;
    uuid = std::size_t{group.uuids_before} + before;
    const std::size_t first = number * kIdGroupRows - group.uuids_before;
    const std::size_t texts = layout.count - layout.uuids;
    if (group.uuids_before > number * kIdGroupRows ||
        (is_text ? first + (inside - before) >= texts : uuid >= layout.uuids)) {
      return corrupt_column(head.member,
                            "row " + std::to_string(row) + " is an id that the column has not");
    }
    if (is_text) {
      std::uint64_t at = layout.texts_at + group.text_bytes_before;
      char raw_lengths[kIdGroupRows * 4];
      const std::size_t lengths = (inside - before + 1) * layout.length_bytes;
      Status status = read(layout.lengths_at + first * layout.length_bytes, lengths, raw_lengths);
      if (!status.ok()) return status;
      std::uint64_t length = 0;
      for (std::size_t i = 0; i < lengths; i += layout.length_bytes) {
        at += length;
        const std::string_view from(raw_lengths, lengths);
        length = layout.length_bytes == 2 ? load_number<std::uint16_t>(from, i)
                                          : load_number<std::uint32_t>(from, i);
      }
      if (at > blob_bytes || length > blob_bytes - at) {
        return corrupt_column(head.member,
                              "the id of row " + std::to_string(row) + " ends outside of its blob");
      }
      text.resize(length);
      status = read(static_cast<std::size_t>(at), text.size(), text.data());
      if (!status.ok()) return status;
      return PackedId(text);
    }
  }
  if (Status status = read(layout.uuids_at + kUuidBytes * uuid, kUuidBytes, raw); !status.ok()) {
    return status;
  }
  return PackedId::of_uuid(raw);
}

}  // namespace phlower
