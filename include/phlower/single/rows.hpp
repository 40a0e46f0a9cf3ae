// A record as a row and back: which column holds what, and what is NULL.
#pragma once

#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "phlower/record/record.hpp"
#include "phlower/single/cell_time.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

inline constexpr int kRowColumns = static_cast<int>(count_fields(FieldPart::kRow));

/// Parameters from 1 on, a field of the row each. The text must outlive the step.
[[gnu::flatten]] inline void bind_row(sqlite::Statement& statement, const RecordView& record) {
  int at = 0;
  visit_fields(
      [&](const Field& field, const auto& value) {
        if (!field.in(FieldPart::kRow)) return;
        ++at;
        field.need == FieldNeed::kNotNull || is_known(field, value) ? statement.bind(at, value)
                                                                    : statement.bind_null(at);
      },
      record);
}

/// Parameter 1 is the key; behind it the details.
[[gnu::flatten]] inline void bind_details(sqlite::Statement& statement, const RecordView& record) {
  statement.bind(1, record.task_id);
  int at = 1;
  visit_details(
      [&](const Field&, std::string_view text) { statement.bind_text_or_null(++at, text); },
      record);
}

/// A runtime that another program wrote; -1 for what is no number.
inline double read_runtime(const sqlite::Statement& from, int column) {
  const sqlite::ValueType type = from.type(column);
  if (type == sqlite::ValueType::kReal || type == sqlite::ValueType::kInteger) {
    return std::isfinite(from.real(column)) ? from.real(column) : -1;
  }
  const std::string_view text = from.text(column);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = error == std::errc() && end == text.data() + text.size() && value < 1e300;
  return type == sqlite::ValueType::kText && number ? value : -1;
}

/// The first kRowColumns of the current row; the time that retention counts from. A time that is
/// not understood is 0 in the record.
inline RowTime read_row(const sqlite::Statement& from, Record& record) {
  CellTime received;
  CellTime started;
  CellTime finished;
  int column = -1;
  visit_fields(
      [&](const Field& field, auto& member) {
        if (!field.in(FieldPart::kRow)) return;
        ++column;
        if constexpr (std::is_same_v<decltype(member), std::string&>) {
          member = from.text(column);
        } else if (field.kind == FieldKind::kRuntime) {
          member = read_runtime(from, column);
        } else {
          const CellTime time = read_time(Cell::of(from, column));
          member = time.at;
          if (&member == &record.received_at) received = time;
          if (&member == &record.started_at) started = time;
          if (&member == &record.finished_at) finished = time;
        }
      },
      record);
  return row_time(finished, started, received);
}

/// The columns of details, from `first` on.
inline void read_details(const sqlite::Statement& from, int first, Record& record) {
  visit_details([&](const Field&, std::string& text) { text = from.text(first++); }, record);
}

}  // namespace phlower
