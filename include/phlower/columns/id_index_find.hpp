// Looking up ids in an index whose pages come from somewhere: a `Source` has
//
//   Result<IdFilterPage> filter(std::uint32_t page);
//   Result<std::string_view> rows(std::uint32_t page, std::size_t at, std::size_t bytes);
//
// The first is a whole filter part, which it may keep; the second exactly these bytes of a rows
// part, or an error. What each gives is valid until it is asked again. Its errors are passed on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/columns/id_filter_page.hpp"
#include "phlower/columns/id_index.hpp"
#include "phlower/columns/id_rows_page.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Bytes of a rows part, which are as many as were asked for: a source that gives fewer is
/// kCorrupt.
template <class Source>
Result<std::string_view> rows_bytes(Source& source, std::uint32_t page, std::size_t at,
                                    std::size_t bytes) {
  auto found = source.rows(page, at, bytes);
  if (!found.ok() || found->size() == bytes) return found;
  return Status(Code::kCorrupt, "rows page " + std::to_string(page) + " ends before byte " +
                                    std::to_string(at + bytes));
}

/// Calls visit(row) for some entries of a page until it returns true. Whether one did.
template <class Source, class Visit>
Result<bool> visit_rows(Source& source, const IdIndexShape& shape, std::uint32_t page,
                        std::uint32_t first, std::uint32_t count, Visit&& visit) {
  const RowsPlace place(shape, first, count);
  const auto bytes = rows_bytes(source, page, place.at, place.bytes);
  if (!bytes.ok()) return bytes.status();
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto row = row_in(*bytes, shape, place, i);
    if (!row.ok()) return row.status();
    if (visit(*row)) return true;
  }
  return false;
}

/// False: no row has an id with this hash. Reads filter parts alone.
template <class Source>
Result<bool> may_hold(Source& source, const IdIndexShape& shape, std::uint64_t hash) {
  if (shape.rows == 0) return false;
  const std::uint64_t key = shape.key_of(index_hash(hash));
  const auto bucket = static_cast<std::uint32_t>(key >> shape.remainder_bits);
  const auto filter = source.filter(bucket >> shape.page_bits);
  if (!filter.ok()) return filter.status();
  const auto remainder = static_cast<std::uint32_t>(key & ((1u << shape.remainder_bits) - 1));
  return filter->find(bucket & ((1u << shape.page_bits) - 1), remainder).count > 0;
}

/// Calls visit(row) for each row that may have the id with this hash until it returns true. Whether
/// one did. A row that has it is always among them; others are, too: the caller compares ids.
template <class Source, class Visit>
Result<bool> find_rows(Source& source, const IdIndexShape& shape, std::uint64_t hash,
                       Visit&& visit) {
  if (shape.rows == 0) return false;
  const std::uint64_t key = shape.key_of(index_hash(hash));
  const auto bucket = static_cast<std::uint32_t>(key >> shape.remainder_bits);
  const std::uint32_t page = bucket >> shape.page_bits;
  const auto filter = source.filter(page);
  if (!filter.ok()) return filter.status();
  const auto remainder = static_cast<std::uint32_t>(key & ((1u << shape.remainder_bits) - 1));
  const auto found = filter->find(bucket & ((1u << shape.page_bits) - 1), remainder);
  if (found.count == 0) return false;
  return visit_rows(source, shape, page, found.first, found.count, visit);
}

}  // namespace phlower
