// Whether a sealed segment can hold an id at all: a blocked Bloom filter, one cache line a look.
// (Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", 2007.)
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/history/task_key.hpp"

namespace phlower {

/// Ten bits an id, about two false hits in a hundred. Thread safety: as of a value type.
class IdFilter {
 public:
  IdFilter() = default;
  explicit IdFilter(std::uint64_t ids)
      : words_(std::max<std::uint64_t>(1, (ids * kBitsPerId + 511) / 512) * 8) {}

  /// From the bytes of `bytes()`. Empty where they are no whole number of blocks.
  static IdFilter from_bytes(std::string_view bytes) {
    IdFilter filter;
    if (bytes.empty() || bytes.size() % 64 != 0) return filter;
    filter.words_.resize(bytes.size() / 8);
    std::memcpy(filter.words_.data(), bytes.data(), bytes.size());
    return filter;
  }

  void add(IdTag tag) noexcept {
    const Look look(tag, words_.size());
    for (int i = 0; i < kLooks; ++i) words_[look.word(i)] |= look.bit(i);
  }

  /// False: certainly not there. An empty filter knows nothing and says true.
  bool may_hold(IdTag tag) const noexcept {
    if (words_.empty()) return true;
    const Look look(tag, words_.size());
    for (int i = 0; i < kLooks; ++i) {
      if ((words_[look.word(i)] & look.bit(i)) == 0) return false;
    }
    return true;
  }

  bool empty() const noexcept { return words_.empty(); }
  std::string_view bytes() const noexcept {
    return {reinterpret_cast<const char*>(words_.data()), words_.size() * 8};
  }

 private:
  static constexpr std::uint64_t kBitsPerId = 10;
  static constexpr int kLooks = 6;

  // Nine bits of a mixed tag for each look, all of them inside one block of eight words.
  struct Look {
    Look(IdTag tag, std::size_t words) noexcept
        : mixed((tag + 1ull) * 0x9e3779b97f4a7c15u),
          first(static_cast<std::size_t>((tag * 0xd6e8feb86659fd93u >> 32) * (words / 8) >> 32) *
                8) {}
    std::size_t word(int i) const noexcept {
      return first + static_cast<std::size_t>(mixed >> (9 * i + 6) & 7);
    }
    std::uint64_t bit(int i) const noexcept { return 1ull << (mixed >> (9 * i) & 63); }
    std::uint64_t mixed;
    std::size_t first;
  };

  std::vector<std::uint64_t> words_;
};

}  // namespace phlower
