// A block of details before it is compressed: one entry after the other.
//
// An entry: the tag of the task's id (4 bytes, little-endian), the lengths of args, kwargs,
// traceback (LEB128) and whatever details the version of the block has, then the texts. The tag
// tells a reader that this is the entry it wants, also where a power loss has put another block in
// the place of the one that a row names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/history/task_key.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"
#include "phlower/segment/format/layout.hpp"

namespace phlower {

namespace details_block {

/// LEB128.
inline void put_length(std::string& out, std::size_t length) {
  for (; length >= 0x80; length >>= 7) out += static_cast<char>((length & 0x7f) | 0x80);
  out += static_cast<char>(length);
}

inline bool take_length(std::string_view& from, std::size_t& length) {
  length = 0;
  for (int shift = 0; shift < 35 && !from.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(from.front());
    from.remove_prefix(1);
    length |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

/// Adds the details of a record, in the form of this build's version.
inline void append(std::string& block, IdTag tag, const RecordView& details) {
  for (int i = 0; i < 4; ++i) block += static_cast<char>(tag >> (8 * i) & 0xff);
  visit_details([&](const Field&, std::string_view text) { put_length(block, text.size()); },
                details);
  visit_details([&](const Field&, std::string_view text) { block += text; }, details);
}

/// Takes one entry off the front, as `version` of segments has it. False: what is there is no whole
/// entry.
inline bool take(std::string_view& block, int version, IdTag& tag, RecordView& details) {
  if (block.size() < 4) return false;
  tag = 0;
  for (int i = 0; i < 4; ++i) {
    tag |= static_cast<IdTag>(static_cast<std::uint8_t>(block[static_cast<std::size_t>(i)]))
           << (8 * i);
  }
  block.remove_prefix(4);
  std::array<std::size_t, count_fields(FieldPart::kDetails)> lengths{};
  std::size_t at = 0;
  bool whole = true;
  visit_details(
      [&](const Field& field, std::string_view&) {
        std::size_t& length = lengths[at++];
        if (field.since.segment <= version) whole = whole && take_length(block, length);
      },
      details);
  at = 0;
  visit_details(
      [&](const Field&, std::string_view& text) {
        const std::size_t length = lengths[at++];
        whole = whole && length <= block.size();
        if (!whole) return;
        text = block.substr(0, length);
        block.remove_prefix(length);
      },
      details);
  return whole;
}

/// The details of entry number `wanted`, if it belongs to `tag`. kCorrupt: not a block.
inline Result<bool> find(std::string_view block, int version, std::uint32_t wanted, IdTag tag,
                         RecordView& details) {
  for (std::uint32_t entry = 0; !block.empty(); ++entry) {
    IdTag found = 0;
    RecordView view;
    if (!take(block, version, found, view)) {
      return Status(Code::kCorrupt, "a block of details is torn");
    }
    if (entry != wanted) continue;
    if (found == tag) details = view;
    return found == tag;
  }
  return false;
}

/// The first byte of a block: whether it needs the dictionary, and the version that wrote it.
inline char kind(bool dictionary, int version = segment_schema::kVersion) {
  return static_cast<char>((version - 1) << 1 | (dictionary ? 1 : 0));
}
inline bool needs_dictionary(char kind) { return (kind & 1) != 0; }
inline int version_of(char kind) { return (static_cast<unsigned char>(kind) >> 1) + 1; }

}  // namespace details_block
}  // namespace phlower
