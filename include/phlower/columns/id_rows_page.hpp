// The rows part of a page of an index of ids: numbers of rows, each in as few bits as the greatest
// needs, in the order of the filter part's entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_index.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Behind the last row, so that each is read as one number of 32 bits.
inline constexpr std::size_t kRowsPadding = 4;

/// Bytes of a whole rows part.
constexpr std::size_t rows_page_bytes(const IdIndexShape& shape, std::uint32_t entries) noexcept {
  return kIndexBodyAt + (std::size_t{entries} * shape.row_bits() + 7) / 8 + kRowsPadding;
}

/// Where in the rows part some entries stand, and how many bytes are to be read for them.
struct RowsPlace {
  constexpr RowsPlace(const IdIndexShape& shape, std::uint32_t first, std::uint32_t count) noexcept
      : at(kIndexBodyAt + std::size_t{first} * shape.row_bits() / 8),
        bit(std::size_t{first} * shape.row_bits() % 8),
        bytes((bit + std::size_t{count} * shape.row_bits() + 7) / 8 + kRowsPadding) {}
  std::size_t at;
  std::size_t bit;  // of the first byte, where the first entry begins
  std::size_t bytes;
};

/// Entry number `i` of bytes that were read for a place. Errors: kCorrupt for a row that the index
/// cannot have. Requires: i below the place's count, and all of its bytes.
inline Result<std::uint32_t> row_in(std::string_view bytes, const IdIndexShape& shape,
                                    const RowsPlace& place, std::uint32_t i) {
  const unsigned width = shape.row_bits();
  const std::size_t bit = place.bit + std::size_t{i} * width;
  const std::uint32_t row =
      load_number<std::uint32_t>(bytes, bit / 8) >> bit % 8 & ((1u << width) - 1);
  if (row < shape.rows) return row;
  return Status(Code::kCorrupt, "an index of " + std::to_string(shape.rows) + " ids names row " +
                                    std::to_string(row));
}

/// Checks a rows part that is here as a whole. Errors: kCorrupt, kUnsupported.
inline Status check_rows_page(std::string_view blob, const IdIndexShape& shape, std::uint32_t page,
                              std::uint32_t entries) {
  if (auto sum = check_blob(blob, kIdRowsPage); !sum.ok()) return sum.status();
  const auto head = expect_id_page(blob, kIdRowsPage, shape, page);
  if (!head.ok()) return head.status();
  if (head->entries == entries && blob.size() == rows_page_bytes(shape, entries)) return Status();
  return {Code::kCorrupt,
          "rows page " + std::to_string(page) + ": " + std::to_string(head->entries) + " ids in " +
              std::to_string(blob.size()) + " bytes; the filter has " + std::to_string(entries)};
}

}  // namespace phlower
