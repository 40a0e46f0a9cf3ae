// The identity of a history: random, made once, kept in its database. A ring names the history that
// takes its records by it (ring/owner.hpp). A copy of a history has the same.
#pragma once

#include <sys/random.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/record/ring_position.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Zeros where the database has none. Requires: the table phlower_state.
inline Result<HistoryId> load_history_id(sqlite::Connection& db) {
  std::uint64_t halves[2] = {};
  for (const int half : {0, 1}) {
    auto select = db.prepare("SELECT whole FROM phlower_state WHERE key = ?1");
    if (!select.ok()) return select.status();
    const std::string key = "history_id_" + std::to_string(half);
    select->bind(1, std::string_view(key));
    const auto row = select->step();
    if (!row.ok()) return row.status();
    if (*row) halves[half] = std::bit_cast<std::uint64_t>(select->integer(0));
  }
  HistoryId id{};
  std::memcpy(id.data(), halves, id.size());
  return id;
}

/// The same, made where there is none. Requires: no open transaction. Errors: kBusy as the
/// connection's timeout has it, and of SQLite. Blocks: for a commit, the first time.
inline Result<HistoryId> load_or_make_history_id(sqlite::Connection& db) {
  auto id = load_history_id(db);
  if (!id.ok() || *id != HistoryId{}) return id;
  std::uint64_t halves[2] = {};
  if (::getrandom(halves, sizeof(halves), 0) != static_cast<ssize_t>(sizeof(halves))) {
    return Status::from_errno("getrandom");
  }
  std::string sql = "BEGIN IMMEDIATE;";
  for (const int half : {0, 1}) {
    // Somebody may have been faster.
    sql += "INSERT INTO phlower_state (key, whole) VALUES ('history_id_" + std::to_string(half) +
           "', " + std::to_string(std::bit_cast<std::int64_t>(halves[half])) +
           ") ON CONFLICT (key) DO NOTHING;";
  }
  if (Status made = db.exec(sql + "COMMIT"); !made.ok()) {
    if (!db.autocommit()) static_cast<void>(db.exec("ROLLBACK"));
    return made;
  }
  return load_history_id(db);
}

}  // namespace phlower
