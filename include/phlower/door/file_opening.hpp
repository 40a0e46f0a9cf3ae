// Opens a database file for maintenance while others may be using it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "phlower/door/maintenance_options.hpp"
#include "phlower/door/maintenance_report.hpp"
#include "phlower/door/pace.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/single/single_store.hpp"
#include "phlower/sqlite/lock_holders.hpp"

namespace phlower {

/// Without a `max_time` a lock that is not released ends a run after this long.
inline constexpr Nanoseconds kLockedForEver = Seconds(30);

/// A file knows of no retention: what is not said is the default.
inline RetentionOptions retention_of_file(const MaintenanceOptions& options) {
  RetentionOptions retention;
  retention.invocations = options.invocations.value_or(retention.invocations);
  retention.details = options.details.value_or(retention.details);
  return retention;
}

/// While somebody holds a lock that opening needs, tries again. Errors: kBusy names who has it;
/// and of the store.
inline Result<std::unique_ptr<SingleStore>> open_patiently(const MaintenanceOptions& options,
                                                           OpenMode mode, Pace& pace) {
  StoreOptions file = options.store;
  file.path = options.path;
  const RetentionOptions retention = retention_of_file(options);
  for (;;) {
    auto store = SingleStore::open(file, retention, mode);
    if (store.ok() || store.status().code() != Code::kBusy) return store;
    if (pace.over() || (!options.max_time && pace.elapsed() >= kLockedForEver)) {
      return Status(Code::kBusy, options.path + ": locked by " + whoever_locks(options.path) +
                                     "; gave up after " + format_duration(pace.elapsed()));
    }
    pace.pause(Milliseconds(20));
  }
}

/// Whoever declared ON DELETE CASCADE must know that it does not happen here.
inline void note_references(SingleStore& store, MaintenanceReport& report) {
  const std::string tables = store.referring_tables();
  if (tables.empty()) return;
  report.notes.push_back(store.path() +
                         ": foreign keys are not enforced, as is SQLite's default; " +
                         "rows that refer to what is deleted stay in: " + tables);
}

/// Requires: a purge or a dry run went through.
inline void note_doubts(const SingleStore& store, MaintenanceReport& report) {
  report.doubtful_rows = store.doubts().rows();
  if (report.doubtful_rows > 0) report.notes.push_back(store.notice());
}

}  // namespace phlower
