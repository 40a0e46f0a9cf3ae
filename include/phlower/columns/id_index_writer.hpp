// Writes an index of ids page by page, from rows in the order of their hashes. They may come in
// pieces: a page is all that it keeps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_filter_page.hpp"
#include "phlower/columns/id_index.hpp"
#include "phlower/columns/id_rows_page.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// `Sink` is called with (page, filter part, rows part) for each page in its order and returns a
/// Status, whose error ends the writing. Thread safety: none.
template <class Sink>
class IdIndexWriter {
 public:
  /// Requires: a shape that is valid().
  IdIndexWriter(const IdIndexShape& shape, Sink sink) : shape_(shape), sink_(std::move(sink)) {}

  /// Errors: kInvalidArgument for a row out of order or that the shape has not; those of the sink.
  Status add(HashedRow entry) {
    const std::uint32_t row = row_of_hashed(entry);
    if (entry < last_ || row >= shape_.rows || added_ == shape_.rows) {
      return {Code::kInvalidArgument, "row " + std::to_string(row) + " of an index of " +
                                          std::to_string(shape_.rows) +
                                          " ids is out of order, or one too many"};
    }
    last_ = entry;
    const std::uint64_t key = shape_.key_of(index_hash(entry));
    const auto bucket = static_cast<std::uint32_t>(key >> shape_.remainder_bits);
    while (bucket >> shape_.page_bits != page_) {
      if (Status status = write_page(); !status.ok()) return status;
    }
    ++added_;
    counts_.resize(shape_.buckets_in(page_));
    ++counts_[bucket - (page_ << shape_.page_bits)];
    remainders_.push_back(static_cast<std::uint16_t>(key & ((1u << shape_.remainder_bits) - 1)));
    rows_.push_back(row);
    return Status();
  }

  /// Writes what is left. Errors: kInvalidArgument if fewer rows came than the shape has; those of
  /// the sink.
  Status finish() {
    if (added_ != shape_.rows) {
      return {Code::kInvalidArgument, std::to_string(added_) + " ids of " +
                                          std::to_string(shape_.rows) + " came to their index"};
    }
    while (page_ < shape_.pages()) {
      if (Status status = write_page(); !status.ok()) return status;
    }
    return Status();
  }

 private:
  Status write_page() {
    counts_.resize(shape_.buckets_in(page_));
    IdPageHead head{.shape = shape_,
                    .page = page_,
                    .buckets = shape_.buckets_in(page_),
                    .entries = static_cast<std::uint32_t>(rows_.size())};
    std::string rows;
    start_id_page(rows, kIdRowsPage, head);
    append_rows(rows);
    finish_blob(rows);
    for (const std::uint32_t count : counts_) head.exceptions += count >= kLongBucket ? 1 : 0;
    std::string filter;
    start_id_page(filter, kIdFilterPage, head);
    append_filter(filter);
    finish_blob(filter);
    counts_.clear();
    remainders_.clear();
    rows_.clear();
    return sink_(page_++, std::string_view(filter), std::string_view(rows));
  }

  void append_filter(std::string& blob) const {
    for (const std::uint32_t count : counts_) {
      if (count >= kLongBucket) append_number(blob, count);
    }
    for (const std::uint32_t count : counts_) {
      blob += static_cast<char>(count < kLongBucket ? count : kLongBucket);
    }
    const unsigned extra = shape_.remainder_bits - 8u;
    for (const std::uint16_t remainder : remainders_) {
      blob += static_cast<char>(remainder >> extra);
    }
    if (extra == 0) return;
    unsigned bits = 0;
    unsigned used = 0;
    for (const std::uint16_t remainder : remainders_) {
      bits |= (remainder & ((1u << extra) - 1)) << used;
      if ((used += extra) < 8) continue;
      blob += static_cast<char>(bits);
      bits = used = 0;
    }
    if (used != 0) blob += static_cast<char>(bits);
  }

  void append_rows(std::string& blob) const {
    std::uint64_t bits = 0;
    unsigned used = 0;
    for (const std::uint32_t row : rows_) {
      bits |= std::uint64_t{row} << used;
      for (used += shape_.row_bits(); used >= 8; used -= 8, bits >>= 8) {
        blob += static_cast<char>(bits);
      }
    }
    if (used != 0) blob += static_cast<char>(bits);
    blob.append(kRowsPadding, '\0');
  }

  IdIndexShape shape_;
  Sink sink_;
  std::uint32_t page_ = 0;
  std::uint32_t added_ = 0;
  HashedRow last_ = 0;
  std::vector<std::uint32_t> counts_;
  std::vector<std::uint16_t> remainders_;
  std::vector<std::uint32_t> rows_;
};

}  // namespace phlower
