// The purge of a data folder: expired segments are unlinked, whether an engine runs or not.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "phlower/door/folder_plan.hpp"
#include "phlower/segment/file_mark.hpp"
#include "phlower/segment/folder_guest.hpp"
#include "phlower/segment/segmented_store.hpp"

namespace phlower {

/// Of a store that is opened for maintenance alone: nothing goes but what has expired.
inline SegmentOptions maintenance_segments(const MaintenanceOptions& options,
                                           const RetentionOptions& retention) {
  SegmentOptions segments{options.store, retention, {}};
  segments.store.path = options.path;
  segments.store.adopt.clear();
  return segments;
}

/// One run over one folder. Not thread safe. Blocks: until all is done or stopped; the pace tells.
class FolderPurge {
 public:
  FolderPurge(const MaintenanceOptions& options, FolderPlan& plan, Pace& pace,
              MaintenanceReport& report)
      : options_(options), plan_(plan), pace_(pace), report_(report) {}

  /// Counts, and writes nothing.
  Status dry_run() {
    plan_.note_that_nothing_expires();
    auto catalog = Catalog::open(options_.path, false);
    if (!catalog.ok()) return catalog.status();
    for (const SegmentInfo& info : catalog->segments()) {
      const bool expiring = info.state == SegmentState::kExpiring;
      if (expiring && !info.path.empty() && is_written_anew(info.path, info.checksum)) {
        report_.notes.push_back(written_anew_text(info.path));
        continue;
      }
      const bool going = expiring || plan_.has_expired(info);
      if (going) plan_.count(info);
      if (!going && info.readable()) report_.rows_sharing += plan_.older_rows(info);
    }
    report_.done = true;
    return Status();
  }

  Status run() {
    plan_.note_that_nothing_expires();
    SegmentOptions segments = maintenance_segments(options_, plan_.retention());
    segments.disk.cap_bytes = ~0ull;
    segments.disk.cap_percent = 100;
    segments.store.helper_thread = false;
    auto store = SegmentedStore::open(segments, pace_.clock());
    if (store.ok()) return purge_alone(**store);
    if (store.status().code() != Code::kBusy) return store.status();
    return purge_beside_engine();
  }

 private:
  // Nobody has the folder: what is written is sealed too where its span is over, and nothing comes
  // for which a late segment would have to wait.
  Status purge_alone(SegmentedStore& store) {
    std::vector<SegmentInfo> before = store.segments().catalog().segments();
    for (const SegmentInfo& info : before) {
      if (plan_.has_expired(info)) plan_.announce(info);
    }
    for (int quiet = 0; quiet < 3 && !pace_.over();) {
      const auto done = store.tend(pace_.clock().mono() + writers_detail::kLateIdle);
      if (!done.ok()) return done.status();
      const bool busy =
          *done > 0 || store.segments().upkeep_waits() || store.segments().backlog_rows() > 0;
      quiet = busy ? 0 : quiet + 1;
      if (!busy || *done == 0) pace_.pause(Milliseconds(busy ? 1 : 25));
    }
    for (const SegmentInfo& info : before) {
      const bool kept = store.segments().catalog().find(info.seq) != nullptr;
      if (kept || info.state == SegmentState::kSpare) continue;
      if (!info.path.empty() && file_mark(info.path) != 0) {
        report_.notes.push_back(written_anew_text(info.path));
      } else {
        plan_.count(info);
      }
    }
    report_.done = pace_.end() == MaintenanceEnd::kDone;
    return Status();
  }

  // The engine keeps writing, and sealing; closed segments may go without it. Those that are being
  // read are waited for.
  Status purge_beside_engine() {
    auto guest = FolderGuest::open(options_.path);
    if (!guest.ok()) return guest.status();
    const Status noted =
        guest->let_go([this](const SegmentInfo& info) { return plan_.has_expired(info); });
    if (!noted.ok()) return noted;
    for (const SegmentInfo& info : guest->going()) plan_.announce(info);
    while (!guest->going().empty()) {
      const auto gone = guest->remove_some();
      if (!gone.ok()) return gone.status();
      for (const SegmentInfo& info : *gone) plan_.count(info);
      if (guest->going().empty()) break;
      if (pace_.over()) return Status();
      pace_.pause(Milliseconds(20));
    }
    for (const std::string& path : guest->written_anew()) {
      report_.notes.push_back(written_anew_text(path));
    }
    if (report_.notes.empty()) {
      report_.notes.emplace_back(
          "an engine has this folder: rows in segments that it still writes go with these");
    }
    report_.done = true;
    return Status();
  }

  const MaintenanceOptions& options_;
  FolderPlan& plan_;
  Pace& pace_;
  MaintenanceReport& report_;
};

}  // namespace phlower
