// Makes a database with rows that are past their retention, so that there is something to purge.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "phlower/ground/clock.hpp"
#include "phlower/store/rows.hpp"
#include "phlower/store/schema.hpp"
#include "phlower/store/sqlite.hpp"
#include "replay_records.hpp"

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
  for (const std::string_view sql : {schema::kCreateInvocations, schema::kCreateDetails}) {
    if (status.ok()) status = db.exec(std::string(sql));
  }
  for (const std::string_view sql : schema::kCreateOriginTables) {
    if (status.ok()) status = db.exec(std::string(sql));
  }
  if (!status.ok()) return status;
  auto invocation = db.prepare(
      "INSERT INTO invocations (task_id, task_name, state, received_at, started_at, finished_at, "
      "runtime_ms, worker, queue, exception_type) VALUES (?,?,?,?,?,?,?,?,?,?)");
  if (!invocation.ok()) return invocation.status();
  auto details = db.prepare(
      "INSERT INTO invocation_details (task_id, args_preview, kwargs_preview, traceback_snippet) "
      "VALUES (?,?,?,?)");
  if (!details.ok()) return details.status();
  FreshRecords records(templates, 77, clock);
  const double oldest = to_unix_seconds(clock.wall() - age) - 86'400.0;
  for (std::uint64_t i = 0; i < rows; ++i) {
    Record record = records.next();
    const double moved = oldest + 86'400.0 * static_cast<double>(i) / static_cast<double>(rows) -
                         record.view().version_time();
    for (UnixSeconds* time : {&record.received_at, &record.started_at, &record.finished_at}) {
      if (*time > 0) *time += moved;
    }
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

}  // namespace phlower::tools
