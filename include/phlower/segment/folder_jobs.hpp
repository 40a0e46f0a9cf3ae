// What the keeper is given to do for a data folder, and what becomes of it when it is done.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/segment/folder.hpp"
#include "phlower/segment/keeper.hpp"
#include "phlower/segment/remove_job.hpp"

namespace phlower {

/// Segments by number, each with what was wrong with it.
using Damaged = std::map<std::int64_t, Status>;

/// Not thread safe; the jobs run on the keeper's thread or in `step`.
class FolderJobs {
 public:
  /// `folder` outlives this.
  explicit FolderJobs(Folder& folder)
      : folder_(folder), keeper_(folder.options().store.helper_thread) {}

  /// Without a thread: one step of the first job. False: nothing to do.
  bool step() { return keeper_.step(); }
  /// Whether `step` or `finish` has anything to do.
  bool due() { return keeper_.needs_steps() || keeper_.has_done(); }
  bool has_done() { return keeper_.has_done(); }
  /// Whether anything is under way.
  bool waits() { return keeper_.open() > 0; }
  /// Why it does not get on; empty when it does.
  const std::string& problem() const noexcept { return problem_; }

  /// Not under way, and not tried in vain just now.
  bool may_post(std::int64_t seq, MonoTime now) const {
    const auto posted = posted_.find(seq);
    return posted == posted_.end() || (!posted->second.running && now >= posted->second.not_before);
  }
  /// Tried already, though in vain.
  bool was_posted(std::int64_t seq) const { return posted_.contains(seq); }

  /// Seals what is complete and removes what expires: also what could not be done the last time,
  /// and what another process left half done.
  void post_due(MonoTime now);
  /// Removes their files, whatever the catalog says.
  void post_remove(const std::vector<SegmentInfo>& going);
  void want_spare(SegmentFamily family, MonoTime now);

  /// Enters into the catalog what the jobs did. The number of segments that it changed; those whose
  /// files are damaged are put to `damaged`.
  Result<std::uint64_t> finish(Damaged& damaged);

 private:
  static constexpr Nanoseconds kRetry = Milliseconds(500);  // for a file that somebody reads
  static constexpr Nanoseconds kPinPatience = Seconds(60);  // then it goes though it is pinned

  struct Posted {
    KeeperJob::Kind kind{};
    MonoTime since{};       // first tried
    MonoTime not_before{};  // after a try that failed
    bool running = false;
  };
  struct Making {
    std::int64_t seq = 0;  // 0: none is being made
    MonoTime not_before{};
  };

  void post_seal(const SegmentInfo& info);
  Status finish_one(KeeperJob& job);
  Status has_made(const MakeJob& job);
  Status has_sealed(const SealJob& job);
  Status has_removed(RemoveJob& job, MonoTime retry);
  void settle(std::int64_t seq, const Status& status, MonoTime retry);

  Folder& folder_;
  std::map<std::int64_t, Posted> posted_;  // by segment
  std::array<Making, 2> making_;           // spares, by family
  std::string problem_;
  Keeper keeper_;  // last: its thread ends before anything else goes
};

// -- Posting ------------------------------------------------------------------------------------

inline void FolderJobs::want_spare(SegmentFamily family, MonoTime now) {
  Making& making = making_[static_cast<std::size_t>(family)];
  if (making.seq != 0 || now < making.not_before) return;
  Catalog& catalog = folder_.catalog();
  SegmentInfo info;
  info.seq = making.seq = catalog.next_seq();
  info.family = family;
  catalog.raise_next_seq(info.seq);
  keeper_.post(
      std::make_unique<MakeJob>(info.seq, family, catalog.path_of(info), folder_.now_us()));
}

inline void FolderJobs::post_seal(const SegmentInfo& info) {
  Posted& posted = posted_[info.seq];
  posted.kind = KeeperJob::Kind::kSeal;
  posted.running = true;
  keeper_.post(std::make_unique<SealJob>(info.seq, info.family, folder_.catalog().path_of(info),
                                         folder_.options().store));
}

inline void FolderJobs::post_remove(const std::vector<SegmentInfo>& going) {
  const MonoTime now = folder_.clock().mono();
  std::vector<RemoveJob::File> files;
  for (const SegmentInfo& info : going) {
    Posted& posted = posted_[info.seq];
    if (posted.kind != KeeperJob::Kind::kRemove || posted.since == MonoTime()) posted.since = now;
    posted.kind = KeeperJob::Kind::kRemove;
    posted.running = true;
    const bool force = now - posted.since >= kPinPatience;
    files.push_back(RemoveJob::file_of(info, folder_.catalog().path_of(info), force));
  }
  if (files.empty()) return;
  keeper_.post(std::make_unique<RemoveJob>(std::move(files), pin_file_of(folder_.path())));
}

inline void FolderJobs::post_due(MonoTime now) {
  std::vector<SegmentInfo> going;
  for (const SegmentInfo& info : folder_.catalog().segments()) {
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

// -- Done ---------------------------------------------------------------------------------------

inline Result<std::uint64_t> FolderJobs::finish(Damaged& damaged) {
  std::uint64_t changed = 0;
  for (auto& job : keeper_.take_done()) {
    Status status = finish_one(*job);
    if (status.ok()) {
      ++changed;
      problem_.clear();
      continue;
    }
    const Code code = status.code();
    if (code == Code::kCorrupt || code == Code::kNotOurs) {
      damaged.emplace(job->seq, status);
    } else if (code != Code::kBusy) {  // a reader in the way is everyday life
      problem_ = status.message();
      folder_.log().warn_limited("upkeep", "{}; tried again", status.message());
    }
  }
  return changed;
}

inline Status FolderJobs::finish_one(KeeperJob& job) {
  const MonoTime retry = folder_.clock().mono() + kRetry;
  Status status = job.status;
  switch (job.kind) {
    case KeeperJob::Kind::kMake: {
      const auto& make = static_cast<MakeJob&>(job);
      if (status.ok()) status = has_made(make);
      making_[static_cast<std::size_t>(make.family)] = {0, status.ok() ? MonoTime() : retry};
      return status;
    }
    case KeeperJob::Kind::kSeal:
      if (status.ok()) status = has_sealed(static_cast<SealJob&>(job));
      settle(job.seq, status, retry);
      return status;
    case KeeperJob::Kind::kRemove: return has_removed(static_cast<RemoveJob&>(job), retry);
    case KeeperJob::Kind::kFree: break;
  }
  return status;
}

inline void FolderJobs::settle(std::int64_t seq, const Status& status, MonoTime retry) {
  if (status.ok()) {
    posted_.erase(seq);
  } else {
    posted_[seq].running = false;
    posted_[seq].not_before = retry;
  }
}

inline Status FolderJobs::has_made(const MakeJob& job) {
  SegmentInfo info;
  info.seq = job.seq;
  info.family = job.family;
  return folder_.apply({Move::kMake, info});
}

inline Status FolderJobs::has_sealed(const SealJob& job) {
  const SegmentInfo* known = folder_.catalog().find(job.seq);
  if (known == nullptr || known->state != SegmentState::kSealing) return Status();
  SegmentInfo info = *known;
  const Sealed& sealed = job.sealing.sealed();
  info.rows = sealed.rows;
  info.details = sealed.details;
  info.oldest_us = sealed.oldest_us;
  info.newest_us = sealed.newest_us;
  info.bytes = sealed.bytes;
  info.checksum = sealed.checksum;
  const Status noted = folder_.apply({Move::kSeal, info});
  return noted.code() == Code::kReload ? Status() : noted;  // somebody set it aside meanwhile
}

// What is gone leaves the catalog, all at once; the first error that is more than a reader in the
// way.
inline Status FolderJobs::has_removed(RemoveJob& job, MonoTime retry) {
  for (const std::string& path : job.written_anew) {
    folder_.log().warn("{}", written_anew_text(path));
  }
  if (!job.remains.empty()) keeper_.post(std::make_unique<FreeJob>(std::move(job.remains)));
  std::vector<std::int64_t> gone;
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    if (job.result(i).ok()) gone.push_back(job.files[i].seq);
  }
  const Status noted = folder_.forget(gone);
  Status worst = noted;
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    const Status result = job.result(i).ok() ? noted : job.result(i);
    settle(job.files[i].seq, result, retry);
    if (!result.ok() && (worst.ok() || worst.code() == Code::kBusy)) worst = result;
  }
  return worst;
}

}  // namespace phlower
