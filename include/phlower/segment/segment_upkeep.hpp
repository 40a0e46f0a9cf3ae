// What is done between slices: rotating, letting go, keeping within the disk. Bodies of class
// SegmentSet; included by segment_set.hpp alone.
#pragma once

#include <sys/statvfs.h>

#include "phlower/segment/segment_jobs.hpp"
#include "phlower/segment/segment_set.hpp"

namespace phlower {

inline bool SegmentSet::tend_due(MonoTime now) {
  return now >= next_look_ || !damaged_.empty() || keeper_.needs_steps() || keeper_.has_done();
}

inline Result<std::uint64_t> SegmentSet::tend(MonoTime now) {
  const auto changed = tend_one(now);
  // Another process was quicker with a segment: what is to do now is seen at the next step.
  return changed.status().code() == Code::kReload ? Result<std::uint64_t>(1) : changed;
}

inline Result<std::uint64_t> SegmentSet::tend_one(MonoTime now) {
  if (keeper_.step()) return 0;
  if (keeper_.has_done()) return tend_jobs();
  if (!damaged_.empty()) return tend_damage();
  next_look_ = now + upkeep_detail::kLook;
  if (Status status = look_at_clock(now); !status.ok()) return status;
  auto changed = tend_family(rows_, SegmentFamily::kRows, now);
  if (changed.ok() && *changed == 0) {
    changed = tend_family(details_, SegmentFamily::kDetails, now);
  }
  if (!changed.ok() || *changed > 0) return changed;
  repost(now);
  changed = tend_expired(now);
  if (!changed.ok() || *changed > 0 || now < next_slow_look_) return changed;
  next_slow_look_ = now + upkeep_detail::kSlowLook;
  const auto others = catalog_->changed();
  if (!others.ok()) return others.status();
  if (*others) {
    if (Status status = catalog_->load(); !status.ok()) return status;
    ++generation_;
  }
  measure_disk();
  return tend_cap();
}

// -- Rotation -----------------------------------------------------------------------------------

template <class Writer>
Result<std::uint64_t> SegmentSet::tend_family(FamilyWriters<Writer>& family, SegmentFamily kind,
                                              MonoTime now) {
  OpenSegment<Writer>& active = family.active;
  const WrittenSegment figures{active.until_us, active.writer->rows(),
                               active.writer->file().bytes(), active.writer->file().wal().bytes(),
                               active.log_is_pinned};
  const std::int64_t wall_us = now_us();
  const std::int64_t span = span_us(options_.retention, kind);
  // The clock went back: its span may be years ahead.
  const bool ahead = wall_us < active.from_us - span;
  Complete why = completeness(figures, options_.store, wall_us);
  if (ahead && figures.rows > 0) why = Complete::kTime;
  if (why == Complete::kNo && (ahead || wall_us >= active.until_us)) {
    // Nothing came in its span: it takes the one of now.
    SegmentInfo info = *catalog_->find(active.writer->file().seq());
    info.from_us = span_begin(wall_us, span);
    info.until_us = info.from_us + span;
    if (Status status = catalog_->apply({Move::kSpanAgain, info}); !status.ok()) return status;
    active.from_us = info.from_us;
    active.until_us = info.until_us;
    return 1;
  }
  for (std::size_t i = 0; i < family.late.size(); ++i) {
    const OpenSegment<Writer>& late = family.late[i];
    const WrittenSegment full{std::numeric_limits<std::int64_t>::max(), late.writer->rows(),
                              late.writer->file().bytes(), late.writer->file().wal().bytes(),
                              late.log_is_pinned};
    const bool complete = completeness(full, options_.store, wall_us) != Complete::kNo;
    if (!complete && now - late.used < upkeep_detail::kLateIdle) continue;
    if (Status status = close_late(family, i); !status.ok()) return status;
    return 1;
  }
  const bool soon = figures.rows * 4 >= options_.store.segment_rows * 3ull ||
                    figures.bytes * 4 >= options_.store.segment_bytes * 3 ||
                    (figures.rows > 0 && wall_us >= active.until_us - 60'000'000);
  if ((soon || why != Complete::kNo) && spare_of(kind) == nullptr) {
    want_spare(kind, now);
    return 0;
  }
  if (why == Complete::kNo) return 0;
  if (Status status = rotate(kind, why); !status.ok()) return status;
  return 1;
}

inline Status SegmentSet::rotate(SegmentFamily kind, Complete why) {
  const SegmentInfo spare = *spare_of(kind);
  // What still comes for a span that has just ended should find it.
  const bool stays = why == Complete::kTime;
  return kind == SegmentFamily::kRows ? activate(rows_, spare, stays)
                                      : activate(details_, spare, stays);
}

template <class Writer>
Status SegmentSet::close_late(FamilyWriters<Writer>& family, std::size_t at) {
  SegmentInfo info = *catalog_->find(family.late[at].writer->file().seq());
  info.rows = family.late[at].writer->rows();
  info.closed_us = now_us();
  if (Status status = catalog_->apply({Move::kClose, info}); !status.ok()) return status;
  closed_here_.insert(info.seq);
  if (on_close_) on_close_(info.seq);
  family.late[at].writer->file().leave_log();
  family.late.erase(family.late.begin() + static_cast<std::ptrdiff_t>(at));
  ++generation_;
  post_seal(info);
  return Status();
}

// -- What goes ----------------------------------------------------------------------------------

inline Result<std::uint64_t> SegmentSet::tend_damage() {
  const auto [seq, status] = *damaged_.begin();
  damaged_.erase(damaged_.begin());
  const SegmentInfo* info = catalog_->find(seq);
  if (info == nullptr) return 0;
  if (info->open_for_writing()) return status;  // its writer meets it too, and that is final
  if (on_close_) on_close_(seq);
  if (Status moved = set_aside(seq, status); !moved.ok()) {
    damaged_.emplace(seq, status);
    return moved;
  }
  return 1;
}

// A clock that leaps forward would have everything expire at once. What reads show follows the
// clock; files only go when it has stood by its word for a while.
inline Status SegmentSet::look_at_clock(MonoTime now) {
  const std::int64_t wall_us = now_us();
  const std::int64_t by_mono = std::chrono::duration_cast<Microseconds>(now - seen_mono_).count();
  const std::int64_t leap = seen_us_ != 0 ? wall_us - seen_us_ - by_mono : 0;
  if (std::abs(leap) > upkeep_detail::kLeapUs) {
    if (Status status = move_closed(leap); !status.ok()) return status;
  }
  if (std::abs(leap) > kUsPerHour) {
    log_.warn("the clock leapt {} by {} hours: no file is removed for a while",
              leap > 0 ? "forward" : "back", std::abs(leap) / kUsPerHour);
    forget_from_ = now + upkeep_detail::kLeapPatience;
  }
  seen_us_ = wall_us;
  seen_mono_ = now;
  return Status();
}

// What this engine closed was closed as long ago as before, whatever the clock said then: without
// this, segments closed under a clock that was behind would go too early.
inline Status SegmentSet::move_closed(std::int64_t by_us) {
  std::vector<SegmentEdit> edits;
  for (const SegmentInfo& info : catalog_->segments()) {
    if (!closed_here_.contains(info.seq) || !state_after(info.state, Move::kCorrect)) continue;
    edits.push_back({Move::kCorrect, info});
    edits.back().info.closed_us += by_us;
  }
  return edits.empty() ? Status() : catalog_->apply(edits);
}

// Nothing was closed in the future: the clock was ahead. Else such a file would stay until then.
inline Status SegmentSet::correct_closed(std::int64_t wall_us) {
  std::vector<SegmentEdit> edits;
  for (const SegmentInfo& info : catalog_->segments()) {
    if (!info.closed() || info.closed_us <= wall_us + upkeep_detail::kLeapUs) continue;
    edits.push_back({Move::kCorrect, info});
    edits.back().info.closed_us = wall_us;
    closed_here_.insert(info.seq);
  }
  return edits.empty() ? Status() : catalog_->apply(edits);
}

inline bool SegmentSet::may_post(std::int64_t seq, MonoTime now) const {
  const auto posted = posted_.find(seq);
  return posted == posted_.end() || (!posted->second.running && now >= posted->second.not_before);
}

inline Result<std::uint64_t> SegmentSet::tend_expired(MonoTime now) {
  if (now < forget_from_) return 0;
  std::vector<std::int64_t> going;
  const std::int64_t wall_us = now_us();
  if (Status status = correct_closed(wall_us); !status.ok()) return status;
  for (const SegmentInfo& info : catalog_->segments()) {
    if (has_expired(info, options_.retention, wall_us) && may_post(info.seq, now)) {
      going.push_back(info.seq);
    }
  }
  if (going.empty()) return 0;
  if (Status status = let_go(going, false); !status.ok()) return status;
  return going.size();
}

inline Result<std::uint64_t> SegmentSet::tend_cap() {
  const DiskOptions& disk = options_.disk;
  const std::uint64_t share = disk_bytes_ / 100 * disk.cap_percent;
  const std::uint64_t cap = disk_bytes_ > 0 ? std::min(disk.cap_bytes, share) : disk.cap_bytes;
  const std::uint64_t pending = pending_bytes();
  const std::uint64_t used = bytes_ > pending ? bytes_ - pending : 0;
  const std::int64_t floor_us = disk.floor.count() * kUsPerHour;
  const auto going = over_cap(catalog_->segments(), used, cap, floor_us, now_us());
  if (going.empty()) return 0;
  log_.warn_limited("disk", "the history takes {} of at most {} bytes: {} segments go early", used,
                    cap, going.size());
  if (Status status = let_go(going, true); !status.ok()) return status;
  return going.size();
}

// From here on no reader sees them; their files go when nobody has them pinned.
inline Status SegmentSet::let_go(const std::vector<std::int64_t>& going, bool early) {
  std::vector<SegmentInfo> put;
  std::vector<SegmentEdit> edits;
  for (const std::int64_t seq : going) {
    const SegmentInfo* known = catalog_->find(seq);
    if (known == nullptr) continue;
    put.push_back(*known);
    edits.push_back({Move::kExpire, *known});
  }
  const Status noted = catalog_->apply(edits);
  // Without room for the catalog an expired file goes all the same: no reader shows its rows, and a
  // start that does not find it knows why.
  if (!noted.ok() && (early || noted.code() != Code::kDiskFull)) return noted;
  for (const SegmentInfo& info : put) {
    const bool rows = info.family == SegmentFamily::kRows || info.state == SegmentState::kAdopted;
    std::uint64_t& total = rows ? (early ? totals_.dropped_invocations : totals_.purged_invocations)
                                : (early ? totals_.dropped_details : totals_.purged_details);
    if (!posted_.contains(info.seq)) total += info.rows;  // not the second try
    if (on_close_) on_close_(info.seq);
  }
  post_remove(put);
  ++generation_;
  return Status();
}

inline std::uint64_t SegmentSet::pending_bytes() const {
  std::uint64_t bytes = 0;
  for (const SegmentInfo& info : catalog_->segments()) {
    if (info.state == SegmentState::kExpiring) bytes += info.bytes;
  }
  return bytes;
}

inline void SegmentSet::measure_disk() {
  const auto size_of = [](const std::string& path) -> std::uint64_t {
    struct ::stat info {};
    return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
  };
  bytes_ = 0;
  for (const SegmentInfo& info : catalog_->segments()) {
    if (info.state == SegmentState::kSetAside) continue;
    const std::string path = catalog_->path_of(info);
    bytes_ += size_of(path) + size_of(path + "-wal");
  }
  struct ::statvfs disk {};
  if (::statvfs(options_.store.path.c_str(), &disk) == 0) {
    disk_bytes_ = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
  }
}

}  // namespace phlower
