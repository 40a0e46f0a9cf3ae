// phlower-purge --baseline: the purges of old on the same file, to compare with in one run.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>

#include "cli/signals.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/real_path.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/single/file_kind.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "purge/options.hpp"
#include "purge/outcome.hpp"
#include "replay/old_purge.hpp"

namespace phlower::tools {

inline std::uint64_t file_bytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

/// 50,000 rows a transaction with 50 ms between two, or all in one; pragmas as SQLite has them.
/// Errors: kUnsupported for another schema than `single`.
inline Status run_baseline(const PurgeOptions& options, Clock& clock, PurgeOutcome& outcome) {
  outcome.way = old_way_name(*options.baseline);
  const MonoTime begin = clock.mono();
  auto db = sqlite::Connection::open(options.target, sqlite::Access::kReadWrite);
  if (!db.ok()) return db.status();
  if (Status status = db->exec("PRAGMA busy_timeout = 5000"); !status.ok()) return status;
  const auto look = look_at_tables(*db);
  if (!look.ok()) return look.status();
  if (look->kind != FileKind::kSingle) {
    return Status(Code::kUnsupported,
                  options.target + ": --baseline works on the single schema only");
  }
  // Those purges compare times as numbers, whatever stands there.
  if (!look->families.back().finished_index) {
    return Status(
        Code::kUnsupported,
        options.target + ": --baseline needs an index on finished_at, a column of numbers");
  }
  OldPurge purge(*db, *options.baseline);
  const Cutoffs cutoffs = cutoffs_at(options.retention, clock.wall());
  for (bool more = true; more;) {
    if (stop_requested() || (options.max_time && clock.mono() - begin >= *options.max_time)) {
      outcome.time_up = !stop_requested();
      outcome.failure = stop_requested() ? "stopped by a signal" : "stopped after --max-time";
      break;
    }
    const MonoTime asked = clock.mono();
    const auto step = purge.step(cutoffs);
    if (!step.ok()) return step.status();
    outcome.hold.record(clock.mono() - asked);
    ++outcome.slices;
    outcome.invocations += step->invocations;
    outcome.details += step->details;
    outcome.wal_bytes_max =
        std::max(outcome.wal_bytes_max, file_bytes(beside(options.target, "-wal")));
    more = step->more;
    if (more) std::this_thread::sleep_for(Milliseconds(50));
    outcome.done = !more;
  }
  outcome.elapsed = clock.mono() - begin;
  return Status();
}

}  // namespace phlower::tools
