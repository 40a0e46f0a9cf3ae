// What another process may do in a data folder while an engine has it, or may come: closed segments
// go without the engine, which finds them gone; what is being written is left to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "phlower/segment/catalog.hpp"
#include "phlower/segment/known_versions.hpp"
#include "phlower/segment/pin_file.hpp"
#include "phlower/segment/remove_job.hpp"
#include "phlower/segment/verify.hpp"

namespace phlower {

/// Not thread safe. Blocks: on the disk. Errors: kPermission, kVersion, and as of the catalog.
class FolderGuest {
 public:
  static Result<FolderGuest> open(const std::string& folder) {
    if (Status known = check_known_versions(folder); !known.ok()) return known;
    auto catalog = Catalog::open(folder, true);
    if (!catalog.ok()) return catalog.status();
    return FolderGuest(*std::move(catalog));
  }

  const Catalog& catalog() const noexcept { return catalog_; }

  /// From here on no reader sees the segments of which `expired` says so. Those are `going` as they
  /// were before, until their files are gone.
  template <class Expired>
  Status let_go(Expired&& expired) {
    for (;;) {
      std::vector<SegmentInfo> going;
      std::vector<SegmentEdit> edits;
      for (const SegmentInfo& info : catalog_.segments()) {
        if (!expired(info)) continue;
        going.push_back(as_it_goes(info));
        edits.push_back({Move::kExpire, going.back()});
      }
      const Status status = edits.empty() ? Status() : catalog_.apply(edits);
      if (status.code() == Code::kReload) continue;  // the engine was quicker: there are others
      if (status.ok()) going_ = std::move(going);
      return status;
    }
  }
  const std::vector<SegmentInfo>& going() const noexcept { return going_; }
  /// Files that stay on the disk, though not in the history: others wrote them meanwhile.
  const std::vector<std::string>& written_anew() const noexcept { return written_anew_; }

  /// One try for all of them; returns those whose files are gone. Those that somebody reads stay
  /// for the next try.
  Result<std::vector<SegmentInfo>> remove_some() {
    if (going_.empty()) return std::vector<SegmentInfo>();
    std::vector<RemoveJob::File> files;
    files.reserve(going_.size());
    for (const SegmentInfo& info : going_) {
      files.push_back(RemoveJob::file_of(info, catalog_.path_of(info), false));
    }
    RemoveJob job(std::move(files), pin_file_of(catalog_.folder()));
    if (Status status = to_its_end(job); !status.ok()) return status;
    FreeJob space(std::move(job.remains));
    if (Status status = to_its_end(space); !status.ok()) return status;
    return settle(job);
  }

  /// Takes a damaged segment out of the history. False: an engine writes it at this moment; it will
  /// meet the damage itself.
  Result<bool> set_aside(const SegmentInfo& info) {
    auto lock = open_pins(pin_file_of(catalog_.folder()));
    if (!lock.ok()) return lock.status();
    const bool engine = (*lock)->try_lock(kEngineByte).code() == Code::kBusy;
    if (engine && info.open_for_writing()) return false;
    if (Status status = set_segment_aside(catalog_, info); !status.ok()) return status;
    return true;
  }

 private:
  explicit FolderGuest(Catalog catalog) : catalog_(std::move(catalog)) {}

  static Status to_its_end(KeeperJob& job) {
    for (;;) {
      const auto done = job.step();
      if (!done.ok()) return done.status();
      if (*done) return Status();
    }
  }

  Result<std::vector<SegmentInfo>> settle(const RemoveJob& job) {
    std::vector<SegmentInfo> gone;
    std::vector<SegmentInfo> left;
    std::vector<std::int64_t> numbers;
    Status worst;
    for (std::size_t i = 0; i < going_.size(); ++i) {
      const Status removed = job.result(i);
      const std::string path = going_[i].path;
      if (removed.ok()) numbers.push_back(going_[i].seq);
      if (removed.ok() && job.stays(path)) {
        written_anew_.push_back(path);
        continue;
      }
      (removed.ok() ? gone : left).push_back(std::move(going_[i]));
      if (!removed.ok() && removed.code() != Code::kBusy) worst = removed;
    }
    going_ = std::move(left);
    if (Status status = catalog_.forget(numbers); !status.ok()) return status;
    if (!worst.ok()) return worst;
    return gone;
  }

  Catalog catalog_;
  std::vector<SegmentInfo> going_;
  std::vector<std::string> written_anew_;
};

}  // namespace phlower
