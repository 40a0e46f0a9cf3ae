// How far the retention of details has got in a family of tables, kept in phlower_state.
#pragma once

#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/single/family.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// The mark of a family in phlower_state; none is a mark before everything.
inline Result<DetailsMark> load_mark(sqlite::Connection& db, const std::string& table) {
  auto statement = db.prepare("SELECT number, whole FROM phlower_state WHERE key = ?1");
  if (!statement.ok()) return statement.status();
  const std::string key = "details_mark:" + table;
  statement->bind(1, std::string_view(key));
  const auto row = statement->step();
  if (!row.ok()) return row.status();
  DetailsMark mark;
  if (*row && !statement->is_null(0)) mark = {statement->real(0), statement->integer(1)};
  statement->reset();
  return mark;
}

inline Status save_mark(sqlite::Connection& db, const std::string& table, const DetailsMark& mark) {
  auto statement = db.prepare(
      "INSERT INTO phlower_state (key, number, whole) VALUES (?1, ?2, ?3) "
      "ON CONFLICT (key) DO UPDATE SET number = ?2, whole = ?3");
  if (!statement.ok()) return statement.status();
  const std::string key = "details_mark:" + table;
  statement->bind(1, std::string_view(key));
  statement->bind(2, mark.time);
  statement->bind(3, mark.rowid);
  return statement->run();
}

/// For a table that is dropped: another of its name begins anew.
inline Status forget_mark(sqlite::Connection& db, const std::string& table) {
  auto statement = db.prepare("DELETE FROM phlower_state WHERE key = ?1");
  if (!statement.ok()) return statement.status();
  const std::string key = "details_mark:" + table;
  statement->bind(1, std::string_view(key));
  return statement->run();
}
}  // namespace phlower
