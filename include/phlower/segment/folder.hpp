// A data folder in the hands of its engine: the lock, the catalog, and what a crash left.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/history/figures.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/folder_listener.hpp"
#include "phlower/segment/known_versions.hpp"
#include "phlower/segment/pin_file.hpp"
#include "phlower/segment/rotation.hpp"
#include "phlower/segment/strangers.hpp"
#include "phlower/segment/verify.hpp"

namespace phlower {

struct SegmentOptions {
  StoreOptions store;
  RetentionOptions retention;
  DiskOptions disk;
};

/// Whoever has one is the only engine of the folder. Not thread safe. Blocks: on disk.
class Folder {
 public:
  using Listeners = std::span<FolderListener* const>;

  /// Opens or makes a data folder and repairs what a crash left of its files. `clock` and those who
  /// listen outlive it. Errors: kBusy when another engine has it, kNotOurs for a folder that is
  /// something else, kVersion for one of a later build, and of SQLite.
  static Result<std::unique_ptr<Folder>> open(const SegmentOptions& options, Clock& clock, Log log,
                                              Listeners listeners = {}) {
    Status status = check_known_versions(options.store.path);
    if (!status.ok()) return status;
    std::unique_ptr<Folder> folder(new Folder(options, clock, std::move(log), listeners));
    status = folder->take();
    if (status.ok()) status = folder->recover();
    if (!status.ok()) return status;
    return folder;
  }

  const std::string& path() const noexcept { return options_.store.path; }
  const SegmentOptions& options() const noexcept { return options_; }
  void set_retention(const RetentionOptions& retention) { options_.retention = retention; }
  void set_disk(const DiskOptions& disk) { options_.disk = disk; }
  Catalog& catalog() noexcept { return *catalog_; }
  const Catalog& catalog() const noexcept { return *catalog_; }
  const Log& log() const noexcept { return log_; }
  Clock& clock() const noexcept { return clock_; }
  std::int64_t now_us() const { return to_us(to_unix_seconds(clock_.wall())); }
  /// Sums since the folder was opened; its parts count in it.
  StoreFigures& totals() noexcept { return totals_; }

  /// See Catalog::apply.
  Status apply(std::span<const SegmentEdit> edits) {
    Status status = catalog_->apply(edits);
    if (!status.ok()) return status;
    for (const SegmentEdit& edit : edits) {
      const bool closed = edit.move == Move::kClose || edit.move == Move::kAdopt;
      if (closed || edit.move == Move::kCorrect) closed_here_.insert(edit.info.seq);
    }
    tell();
    return status;
  }
  Status apply(const SegmentEdit& edit) { return apply(std::span(&edit, 1)); }
  /// See Catalog::forget.
  Status forget(const std::vector<std::int64_t>& gone) {
    Status status = catalog_->forget(gone);
    if (!status.ok()) return status;
    for (const std::int64_t seq : gone) closed_here_.erase(seq);
    tell();
    return status;
  }
  /// Takes in what other processes have done to the catalog.
  Status look_for_others() {
    const auto changed = catalog_->changed();
    if (!changed.ok() || !*changed) return changed.status();
    Status status = catalog_->load();
    tell();
    return status;
  }
  /// Whether the segment's `closed_us` is by the clock of this run.
  bool closed_here(std::int64_t seq) const { return closed_here_.contains(seq); }

  /// Takes a damaged segment out of the history, unless it is on its way out anyway. A file that
  /// cannot be moved stays where it is, and nobody looks into it.
  Status set_aside(std::int64_t seq, const Status& why) {
    const SegmentInfo* info = catalog_->find(seq);
    if (info == nullptr || !state_after(info->state, Move::kSetAside)) return Status();
    log_.error("segment {} is damaged and set aside in quarantine, {} rows: {}", seq, info->rows,
               why.message());
    const Status status = set_segment_aside(*catalog_, *info);
    info = catalog_->find(seq);
    const bool noted = info == nullptr || info->state == SegmentState::kSetAside;
    if (!status.ok() && !noted) return status;
    if (!status.ok()) log_.warn("{}; tried again at the next start", status.message());
    ++totals_.set_aside;
    tell();
    return Status();
  }

  /// Called just before a file is closed or goes, so that nobody keeps a connection to it.
  using OnClose = std::function<void(std::int64_t seq)>;
  void on_close(OnClose call) { on_close_ = std::move(call); }
  void about_to_close(std::int64_t seq) {
    if (on_close_) on_close_(seq);
  }

 private:
  Folder(const SegmentOptions& options, Clock& clock, Log log, Listeners listeners)
      : options_(options),
        clock_(clock),
        log_(std::move(log)),
        listeners_(listeners.begin(), listeners.end()) {}

  Status take() {
    std::error_code error;
    if (std::filesystem::is_regular_file(path(), error)) {
      return Status(Code::kNotOurs,
                    path() +
                        ": a file; the layout `segmented` keeps its history in a folder. "
                        "store.adopt takes a file over, store.layout: single goes on with it");
    }
    if (Status made = make_folder(path()); !made.ok()) return made;
    auto lock = open_pins(pin_file_of(path()));
    if (!lock.ok()) return lock.status();
    lock_ = *std::move(lock);
    const Status alone = lock_->try_lock(kEngineByte);
    if (alone.code() != Code::kBusy) return alone;
    return Status(Code::kBusy, path() + ": another engine has this data folder");
  }

  Status recover() {
    auto catalog = Catalog::open(path(), true);
    if (!catalog.ok()) return catalog.status();
    catalog_.emplace(*std::move(catalog));
    if (!listeners_.empty()) told_ = catalog_->segments();
    Strangers strangers(*catalog_, log_);
    Status status = strangers.look([this](const SegmentInfo& info) { return is_going(info); });
    const std::vector<SegmentInfo> known = catalog_->segments();  // a copy: it changes below
    for (auto info = known.begin(); status.ok() && info != known.end(); ++info) {
      status = info->state == SegmentState::kSetAside ? finish_setting_aside(*info)
                                                      : check_present(*info);
    }
    tell();
    return status;
  }

  // Its last engine died between the commit and the move of the file.
  Status finish_setting_aside(const SegmentInfo& info) {
    const std::string file = catalog_->path_of(info);
    if (!info.path.empty() || ::access(file.c_str(), F_OK) != 0) return Status();
    const Status moved = move_to_quarantine(file);
    log_.warn("{}: is set aside, and was not in quarantine yet{}{}", file,
              moved.ok() ? "" : "; it stays where it is: ", moved.message());
    return Status();
  }

  // Whatever changed the catalog, each change is told once.
  void tell() {
    if (listeners_.empty()) return;
    const std::vector<SegmentInfo> before = std::exchange(told_, catalog_->segments());
    for (FolderListener* listener : listeners_) tell_changes(before, told_, *listener);
  }

  // Nobody would miss its rows.
  bool is_going(const SegmentInfo& info) const {
    return info.state == SegmentState::kExpiring || info.state == SegmentState::kSpare ||
           has_expired(info, options_.retention, now_us());
  }

  // Files that should be there and are not: gone with their retention, or somebody took them.
  Status check_present(const SegmentInfo& info) {
    const std::string file = catalog_->path_of(info);
    if (::access(file.c_str(), F_OK) == 0) return Status();
    if (!is_going(info)) {
      log_.error("{}: this segment is missing; {} rows are lost", file, info.rows);
      ++totals_.set_aside;
    }
    const Status noted = catalog_->apply({Move::kMiss, info});
    return noted.code() == Code::kReload ? Status() : noted;  // whoever let it go has told already
  }

  SegmentOptions options_;
  Clock& clock_;
  Log log_;
  std::unique_ptr<LockFile> lock_;
  std::optional<Catalog> catalog_;
  StoreFigures totals_;
  std::set<std::int64_t> closed_here_;
  OnClose on_close_;
  std::vector<FolderListener*> listeners_;
  std::vector<SegmentInfo> told_;  // the segments that the listeners know of
};

}  // namespace phlower
