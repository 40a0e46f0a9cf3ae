// Which tables of a database file hold history: a list of families, read from its schema. The file
// is input: every table is checked for its columns before anything is done with it.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/record/record.hpp"
#include "phlower/single/file_kind.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/schema.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// The first second after the day of "_YYYYMMDD"; 0 for what is no date.
inline UnixSeconds end_of_day(std::string_view suffix) {
  using namespace std::chrono;
  if (suffix.size() != 9) return 0;
  const auto number = [&](std::size_t from, std::size_t length) {
    int value = 0;
    for (const char c : suffix.substr(from, length)) value = value * 10 + (c - '0');
    return value;
  };
  const year_month_day day(year(number(1, 4)), month(static_cast<unsigned>(number(5, 2))),
                           std::chrono::day(static_cast<unsigned>(number(7, 2))));
  if (!day.ok()) return 0;
  return duration<double>((sys_days(day) + days(1)).time_since_epoch()).count();
}

/// A table of invocations with its table of details; one of the two may be missing.
struct TableFamily {
  std::string suffix;           // "", "_YYYYMMDD" (UTC day) or "_legacy"
  std::string invocations;      // name, or empty
  std::string details;          // name, or empty
  bool details_in_row = false;  // invocations has the columns of details (too)
  bool finished_index = false;  // an index brings rows in order of finished_at, numbers first
  bool text_ids = false;        // the column makes a text of whatever number is written as an id
  row_sql::Columns row_columns, details_columns;  // that the two tables have

  bool is_main() const { return suffix.empty(); }
  bool has_details() const { return details_in_row || !details.empty(); }
  bool is_day() const { return end_of_day(suffix) > 0; }
};

namespace tables_detail {

/// True if `name` is `base` with a suffix that a family may have.
inline bool split(std::string_view name, std::string_view base, std::string& suffix) {
  if (!name.starts_with(base)) return false;
  const std::string_view rest = name.substr(base.size());
  const bool digits =
      rest.size() == 9 && rest[0] == '_' &&
      std::all_of(rest.begin() + 1, rest.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!rest.empty() && rest != "_legacy" && !digits) return false;
  suffix = rest;
  return true;
}

inline Result<std::vector<std::string>> texts(sqlite::Connection& db, std::string_view sql) {
  auto statement = db.prepare(sql);
  if (!statement.ok()) return statement.status();
  std::vector<std::string> found;
  for (;;) {
    const auto row = statement->step();
    if (!row.ok()) return row.status();
    if (!*row) return found;
    found.emplace_back(statement->text(0));
  }
}

/// Whether a column of this declared type turns numbers into texts (SQLite's affinity TEXT).
inline bool makes_texts(std::string type) {
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  const auto has = [&type](const char* word) { return type.find(word) != std::string::npos; };
  return !has("INT") && (has("CHAR") || has("CLOB") || has("TEXT"));
}

inline Result<bool> column_makes_texts(sqlite::Connection& db, const std::string& table,
                                       const char* column) {
  const auto type = db.query_text("SELECT type FROM pragma_table_xinfo('" + table +
                                  "') WHERE name = '" + column + "'");
  if (!type.ok()) return type.status();
  return makes_texts(*type);
}

/// Whether SQLite walks the rows in order of finished_at by an index. It does not by one that is
/// partial, on an expression, or of another collation; and where all values become texts there is
/// no order of numbers.
inline Result<bool> has_order(sqlite::Connection& db, const std::string& table) {
  const auto as_texts = column_makes_texts(db, table, "finished_at");
  if (!as_texts.ok() || *as_texts) return as_texts.ok() ? Result<bool>(false) : as_texts;
  auto plan = db.prepare("EXPLAIN QUERY PLAN SELECT rowid FROM \"" + table +
                         "\" WHERE finished_at > ?1 ORDER BY finished_at, rowid LIMIT 1");
  if (!plan.ok()) return plan.status();
  bool searches = false;
  for (;;) {
    const auto row = plan->step();
    if (!row.ok()) return row.status();
    if (!*row) return searches;
    const std::string_view step = plan->text(3);
    if (step.find("TEMP B-TREE") != std::string_view::npos) return false;
    if (step.starts_with("SEARCH")) searches = true;
  }
}

template <class Names>
bool has_all(const std::vector<std::string>& there, const Names& wanted) {
  return std::all_of(wanted.begin(), wanted.end(),
                     [&](std::string_view name) { return row_sql::has(there, name); });
}

/// Whether these are the columns of a history; further ones are their owner's.
template <FieldPart kPart>
bool has_fields(const std::vector<std::string>& columns) {
  const auto fields = fields_of<kPart>();
  return std::all_of(fields.begin(), fields.end(), [&](const Field& field) {
    return field.need == FieldNeed::kOptional || row_sql::has(columns, field.column);
  });
}

/// Columns of a table that must have those of its part, row ids and a unique key on task_id (all
/// work goes by it); kNotOurs where it has not.
template <FieldPart kPart>
Result<row_sql::Columns> checked_columns(sqlite::Connection& db, const std::string& table) {
  auto columns = texts(db, "SELECT name FROM pragma_table_xinfo('" + table + "')");
  if (!columns.ok()) return columns.status();
  const auto keys = texts(
      db, "SELECT l.name FROM pragma_index_list('" + table +
              "') l "
              "WHERE l.\"unique\" = 1 AND l.partial = 0 AND (SELECT "
              "group_concat(coalesce(i.name, '')) FROM pragma_index_info(l.name) i) = 'task_id'");
  if (!keys.ok()) return keys.status();
  const bool rowid = db.prepare("SELECT rowid, task_id FROM \"" + table + "\"").ok();
  if (rowid && !keys->empty() && has_fields<kPart>(*columns)) return columns;
  return Status(Code::kNotOurs, db.path() + ": table " + table +
                                    " has not the columns and the key of a Phlower history");
}

inline Status inspect_invocations(sqlite::Connection& db, TableFamily& family) {
  auto columns = checked_columns<FieldPart::kRow>(db, family.invocations);
  if (!columns.ok()) return columns.status();
  family.row_columns = *std::move(columns);
  family.details_in_row = has_fields<FieldPart::kDetails>(family.row_columns);
  const auto order = has_order(db, family.invocations);
  if (!order.ok()) return order.status();
  family.finished_index = *order;
  const auto texts = column_makes_texts(db, family.invocations, "task_id");
  if (!texts.ok()) return texts.status();
  family.text_ids = *texts;
  return Status();
}

}  // namespace tables_detail

/// What the schema of an open file says.
struct FileLook {
  FileKind kind = FileKind::kEmpty;
  std::vector<TableFamily> families;  // oldest first: legacy, days in order, main
  bool own_tables = false;            // all of schema::kOwnTables are there
  bool state_table = false;           // phlower_state is there
};

/// Reads the schema; writes nothing. Errors: kNotOurs for a file that is no database, or one
/// without any table of a Phlower history.
inline Result<FileLook> look_at_tables(sqlite::Connection& db) {
  namespace td = tables_detail;
  auto names = td::texts(db, "SELECT name FROM sqlite_master WHERE type = 'table'");
  if (!names.ok()) return names.status();
  FileLook look;
  std::map<std::string, TableFamily> by_suffix;
  for (const std::string& name : *names) {
    std::string suffix;
    if (td::split(name, schema::kDetails, suffix)) {
      by_suffix[suffix].details = name;
      auto columns = td::checked_columns<FieldPart::kDetails>(db, name);
      if (!columns.ok()) return columns.status();
      by_suffix[suffix].details_columns = *std::move(columns);
    } else if (td::split(name, schema::kInvocations, suffix)) {
      by_suffix[suffix].invocations = name;
    }
  }
  for (auto& [suffix, family] : by_suffix) {
    family.suffix = suffix;
    if (family.invocations.empty()) continue;
    if (Status status = td::inspect_invocations(db, family); !status.ok()) return status;
  }
  const auto take = [&](auto&& wanted) {
    for (auto& [suffix, family] : by_suffix) {
      if (wanted(family)) look.families.push_back(family);
    }
  };
  take([](const TableFamily& f) { return !f.is_main() && !f.is_day(); });
  take([](const TableFamily& f) { return f.is_day(); });
  take([](const TableFamily& f) { return f.is_main(); });

  look.own_tables = td::has_all(*names, schema::kOwnTables);
  look.state_table = td::has_all(*names, std::array{schema::kOwnTables[2]});
  const bool origin = td::has_all(*names, std::array{std::string_view("aggregate_snapshots")});
  if (names->empty()) return look;
  if (look.families.empty() && !look.own_tables && !origin) {
    return Status(Code::kNotOurs, db.path() +
                                      ": a SQLite database, but not a Phlower history "
                                      "(it has no table of invocations)");
  }
  const bool main_only = look.families.size() == 1 && look.families[0].is_main();
  look.kind = !main_only && !look.families.empty()           ? FileKind::kPartitioned
              : main_only && look.families[0].details_in_row ? FileKind::kPresplit
                                                             : FileKind::kSingle;
  return look;
}

}  // namespace phlower
