// The tables of a history: those of the origin, with the reason of each index, and our own few.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "phlower/record/fields.hpp"

namespace phlower::schema {

inline constexpr std::string_view kInvocations = "invocations";
inline constexpr std::string_view kDetails = "invocation_details";

/// A column as it stands in CREATE TABLE: numbers are real ones.
inline std::string column_definition(const Field& field) {
  std::string text = std::string(field.column) + (field.is_text() ? " TEXT" : " REAL");
  if (field.kind == FieldKind::kId) text += " PRIMARY KEY";
  if (field.kind != FieldKind::kId && field.need == FieldNeed::kNotNull) text += " NOT NULL";
  return text;
}

// The text key is the origin's. SQLite keeps it in an index of its own, whose leaves are hit at
// random by inserts and deletes: the larger part of what a row costs.
inline std::string create_invocations() {
  std::string columns;
  for (const Field& field : fields_of<FieldPart::kRow>()) {
    (columns += columns.empty() ? "" : ", ") += column_definition(field);
  }
  return "CREATE TABLE IF NOT EXISTS invocations (" + columns + ")";
}

// A table of its own, because details go earlier than their row and are most of the bytes.
inline std::string create_details() {
  std::string columns = "task_id TEXT PRIMARY KEY";
  for (const Field& field : fields_of<FieldPart::kDetails>()) {
    columns += ", " + column_definition(field);
  }
  return "CREATE TABLE IF NOT EXISTS invocation_details (" + columns + ")";
}

// Only made together with the table: an index on a filled table would take a long write.
inline constexpr std::array<std::string_view, 2> kCreateIndexes = {
    // What has expired, oldest first, and where the retention of details has got to.
    "CREATE INDEX IF NOT EXISTS idx_inv_finished ON invocations (finished_at)",
    // The latest invocations of one task.
    "CREATE INDEX IF NOT EXISTS idx_inv_task_name ON invocations (task_name, finished_at)",
};

// Of the origin; kept so that its own tools find a complete file.
inline constexpr std::array<std::string_view, 2> kCreateOriginTables = {
    "CREATE TABLE IF NOT EXISTS metadata (key TEXT NOT NULL, value TEXT NOT NULL, "
    "PRIMARY KEY (key, value))",
    "CREATE TABLE IF NOT EXISTS aggregate_snapshots (task_name TEXT PRIMARY KEY, "
    "snapshot_ts REAL NOT NULL, data BLOB NOT NULL)",
};

// Ours: how far each ring is stored, in the transaction of the rows it covers; and small facts of
// the store by name. Tens of rows to a few thousand, so they need no rowid and no index.
inline constexpr std::array<std::string_view, 3> kCreateOwnTables = {
    "CREATE TABLE IF NOT EXISTS ring_chunk (ring BLOB NOT NULL, chunk INTEGER NOT NULL, "
    "generation INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (ring, chunk)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ring_lane (ring BLOB NOT NULL, lane INTEGER NOT NULL, "
    "delivered INTEGER NOT NULL, last_sequence INTEGER NOT NULL, PRIMARY KEY (ring, lane)) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS phlower_state (key TEXT PRIMARY KEY, number REAL, whole INTEGER) "
    "WITHOUT ROWID",
};
inline constexpr std::array<std::string_view, 3> kOwnTables = {"ring_chunk", "ring_lane",
                                                               "phlower_state"};

/// Version of our own tables, in phlower_state under this key. A file with a higher one is refused.
inline constexpr std::string_view kVersionKey = "schema_version";
inline constexpr int kVersion = 1;

}  // namespace phlower::schema
