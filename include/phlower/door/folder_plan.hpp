// What has expired in a data folder, and how it is counted: one rule for the purge, its dry run and
// a rescue.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "phlower/door/maintenance_options.hpp"
#include "phlower/door/maintenance_report.hpp"
#include "phlower/door/pace.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/segment/adopt.hpp"
#include "phlower/segment/known_versions.hpp"
#include "phlower/segment/rotation.hpp"
#include "phlower/segment/settings.hpp"

namespace phlower {

/// Not thread safe. All outlive this.
class FolderPlan {
 public:
  FolderPlan(const MaintenanceOptions& options, Pace& pace, MaintenanceReport& report)
      : options_(options), pace_(pace), report_(report) {}

  /// What the options leave open is as the engine of this folder was told. Errors:
  /// kInvalidArgument where that does not go together, kVersion.
  Status take_retention() {
    if (Status known = check_known_versions(options_.path); !known.ok()) return known;
    auto catalog = Catalog::open(options_.path, false);
    if (!catalog.ok()) return catalog.status();
    const auto told = load_retention(catalog->db());
    if (!told.ok()) return told.status();
    retention_ = *told;
    if (options_.invocations) {
      retention_.invocations = *options_.invocations;
      retention_.keep_forever = false;
    } else if (told->keep_forever && options_.details) {
      return Status(
          Code::kInvalidArgument,
          options_.path + ": its engine keeps rows for ever; say how long rows are kept, too");
    }
    if (options_.details) retention_.details = *options_.details;
    return Status();
  }
  const RetentionOptions& retention() const noexcept { return retention_; }

  void note_that_nothing_expires() {
    if (!retention_.keep_forever) return;
    report_.notes.push_back(options_.path +
                            ": its engine keeps everything for ever; nothing expires");
  }

  std::int64_t now_us() { return to_us(to_unix_seconds(pace_.clock().wall())); }
  bool has_expired(const SegmentInfo& info) {
    return may_expire(info, retention_, now_us(), [this](std::string text) {
      auto& notes = report_.notes;
      if (std::find(notes.begin(), notes.end(), text) == notes.end())
        notes.push_back(std::move(text));
    });
  }

  /// A segment is gone, or would go.
  void count(const SegmentInfo& info) {
    ++report_.segments;
    const bool rows = info.family == SegmentFamily::kRows;
    (rows ? report_.invocations : report_.details) += info.rows;
    report_.bytes_reclaimed += info.bytes;
    if (!info.path.empty()) report_.unlinked.push_back(info.path);
  }

  /// Somebody's file, of their name and in their place: said before it is done.
  void announce(const SegmentInfo& info) {
    if (info.path.empty()) return;
    pace_.tell(MaintenanceNews::kUnlinks,
               "THE ORIGINAL FILE " + info.path + " WILL BE UNLINKED (about " +
                   format_count(info.rows) + " rows, " + format_bytes(info.bytes) + ")");
  }

  /// Rows of a segment that stays, as many as a steady stream would have put before the cutoff.
  std::uint64_t older_rows(const SegmentInfo& info) {
    const std::int64_t cutoff = now_us() - lifetime_us(retention_, info.family);
    const std::int64_t newest = newest_time(info);
    if (retention_.keep_forever || info.rows == 0 || info.oldest_us > cutoff) return 0;
    if (newest <= cutoff) return info.rows;  // one that is still written
    const double share = static_cast<double>(cutoff - info.oldest_us + 1) /
                         static_cast<double>(newest - info.oldest_us + 1);
    return static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(info.rows)));
  }

 private:
  const MaintenanceOptions& options_;
  Pace& pace_;
  MaintenanceReport& report_;
  RetentionOptions retention_;
};

}  // namespace phlower
