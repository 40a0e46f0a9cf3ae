// What one run of phlower-purge did: the JSON for programs, a few lines for people.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "cli/json_out.hpp"
#include "phlower/door/maintenance_report.hpp"
#include "phlower/ground/units.hpp"
#include "purge/options.hpp"

namespace phlower::tools {

/// Why it is not done; empty where it is.
inline std::string failure_of(const MaintenanceReport& report, const PurgeOptions& options) {
  switch (report.end) {
    case MaintenanceEnd::kDone: break;
    case MaintenanceEnd::kUnwanted: return "stopped by a signal";
    case MaintenanceEnd::kProblem: return std::string(report.status.message());
    case MaintenanceEnd::kTimeUp:
      return "stopped after --max-time " + exact_duration(*options.how.max_time) +
             (report.waited_for.empty() ? "" : ": " + report.waited_for);
  }
  return "";
}

inline double to_ms(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

inline nlohmann::ordered_json to_json(const MaintenanceReport& report,
                                      const PurgeOptions& options) {
  const Histogram& hold = report.hold;
  nlohmann::ordered_json json = {
      {"done", report.done},
      {"way", "phlower"},
      {"dry_run", report.dry_run},
      {"invocations_deleted", report.dry_run ? 0 : report.invocations},
      {"details_deleted", report.dry_run ? 0 : report.details},
      {"slices", report.slices},
      {"hold_ms",
       {{"p50", to_ms(hold.quantile(0.5))},
        {"p99", to_ms(hold.quantile(0.99))},
        {"max", to_ms(hold.max())}}},
      {"checkpoints", report.checkpoints},
      {"wal_bytes_max", report.wal_bytes_max},
      {"bytes_reclaimed", report.bytes_reclaimed},
      {"elapsed_s", std::chrono::duration<double>(report.elapsed).count()}};
  if (report.folder) {
    json["segments"] = report.segments;
    json["damaged"] = report.damaged;
    json["rescued"] = report.rescued;
  }
  if (report.dry_run) {
    json["invocations_expired"] = report.invocations;
    json["details_expired"] = report.details;
  }
  if (report.folder && report.dry_run) json["rows_sharing_segments"] = report.rows_sharing;
  if (!report.unlinked.empty()) json["unlinks"] = report.unlinked;
  if (report.end == MaintenanceEnd::kTimeUp) json["time_up"] = true;
  if (report.doubtful_rows > 0) json["rows_of_uncertain_age"] = report.doubtful_rows;
  std::string notes;
  for (const std::string& note : report.notes) notes += (notes.empty() ? "" : "; ") + note;
  if (!notes.empty()) json["note"] = notes;
  const std::string failure = failure_of(report, options);
  if (!failure.empty()) json["failure"] = failure;
  return json;
}

/// What a dry run of a folder found.
inline std::string to_text_of_plan(const MaintenanceReport& report) {
  std::string text;
  if (report.rescued > 0) {
    text = fmt::format("would copy {} rows\n", format_count(report.rescued));
  }
  text += fmt::format("would unlink {} segments: {} rows, {} details, {}\n", report.segments,
                      format_count(report.invocations), format_count(report.details),
                      format_bytes(report.bytes_reclaimed));
  for (const std::string& file : report.unlinked) {
    text += fmt::format("THE ORIGINAL FILE {} would be unlinked\n", file);
  }
  if (report.rows_sharing > 0) {
    text += fmt::format(
        "about {} rows and details are older and share segments with younger ones: they go with "
        "those\n",
        format_count(report.rows_sharing));
  }
  return text + "nothing was written\n";
}

/// The report for people.
inline std::string to_text(const MaintenanceReport& report, PurgeWork work) {
  if (report.dry_run && report.folder) return to_text_of_plan(report);
  if (report.dry_run) {
    return fmt::format("expired: {} rows and {} details; nothing was written\n",
                       format_count(report.invocations), format_count(report.details));
  }
  if (work == PurgeWork::kVerify) {
    return fmt::format("{} segments read in {}, {} damaged\n", report.segments,
                       format_duration(report.elapsed), report.damaged);
  }
  if (report.folder) {
    std::string text = report.rescued > 0
                           ? fmt::format("copied {} rows\n", format_count(report.rescued))
                           : std::string();
    for (const std::string& file : report.unlinked) text += fmt::format("unlinked {}\n", file);
    return text + fmt::format("unlinked {} segments: {} rows, {} details, {} in {}\n",
                              report.segments, format_count(report.invocations),
                              format_count(report.details), format_bytes(report.bytes_reclaimed),
                              format_duration(report.elapsed));
  }
  const double seconds = std::chrono::duration<double>(report.elapsed).count();
  const auto rows = static_cast<double>(report.invocations);
  std::string text =
      fmt::format("deleted {} rows and {} details in {} ({:.0f} rows/s)\n",
                  format_count(report.invocations), format_count(report.details),
                  format_duration(report.elapsed), seconds > 0 ? rows / seconds : 0.0);
  text +=
      fmt::format("write lock held {} times: median {:.1f} ms, p99 {:.1f} ms, worst {:.1f} ms\n",
                  format_count(report.slices), to_ms(report.hold.quantile(0.5)),
                  to_ms(report.hold.quantile(0.99)), to_ms(report.hold.max()));
  text += fmt::format("WAL at most {}\n", format_bytes(report.wal_bytes_max));
  if (report.bytes_reclaimed > 0) {
    text +=
        fmt::format("given back to the file system: {}\n", format_bytes(report.bytes_reclaimed));
  }
  if (!report.done && report.rows_left > 0) {
    text += fmt::format("about {} rows and details are left; run it again to go on\n",
                        format_count(report.rows_left));
  }
  return text;
}

}  // namespace phlower::tools
