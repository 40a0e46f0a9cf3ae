// What one run of phlower-purge did: the JSON for programs, a few lines for people.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cli/json_out.hpp"
#include "phlower/ground/histogram.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/single/single_store.hpp"

namespace phlower::tools {

struct PurgeOutcome {
  std::string way = "phlower";  // or the name of the baseline
  bool dry_run = false;
  bool done = false;  // nothing expired is left
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;
  std::uint64_t slices = 0;
  Histogram hold;  // of the write lock, from asking for it to the end of the commit
  std::uint64_t checkpoints = 0;
  std::uint64_t wal_bytes_max = 0;
  std::uint64_t bytes_reclaimed = 0;
  std::uint64_t segments = 0;  // of a folder: unlinked; with --verify: read
  std::uint64_t damaged = 0;   // found by --verify
  std::uint64_t rescued = 0;   // rows copied by --rescue
  bool folder = false;
  bool verify = false;
  std::uint64_t rows_left = 0;  // an estimate, where it stopped early
  Nanoseconds elapsed{0};
  std::uint64_t doubtful_rows = 0;   // that stay because their age is not certain
  std::vector<std::string> notes;    // what the user should know although all went well
  std::string failure;               // why it is not done
  bool time_up = false;              // --max-time has ended it, as it was told to
  std::vector<std::string> unlinks;  // files of somebody's that go, or would
  std::uint64_t rows_sharing = 0;    // of a folder, about: old ones beside younger ones
};

/// Has the user told of rows whose age is not certain. Requires: a purge or a dry run went through.
inline void take_doubts(const SingleStore& store, PurgeOutcome& outcome) {
  outcome.doubtful_rows = store.doubts().rows();
  if (outcome.doubtful_rows > 0) outcome.notes.push_back(store.notice());
}

inline double to_ms(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

inline nlohmann::ordered_json to_json(const PurgeOutcome& outcome) {
  const Histogram& hold = outcome.hold;
  nlohmann::ordered_json json = {
      {"done", outcome.done},
      {"way", outcome.way},
      {"dry_run", outcome.dry_run},
      {"invocations_deleted", outcome.dry_run ? 0 : outcome.invocations},
      {"details_deleted", outcome.dry_run ? 0 : outcome.details},
      {"slices", outcome.slices},
      {"hold_ms",
       {{"p50", to_ms(hold.quantile(0.5))},
        {"p99", to_ms(hold.quantile(0.99))},
        {"max", to_ms(hold.max())}}},
      {"checkpoints", outcome.checkpoints},
      {"wal_bytes_max", outcome.wal_bytes_max},
      {"bytes_reclaimed", outcome.bytes_reclaimed},
      {"elapsed_s", std::chrono::duration<double>(outcome.elapsed).count()}};
  if (outcome.folder) {
    json["segments"] = outcome.segments;
    json["damaged"] = outcome.damaged;
    json["rescued"] = outcome.rescued;
  }
  if (outcome.dry_run) {
    json["invocations_expired"] = outcome.invocations;
    json["details_expired"] = outcome.details;
  }
  if (outcome.folder && outcome.dry_run) json["rows_sharing_segments"] = outcome.rows_sharing;
  if (!outcome.unlinks.empty()) json["unlinks"] = outcome.unlinks;
  if (outcome.time_up) json["time_up"] = true;
  if (outcome.doubtful_rows > 0) json["rows_of_uncertain_age"] = outcome.doubtful_rows;
  std::string notes;
  for (const std::string& note : outcome.notes) notes += (notes.empty() ? "" : "; ") + note;
  if (!notes.empty()) json["note"] = notes;
  if (!outcome.failure.empty()) json["failure"] = outcome.failure;
  return json;
}

/// What a dry run of a folder found.
inline std::string to_text_of_plan(const PurgeOutcome& outcome) {
  std::string text;
  if (outcome.rescued > 0) {
    text = fmt::format("would copy {} rows\n", format_count(outcome.rescued));
  }
  text += fmt::format("would unlink {} segments: {} rows, {} details, {}\n", outcome.segments,
                      format_count(outcome.invocations), format_count(outcome.details),
                      format_bytes(outcome.bytes_reclaimed));
  for (const std::string& file : outcome.unlinks) {
    text += fmt::format("THE ORIGINAL FILE {} would be unlinked\n", file);
  }
  if (outcome.rows_sharing > 0) {
    text += fmt::format(
        "about {} rows and details are older and share segments with younger ones: they go with "
        "those\n",
        format_count(outcome.rows_sharing));
  }
  return text + "nothing was written\n";
}

/// The report for people.
inline std::string to_text(const PurgeOutcome& outcome) {
  if (outcome.dry_run && outcome.folder) return to_text_of_plan(outcome);
  if (outcome.dry_run) {
    return fmt::format("expired: {} rows and {} details; nothing was written\n",
                       format_count(outcome.invocations), format_count(outcome.details));
  }
  if (outcome.verify) {
    return fmt::format("{} segments read in {}, {} damaged\n", outcome.segments,
                       format_duration(outcome.elapsed), outcome.damaged);
  }
  if (outcome.folder) {
    std::string text = outcome.rescued > 0
                           ? fmt::format("copied {} rows\n", format_count(outcome.rescued))
                           : std::string();
    for (const std::string& file : outcome.unlinks) text += fmt::format("unlinked {}\n", file);
    return text + fmt::format("unlinked {} segments: {} rows, {} details, {} in {}\n",
                              outcome.segments, format_count(outcome.invocations),
                              format_count(outcome.details), format_bytes(outcome.bytes_reclaimed),
                              format_duration(outcome.elapsed));
  }
  const double seconds = std::chrono::duration<double>(outcome.elapsed).count();
  const auto rows = static_cast<double>(outcome.invocations);
  std::string text =
      fmt::format("deleted {} rows and {} details in {} ({:.0f} rows/s)\n",
                  format_count(outcome.invocations), format_count(outcome.details),
                  format_duration(outcome.elapsed), seconds > 0 ? rows / seconds : 0.0);
  text +=
      fmt::format("write lock held {} times: median {:.1f} ms, p99 {:.1f} ms, worst {:.1f} ms\n",
                  format_count(outcome.slices), to_ms(outcome.hold.quantile(0.5)),
                  to_ms(outcome.hold.quantile(0.99)), to_ms(outcome.hold.max()));
  text += fmt::format("WAL at most {}\n", format_bytes(outcome.wal_bytes_max));
  if (outcome.bytes_reclaimed > 0) {
    text +=
        fmt::format("given back to the file system: {}\n", format_bytes(outcome.bytes_reclaimed));
  }
  if (!outcome.done && outcome.rows_left > 0) {
    text += fmt::format("about {} rows and details are left; run it again to go on\n",
                        format_count(outcome.rows_left));
  }
  return text;
}

}  // namespace phlower::tools
