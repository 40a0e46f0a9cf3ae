// A column of numbers: any signed ones of 64 bits, some of them unknown. Times, durations, places
// of details, flags are such. Where all rows are the same there is no column; its zone says so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/column_front.hpp"
#include "phlower/columns/number_block.hpp"
#include "phlower/columns/zone.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Writes columns, one after the other. About 20 KiB. Not thread safe.
class NumberColumnWriter {
 public:
  /// Replaces `blob` by the column, or by nothing where `zone` says all of it. Numbers that are
  /// unknown may be any. Errors: kInvalidArgument for more rows than a chunk has, or bits that are
  /// fewer than the rows.
  Status write(std::uint16_t member, std::span<const std::int64_t> numbers, UnknownBits unknown,
               std::string& blob, Zone& zone) {
    const std::size_t rows = numbers.size();
    if (rows > kChunkRowsMax || (!unknown.empty() && unknown.size() * 64 < rows)) {
      return {Code::kInvalidArgument,
              "column of member " + std::to_string(member) + ": " + std::to_string(rows) +
                  " rows with " + std::to_string(unknown.size() * 64) +
                  " bits for unknown ones; at most " + std::to_string(kChunkRowsMax) +
                  " rows, and none or as many bits"};
    }
    blob.clear();
    zone = zone_of(member, numbers, unknown);
    if (zone.has(kZoneOneValue)) return Status();
    BlockDraft draft;
    for (std::size_t at = 0; at < rows; at += kBlockValues) {
      const std::size_t count = std::min<std::size_t>(kBlockValues, rows - at);
      const UnknownBits gaps = unknown.empty() ? unknown : unknown.subspan(at / 64);
      blocks_.add(numbers.subspan(at, count), gaps, zone.first, draft);
    }
    BlobHead head;
    head.encoding = kNumberColumn.encoding;
    head.member = member;
    head.count = static_cast<std::uint32_t>(rows);
    head.base = zone.first;
    head.entries = draft.wide;
    head.section_bytes = static_cast<std::uint32_t>(draft.upper_heads.size());
    start_blob(blob, head);
    blob.append(draft.upper_heads).append(draft.heads).append(draft.bodies);
    finish_blob(blob);
    zone.column_bytes = static_cast<std::uint32_t>(blob.size());
    return Status();
  }

 private:
  static Zone zone_of(std::uint16_t member, std::span<const std::int64_t> numbers,
                      UnknownBits unknown) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    std::int64_t most = std::numeric_limits<std::int64_t>::min();
    std::size_t known = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (is_unknown(unknown, i)) continue;
      least = std::min(least, numbers[i]);
      most = std::max(most, numbers[i]);
      ++known;
    }
    Zone zone;
    zone.member = member;
    if (known > 0) {
      zone.first = least;
      zone.second = most;
    }
    const bool gaps = known < numbers.size() || known == 0;
    if (gaps) zone.flags |= kZoneUnknown;
    if (known == 0 || (!gaps && least == most)) zone.flags |= kZoneOneValue;
    return zone;
  }

  NumberBlockWriter blocks_;
};

/// The numbers of one block, from the bytes of its range. Requires: a front of numbers, a block of
/// it. Errors: kCorrupt, with the member and the block.
inline Status read_numbers(const ColumnFront& front, std::uint32_t block, std::string_view body,
                           NumberBlock& numbers) {
  const Status status = read_number_block(body, front.block(block), front.head().base,
                                          rows_in_block(front.rows(), block), numbers);
  return status.ok() ? Status() : ColumnFront::of_block(front.head().member, block, status);
}

/// The number of one row, from the bytes of the range of its block. Requires: as above, and a row
/// below front.rows().
inline Result<std::optional<std::int64_t>> read_number(const ColumnFront& front, std::uint32_t row,
                                                       std::string_view body) {
  const std::uint32_t block = row / kBlockValues;
  auto number = read_number(body, front.block(block), front.head().base,
                            rows_in_block(front.rows(), block), row % kBlockValues);
  if (number.ok()) return number;
  return ColumnFront::of_block(front.head().member, block, number.status());
}

/// A column that is here as a whole, or that is one value. Reading does not change it: any number
/// of threads may.
class NumberColumn {
 public:
  /// `blob` outlives this. Errors: kCorrupt, kUnsupported.
  static Result<NumberColumn> of_blob(std::string_view blob) {
    const auto head = check_blob(blob, kNumberColumn);
    if (!head.ok()) return head.status();
    auto front = ColumnFront::read(blob, *head, blob.size());
    if (!front.ok()) return front.status();
    NumberColumn column;
    column.blob_ = blob;
    column.rows_ = head->count;
    column.front_ = *std::move(front);
    return column;
  }

  /// Requires: a zone of one value, of numbers.
  static NumberColumn of_zone(const Zone& zone, std::uint32_t rows) {
    NumberColumn column;
    column.rows_ = rows;
    if (!zone.has(kZoneUnknown)) column.value_ = zone.first;
    return column;
  }

  std::uint32_t rows() const noexcept { return rows_; }
  std::uint32_t blocks() const noexcept { return blocks_of(rows_); }

  /// Requires: block below blocks(). Errors: kCorrupt.
  Status block(std::uint32_t block, NumberBlock& numbers) const {
    if (front_) return read_numbers(*front_, block, body(block), numbers);
    numbers.rows = rows_in_block(rows_, block);
    numbers.numbers.fill(value_.value_or(0));
    numbers.some_unknown = !value_;
    numbers.unknown.fill(value_ ? 0 : ~std::uint64_t{0});
    return Status();
  }

  /// Requires: row below rows(). Errors: kCorrupt.
  Result<std::optional<std::int64_t>> at(std::uint32_t row) const {
    if (!front_) return value_;
    return read_number(*front_, row, body(row / kBlockValues));
  }

 private:
  NumberColumn() = default;

  std::string_view body(std::uint32_t block) const {
    const ByteRange range = front_->range(block);
    return blob_.substr(range.offset, range.bytes);
  }

  std::string_view blob_;
  std::uint32_t rows_ = 0;
  std::optional<ColumnFront> front_;
  std::optional<std::int64_t> value_;
};

}  // namespace phlower
