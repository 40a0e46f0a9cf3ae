// What is done for a data folder between slices, a step at a time: rotating, sealing, letting go of
// what has expired, is damaged, or is too much for the disk.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "phlower/segment/adopt.hpp"
#include "phlower/segment/folder.hpp"
#include "phlower/segment/folder_clock.hpp"
#include "phlower/segment/folder_jobs.hpp"
#include "phlower/segment/writers.hpp"

namespace phlower {

/// What a folder takes on its disk.
struct DiskUse {
  std::uint64_t bytes = 0;       // of its segments and their logs
  std::uint64_t disk_bytes = 0;  // of the whole file system; 0: not known

  static DiskUse of(const Folder& folder) {
    const auto size_of = [](const std::string& path) -> std::uint64_t {
      struct ::stat info {};
      const bool known = ::stat(path.c_str(), &info) == 0;
      return known ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
    };
    DiskUse use;
    for (const SegmentInfo& info : folder.catalog().segments()) {
      if (info.state == SegmentState::kSetAside) continue;
      const std::string path = folder.catalog().path_of(info);
      use.bytes += size_of(path) + size_of(path + "-wal");
    }
    struct ::statvfs disk {};
    if (::statvfs(folder.path().c_str(), &disk) == 0) {
      use.disk_bytes = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
    }
    return use;
  }
};

/// Not thread safe. Blocks: for a commit of the catalog, and on the disk.
class Upkeep {
 public:
  /// All outlive this.
  Upkeep(Folder& folder, Writers<RowsWriter>& rows, Writers<DetailsWriter>& details)
      : folder_(folder), rows_(rows), details_(details), jobs_(folder) {}

  /// Whether `tend` has anything to do. Microseconds.
  bool due(MonoTime now) { return now >= next_look_ || !damaged_.empty() || jobs_.due(); }
  /// Whether sealing, removing or making is under way.
  bool waits() { return jobs_.waits(); }
  /// One step. The number of segments that it changed.
  Result<std::uint64_t> tend(MonoTime now);
  /// Lets segments go that are closed, whatever their time: from here on no reader sees them, their
  /// files go when nobody has them pinned. `early`: before their time.
  Status let_go(const std::vector<std::int64_t>& going, bool early);
  /// A segment that cannot be read or written any more: named, moved to quarantine/, forgotten.
  /// It happens at the next step.
  void report_damage(std::int64_t seq, const Status& status) { damaged_.emplace(seq, status); }
  /// Why sealing, removing or making does not get on; empty when it does.
  const std::string& problem() const noexcept { return jobs_.problem(); }

 private:
  static constexpr Nanoseconds kLook = Milliseconds(20);  // for what time or size make due
  static constexpr Nanoseconds kSlowLook = Seconds(1);    // for the disk, and other processes
  static constexpr Nanoseconds kKeptLook = Seconds(60);   // for an adopted file that stays

  Result<std::uint64_t> step(MonoTime now);
  template <class Writer>
  Result<bool> tend_family(Writers<Writer>& family, MonoTime now);
  Result<std::uint64_t> let_go_what_must(MonoTime now);
  Result<std::uint64_t> tend_damage();
  Status look_at_clock(MonoTime now);
  Status move_closed(std::int64_t by_us);
  Status correct_closed(std::int64_t wall_us);
  Result<std::uint64_t> tend_expired(MonoTime now);
  bool may_go(const SegmentInfo& info, std::int64_t wall_us, MonoTime now);
  Result<std::uint64_t> tend_cap();
  void count_gone(const SegmentInfo& info, bool early);

  Folder& folder_;
  Writers<RowsWriter>& rows_;
  Writers<DetailsWriter>& details_;
  FolderClock clock_;
  FolderJobs jobs_;
  Damaged damaged_;
  std::map<std::int64_t, MonoTime> kept_until_;  // adopted files, by their number
  MonoTime next_look_{};
  MonoTime next_slow_look_{};
};

inline Result<std::uint64_t> Upkeep::tend(MonoTime now) {
  const auto changed = step(now);
  // Another process was quicker with a segment: what is to do now is seen at the next step.
  return changed.status().code() == Code::kReload ? Result<std::uint64_t>(1) : changed;
}

inline Result<std::uint64_t> Upkeep::step(MonoTime now) {
  if (jobs_.step()) return 0;
  if (jobs_.has_done()) return jobs_.finish(damaged_);
  if (!damaged_.empty()) return tend_damage();
  next_look_ = now + kLook;
  if (Status status = look_at_clock(now); !status.ok()) return status;
  auto rotated = tend_family(rows_, now);
  if (rotated.ok() && !*rotated) rotated = tend_family(details_, now);
  // On a full disk nothing helps but letting go.
  const bool full = rotated.status().code() == Code::kDiskFull;
  if (!rotated.ok() && !full) return rotated.status();
  jobs_.post_due(now);
  if (rotated.ok() && *rotated) return 1;
  const auto gone = let_go_what_must(now);
  if (gone.ok() && *gone == 0 && full) return rotated.status();
  return gone;
}

inline Result<std::uint64_t> Upkeep::let_go_what_must(MonoTime now) {
  const auto expired = tend_expired(now);
  if (!expired.ok() || *expired > 0 || now < next_slow_look_) return expired;
  next_slow_look_ = now + kSlowLook;
  if (Status status = folder_.look_for_others(); !status.ok()) return status;
  return tend_cap();
}

template <class Writer>
Result<bool> Upkeep::tend_family(Writers<Writer>& family, MonoTime now) {
  const auto tended = family.tend(now);
  if (!tended.ok()) return tended.status();
  if (tended->wants_spare) jobs_.want_spare(Writers<Writer>::kFamily, now);
  return tended->changed;
}

inline Result<std::uint64_t> Upkeep::tend_damage() {
  const auto [seq, status] = *damaged_.begin();
  damaged_.erase(damaged_.begin());
  const SegmentInfo* info = folder_.catalog().find(seq);
  if (info == nullptr) return 0;
  if (info->open_for_writing()) return status;  // its writer meets it too, and that is final
  folder_.about_to_close(seq);
  if (Status moved = folder_.set_aside(seq, status); !moved.ok()) {
    damaged_.emplace(seq, status);
    return moved;
  }
  return 1;
}

// -- The clock ----------------------------------------------------------------------------------

inline Status Upkeep::look_at_clock(MonoTime now) {
  const std::int64_t wall_us = folder_.now_us();
  const std::int64_t leap = clock_.leap_us(wall_us, now);
  if (leap != 0) {
    if (Status status = move_closed(leap); !status.ok()) return status;
  }
  if (clock_.go_on_from(wall_us, now)) {
    folder_.log().warn("the clock leapt {} by {} hours: no file is removed for a while",
                       leap > 0 ? "forward" : "back", std::abs(leap) / kUsPerHour);
  }
  return Status();
}

// What this engine closed was closed as long ago as before, whatever the clock said then: without
// this, segments closed under a clock that was behind would go too early.
inline Status Upkeep::move_closed(std::int64_t by_us) {
  std::vector<SegmentEdit> edits;
  for (const SegmentInfo& info : folder_.catalog().segments()) {
    if (!folder_.closed_here(info.seq) || !state_after(info.state, Move::kCorrect)) continue;
    edits.push_back({Move::kCorrect, info});
    edits.back().info.closed_us += by_us;
  }
  return edits.empty() ? Status() : folder_.apply(edits);
}

// Nothing was closed in the future: the clock was ahead. Else such a file would stay until then.
inline Status Upkeep::correct_closed(std::int64_t wall_us) {
  std::vector<SegmentEdit> edits;
  for (const SegmentInfo& info : folder_.catalog().segments()) {
    if (!info.closed() || info.closed_us <= wall_us + FolderClock::kLeapUs) continue;
    edits.push_back({Move::kCorrect, info});
    edits.back().info.closed_us = wall_us;
  }
  return edits.empty() ? Status() : folder_.apply(edits);
}

// -- What goes ----------------------------------------------------------------------------------

inline Result<std::uint64_t> Upkeep::tend_expired(MonoTime now) {
  if (!clock_.files_may_go(now)) return 0;
  std::vector<std::int64_t> going;
  const std::int64_t wall_us = folder_.now_us();
  if (Status status = correct_closed(wall_us); !status.ok()) return status;
  for (const SegmentInfo& info : folder_.catalog().segments()) {
    if (!jobs_.may_post(info.seq, now) || !may_go(info, wall_us, now)) continue;
    going.push_back(info.seq);
  }
  if (going.empty()) return 0;
  if (Status status = let_go(going, false); !status.ok()) return status;
  return going.size();
}

// A file that stays though it was to go is looked at again later only: that takes a while.
inline bool Upkeep::may_go(const SegmentInfo& info, std::int64_t wall_us, MonoTime now) {
  const auto kept = kept_until_.find(info.seq);
  if (kept != kept_until_.end() && now < kept->second) return false;
  const RetentionOptions& retention = folder_.options().retention;
  if (!has_expired(info, retention, wall_us)) return false;
  const bool goes = may_expire(info, retention, wall_us, [&](const std::string& text) {
    folder_.log().warn_limited("adopted", "{}", text);
  });
  if (!goes) kept_until_[info.seq] = now + kKeptLook;
  return goes;
}

inline Result<std::uint64_t> Upkeep::tend_cap() {
  const DiskOptions& disk = folder_.options().disk;
  const std::vector<SegmentInfo>& segments = folder_.catalog().segments();
  const DiskUse use = DiskUse::of(folder_);
  const std::uint64_t share = use.disk_bytes / 100 * disk.cap_percent;
  const std::uint64_t cap = use.disk_bytes > 0 ? std::min(disk.cap_bytes, share) : disk.cap_bytes;
  const std::uint64_t pending = pending_bytes(segments);
  const std::uint64_t used = use.bytes > pending ? use.bytes - pending : 0;
  const std::int64_t floor_us = disk.floor.count() * kUsPerHour;
  const auto going = over_cap(segments, used, cap, floor_us, folder_.now_us());
  if (going.empty()) return 0;
  folder_.log().warn_limited("disk",
                             "the history takes {} of at most {} bytes: {} segments go early", used,
                             cap, going.size());
  if (Status status = let_go(going, true); !status.ok()) return status;
  return going.size();
}

inline Status Upkeep::let_go(const std::vector<std::int64_t>& going, bool early) {
  std::vector<SegmentInfo> known;
  std::vector<SegmentEdit> edits;
  for (const std::int64_t seq : going) {
    const SegmentInfo* info = folder_.catalog().find(seq);
    if (info == nullptr) continue;
    known.push_back(as_it_goes(*info));
    edits.push_back({Move::kExpire, known.back()});
  }
  const Status noted = folder_.apply(edits);
  // Without room for the catalog an expired file goes all the same: no reader shows its rows, and a
  // start that does not find it knows why.
  if (!noted.ok() && (early || noted.code() != Code::kDiskFull)) return noted;
  for (const SegmentInfo& info : known) {
    if (!jobs_.was_posted(info.seq)) count_gone(info, early);  // not the second try
    folder_.about_to_close(info.seq);
  }
  jobs_.post_remove(known);
  return Status();
}

inline void Upkeep::count_gone(const SegmentInfo& info, bool early) {
  StoreFigures& totals = folder_.totals();
  const bool rows = info.family == SegmentFamily::kRows;
  std::uint64_t& total = rows ? (early ? totals.dropped_invocations : totals.purged_invocations)
                              : (early ? totals.dropped_details : totals.purged_details);
  total += info.rows;
}

}  // namespace phlower
