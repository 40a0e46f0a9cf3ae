// A record as a row of a segment, and back. Times go through whole microseconds.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "phlower/history/retention.hpp"
#include "phlower/history/source.hpp"
#include "phlower/history/task_key.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"
#include "phlower/segment/format/layout.hpp"
#include "phlower/segment/format/words.hpp"

namespace phlower {

/// Whether a field has a column of its own; the others are in those of every row.
constexpr bool has_task_column(const Field& field) noexcept {
  return field.in(FieldPart::kRow) && field.kind != FieldKind::kId && field.name != "finished_at";
}

inline constexpr int kTaskDetails = 2;  // places in task_columns
inline constexpr int kTaskFirstField = 4;
inline constexpr int kTaskColumns =
    kTaskFirstField + static_cast<int>(count_fields(has_task_column));

/// What a row is read from: NULL for what came after `version`.
inline std::string task_columns(int version) {
  std::string columns = "id, at, details, flags";
  visit_fields([&](const Field& field) {
    if (!has_task_column(field)) return;
    (columns += ", ") += field.since.segment <= version ? field.short_name : "NULL";
  });
  return columns;
}

/// Both with the parameters of bind_task.
inline std::string insert_task_sql() {
  std::string sql =
      "INSERT INTO task (seq, " + task_columns(segment_schema::kVersion) + ") VALUES (?1";
  for (int at = 2; at <= 1 + kTaskColumns; ++at) (sql += ", ?") += std::to_string(at);
  return sql + ")";
}
inline std::string update_task_sql() {
  std::string sql = "UPDATE task SET id = ?2, at = ?3, details = ?4, flags = ?5";
  int at = 1 + kTaskFirstField;
  visit_fields([&](const Field& field) {
    if (!has_task_column(field)) return;
    ((sql += ", ") += field.short_name) += " = ?" + std::to_string(++at);
  });
  return sql + " WHERE seq = ?1";
}

/// The time a row counts from; `now_us` for a record that knows no time at all.
inline std::int64_t row_time_us(const RecordView& record, std::int64_t now_us) {
  const UnixSeconds time =
      retention_time(record.finished_at, record.started_at, record.received_at);
  return time > 0 ? to_us(time) : now_us;
}

/// From parameter 2 on, in the order of task_columns; 1 is the row's number.
[[gnu::flatten]] inline Status bind_task(sqlite::Statement& statement, WordWriter& words,
                                         const TaskKey& key, const RecordView& record,
                                         std::int64_t base_us, std::int64_t at_us,
                                         std::optional<std::int64_t> details) {
  key.bind(statement, 2);
  statement.bind(3, at_us - base_us);
  details ? statement.bind(4, *details) : statement.bind_null(4);
  statement.bind(5, std::int64_t{record.flags} | (record.finished_at > 0 ? 0 : kNotEnded));
  int at = 1 + kTaskFirstField;
  Status status;
  visit_fields(
      [&](const Field& field, const auto& value) {
        if (!has_task_column(field) || !status.ok()) return;
        ++at;
        if constexpr (std::is_same_v<decltype(value), const std::string_view&>) {
          const bool loose = field.kind == FieldKind::kText;
          status = words.bind(statement, at, value, loose ? kLooseWordsBytes : kWordsBytes);
        } else if (!is_known(field, value)) {
          statement.bind_null(at);
        } else {
          const bool time = field.kind == FieldKind::kTime;
          statement.bind(at, time ? at_us - to_us(value) : to_us(value / 1e3));
        }
      },
      record);
  return status;
}

/// What the numbers of a segment's rows count from.
struct RowBase {
  std::int64_t us = 0;
  std::int64_t details_segment = 0;
};

/// The columns of task_columns.
inline Status read_task(const sqlite::Statement& row, WordReader& words, const RowBase& base,
                        FoundRow& out) {
  Record& record = out.record;
  record.task_id = read_task_id(row, 0);
  out.at_us = base.us + row.integer(1);
  out.details = row.is_null(kTaskDetails)
                    ? 0
                    : row.integer(kTaskDetails) + DetailsRef{base.details_segment, 0, 0}.packed();
  const std::int64_t flags = row.integer(3);
  record.flags = static_cast<std::uint16_t>(flags & 0xffff);
  record.finished_at = (flags & kNotEnded) != 0 ? 0 : from_us(out.at_us);
  int column = kTaskFirstField - 1;
  Status status;
  visit_fields(
      [&](const Field& field, auto& member) {
        if (!has_task_column(field) || !status.ok()) return;
        ++column;
        if constexpr (std::is_same_v<decltype(member), std::string&>) {
          const auto text = words.text(row, column);
          if (text.ok()) member = *text;
          status = text.status();
        } else if (row.is_null(column)) {
          member = field.kind == FieldKind::kTime ? 0 : -1;
        } else {
          const bool time = field.kind == FieldKind::kTime;
          member = time ? from_us(out.at_us - row.integer(column))
                        : static_cast<double>(row.integer(column)) / 1e3;
        }
      },
      record);
  return status;
}

}  // namespace phlower
