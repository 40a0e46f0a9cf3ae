// A block of details before it is compressed: one entry after the other.
//
// An entry: the tag of the task's id (4 bytes, little-endian), the lengths of args, kwargs and
// traceback (LEB128), then the three texts. The tag tells a reader that this is the entry it wants,
// also where a power loss has put another block in the place of the one that a row names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/history/task_key.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// Text of an entry; empty means "not known".
struct DetailsView {
  std::string_view args, kwargs, traceback;
};

namespace details_block {

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

inline void append(std::string& block, IdTag tag, const DetailsView& details) {
  for (int i = 0; i < 4; ++i) block += static_cast<char>(tag >> (8 * i) & 0xff);
  for (const std::string_view text : {details.args, details.kwargs, details.traceback}) {
    put_length(block, text.size());
  }
  for (const std::string_view text : {details.args, details.kwargs, details.traceback}) {
    block += text;
  }
}

/// Takes one entry off the front. False: what is there is no whole entry.
inline bool take(std::string_view& block, IdTag& tag, DetailsView& details) {
  if (block.size() < 4) return false;
  tag = 0;
  for (int i = 0; i < 4; ++i) {
    tag |= static_cast<IdTag>(static_cast<std::uint8_t>(block[static_cast<std::size_t>(i)]))
           << (8 * i);
  }
  block.remove_prefix(4);
  std::size_t lengths[3];
  for (std::size_t& length : lengths) {
    if (!take_length(block, length)) return false;
  }
  std::string_view* const texts[] = {&details.args, &details.kwargs, &details.traceback};
  for (int i = 0; i < 3; ++i) {
    if (lengths[i] > block.size()) return false;
    *texts[i] = block.substr(0, lengths[i]);
    block.remove_prefix(lengths[i]);
  }
  return true;
}

/// Entry number `wanted`, if it belongs to `tag`. kCorrupt: not a block.
inline Result<bool> find(std::string_view block, std::uint32_t wanted, IdTag tag,
                         DetailsView& details) {
  for (std::uint32_t entry = 0; !block.empty(); ++entry) {
    IdTag found = 0;
    DetailsView view;
    if (!take(block, found, view)) return Status(Code::kCorrupt, "a block of details is torn");
    if (entry != wanted) continue;
    if (found == tag) details = view;
    return found == tag;
  }
  return false;
}

}  // namespace details_block
}  // namespace phlower
