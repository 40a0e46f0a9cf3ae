// What maintenance did, found or would do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/histogram.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

enum class MaintenanceEnd : std::uint8_t {
  kDone,      // nothing is left to do
  kTimeUp,    // `max_time` was up; what was done is good, another run goes on from there
  kUnwanted,  // `wanted` said so; as above
  kProblem,   // `status` says what
};

/// Figures of a purge are of what was removed, of a dry run of what would be.
struct MaintenanceReport {
  MaintenanceEnd end = MaintenanceEnd::kProblem;
  Status status;
  bool folder = false;   // what was worked on
  bool dry_run = false;  // nothing was written
  bool done = false;     // nothing expired is left
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;
  std::uint64_t bytes_reclaimed = 0;  // of segments, and of free pages that went back
  Nanoseconds elapsed{0};
  std::vector<std::string> notes;  // what the owner should know although all went well
  std::string waited_for;          // who was in the way when the time was up; empty: nobody

  // Of a file.
  std::uint64_t slices = 0;
  Histogram hold;  // of the write lock, from asking for it to the end of the commit
  std::uint64_t checkpoints = 0;
  std::uint64_t wal_bytes_max = 0;
  std::uint64_t rows_left = 0;      // an estimate, where it stopped early
  std::uint64_t doubtful_rows = 0;  // that stay because their age is not certain

  // Of a folder.
  std::uint64_t segments = 0;         // unlinked, or read to verify them
  std::uint64_t damaged = 0;          // of those that were read
  std::uint64_t rescued = 0;          // rows that were copied out of adopted files
  std::uint64_t rows_sharing = 0;     // about: old ones that stay beside younger ones
  std::vector<std::string> unlinked;  // adopted files
};

}  // namespace phlower
