// One bounded step of work, whatever it is: what it did and what it cost.
#pragma once

#include <cstddef>
#include <cstdint>

#include "phlower/ground/clock.hpp"

namespace phlower {

/// Jobs share the budget. They are numbered: the flush of pending records, then the chores of the
/// store in its order; in that order they are asked when several may run.
using Job = std::size_t;
inline constexpr Job kFlush = 0;

/// What one slice did. `units` are rows, pages or files.
struct SliceReport {
  std::uint64_t units = 0;
  Nanoseconds spent{0};      // from first to last instruction, waits included
  Nanoseconds hold{0};       // how long the write lock was held, 0 if it was not
  std::uint64_t purged = 0;  // rows and details that are gone with their retention
  bool commits = false;      // a slice of this kind ends with a commit
};

}  // namespace phlower
