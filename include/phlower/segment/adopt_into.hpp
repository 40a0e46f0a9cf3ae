// The file that store.adopt names becomes a segment of a data folder.
#pragma once

#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "phlower/segment/adopt.hpp"
#include "phlower/segment/folder.hpp"

namespace phlower {

namespace adopt_detail {

// What becomes of somebody's file is said at each start.
inline void tell_forecast(const Folder& folder, const SegmentInfo& info, bool first) {
  const RetentionOptions& retention = folder.options().retention;
  struct ::statvfs disk {};
  ::statvfs(folder.path().c_str(), &disk);
  const std::uint64_t room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const std::int64_t now_us = folder.now_us();
  const auto ahead = forecast(info, lifetime_us(retention, SegmentFamily::kRows), room,
                              bytes_per_hour(info), now_us);
  const std::string what =
      info.path + ": adopted" + (first ? "" : " before") + ", about " + std::to_string(info.rows) +
      " rows, " + std::string(format_bytes(info.bytes)) + "; " +
      (retention.keep_forever
           ? "it stays as long as everything is kept for ever"
           : "THE ORIGINAL FILE WILL BE UNLINKED at " +
                 text_of_minute(now_us + static_cast<std::int64_t>(ahead.leaves_in_h * 3.6e9)) +
                 ", when its newest row is past the retention");
  first ? folder.log().warn("{}", what) : folder.log().info("{}", what);
  if (ahead.too_late() && !retention.keep_forever) {
    folder.log().warn(
        "{} free: at the rate of {} the disk is full in {:.1f} h, before that; "
        "phlower-purge --rescue copies its newest hours and lets the rest go",
        format_bytes(room), info.path, ahead.full_in_h);
  }
}

}  // namespace adopt_detail

/// Once: a file that was adopted and has gone with its retention is not missed. Errors: see
/// look_to_adopt.
inline Status adopt_into(Folder& folder) {
  if (folder.options().store.adopt.empty()) return Status();
  Catalog& catalog = folder.catalog();
  const std::string path = real_path(folder.options().store.adopt);
  const std::string key = "adopted:" + path;
  const auto before = segment_file::fact(catalog.db(), key, 0);
  if (!before.ok()) return before.status();
  const auto note = [&](std::int64_t seq) {
    auto set = catalog.db().prepare(segment_file::kSetFact);
    return set.ok() ? segment_file::set_fact(*set, key, seq) : set.status();
  };
  for (const SegmentInfo& info : catalog.segments()) {
    if (info.path.empty() || real_path(info.path) != path) continue;
    adopt_detail::tell_forecast(folder, info, false);
    return *before != 0 ? Status() : note(info.seq);  // a crash came right behind its entry
  }
  if (*before != 0 && ::access(path.c_str(), F_OK) != 0) return Status();
  auto info = look_to_adopt(path, folder.now_us());
  if (!info.ok()) return info.status().with_context("store.adopt");
  info->seq = catalog.next_seq();
  if (Status status = folder.apply({Move::kAdopt, *info}); !status.ok()) return status;
  if (Status status = note(info->seq); !status.ok()) return status;
  adopt_detail::tell_forecast(folder, *info, true);
  return Status();
}

}  // namespace phlower
