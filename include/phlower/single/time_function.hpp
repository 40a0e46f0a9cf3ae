// phlower_time(finished_at, started_at, received_at) in SQL: the time of a row by which it is
// ordered and found, in seconds; 0 where it has none that is understood.
#pragma once

#include "phlower/ground/status.hpp"
#include "phlower/single/cell_time.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

namespace time_function_detail {

inline void call(sqlite3_context* context, int, sqlite3_value** values) {
  const auto cell = [values](int i) { return read_time(Cell::of(values[i])); };
  sqlite3_result_double(context, row_time(cell(0), cell(1), cell(2)).time.at);
}

}  // namespace time_function_detail

/// For this connection alone, and not for what stands in the schema of a file. Again: nothing.
inline Status add_time_function(sqlite::Connection& db) {
  if (db.prepare("SELECT phlower_time(NULL, NULL, NULL)").ok()) return Status();
  const int result = sqlite3_create_function_v2(
      db.raw(), "phlower_time", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, nullptr,
      &time_function_detail::call, nullptr, nullptr, nullptr);
  if (result == SQLITE_OK) return Status();
  return sqlite::detail::error(db.raw(), result, db.path(), "phlower_time");
}

}  // namespace phlower
