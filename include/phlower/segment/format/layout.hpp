// The bytes of a segment: its tables, its file's name, and what its columns mean. Version 1.
//
// task.at       the time that retention counts from, in us since the segment's `base_us`
// task.started  at - started_at in us, NULL if unknown; task.received likewise
// task.runtime  us, NULL if unknown
// name, state, worker, queue, exception: number of a word, or the text where the words ran out
// task.details  a DetailsRef whose segment counts from `details_segment`, NULL if there are none
// task.flags    flags of the record, and kNotEnded
//
// Columns of fields that came later stand behind those of version 1, in the order of their table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Rows and details have different lifetimes, so they stand in different files.
enum class SegmentFamily : std::uint8_t { kRows = 0, kDetails = 1 };

constexpr std::string_view family_name(SegmentFamily family) noexcept {
  return family == SegmentFamily::kRows ? "inv" : "det";
}

/// "inv-12.db". Numbers are never used twice, so neither are names.
inline std::string segment_name(SegmentFamily family, std::int64_t seq) {
  return std::string(family_name(family)) + "-" + std::to_string(seq) + ".db";
}

namespace segment_schema {
inline constexpr int kVersion = 1;
inline constexpr std::string_view kState =
    "CREATE TABLE phlower_state (key TEXT PRIMARY KEY, number REAL, whole INTEGER) WITHOUT ROWID;";
inline constexpr std::string_view kFirstTask =
    "CREATE TABLE task (seq INTEGER PRIMARY KEY, id NOT NULL, name, state, at INTEGER NOT NULL, "
    "started INTEGER, received INTEGER, runtime INTEGER, worker, queue, exception, "
    "details INTEGER, flags INTEGER NOT NULL);"
    "CREATE INDEX task_by_name ON task (name, at);";
inline constexpr std::string_view kRows =
    "CREATE TABLE row_chunk (chunk INTEGER PRIMARY KEY, oldest INTEGER NOT NULL, "
    "newest INTEGER NOT NULL);"
    "CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE id_run (page INTEGER PRIMARY KEY, entries BLOB NOT NULL);"
    "CREATE TABLE id_index (page INTEGER PRIMARY KEY, entries BLOB NOT NULL);"
    "CREATE TABLE id_filter (part INTEGER PRIMARY KEY, bits BLOB NOT NULL);"
    "CREATE TABLE ring_chunk (ring BLOB NOT NULL, chunk INTEGER NOT NULL, "
    "generation INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (ring, chunk)) WITHOUT ROWID;"
    "CREATE TABLE ring_lane (ring BLOB NOT NULL, lane INTEGER NOT NULL, "
    "delivered INTEGER NOT NULL, last_sequence INTEGER NOT NULL, PRIMARY KEY (ring, lane)) "
    "WITHOUT ROWID;";
inline constexpr std::string_view kDetails =
    "CREATE TABLE block (id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE dictionary (id INTEGER PRIMARY KEY, data BLOB NOT NULL);";
/// Keys of phlower_state in a segment, all of them in `whole`.
inline constexpr std::string_view kVersionKey = "segment_version";
inline constexpr std::string_view kBaseKey = "base_us";
inline constexpr std::string_view kDetailsKey = "details";  // rows with details, or entries
inline constexpr std::string_view kDetailsSegmentKey = "details_segment";
inline constexpr std::string_view kOldestKey = "oldest_us";  // of the rows of the entries
inline constexpr std::string_view kNewestKey = "newest_us";
inline constexpr std::string_view kIndexBitsKey = "index_bits";    // 0 until sealing begins
inline constexpr std::string_view kIndexPartsKey = "index_parts";  // of kParts

/// What makes a table of rows of a later version of one of `version`.
inline std::string add_columns_since(int version) {
  std::string sql;
  for (const Field& field : fields_of<FieldPart::kRow>()) {
    if (field.since.segment <= version) continue;
    (sql += "ALTER TABLE task ADD COLUMN ") += field.short_name;
    sql += field.is_text() ? ";" : " INTEGER;";
  }
  return sql;
}

static_assert(count_fields([](const Field& field) { return field.since.segment > kVersion; }) == 0,
              "a field since a version of segments that is not this build's");
}  // namespace segment_schema

/// Where the details of a row are: which file, which block in it, which entry of the block.
struct DetailsRef {
  std::int64_t segment = 0;  // 0: none
  std::int64_t block = 0;
  std::uint32_t entry = 0;

  static constexpr std::uint32_t kEntriesMax = 1u << 10;
  static constexpr std::int64_t kBlocksMax = 1ll << 26;

  explicit operator bool() const noexcept { return segment > 0; }
  std::int64_t packed() const noexcept { return segment << 36 | block << 10 | entry; }
  static DetailsRef unpack(std::int64_t value) noexcept {
    if (value <= 0) return {};
    return {value >> 36, value >> 10 & (kBlocksMax - 1),
            static_cast<std::uint32_t>(value & (kEntriesMax - 1))};
  }
};

/// Set in task.flags where finished_at is not known.
inline constexpr std::int64_t kNotEnded = 1 << 16;

}  // namespace phlower
