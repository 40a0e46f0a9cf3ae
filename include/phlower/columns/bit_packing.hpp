// Blocks of 512 numbers of 32 bits, each in as few bits as the largest needs. The block is 16 lanes
// wide: number i is in lane i mod 16, from bit (i / 16) * width of the lane on. So the same shift
// goes for 16 numbers side by side, and one loop, whatever the width, is a loop of vectors on every
// machine that has them; there is nothing in it that names one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace phlower {

inline constexpr std::uint32_t kBlockValues = 512;
inline constexpr unsigned kPackLanes = 16;
inline constexpr unsigned kPackWidthMax = 32;

/// Bytes of a block of this width.
constexpr std::size_t packed_bytes(unsigned width) noexcept {
  return std::size_t{4} * kPackLanes * width;
}

/// The largest number of this width.
constexpr std::uint32_t width_mask(unsigned width) noexcept {
  return width >= kPackWidthMax ? ~std::uint32_t{0} : (std::uint32_t{1} << width) - 1;
}

/// Writes packed_bytes(width) to `packed`, which lies anywhere. Requires: width up to 32, and no
/// value above its mask.
inline void pack_block(const std::uint32_t* __restrict values, unsigned width,
                       char* __restrict packed) noexcept {
  if (width == 0) return;
  std::uint32_t words[kBlockValues] = {};
  unsigned bit = 0;
  for (unsigned row = 0; row < kBlockValues / kPackLanes; ++row, bit += width) {
    const std::uint32_t* in = values + std::size_t{row} * kPackLanes;
    std::uint32_t* out = words + std::size_t{bit / 32} * kPackLanes;
    const unsigned shift = bit % 32;
    for (unsigned lane = 0; lane < kPackLanes; ++lane) out[lane] |= in[lane] << shift;
    if (shift + width <= 32) continue;
    for (unsigned lane = 0; lane < kPackLanes; ++lane) {
      out[kPackLanes + lane] |= in[lane] >> (32 - shift);
    }
  }
  std::memcpy(packed, words, packed_bytes(width));
}

namespace packing_detail {

inline std::uint32_t word_at(const char* bytes) noexcept {
  std::uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace packing_detail

/// The 512 numbers of a block. Requires: packed_bytes(width) at `packed`, which lies anywhere;
/// width up to 32; room for 512 at `values`.
inline void unpack_block(const char* __restrict packed, unsigned width,
                         std::uint32_t* __restrict values) noexcept {
  constexpr std::size_t kRowBytes = 4 * kPackLanes;
  const std::uint32_t mask = width_mask(width);
  if (width == 0) {
    std::memset(values, 0, sizeof *values * kBlockValues);
    return;
  }
  unsigned bit = 0;
  for (unsigned row = 0; row < kBlockValues / kPackLanes; ++row, bit += width) {
    const char* in = packed + bit / 32 * kRowBytes;
    std::uint32_t* out = values + std::size_t{row} * kPackLanes;
    const unsigned shift = bit % 32;
    if (shift + width <= 32) {
      for (unsigned lane = 0; lane < kPackLanes; ++lane) {
        out[lane] = packing_detail::word_at(in + std::size_t{4} * lane) >> shift & mask;
      }
    } else {
      for (unsigned lane = 0; lane < kPackLanes; ++lane) {
        const std::uint32_t low = packing_detail::word_at(in + std::size_t{4} * lane);
        const std::uint32_t high = packing_detail::word_at(in + kRowBytes + std::size_t{4} * lane);
        out[lane] = (low >> shift | high << (32 - shift)) & mask;
      }
    }
  }
}

/// One number of a block, without the others. Requires: as above, and index below 512.
inline std::uint32_t unpack_one(const char* packed, unsigned width, std::uint32_t index) noexcept {
  if (width == 0) return 0;
  constexpr std::size_t kRowBytes = 4 * kPackLanes;
  const unsigned bit = index / kPackLanes * width;
  const unsigned shift = bit % 32;
  const char* in = packed + bit / 32 * kRowBytes + std::size_t{4} * (index % kPackLanes);
  std::uint32_t value = packing_detail::word_at(in) >> shift;
  if (shift + width > 32) value |= packing_detail::word_at(in + kRowBytes) << (32 - shift);
  return value & width_mask(width);
}

}  // namespace phlower
