// The columns of rows and details in SQL, from the table of fields.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/history/query.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/single/schema.hpp"

namespace phlower::row_sql {

/// Names of the columns that a table has.
using Columns = std::vector<std::string>;

/// SQL does not tell letters of either case apart.
inline bool has(const Columns& columns, std::string_view name) {
  return std::any_of(columns.begin(), columns.end(),
                     [name](const std::string& column) { return same_word(column, name); });
}

/// The columns of the fields of one part, as they are read from a table that has `there`: NULL for
/// one that is missing. Details come without the id.
template <FieldPart kPart>
std::string select_list(const Columns& there) {
  std::string sql;
  for (const Field& field : fields_of<kPart>()) {
    (sql += sql.empty() ? "" : ", ") += has(there, field.column) ? field.column : "NULL";
  }
  return sql;
}

/// "<verb> INTO <table> (columns) VALUES (?1, ...)": of all fields of one part, in the order of
/// bind_row or bind_details. Details begin with the id.
template <FieldPart kPart>
std::string insert(std::string_view verb = "INSERT") {
  constexpr bool kRow = kPart == FieldPart::kRow;
  std::string columns(kRow ? "" : "task_id");
  std::string values(kRow ? "" : "?1");
  int at = kRow ? 0 : 1;
  for (const Field& field : fields_of<kPart>()) {
    (columns += columns.empty() ? "" : ", ") += field.column;
    (values += values.empty() ? "?" : ", ?") += std::to_string(++at);
  }
  return std::string(verb) + " INTO " +
         std::string(kRow ? schema::kInvocations : schema::kDetails) + " (" + columns +
         ") VALUES (" + values + ")";
}

/// "UPDATE <table> SET ... WHERE task_id = ?1", with the same parameters; `too` is set as well.
template <FieldPart kPart>
std::string update(const std::string& too = "") {
  constexpr bool kRow = kPart == FieldPart::kRow;
  std::string sets;
  int at = kRow ? 0 : 1;
  for (const Field& field : fields_of<kPart>()) {
    ++at;
    if (field.kind == FieldKind::kId) continue;
    (sets += sets.empty() ? "" : ", ") += field.column;
    (sets += " = ?") += std::to_string(at);
  }
  return "UPDATE " + std::string(kRow ? schema::kInvocations : schema::kDetails) + " SET " + sets +
         (too.empty() ? "" : ", " + too) + " WHERE task_id = ?1";
}

namespace row_sql_detail {
inline std::string each_detail(const Columns& there, std::string_view behind,
                               std::string_view between) {
  std::string sql;
  for (const Field& field : fields_of<FieldPart::kDetails>()) {
    if (!has(there, field.column)) continue;
    (sql += sql.empty() ? std::string_view() : between) += field.column;
    sql += behind;
  }
  return sql;
}
}  // namespace row_sql_detail

/// For rows that have their details beside them: whether there are some, and to empty them.
/// Requires: a column of details is there.
inline std::string has_details(const Columns& there) {
  return "(" + row_sql_detail::each_detail(there, " IS NOT NULL", " OR ") + ")";
}
inline std::string no_details(const Columns& there) {
  return row_sql_detail::each_detail(there, " = NULL", ", ");
}

/// Statements that add the columns that may be missing and are, each with its ";".
template <FieldPart kPart>
std::string add_columns(std::string_view table, const Columns& there) {
  std::string sql;
  for (const Field& field : fields_of<kPart>()) {
    if (field.need != FieldNeed::kOptional || has(there, field.column)) continue;
    sql += "ALTER TABLE \"" + std::string(table) + "\" ADD COLUMN " +
           schema::column_definition(field) + ";";
  }
  return sql;
}

}  // namespace phlower::row_sql
