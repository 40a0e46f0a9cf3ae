// For what a database file is opened, and what it was found to be.
#pragma once

#include <cstdint>

namespace phlower {

/// For what a database file is opened.
enum class OpenMode : std::uint8_t {
  kEngine,       // made when missing; missing tables of our own are added
  kMaintenance,  // must exist and hold a history; no table is added (purge of somebody's file)
  kReadOnly,     // must exist; nothing is written (dry run, queries)
};

/// What a file held when it was opened.
enum class FileKind : std::uint8_t {
  kEmpty,        // no tables at all, or no file
  kSingle,       // one invocations table and one of details
  kPresplit,     // details are columns of invocations
  kPartitioned,  // tables of days, or tables set aside as *_legacy
};

}  // namespace phlower
