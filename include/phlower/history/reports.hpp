// What a store tells of itself and of its work, whatever its layout.
#pragma once

#include <cstdint>

#include "phlower/record/record.hpp"

namespace phlower {

/// Rows in the history. `invocations` and `details` are right while `exact`; until the recount
/// after an open is through they start from nothing and grow towards the truth.
/// Details that are columns of their row (presplit) are not counted. Times are 0 where unknown.
struct Counts {
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;
  UnixSeconds oldest = 0;  // finished_at, over the tables with an index on it
  UnixSeconds newest = 0;
  bool exact = false;
};

/// What one purge step did. `more`: expired rows are left, call again.
struct PurgeReport {
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;   // rows of details deleted, or emptied where they are columns
  std::uint64_t examined = 0;  // rows looked at, the measure of what the step cost
  bool more = false;
};

}  // namespace phlower
