// Which rows of an older index may have ids of a younger one: one pass over both, as both are in
// the order of hashes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/columns/id_filter_page.hpp"
#include "phlower/columns/id_index.hpp"
#include "phlower/columns/id_index_find.hpp"
#include "phlower/columns/id_rows_page.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// A row whose hash of 40 bits is between two numbers, both included.
struct RowOfHashes {
  std::uint64_t least = 0;
  std::uint64_t greatest = 0;
  std::uint32_t row = 0;
};

/// The rows of a list that is sorted, whose hashes are known. The list must outlive it.
class HashedRows {
 public:
  explicit HashedRows(std::span<const HashedRow> rows) noexcept : rows_(rows) {}
  /// The next row; nothing behind the last.
  Result<std::optional<RowOfHashes>> next() noexcept {
    if (rows_.empty()) return std::optional<RowOfHashes>();
    const HashedRow entry = rows_.front();
    rows_ = rows_.subspan(1);
    return std::optional(RowOfHashes{index_hash(entry), index_hash(entry), row_of_hashed(entry)});
  }

 private:
  std::span<const HashedRow> rows_;
};

/// The rows of an index in the order of their hashes, of which an index knows the upper bits. Reads
/// each page once, as a whole. The source must outlive it. Thread safety: none.
template <class Source>
class IndexedRows {
 public:
  IndexedRows(const IdIndexShape& shape, Source& source) : shape_(shape), source_(source) {}

  /// The next row; nothing behind the last. Errors: kCorrupt, kUnsupported, those of the source.
  Result<std::optional<RowOfHashes>> next() {
    while (entry_ == filter_.entries()) {
      if (next_page_ == shape_.pages()) {
        if (seen_ == shape_.rows) return std::optional<RowOfHashes>();
        return Status(Code::kCorrupt, "the pages of an index have " + std::to_string(seen_) +
                                          " ids of " + std::to_string(shape_.rows));
      }
      if (Status status = load_page(); !status.ok()) return status;
    }
    while (entry_ - place_.first >= filter_.count(place_)) filter_.next(place_);
    const RowsPlace all(shape_, 0, filter_.entries());
    const auto row = row_in(rows_.substr(all.at), shape_, all, entry_);
    if (!row.ok()) return row.status();
    const std::uint64_t bucket =
        (std::uint64_t{next_page_ - 1} << shape_.page_bits) + place_.bucket;
    const std::uint64_t key = bucket << shape_.remainder_bits | filter_.remainder(entry_);
    ++entry_;
    ++seen_;
    return std::optional(RowOfHashes{shape_.least_hash(key), shape_.least_hash(key + 1) - 1, *row});
  }

 private:
  Status load_page() {
    auto filter = source_.filter(next_page_);
    if (!filter.ok()) return filter.status();
    const auto rows =
        rows_bytes(source_, next_page_, 0, rows_page_bytes(shape_, filter->entries()));
    if (!rows.ok()) return rows.status();
    Status status = check_rows_page(*rows, shape_, next_page_, filter->entries());
    if (!status.ok()) return status;
    filter_ = *filter;
    rows_ = *rows;
    place_ = {};
    entry_ = 0;
    ++next_page_;
    return status;
  }

  IdIndexShape shape_;
  Source& source_;
  std::uint32_t next_page_ = 0;
  std::uint64_t seen_ = 0;
  IdFilterPage filter_;
  std::string_view rows_;
  IdFilterPage::Place place_;
  std::uint32_t entry_ = 0;  // of the page
};

/// A place in an index that is looked through forwards: filter parts are read once.
template <class Source>
class IndexWalk {
 public:
  IndexWalk(const IdIndexShape& shape, Source& source) : shape_(shape), source_(source) {}

  /// Goes to a bucket of the index; quick where that is a little further on.
  Status go_to(std::uint32_t bucket) {
    const std::uint32_t page = bucket >> shape_.page_bits;
    const std::uint32_t inside = bucket & ((1u << shape_.page_bits) - 1);
    if (page != page_) {
      auto filter = source_.filter(page);
      if (!filter.ok()) return filter.status();
      filter_ = *filter;
      page_ = page;
      place_ = {};
    }
    if (inside < place_.bucket) place_ = {};
    while (place_.bucket < inside) filter_.next(place_);
    return Status();
  }

  /// Calls visit(row) for the entries of this bucket whose keys are in [least, greatest].
  template <class Visit>
  Result<bool> visit_keys(std::uint64_t least, std::uint64_t greatest, Visit&& visit) {
    const std::uint64_t bucket = ((std::uint64_t{page_} << shape_.page_bits) + place_.bucket)
                                 << shape_.remainder_bits;
    const std::uint32_t end = place_.first + filter_.count(place_);
    std::uint32_t entry =
        filter_.first_from(place_.first, end, least > bucket ? least - bucket : 0);
    for (; entry < end && (bucket | filter_.remainder(entry)) <= greatest; ++entry) {
      auto found = visit_rows(source_, shape_, page_, entry, 1, visit);
      if (!found.ok() || *found) return found;
    }
    return false;
  }

 private:
  IdIndexShape shape_;
  Source& source_;
  std::uint32_t page_ = UINT32_MAX;  // none yet
  IdFilterPage filter_;
  IdFilterPage::Place place_;
};

/// Calls visit(younger row, older row) for every pair that may have the same id until it returns
/// true; whether one did. No pair that has is left out; the caller compares ids. `younger` is
/// HashedRows, or IndexedRows of another source: with hashes there are fewer false pairs. Rows of
/// the older one are read where there is a pair. Errors: those of both.
template <class Younger, class Source, class Visit>
Result<bool> compare_ids(Younger& younger, const IdIndexShape& shape, Source& older,
                         Visit&& visit) {
  if (shape.rows == 0) return false;
  IndexWalk<Source> walk(shape, older);
  for (;;) {
    const auto row = younger.next();
    if (!row.ok()) return row.status();
    if (!row->has_value()) return false;
    const RowOfHashes& of = **row;
    const std::uint64_t least = shape.key_of(of.least);
    const std::uint64_t greatest = shape.key_of(of.greatest);
    for (std::uint64_t bucket = least >> shape.remainder_bits;
         bucket <= greatest >> shape.remainder_bits; ++bucket) {
      if (Status status = walk.go_to(static_cast<std::uint32_t>(bucket)); !status.ok()) {
        return status;
      }
      auto found = walk.visit_keys(least, greatest,
                                   [&](std::uint32_t other) { return visit(of.row, other); });
      if (!found.ok() || *found) return found;
    }
  }
}

}  // namespace phlower
