// Free pages back to the file system, a few at a time, where the file was made for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

struct ReclaimReport {
  std::uint64_t pages = 0;       // given back by this step
  std::uint64_t pages_left = 0;  // free pages still in the file
};

}  // namespace phlower

namespace phlower::sqlite {

/// auto_vacuum = INCREMENTAL, the only mode in which pages can be given back in steps.
inline Result<bool> can_reclaim(Connection& db) {
  const auto mode = db.query_integer("PRAGMA auto_vacuum");
  if (!mode.ok()) return mode.status();
  return *mode == 2;
}

/// auto_vacuum = FULL: at each commit all free pages are given back.
inline Result<bool> reclaims_itself(Connection& db) {
  const auto mode = db.query_integer("PRAGMA auto_vacuum");
  if (!mode.ok()) return mode.status();
  return *mode == 1;
}

inline Result<std::uint64_t> free_pages(Connection& db) {
  const auto pages = db.query_integer("PRAGMA freelist_count");
  if (!pages.ok()) return pages.status();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(*pages, 0));
}

/// The sentence for a file that cannot give pages back.
inline Status reclaim_unsupported(const Connection& db) {
  return Status(Code::kUnsupported,
                db.path() +
                    ": free pages cannot be given back in steps: the file was made without "
                    "auto_vacuum = INCREMENTAL. New rows use them again. To shrink the file, stop "
                    "its writers and run PRAGMA auto_vacuum = INCREMENTAL; VACUUM; which needs "
                    "free disk space of up to twice the file's size");
}

/// Gives back up to `pages` pages. Each may move a page from the end of the file into the gap, so
/// the work is in proportion to `pages`, not to the file.
inline Result<ReclaimReport> reclaim_some(Connection& db, std::uint32_t pages) {
  const auto before = free_pages(db);
  if (!before.ok()) return before.status();
  ReclaimReport report{0, *before};
  if (*before == 0 || pages == 0) return report;
  // One page to a row: only a statement run to its end gives back all that was asked for.
  Status done = db.exec("PRAGMA incremental_vacuum(" + std::to_string(pages) + ")");
  if (!done.ok()) return done;
  const auto after = free_pages(db);
  if (!after.ok()) return after.status();
  report.pages = *before - std::min(*before, *after);
  report.pages_left = *after;
  return report;
}

}  // namespace phlower::sqlite
