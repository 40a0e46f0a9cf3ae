// A block of 512 numbers of 64 bits, signed, of which some may be unknown.
//
//   number = base + x, or with deltas: start + the sum of unzigzag(x) up to its row
//   x      = least + lower half + (upper half << 32), all modulo 2^64
//
// In this order: with deltas 8 bytes start; with unknown ones 64 bytes, a bit for each row, the
// first the lowest of the first byte; the lower halves; with the flag wide the upper halves.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "phlower/columns/bit_packing.hpp"
#include "phlower/columns/blob.hpp"
#include "phlower/columns/column_front.hpp"
#include "phlower/columns/patched_block.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Bit i % 64 of word i / 64 is set where the number of row i is unknown. Empty: all are known.
using UnknownBits = std::span<const std::uint64_t>;

constexpr bool is_unknown(UnknownBits bits, std::size_t row) noexcept {
  return !bits.empty() && (bits[row / 64] >> (row % 64) & 1) != 0;
}

/// The difference of two neighbours as a small number, whichever is the larger.
constexpr std::uint64_t zigzag(std::uint64_t difference) noexcept {
  return (difference << 1) ^ (0 - (difference >> 63));
}
constexpr std::uint64_t unzigzag(std::uint64_t value) noexcept {
  return (value >> 1) ^ (0 - (value & 1));
}

/// One block, unpacked. An unknown number is 0 here.
struct NumberBlock {
  std::uint32_t rows = 0;
  bool some_unknown = false;
  std::array<std::int64_t, kBlockValues> numbers;
  std::array<std::uint64_t, kBlockValues / 64> unknown;  // all 0 unless some_unknown

  bool is_known(std::size_t row) const noexcept { return !is_unknown(unknown, row); }
};

/// What the blocks of a column add up to while they are written.
struct BlockDraft {
  std::string upper_heads;
  std::string heads;
  std::string bodies;
  std::uint32_t wide = 0;
};

/// Writes blocks. About 20 KiB; one serves for any number of columns. Not thread safe.
class NumberBlockWriter {
 public:
  /// One block more: up to 512 numbers, in the way that costs least. `unknown` is empty or has the
  /// bits of these rows from bit 0 on. Requires: base is at most the least known number.
  void add(std::span<const std::int64_t> numbers, UnknownBits unknown, std::int64_t base,
           BlockDraft& draft) {
    const std::size_t gaps = count_gaps(numbers.size(), unknown);
    if (gaps == numbers.size()) {
      append_block_head(draft.heads, BlockShape{}, kBlockAllUnknown, 0);
      return;
    }
    take_plain(numbers, gaps > 0 ? unknown : UnknownBits(), base);
    plain_.measure(numbers.size());
    const bool by_deltas = plain_.bytes() > kStartBytes && deltas_are_smaller(numbers, unknown);
    Split& split = by_deltas ? deltas_ : plain_;
    std::uint8_t flags = by_deltas ? kBlockDeltas : 0;
    if (gaps > 0) flags |= kBlockSomeUnknown;
    if (split.wide) flags |= kBlockWide;
    append_block_head(draft.heads, split.low, flags, static_cast<std::uint32_t>(split.least));
    if (by_deltas) {
      append_number(draft.bodies, static_cast<std::uint64_t>(first_) - unzigzag(split.least));
    }
    if (gaps > 0) append_gaps(draft.bodies, numbers.size(), unknown);
    append_block(draft.bodies, split.lower.data(), split.low);
    if (!split.wide) return;
    append_block_head(draft.upper_heads, split.high, 0,
                      static_cast<std::uint32_t>(split.least >> 32));
    append_block(draft.bodies, split.upper.data(), split.high);
    ++draft.wide;
  }

 private:
  /// Numbers as halves above the least of them.
  struct Split {
    std::array<std::uint64_t, kBlockValues> x;
    std::array<std::uint32_t, kBlockValues> lower;
    std::array<std::uint32_t, kBlockValues> upper;
    BlockShape low;
    BlockShape high;
    std::uint64_t least = 0;
    bool wide = false;

    std::size_t bytes() const noexcept {
      return low.bytes() + high.bytes() + (wide ? kBlockHeadBytes : 0);
    }

    void measure(std::size_t rows) noexcept {
      const auto [least_at, most_at] = std::minmax_element(x.begin(), x.begin() + rows);
      least = *least_at;
      const std::uint64_t most = *most_at;
      constexpr std::uint64_t kHalf = std::numeric_limits<std::uint32_t>::max();
      wide = most > kHalf;
      BlockCensus low_census;
      for (std::size_t i = 0; i < rows; ++i) {
        lower[i] = static_cast<std::uint32_t>(x[i] - least);
        low_census.add(lower[i]);
      }
      std::fill(lower.begin() + rows, lower.end(), 0u);
      low = low_census.best();
      high = BlockShape{};
      if (!wide) return;
      BlockCensus high_census;
      for (std::size_t i = 0; i < rows; ++i) {
        upper[i] = static_cast<std::uint32_t>((x[i] - least) >> 32);
        high_census.add(upper[i]);
      }
      std::fill(upper.begin() + rows, upper.end(), 0u);
      high = high_census.best();
    }
  };

  static std::size_t count_gaps(std::size_t rows, UnknownBits unknown) noexcept {
    std::size_t gaps = 0;
    for (std::size_t i = 0; i < rows && !unknown.empty(); ++i) gaps += is_unknown(unknown, i);
    return gaps;
  }

  static void append_gaps(std::string& bytes, std::size_t rows, UnknownBits unknown) {
    std::array<std::uint64_t, kBlockValues / 64> bits{};
    for (std::size_t i = 0; i < rows; ++i) {
      if (is_unknown(unknown, i)) bits[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    bytes.append(reinterpret_cast<const char*>(bits.data()), sizeof bits);
  }

  /// x above the base; an unknown one costs nothing as the least.
  void take_plain(std::span<const std::int64_t> numbers, UnknownBits unknown, std::int64_t base) {
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      plain_.x[i] = static_cast<std::uint64_t>(numbers[i]) - static_cast<std::uint64_t>(base);
      if (!is_unknown(unknown, i)) least = std::min(least, plain_.x[i]);
    }
    for (std::size_t i = 0; i < numbers.size() && !unknown.empty(); ++i) {
      if (is_unknown(unknown, i)) plain_.x[i] = least;
    }
  }

  /// An unknown one is as the one before it; those at the start as the first known.
  bool deltas_are_smaller(std::span<const std::int64_t> numbers, UnknownBits unknown) {
    if (numbers.size() < 2) return false;
    std::size_t known = 0;
    while (is_unknown(unknown, known)) ++known;
    first_ = numbers[known];
    auto before = static_cast<std::uint64_t>(first_);
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = 1; i < numbers.size(); ++i) {
      const auto number = static_cast<std::uint64_t>(numbers[i]);
      const std::uint64_t next = i <= known || is_unknown(unknown, i) ? before : number;
      deltas_.x[i] = zigzag(next - before);
      least = std::min(least, deltas_.x[i]);
      before = next;
    }
    deltas_.x[0] = least;
    deltas_.measure(numbers.size());
    return deltas_.bytes() + kStartBytes < plain_.bytes();
  }

  Split plain_;
  Split deltas_;
  std::int64_t first_ = 0;
};

namespace number_detail {

/// The parts of a block's bytes.
struct Parts {
  std::uint64_t start = 0;
  std::string_view unknown;
  std::string_view lower;
  std::string_view upper;
};

inline Result<Parts> parts_of(std::string_view body, const BlockHead& head) {
  if (body.size() != head.bytes()) {
    return Status(Code::kCorrupt, std::to_string(body.size()) + " bytes of a block of " +
                                      std::to_string(head.bytes()));
  }
  Parts parts;
  if (head.has(kBlockDeltas)) {
    parts.start = load_number<std::uint64_t>(body, 0);
    body.remove_prefix(kStartBytes);
  }
  if (head.has(kBlockSomeUnknown)) {
    parts.unknown = body.substr(0, kUnknownBytes);
    body.remove_prefix(kUnknownBytes);
  }
  parts.lower = body.substr(0, head.lower.bytes());
  parts.upper = body.substr(head.lower.bytes());
  return parts;
}

inline Status read_unknown(const Parts& parts, NumberBlock& block) {
  std::memcpy(block.unknown.data(), parts.unknown.data(), kUnknownBytes);
  for (std::uint32_t row = block.rows; row < kBlockValues; ++row) {
    if (is_unknown(block.unknown, row)) {
      return {Code::kCorrupt,
              "row " + std::to_string(row) + " of " + std::to_string(block.rows) + " is unknown"};
    }
  }
  for (std::uint32_t row = 0; row < block.rows; ++row) {
    const auto bit = static_cast<std::int64_t>(block.unknown[row / 64] >> (row % 64) & 1);
    block.numbers[row] &= bit - 1;
  }
  block.some_unknown = true;
  return Status();
}

/// From halves to numbers: one of these loops for each block.
inline void join(const std::uint32_t* lower, const std::uint32_t* upper, std::uint64_t least,
                 std::int64_t* numbers) noexcept {
  if (upper == nullptr) {
    for (std::uint32_t i = 0; i < kBlockValues; ++i) {
      numbers[i] = static_cast<std::int64_t>(least + lower[i]);
    }
    return;
  }
  for (std::uint32_t i = 0; i < kBlockValues; ++i) {
    const std::uint64_t above = std::uint64_t{upper[i]} << 32 | lower[i];
    numbers[i] = static_cast<std::int64_t>(least + above);
  }
}

inline void add_up(std::uint64_t start, std::uint32_t rows, std::int64_t* numbers) noexcept {
  std::uint64_t sum = start;
  for (std::uint32_t i = 0; i < rows; ++i) {
    sum += unzigzag(static_cast<std::uint64_t>(numbers[i]));
    numbers[i] = static_cast<std::int64_t>(sum);
  }
}

}  // namespace number_detail

/// The numbers of a block of `rows`; those behind `rows` mean nothing. `body` are the bytes of its
/// range, and no others. Errors: kCorrupt, and then the block means nothing.
inline Status read_number_block(std::string_view body, const BlockHead& head, std::int64_t base,
                                std::uint32_t rows, NumberBlock& block) {
  block.rows = rows;
  block.some_unknown = head.has(kBlockAllUnknown);
  block.unknown.fill(block.some_unknown ? ~std::uint64_t{0} : 0);
  if (block.some_unknown) {
    block.numbers.fill(0);
    return Status();
  }
  const auto parts = number_detail::parts_of(body, head);
  if (!parts.ok()) return parts.status();
  std::uint32_t lower[kBlockValues];
  std::uint32_t upper[kBlockValues];
  if (Status status = read_block(parts->lower, head.lower, rows, lower); !status.ok()) {
    return status;
  }
  const bool wide = head.has(kBlockWide);
  if (wide) {
    const Status status = read_block(parts->upper, head.upper, rows, upper);
    if (!status.ok()) return status.with_context("upper halves");
  }
  const bool deltas = head.has(kBlockDeltas);
  const std::uint64_t least = head.least + (deltas ? 0 : static_cast<std::uint64_t>(base));
  number_detail::join(lower, wide ? upper : nullptr, least, block.numbers.data());
  if (deltas) number_detail::add_up(parts->start, rows, block.numbers.data());
  return head.has(kBlockSomeUnknown) ? number_detail::read_unknown(*parts, block) : Status();
}

/// One number of a block, nothing where it is unknown; the rest is unpacked only behind deltas.
/// Requires: a place below `rows`. Errors: kCorrupt.
inline Result<std::optional<std::int64_t>> read_number(std::string_view body, const BlockHead& head,
                                                       std::int64_t base, std::uint32_t rows,
                                                       std::uint32_t place) {
  if (head.has(kBlockDeltas)) {
    NumberBlock block;
    if (Status status = read_number_block(body, head, base, rows, block); !status.ok()) {
      return status;
    }
    if (!block.is_known(place)) return std::optional<std::int64_t>();
    return std::optional(block.numbers[place]);
  }
  const auto parts = number_detail::parts_of(body, head);
  if (!parts.ok()) return parts.status();
  const bool gaps = head.has(kBlockSomeUnknown);
  const bool unknown =
      gaps && (load_number<std::uint8_t>(parts->unknown, place / 8) >> (place % 8) & 1) != 0;
  if (unknown || head.has(kBlockAllUnknown)) return std::optional<std::int64_t>();
  const auto lower = read_one(parts->lower, head.lower, place);
  if (!lower.ok()) return lower.status();
  std::uint64_t x = head.least + static_cast<std::uint64_t>(base) + *lower;
  if (head.has(kBlockWide)) {
    const auto upper = read_one(parts->upper, head.upper, place);
    if (!upper.ok()) return upper.status().with_context("upper halves");
    x += std::uint64_t{*upper} << 32;
  }
  return std::optional(static_cast<std::int64_t>(x));
}

}  // namespace phlower
