// Makes a database with rows that are past their retention, so that there is something to purge.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/segment/segmented_store.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/rows.hpp"
#include "phlower/single/schema.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "replay/records.hpp"

namespace phlower::tools {

/// Writes `rows` expired rows, with details, into a new file at `path` in the origin's schema.
/// They finished between `age` and `age` plus a day before now, in the order of their rowids.
/// Errors: kInvalidArgument when the file exists already, and SQLite's.
inline Status make_backlog(const std::string& path, std::uint64_t rows, Nanoseconds age,
                           const std::vector<Record>& templates, Clock& clock) {
  auto opened = sqlite::Connection::open(path, sqlite::Access::kCreate);
  if (!opened.ok()) return opened.status();
  sqlite::Connection db = *std::move(opened);
  // Nobody else has the file and it can be made again: no journal, no waiting for the disk.
  Status status = db.exec(
      "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
      "PRAGMA cache_size=-262144; BEGIN");
  if (status.ok()) status = db.exec(schema::create_invocations());
  if (status.ok()) status = db.exec(schema::create_details());
  for (const std::string_view sql : schema::kCreateOriginTables) {
    if (status.ok()) status = db.exec(std::string(sql));
  }
  if (!status.ok()) return status;
  auto invocation = db.prepare(row_sql::insert<FieldPart::kRow>());
  if (!invocation.ok()) return invocation.status();
  auto details = db.prepare(row_sql::insert<FieldPart::kDetails>());
  if (!details.ok()) return details.status();
  FreshRecords records(templates, 77, clock);
  const double oldest = to_unix_seconds(clock.wall() - age) - 86'400.0;
  for (std::uint64_t i = 0; i < rows; ++i) {
    Record record = records.next();
    const double moved = oldest + 86'400.0 * static_cast<double>(i) / static_cast<double>(rows) -
                         record.view().version_time();
    visit_numbers(
        [moved](const Field& field, double& time) {
          if (field.kind == FieldKind::kTime && time > 0) time += moved;
        },
        record);
    bind_row(*invocation, record.view());
    if (status = invocation->run(); !status.ok()) return status;
    bind_details(*details, record.view());
    if (status = details->run(); !status.ok()) return status;
  }
  // Indexes last: a build in order is several times faster than rows in random order.
  for (const std::string_view sql : schema::kCreateIndexes) {
    if (status = db.exec(std::string(sql)); !status.ok()) return status;
  }
  if (status = db.exec("COMMIT"); !status.ok()) return status;
  return db.exec("PRAGMA journal_mode=WAL");
}

/// The same as a data folder: segments that were sealed when their rows were new. `rows` expired
/// rows with details, in the spans of their times.
inline Status make_backlog_segments(const Options& options, std::uint64_t rows, Nanoseconds age,
                                    const std::vector<Record>& templates, Clock& clock) {
  constexpr std::uint64_t kBatch = 2000;
  // A clock that stands in the day in which the rows finished.
  ManualClock then(clock.wall() - age - Hours(24));
  SegmentOptions segments{options.store, options.retention, options.disk};
  segments.store.helper_thread = false;
  auto opened = SegmentedStore::open(segments, then);
  if (!opened.ok()) return opened.status();
  SegmentedStore& store = **opened;
  FreshRecords records(templates, 77, then);
  const Nanoseconds step = Nanoseconds(Hours(24)) / static_cast<std::int64_t>(rows + 1);
  Status status;
  for (std::uint64_t done = 0; status.ok() && done < rows;) {
    status = store.begin();
    for (std::uint64_t i = 0; status.ok() && i < kBatch && done < rows; ++i, ++done) {
      then.advance(step);
      status = store.upsert(records.next().view()).status();
    }
    if (status.ok()) status = store.commit();
    if (status.ok() && store.wal_bytes() > options.store.wal_soft_bytes) {
      status = store.checkpoint().status();
    }
    while (status.ok() && store.tend_due(then.mono())) status = store.tend(then.mono()).status();
  }
  // The next span begins: what is written is complete, and sealed in the steps that follow.
  for (int quiet = 0; status.ok() && quiet < 60;) {
    then.advance(quiet == 0 ? Nanoseconds(Hours(6)) : Nanoseconds(Seconds(1)));
    const auto done = store.tend(then.mono());
    status = done.status();
    quiet = done.ok() && *done == 0 && !store.segments().upkeep_waits() ? quiet + 1 : 1;
  }
  return status;
}

}  // namespace phlower::tools
