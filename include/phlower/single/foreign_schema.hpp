// What the schema of somebody's file adds to our tables (triggers, constraints, indexes on
// functions) and whether our statements get through it. Asked at the opening, so that a file is
// refused with words and not accepted to be stuck.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/pragmas.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

namespace foreign_schema_detail {

inline Status refused(const sqlite::Connection& db, const std::string& table, std::string_view what,
                      std::string_view why) {
  return Status(Code::kUnsupported,
                db.path() + ": " + std::string(what) + " table " + table +
                    ": its triggers, constraints or indexes do not allow it: " + std::string(why));
}

inline Status try_prepare(sqlite::Connection& db, const std::string& table, std::string_view what,
                          const std::string& sql) {
  const auto made = db.prepare(sql);
  if (made.ok() || (made.status().sqlite_code() & 0xff) != SQLITE_ERROR) return made.status();
  return refused(db, table, what, sqlite3_errmsg(db.raw()));
}

/// One step of the trial; it must change one row.
inline Status try_change(sqlite::Connection& db, const std::string& table, std::string_view what,
                         const std::string& sql) {
  const Status done = db.exec(sql);
  if (!done.ok()) {
    const int code = done.sqlite_code() & 0xff;
    const bool schema =
        code == SQLITE_ERROR || code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH;
    return schema ? refused(db, table, what, sqlite3_errmsg(db.raw())) : done;
  }
  return db.changes() == 1 ? Status() : refused(db, table, what, "nothing is changed");
}

/// Of a task that no queue has.
inline constexpr std::string_view kTrialId = "'phlower: a trial'";

/// Of a task that has succeeded.
inline std::string_view trial_value(const Field& field) {
  switch (field.kind) {
    case FieldKind::kId: return kTrialId;
    case FieldKind::kWord: return "'SUCCESS'";
    case FieldKind::kText: return field.merge == FieldMerge::kWinners ? "NULL" : "'{}'";
    case FieldKind::kTime: return "1795000000.0";
    case FieldKind::kRuntime: return "1.0";
  }
  return "NULL";
}

template <FieldPart kPart>
std::string trial_insert() {
  std::string values(kPart == FieldPart::kDetails ? kTrialId : "");
  for (const Field& field : fields_of<kPart>()) {
    (values += values.empty() ? "" : ", ") += trial_value(field);
  }
  const std::string sql = row_sql::insert<kPart>();
  return sql.substr(0, sql.rfind('(')) + "(" + values + ")";
}

/// Every column is set, as when a version of a task is merged; of the row the state changes.
template <FieldPart kPart>
std::string trial_update() {
  std::string sets;
  for (const Field& field : fields_of<kPart>()) {
    if (field.kind == FieldKind::kId) continue;
    ((sets += sets.empty() ? "" : ", ") += field.column) += " = ";
    sets += field.column == "state" ? "'FAILURE'" : field.column;
  }
  const std::string sql = row_sql::update<kPart>();
  return sql.substr(0, sql.find(" SET ")) + " SET " + sets +
         " WHERE task_id = " + std::string(kTrialId);
}

inline Status try_rows(sqlite::Connection& db) {
  const std::string id(kTrialId);
  const std::string rows(schema::kInvocations);
  const std::string details(schema::kDetails);
  const std::string where = " WHERE task_id = " + id;
  Status status = try_change(db, rows, "rows cannot be stored in", trial_insert<FieldPart::kRow>());
  if (status.ok()) {
    status =
        try_change(db, details, "rows cannot be stored in", trial_insert<FieldPart::kDetails>());
  }
  if (status.ok()) {
    status = try_change(db, rows, "rows cannot be changed in", trial_update<FieldPart::kRow>());
  }
  if (status.ok()) {
    status =
        try_change(db, details, "rows cannot be changed in", trial_update<FieldPart::kDetails>());
  }
  if (status.ok()) {
    status = try_change(db, details, "rows cannot be deleted from",
                        "DELETE FROM invocation_details" + where);
  }
  if (status.ok()) {
    status = try_change(db, rows, "rows cannot be deleted from", "DELETE FROM invocations" + where);
  }
  return status;
}

}  // namespace foreign_schema_detail

/// kUnsupported where SQLite cannot even prepare a purge of these tables: a trigger or an index
/// needs a function, a collation or a module that this program has not. Runs nothing.
inline Status check_deletes(sqlite::Connection& db, const std::vector<TableFamily>& families) {
  namespace fsd = foreign_schema_detail;
  for (const TableFamily& family : families) {
    for (const std::string& table : {family.invocations, family.details}) {
      if (table.empty()) continue;
      Status status = fsd::try_prepare(db, table, "rows cannot be deleted from",
                                       "DELETE FROM \"" + table + "\" WHERE rowid = ?1");
      if (!status.ok()) return status;
    }
    if (!family.details_in_row) continue;
    Status status =
        fsd::try_prepare(db, family.invocations, "rows cannot be changed in",
                         "UPDATE \"" + family.invocations + "\" SET " +
                             row_sql::no_details(family.row_columns) + " WHERE rowid = ?1");
    if (!status.ok()) return status;
  }
  return Status();
}

/// Stores, changes and deletes one row of a task that does not exist, and takes all of it back.
/// Nothing is written. kUnsupported where the schema does not let it through; while another process
/// has the write lock, OK without a trial.
inline Status check_rows(sqlite::Connection& db) {
  const Status begun = db.exec("BEGIN IMMEDIATE");
  if (begun.code() == Code::kBusy) return Status();
  if (!begun.ok()) return begun;
  Status status = foreign_schema_detail::try_rows(db);
  if (!db.autocommit()) {
    const Status back = db.exec("ROLLBACK");
    if (status.ok()) status = back;
  }
  return status;
}

/// Tables that refer to ours by a foreign key, as "a, b". SQLite enforces these keys only on
/// connections that ask for it; ours do not, as most do not.
inline std::string referring_tables(sqlite::Connection& db,
                                    const std::vector<TableFamily>& families) {
  std::vector<std::string> ours;
  for (const TableFamily& family : families) {
    for (const std::string& table : {family.invocations, family.details}) ours.push_back(table);
  }
  const auto is_ours = [&](std::string_view name) {
    return std::find(ours.begin(), ours.end(), name) != ours.end();
  };
  std::string text;
  auto keys = db.prepare(
      "SELECT DISTINCT m.name, f.\"table\" FROM sqlite_master m, pragma_foreign_key_list(m.name) f "
      "WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY 1");
  if (!keys.ok()) return text;
  for (;;) {
    const auto row = keys->step();
    if (!row.ok() || !*row) return text;
    const std::string name(keys->text(0));
    if (is_ours(name) || !is_ours(keys->text(1))) continue;
    text += (text.empty() ? "" : ", ") + name;
  }
}

}  // namespace phlower
