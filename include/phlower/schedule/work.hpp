// The vocabulary of one bounded step: which kinds of work share the budget, and what a slice did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// Kinds of work, in the order in which they are asked when several may run.
enum class Work : std::uint8_t {
  kFlush = 0,   // pending records of the ring into the store
  kCheckpoint,  // pages of the WAL into the database file
  kPurge,       // expired rows out of the store
  kReclaim,     // free pages back to the file system
  kRecount,     // rows counted after a start
  kTend,        // the files of the layout: rotating, sealing, unlinking
};
inline constexpr std::size_t kWorkKinds = 6;

constexpr std::size_t index_of(Work work) noexcept { return static_cast<std::size_t>(work); }

constexpr std::string_view work_name(Work work) noexcept {
  constexpr std::array<std::string_view, kWorkKinds> names{"flush",   "checkpoint", "purge",
                                                           "reclaim", "recount",    "tend"};
  return names[index_of(work)];
}

/// Whether a slice of it ends with a commit.
constexpr bool commits(Work work) noexcept {
  return work == Work::kFlush || work == Work::kPurge || work == Work::kReclaim;
}

/// One value for each kind of work.
template <class T>
struct PerWork {
  std::array<T, kWorkKinds> values{};
  constexpr T& operator[](Work work) noexcept { return values[index_of(work)]; }
  constexpr const T& operator[](Work work) const noexcept { return values[index_of(work)]; }
};

/// Calls `visit(Work)` for each kind, in order.
template <class Visit>
constexpr void for_each_work(Visit&& visit) {
  for (std::size_t i = 0; i < kWorkKinds; ++i) visit(static_cast<Work>(i));
}

/// What one slice did. `units` are rows, or pages for checkpoint and reclaim.
struct SliceReport {
  std::uint64_t units = 0;
  Nanoseconds spent{0};  // from first to last instruction, waits included
  Nanoseconds hold{0};   // how long the write lock was held, 0 if it was not
};

}  // namespace phlower
