// The filter part of a page of an index of ids: which hashes may be there, and where their rows
// stand in the rows part. A reader that keeps all of them in memory tells absent ids without I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_index.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// A bucket's count that does not fit into a byte stands in a list before the counts.
inline constexpr unsigned kLongBucket = 255;

/// The sum of `count` bytes, eight at a time.
inline std::uint64_t sum_of_bytes(const char* bytes, std::size_t count) noexcept {
  constexpr std::uint64_t kEven = 0x00ff00ff00ff00ffu;
  std::uint64_t sum = 0;
  while (count >= 8) {
    // Four sums of 16 bits take 128 times two bytes.
    const std::size_t words = count / 8 < 128 ? count / 8 : 128;
    std::uint64_t lanes = 0;
    for (std::size_t i = 0; i < words; ++i, bytes += 8) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, bytes, 8);
      lanes += (eight & kEven) + (eight >> 8 & kEven);
    }
    count -= 8 * words;
    sum += (lanes & 0xffff) + (lanes >> 16 & 0xffff) + (lanes >> 32 & 0xffff) + (lanes >> 48);
  }
  for (; count > 0; --count) sum += static_cast<unsigned char>(*bytes++);
  return sum;
}

/// A checked filter part. The bytes must outlive it. Thread safety: any number of threads.
class IdFilterPage {
 public:
  /// Of no bucket and no entry.
  IdFilterPage() noexcept = default;

  /// Errors: kCorrupt (also for another page than the one that is wanted), kUnsupported.
  static Result<IdFilterPage> open(std::string_view blob, const IdIndexShape& shape,
                                   std::uint32_t page) {
    if (auto sum = check_blob(blob, kIdFilterPage); !sum.ok()) return sum.status();
    const auto head = expect_id_page(blob, kIdFilterPage, shape, page);
    if (!head.ok()) return head.status();
    const IdFilterPage filter(blob, *head);
    const std::uint64_t bits = std::uint64_t{head->entries} * filter.extra_bits_;
    const std::uint64_t bytes = filter.extras_at_ + (bits + 7) / 8;
    if (bytes != blob.size()) {
      return corrupt_page(page, std::to_string(blob.size()) + " bytes of a filter, " +
                                    std::to_string(bytes) + " are right");
    }
    if (bits % 8 != 0 && static_cast<unsigned char>(blob.back()) >> bits % 8 != 0) {
      return corrupt_page(page, "bits behind those of the last id");
    }
    if (Status status = filter.check_counts(page); !status.ok()) return status;
    return filter;
  }

  std::uint32_t buckets() const noexcept { return head_.buckets; }
  std::uint32_t entries() const noexcept { return head_.entries; }

  /// A bucket, and where its entries begin; `next` goes on to the one behind it.
  struct Place {
    std::uint32_t bucket = 0;
    std::uint32_t first = 0;
    std::uint32_t exceptions = 0;  // long buckets before it
  };

  /// Requires: bucket < buckets().
  Place place(std::uint32_t bucket) const noexcept {
    if (head_.exceptions == 0) {
      return {bucket, static_cast<std::uint32_t>(sum_of_bytes(blob_.data() + counts_at_, bucket)),
              0};
    }
    Place at;
    while (at.bucket < bucket) next(at);
    return at;
  }
  std::uint32_t count(const Place& at) const noexcept {
    const std::uint8_t count = load_number<std::uint8_t>(blob_, counts_at_ + at.bucket);
    return count < kLongBucket
               ? count
               : load_number<std::uint32_t>(blob_, kIndexBodyAt + 4ul * at.exceptions);
  }
  void next(Place& at) const noexcept {
    const bool is_long = load_number<std::uint8_t>(blob_, counts_at_ + at.bucket) == kLongBucket;
    at.first += count(at);
    at.exceptions += is_long ? 1 : 0;
    ++at.bucket;
  }

  /// The bits of an entry's hash behind those that chose its bucket. Requires: entry < entries().
  std::uint32_t remainder(std::uint32_t entry) const noexcept {
    const std::uint32_t upper = load_number<std::uint8_t>(blob_, remainders_at_ + entry);
    if (extra_bits_ == 0) return upper;
    const std::size_t bit = std::size_t{entry} * extra_bits_;
    const unsigned lower = load_number<std::uint8_t>(blob_, extras_at_ + bit / 8) >> bit % 8;
    return upper << extra_bits_ | (lower & ((1u << extra_bits_) - 1));
  }

  /// The first entry from `at` on, in a bucket that ends before `end`, with at least this
  /// remainder: those of a bucket ascend.
  std::uint32_t first_from(std::uint32_t at, std::uint32_t end,
                           std::uint64_t least) const noexcept {
    while (at < end) {
      const std::uint32_t middle = at + (end - at) / 2;
      if (remainder(middle) < least) {
        at = middle + 1;
      } else {
        end = middle;
      }
    }
    return at;
  }

  /// Entries of a bucket that have this remainder, which stand together: the first and how many.
  struct Found {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  Found find(std::uint32_t bucket, std::uint32_t wanted) const noexcept {
    const Place at = place(bucket);
    const std::uint32_t end = at.first + count(at);
    const std::uint32_t first = first_from(at.first, end, wanted);
    std::uint32_t behind = first;
    while (behind < end && remainder(behind) == wanted) ++behind;
    return {first, behind - first};
  }

 private:
  IdFilterPage(std::string_view blob, const IdPageHead& head) noexcept
      : blob_(blob),
        head_(head),
        extra_bits_(head.shape.remainder_bits - 8u),
        counts_at_(kIndexBodyAt + 4ul * head.exceptions),
        remainders_at_(counts_at_ + head.buckets),
        extras_at_(remainders_at_ + head.entries) {}

  static Status corrupt_page(std::uint32_t page, const std::string& what) {
    return {Code::kCorrupt, "filter page " + std::to_string(page) + ": " + what};
  }

  // The counts add up to the entries, and each exception is one.
  Status check_counts(std::uint32_t page) const {
    std::uint64_t sum = sum_of_bytes(blob_.data() + counts_at_, head_.buckets);
    std::uint32_t exceptions = 0;
    if (head_.exceptions != 0 || sum != head_.entries) {
      sum = 0;
      for (std::uint32_t bucket = 0; bucket < head_.buckets; ++bucket) {
        std::uint32_t count = load_number<std::uint8_t>(blob_, counts_at_ + bucket);
        if (count == kLongBucket) {
          if (exceptions == head_.exceptions) return corrupt_page(page, "too few exceptions");
          count = load_number<std::uint32_t>(blob_, kIndexBodyAt + 4ul * exceptions++);
          if (count < kLongBucket) return corrupt_page(page, "an exception that is none");
        }
        sum += count;
      }
    } else if (std::memchr(blob_.data() + counts_at_, kLongBucket, head_.buckets) != nullptr) {
      return corrupt_page(page, "too few exceptions");
    }
    if (exceptions == head_.exceptions && sum == head_.entries) return Status();
    return corrupt_page(page, "its buckets have " + std::to_string(sum) + " ids and its head " +
                                  std::to_string(head_.entries));
  }

  std::string_view blob_;
  IdPageHead head_;
  unsigned extra_bits_ = 0;
  std::size_t counts_at_ = 0;
  std::size_t remainders_at_ = 0;
  std::size_t extras_at_ = 0;
};

}  // namespace phlower
