// Which task has an id: a hash table for hundreds of thousands of them, of which each look-up finds
// nothing in the processor's caches. A look into it costs one line of memory besides the task's.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace phlower {

/// Pointers to tasks, which have a `task_id()` that stays as it is while they are in here. Open
/// addressing with linear probing; at most half of the places are taken. Not thread safe.
template <class Task>
class TaskIndex {
 public:
  TaskIndex() : slots_(kLeast) {}

  /// nullptr: there is none of this id.
  Task* find(std::string_view task_id) const {
    const std::uint32_t tag = tag_of(task_id);
    for (std::size_t at = home(tag); slots_[at].task != nullptr; at = next(at)) {
      if (slots_[at].tag == tag && slots_[at].task->task_id() == task_id) return slots_[at].task;
    }
    return nullptr;
  }

  /// Requires: there is none of its id.
  void insert(Task& task) {
    if (++size_ * 2 > slots_.size()) grow();
    place({&task, tag_of(task.task_id())});
  }

  /// Requires: it is in here.
  void erase(const Task& task) {
    std::size_t hole = home(tag_of(task.task_id()));
    while (slots_[hole].task != &task) hole = next(hole);
    --size_;
    // Who stands behind the hole and would be looked for at or before it moves up.
    for (std::size_t at = next(hole); slots_[at].task != nullptr; at = next(at)) {
      const std::size_t wanted = home(slots_[at].tag);
      if (((at - wanted) & mask()) < ((at - hole) & mask())) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole].task = nullptr;
  }

 private:
  static constexpr std::size_t kLeast = 1024;

  struct Slot {
    Task* task = nullptr;
    std::uint32_t tag = 0;
  };

  static std::uint32_t tag_of(std::string_view task_id) {
    const std::uint64_t hash = std::hash<std::string_view>()(task_id);
    return static_cast<std::uint32_t>(hash ^ hash >> 32);
  }
  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t home(std::uint32_t tag) const { return tag & mask(); }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }

  void place(const Slot& slot) {
    std::size_t at = home(slot.tag);
    while (slots_[at].task != nullptr) at = next(at);
    slots_[at] = slot;
  }
  void grow() {
    std::vector<Slot> before(slots_.size() * 2);
    before.swap(slots_);
    for (const Slot& slot : before) {
      if (slot.task != nullptr) place(slot);
    }
  }

  std::vector<Slot> slots_;  // a power of two of them
  std::size_t size_ = 0;
};

}  // namespace phlower
