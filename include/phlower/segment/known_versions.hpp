// Whether this build knows all that stands in a data folder, asked before it changes anything: what
// a later build has written is refused, and stays as it is.
#pragma once

#include <string>

#include "phlower/segment/catalog.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

namespace versions_detail {

/// Files that cannot be read are for others to judge.
inline Status check_file(const std::string& path, bool sealed) {
  constexpr std::uint64_t kCacheBytes = 64 << 10;
  const auto db = segment_file::open_for_reading(path, sealed, kCacheBytes);
  return db.status().code() == Code::kVersion ? db.status() : Status();
}

}  // namespace versions_detail

/// Looks at the catalog, at each segment that an engine would open for writing or seal, and at the
/// newest sealed one of each family: numbers grow, so what a later build has sealed is not older.
/// Errors: kVersion; all else is OK here. Blocks: on the disk, for a few small reads a file.
inline Status check_known_versions(const std::string& folder) {
  const auto catalog = Catalog::open(folder, false);
  if (!catalog.ok()) {
    return catalog.status().code() == Code::kVersion ? catalog.status() : Status();
  }
  const SegmentInfo* sealed[2] = {};
  for (const SegmentInfo& info : catalog->segments()) {
    if (info.state == SegmentState::kSealed) {
      sealed[static_cast<std::size_t>(info.family)] = &info;
    } else if (info.state <= SegmentState::kSealing) {
      Status known = versions_detail::check_file(catalog->path_of(info), false);
      if (!known.ok()) return known;
    }
  }
  for (const SegmentInfo* info : sealed) {
    if (info == nullptr) continue;
    Status known = versions_detail::check_file(catalog->path_of(*info), true);
    if (!known.ok()) return known;
  }
  return Status();
}

}  // namespace phlower
