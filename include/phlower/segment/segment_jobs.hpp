// What the keeper is given to do, and what becomes of it when it is done. Bodies of class
// SegmentSet; included by segment_upkeep.hpp alone.
#pragma once

#include "phlower/segment/segment_set.hpp"

namespace phlower {

inline const SegmentInfo* SegmentSet::spare_of(SegmentFamily family) const {
  for (const SegmentInfo& info : catalog_->segments()) {
    if (info.family == family && info.state == SegmentState::kSpare) return &info;
  }
  return nullptr;
}

inline void SegmentSet::want_spare(SegmentFamily family, MonoTime now) {
  Making& making = making_[static_cast<std::size_t>(family)];
  if (making.seq != 0 || now < making.not_before) return;
  SegmentInfo info;
  info.seq = making.seq = catalog_->next_seq();
  info.family = family;
  catalog_->raise_next_seq(info.seq);
  keeper_.post(std::make_unique<MakeJob>(info.seq, family, catalog_->path_of(info), now_us()));
}

inline void SegmentSet::post_seal(const SegmentInfo& info) {
  Posted& posted = posted_[info.seq];
  posted.kind = KeeperJob::Kind::kSeal;
  posted.running = true;
  keeper_.post(
      std::make_unique<SealJob>(info.seq, info.family, catalog_->path_of(info), options_.store));
}

inline void SegmentSet::post_remove(const std::vector<SegmentInfo>& going) {
  const MonoTime now = clock_.mono();
  std::vector<RemoveJob::File> files;
  for (const SegmentInfo& info : going) {
    Posted& posted = posted_[info.seq];
    if (posted.kind != KeeperJob::Kind::kRemove || posted.since == MonoTime()) posted.since = now;
    posted.kind = KeeperJob::Kind::kRemove;
    posted.running = true;
    const bool force = now - posted.since >= upkeep_detail::kPinPatience;
    files.push_back({info.seq, catalog_->path_of(info), force});
  }
  if (files.empty()) return;
  keeper_.post(std::make_unique<RemoveJob>(std::move(files), pin_file(options_.store.path)));
}

// What could not be done the last time, and what another process left half done.
inline void SegmentSet::repost(MonoTime now) {
  std::vector<SegmentInfo> going;
  for (const SegmentInfo& info : catalog_->segments()) {
    const bool sealing = info.state == SegmentState::kSealing;
    if (!sealing && info.state != SegmentState::kExpiring) continue;
    if (!may_post(info.seq, now)) continue;
    if (sealing) {
      post_seal(info);
    } else {
      going.push_back(info);
    }
  }
  post_remove(going);
}

inline Result<std::uint64_t> SegmentSet::tend_jobs() {
  std::uint64_t changed = 0;
  for (auto& job : keeper_.take_done()) {
    Status status = finish_job(*job);
    if (status.ok()) {
      ++changed;
      problem_.clear();
      continue;
    }
    const Code code = status.code();
    if (code == Code::kCorrupt || code == Code::kNotOurs) {
      report_damage(job->seq, status);
    } else if (code != Code::kBusy) {  // a reader in the way is everyday life
      problem_ = status.message();
      log_.warn_limited("upkeep", "{}; tried again", status.message());
    }
  }
  return changed;
}

inline Status SegmentSet::finish_job(KeeperJob& job) {
  const MonoTime retry = clock_.mono() + upkeep_detail::kRetry;
  Status status = job.status;
  switch (job.kind) {
    case KeeperJob::Kind::kMake: {
      const auto& make = static_cast<MakeJob&>(job);
      if (status.ok()) status = made(make);
      making_[static_cast<std::size_t>(make.family)] = {0, status.ok() ? MonoTime() : retry};
      return status;
    }
    case KeeperJob::Kind::kSeal:
      if (status.ok()) status = has_sealed(static_cast<SealJob&>(job));
      settle_posted(job.seq, status, retry);
      return status;
    case KeeperJob::Kind::kRemove: return has_removed(static_cast<RemoveJob&>(job), retry);
    case KeeperJob::Kind::kFree: break;
  }
  return status;
}

inline void SegmentSet::settle_posted(std::int64_t seq, const Status& status, MonoTime retry) {
  if (status.ok()) {
    posted_.erase(seq);
  } else {
    posted_[seq].running = false;
    posted_[seq].not_before = retry;
  }
}

inline Status SegmentSet::made(const MakeJob& job) {
  SegmentInfo info;
  info.seq = job.seq;
  info.family = job.family;
  return catalog_->apply({Move::kMake, info});
}

inline Status SegmentSet::has_sealed(const SealJob& job) {
  const SegmentInfo* known = catalog_->find(job.seq);
  if (known == nullptr || known->state != SegmentState::kSealing) return Status();
  SegmentInfo info = *known;
  const Sealed& sealed = job.sealing.sealed();
  info.rows = sealed.rows;
  info.details = sealed.details;
  info.oldest_us = sealed.oldest_us;
  info.newest_us = sealed.newest_us;
  info.bytes = sealed.bytes;
  info.checksum = sealed.checksum;
  ++generation_;
  const Status noted = catalog_->apply({Move::kSeal, info});
  return noted.code() == Code::kReload ? Status() : noted;  // somebody set it aside meanwhile
}

// What is gone leaves the catalog, all at once; the first error that is more than a reader in the
// way.
inline Status SegmentSet::has_removed(RemoveJob& job, MonoTime retry) {
  if (!job.remains.empty()) keeper_.post(std::make_unique<FreeJob>(std::move(job.remains)));
  std::vector<std::int64_t> gone;
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    if (job.result(i).ok()) gone.push_back(job.files[i].seq);
  }
  const Status noted = catalog_->forget(gone);
  Status worst = noted;
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    const Status result = job.result(i).ok() ? noted : job.result(i);
    settle_posted(job.files[i].seq, result, retry);
    if (result.ok()) closed_here_.erase(job.files[i].seq);
    if (!result.ok() && (worst.ok() || worst.code() == Code::kBusy)) worst = result;
  }
  if (!gone.empty()) ++generation_;
  return worst;
}

}  // namespace phlower
