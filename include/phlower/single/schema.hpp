// The tables of a history: those of the origin, with the reason of each index, and our own few.
#pragma once

#include <array>
#include <string_view>

namespace phlower::schema {

inline constexpr std::string_view kInvocations = "invocations";
inline constexpr std::string_view kDetails = "invocation_details";

// The text key is the origin's. SQLite keeps it in an index of its own, whose leaves are hit at
// random by inserts and deletes: the larger part of what a row costs.
inline constexpr std::string_view kCreateInvocations =
    "CREATE TABLE IF NOT EXISTS invocations (task_id TEXT PRIMARY KEY, task_name TEXT NOT NULL, "
    "state TEXT NOT NULL, received_at REAL, started_at REAL, finished_at REAL, runtime_ms REAL, "
    "worker TEXT, queue TEXT, exception_type TEXT)";

// A table of its own, because details go earlier than their row and are most of the bytes.
inline constexpr std::string_view kCreateDetails =
    "CREATE TABLE IF NOT EXISTS invocation_details (task_id TEXT PRIMARY KEY, args_preview TEXT, "
    "kwargs_preview TEXT, traceback_snippet TEXT)";

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

inline constexpr std::array<std::string_view, 10> kInvocationColumns = {
    "task_id",     "task_name",  "state",  "received_at", "started_at",
    "finished_at", "runtime_ms", "worker", "queue",       "exception_type"};
inline constexpr std::array<std::string_view, 3> kDetailColumns = {"args_preview", "kwargs_preview",
                                                                   "traceback_snippet"};

}  // namespace phlower::schema
