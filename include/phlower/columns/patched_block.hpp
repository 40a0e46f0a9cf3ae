// A block of 512 numbers of 32 bits in which a few may be much larger than the rest: it is packed
// in the width that costs least, and of those that do not fit the upper bits stand behind it, each
// with its place: (number >> width) << 9 | place, ascending by place.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/columns/bit_packing.hpp"
#include "phlower/columns/blob.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

inline constexpr unsigned kPatchPlaceBits = 9;
inline constexpr std::uint32_t kPatchPlaceMask = kBlockValues - 1;
inline constexpr unsigned kPatchValueBits = 32 - kPatchPlaceBits;

/// How a block is packed.
struct BlockShape {
  std::uint8_t width = 0;
  std::uint16_t patches = 0;

  constexpr std::size_t bytes() const noexcept {
    return packed_bytes(width) + std::size_t{4} * patches;
  }
  bool operator==(const BlockShape&) const = default;
};

/// What a block of these numbers would cost.
class BlockCensus {
 public:
  void add(std::uint32_t value) noexcept { ++counts_[std::bit_width(value)]; }

  /// The shape of the fewest bytes; of two equal ones that with fewer patches.
  BlockShape best() const noexcept {
    unsigned most = kPackWidthMax;
    while (most > 0 && counts_[most] == 0) --most;
    BlockShape best{static_cast<std::uint8_t>(most), 0};
    std::uint16_t patches = 0;
    for (unsigned width = most; width > 0 && most - (width - 1) <= kPatchValueBits;) {
      patches = static_cast<std::uint16_t>(patches + counts_[width]);
      --width;
      const BlockShape shape{static_cast<std::uint8_t>(width), patches};
      if (shape.bytes() < best.bytes()) best = shape;
    }
    return best;
  }

 private:
  std::array<std::uint16_t, kPackWidthMax + 1> counts_{};
};

/// Appends the block. `values` are 512 and are no longer what they were afterwards.
/// Requires: a shape of the census of these values.
inline void append_block(std::string& bytes, std::uint32_t* values, const BlockShape& shape) {
  std::array<std::uint32_t, kBlockValues> patches;
  std::size_t used = 0;
  const std::uint32_t mask = width_mask(shape.width);
  for (std::uint32_t place = 0; shape.patches > 0 && place < kBlockValues; ++place) {
    if (values[place] <= mask) continue;
    patches[used++] = values[place] >> shape.width << kPatchPlaceBits | place;
    values[place] &= mask;
  }
  const std::size_t at = bytes.size();
  bytes.resize(at + packed_bytes(shape.width));
  pack_block(values, shape.width, bytes.data() + at);
  bytes.append(reinterpret_cast<const char*>(patches.data()), used * sizeof patches[0]);
}

/// What a head says of a block of `rows`. Errors: kCorrupt for what no block can be.
inline Status check_shape(const BlockShape& shape, std::uint32_t rows) {
  if (shape.width > kPackWidthMax) {
    return {Code::kCorrupt, "a width of " + std::to_string(shape.width) + " bits, at most 32"};
  }
  const std::uint32_t most = shape.width == kPackWidthMax ? 0 : rows;
  if (shape.patches > most) {
    return {Code::kCorrupt, std::to_string(shape.patches) + " patches of " + std::to_string(rows) +
                                " rows with a width of " + std::to_string(shape.width) + " bits"};
  }
  return Status();
}

namespace patch_detail {

struct Patch {
  std::uint32_t place = 0;
  std::uint32_t bits = 0;  // those above the width
};

inline Patch patch_at(std::string_view block, const BlockShape& shape, std::size_t index) noexcept {
  const auto raw = load_number<std::uint32_t>(block, packed_bytes(shape.width) + 4 * index);
  return {raw & kPatchPlaceMask, raw >> kPatchPlaceBits};
}

/// Whether the bits have room above the width.
inline bool fits(const Patch& patch, const BlockShape& shape) noexcept {
  return std::bit_width(patch.bits) + shape.width <= kPackWidthMax;
}

inline Status too_wide(std::size_t index) {
  return {Code::kCorrupt, "patch " + std::to_string(index) + " of more than 32 bits"};
}

inline Status wrong_size(std::string_view block, const BlockShape& shape) {
  return {Code::kCorrupt,
          std::to_string(block.size()) + " bytes of a block of " + std::to_string(shape.bytes())};
}

}  // namespace patch_detail

/// The numbers of a block; those from `rows` on mean nothing. Requires: a shape that is checked,
/// room for 512. Errors: kCorrupt, and then `values` mean nothing.
inline Status read_block(std::string_view block, const BlockShape& shape, std::uint32_t rows,
                         std::uint32_t* values) {
  if (block.size() != shape.bytes()) return patch_detail::wrong_size(block, shape);
  unpack_block(block.data(), shape.width, values);
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < shape.patches; ++i) {
    const auto patch = patch_detail::patch_at(block, shape, i);
    if (!patch_detail::fits(patch, shape)) return patch_detail::too_wide(i);
    if (patch.place < next || patch.place >= rows) {
      return {Code::kCorrupt, "patch " + std::to_string(i) + " for place " +
                                  std::to_string(patch.place) + ", not in " + std::to_string(next) +
                                  " to " + std::to_string(rows)};
    }
    next = patch.place + 1;
    values[patch.place] |= patch.bits << shape.width;
  }
  return Status();
}

/// One number of a block. Requires: a shape that is checked, a place below 512. Errors: kCorrupt.
inline Result<std::uint32_t> read_one(std::string_view block, const BlockShape& shape,
                                      std::uint32_t place) {
  if (block.size() != shape.bytes()) return patch_detail::wrong_size(block, shape);
  const std::uint32_t low = unpack_one(block.data(), shape.width, place);
  for (std::size_t i = 0; i < shape.patches; ++i) {
    const auto patch = patch_detail::patch_at(block, shape, i);
    if (patch.place != place) continue;
    if (!patch_detail::fits(patch, shape)) return patch_detail::too_wide(i);
    return low | patch.bits << shape.width;
  }
  return low;
}

}  // namespace phlower
