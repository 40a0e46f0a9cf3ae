// Reads all of a data folder and sets aside what is damaged, whether an engine runs or not.
#pragma once

#include <string>
#include <vector>

#include "phlower/door/maintenance_options.hpp"
#include "phlower/door/maintenance_report.hpp"
#include "phlower/door/pace.hpp"
#include "phlower/segment/folder_guest.hpp"

namespace phlower {

/// One run over one folder. Not thread safe. Blocks: for as long as reading everything takes.
class FolderVerify {
 public:
  FolderVerify(const MaintenanceOptions& options, Pace& pace, MaintenanceReport& report)
      : options_(options), pace_(pace), report_(report) {}

  /// OK also when it was stopped: the pace tells. kCorrupt: there is damage. kVersion: nothing was
  /// looked at.
  Status run() {
    if (Status known = check_known_versions(options_.path); !known.ok()) return known;
    auto catalog = Catalog::open(options_.path, false);
    if (!catalog.ok()) return catalog.status();
    const std::vector<SegmentInfo> segments = catalog->segments();  // a copy: it changes below
    for (const SegmentInfo& info : segments) {
      if (!info.readable()) continue;
      if (pace_.over()) return Status();
      if (Status status = look_at(*catalog, info); !status.ok()) return status;
    }
    report_.done = report_.damaged == 0;
    if (report_.done) return Status();
    return Status(Code::kCorrupt,
                  report_.notes.empty()
                      ? "damaged segments were set aside; their files are in quarantine/"
                      : "there are damaged segments");
  }

 private:
  Status look_at(Catalog& catalog, const SegmentInfo& info) {
    const Status found = verify_segment(catalog, info);
    ++report_.segments;
    // It may have been sealed, or gone, while it was read.
    if (found.ok() || has_changed_meanwhile(catalog, info)) return Status();
    const Code code = found.code();
    const bool damaged =
        code == Code::kCorrupt || code == Code::kNotFound || code == Code::kNotOurs;
    if (!damaged) return found;
    ++report_.damaged;
    pace_.tell(MaintenanceNews::kDamage, std::string(found.message()));
    const Status status = set_aside(info);
    if (status.code() != Code::kPermission) return status;
    report_.notes.emplace_back("they stay where they are: " + std::string(status.message()));
    return Status();
  }

  Status set_aside(const SegmentInfo& info) {
    auto guest = FolderGuest::open(options_.path);
    if (!guest.ok()) return guest.status();
    const auto aside = guest->set_aside(info);
    if (!aside.ok()) return aside.status();
    if (!*aside) {
      report_.notes.emplace_back(
          "an engine writes a damaged segment; it stops, and sets it aside at its start");
    }
    return Status();
  }

  static bool has_changed_meanwhile(Catalog& catalog, const SegmentInfo& info) {
    const auto changed = catalog.changed();
    if (!changed.ok() || !*changed || !catalog.load().ok()) return false;
    const SegmentInfo* now = catalog.find(info.seq);
    return now == nullptr || now->state != info.state;
  }

  const MaintenanceOptions& options_;
  Pace& pace_;
  MaintenanceReport& report_;
};

}  // namespace phlower
