// A latency histogram of fixed size: how long things took, without keeping each time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// Log-linear buckets, 32 to every power of two (the idea of HdrHistogram). About 15 KiB, no heap.
/// `count`, `min`, `max` and `sum` are exact. `quantile` never says less than the true value and
/// at most 1/32 (3.2 %) more; below 64 ns it is exact. Thread safety: as of a value type; give
/// each thread its own and `merge`.
class Histogram {
 public:
  void record(std::uint64_t nanoseconds) noexcept { record_many(nanoseconds, 1); }
  /// A negative duration (a clock that was set back) counts as 0.
  void record(Nanoseconds duration) noexcept {
    record(static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)));
  }
  void record_many(std::uint64_t nanoseconds, std::uint64_t times) noexcept {
    if (times == 0) return;
    buckets_[bucket_of(nanoseconds)] += times;
    count_ += times;
    sum_ += nanoseconds * times;
    min_ = std::min(min_, nanoseconds);
    max_ = std::max(max_, nanoseconds);
  }

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t max() const noexcept { return max_; }
  std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  /// Wraps after 2^64 ns in all (584 years).
  std::uint64_t sum() const noexcept { return sum_; }

  /// The value in ns that `part` (0..1) of all records do not exceed; 0 when there are none.
  std::uint64_t quantile(double part) const noexcept {
    if (count_ == 0) return 0;
    if (!(part > 0)) return min();  // NaN too
    if (part >= 1) return max_;
    const auto exact = part * static_cast<double>(count_);
    auto rank = static_cast<std::uint64_t>(exact);
    if (static_cast<double>(rank) < exact) ++rank;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= rank) return std::min(highest_in(i), max_);
    }
    return max_;
  }

  /// How many records are at most `nanoseconds`; never too many, and those within 1/32 below it may
  /// be missing.
  std::uint64_t count_at_most(std::uint64_t nanoseconds) const noexcept {
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets && highest_in(i) <= nanoseconds; ++i) seen += buckets_[i];
    return nanoseconds >= max_ ? count_ : seen;
  }

  void merge(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ += other.sum_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
  }

  void clear() noexcept { *this = Histogram(); }

 private:
  static constexpr unsigned kSubBits = 5;  // 32 buckets to a power of two
  static constexpr std::size_t kSub = std::size_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) * kSub;

  // Values below 32 have a bucket each; above, the top six bits of the value name the bucket.
  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kSub) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    return shift * kSub + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::uint64_t highest_in(std::size_t bucket) noexcept {
    if (bucket < 2 * kSub) return bucket;
    const auto shift = static_cast<unsigned>(bucket / kSub - 1);
    const std::uint64_t lowest = static_cast<std::uint64_t>(bucket - shift * kSub) << shift;
    return lowest + ((std::uint64_t{1} << shift) - 1);
  }

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t min_ = ~std::uint64_t{0};
  std::uint64_t max_ = 0;
};

}  // namespace phlower
