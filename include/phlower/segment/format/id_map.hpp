// From the tag of an id to the rows that may hold it: the index of a segment while it is written.
// Eight bytes a row, in the order of the tags.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "phlower/history/task_key.hpp"

namespace phlower {

/// One row in an index: tag in the upper half, row in the lower. Sorting sorts by tag.
using IdEntry = std::uint64_t;

constexpr IdEntry id_entry(IdTag tag, std::uint32_t row) noexcept {
  return static_cast<std::uint64_t>(tag) << 32 | row;
}
constexpr IdTag tag_of(IdEntry entry) noexcept { return static_cast<IdTag>(entry >> 32); }
constexpr std::uint32_t row_of(IdEntry entry) noexcept { return static_cast<std::uint32_t>(entry); }

/// Open addressing with linear probing; an entry's place is its tag scaled to the table, so that
/// growing is one pass from front to back. Rows begin at 1. Thread safety: none.
class IdMap {
 public:
  void insert(IdTag tag, std::uint32_t row) {
    if ((size_ + 1) * 5 > slots_.size() * 4) grow();
    place(slots_, id_entry(tag, row));
    ++size_;
  }

  /// Takes one entry out again. Does nothing where it is not there.
  void erase(IdTag tag, std::uint32_t row) {
    if (slots_.empty()) return;
    std::size_t at = home(tag, slots_.size());
    while (slots_[at] != id_entry(tag, row)) {
      if (slots_[at] == 0) return;
      at = next(at);
    }
    --size_;
    close_gap(at);
  }

  /// Calls visit(row) for each row of this tag until it returns true. Whether one did.
  template <class Visit>
  bool find(IdTag tag, Visit&& visit) const {
    if (slots_.empty()) return false;
    for (std::size_t at = home(tag, slots_.size()); slots_[at] != 0; at = next(at)) {
      if (tag_of(slots_[at]) == tag && visit(row_of(slots_[at]))) return true;
    }
    return false;
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t bytes() const noexcept { return slots_.capacity() * sizeof(IdEntry); }

 private:
  static constexpr std::size_t kFirstSlots = 4096;

  static std::size_t home(IdTag tag, std::size_t slots) noexcept {
    return static_cast<std::size_t>(static_cast<std::uint64_t>(tag) * slots >> 32);
  }
  std::size_t next(std::size_t at) const noexcept { return at + 1 == slots_.size() ? 0 : at + 1; }

  static void place(std::vector<IdEntry>& slots, IdEntry entry) noexcept {
    std::size_t at = home(tag_of(entry), slots.size());
    while (slots[at] != 0) at = at + 1 == slots.size() ? 0 : at + 1;
    slots[at] = entry;
  }

  void grow() {
    std::vector<IdEntry> wider(slots_.empty() ? kFirstSlots : slots_.size() + slots_.size() / 2);
    for (const IdEntry entry : slots_) {
      if (entry != 0) place(wider, entry);
    }
    slots_.swap(wider);
  }

  // Every entry behind the gap that would not be found any more moves into it. (Knuth, The Art of
  // Computer Programming, 6.4, algorithm R.)
  void close_gap(std::size_t gap) noexcept {
    const std::size_t slots = slots_.size();
    for (std::size_t at = next(gap); slots_[at] != 0; at = next(at)) {
      const std::size_t wanted = home(tag_of(slots_[at]), slots);
      const std::size_t from_wanted = (at + slots - wanted) % slots;
      const std::size_t from_gap = (at + slots - gap) % slots;
      if (from_wanted < from_gap) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = 0;
  }

  std::vector<IdEntry> slots_;
  std::size_t size_ = 0;
};

}  // namespace phlower
