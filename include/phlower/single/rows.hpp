// A record as a row and back: which column holds what, and what is NULL.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

#include "phlower/record/record.hpp"
#include "phlower/single/cell_time.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

inline constexpr std::string_view kRowColumns =
    "task_id, task_name, state, received_at, started_at, finished_at, runtime_ms, worker, queue, "
    "exception_type";

/// Parameters 1 to 10, in the order of kRowColumns. The text must outlive the step.
inline void bind_row(sqlite::Statement& statement, const RecordView& record) {
  statement.bind(1, record.task_id);
  statement.bind(2, record.task_name);
  statement.bind(3, record.state);
  statement.bind_time_or_null(4, record.received_at);
  statement.bind_time_or_null(5, record.started_at);
  statement.bind_time_or_null(6, record.finished_at);
  record.runtime_ms < 0 ? statement.bind_null(7) : statement.bind(7, record.runtime_ms);
  statement.bind_text_or_null(8, record.worker);
  statement.bind_text_or_null(9, record.queue);
  statement.bind_text_or_null(10, record.exception_type);
}

/// Parameters 1 to 4: the key, args, kwargs, traceback.
inline void bind_details(sqlite::Statement& statement, const RecordView& record) {
  statement.bind(1, record.task_id);
  statement.bind_text_or_null(2, record.args);
  statement.bind_text_or_null(3, record.kwargs);
  statement.bind_text_or_null(4, record.traceback);
}

/// A runtime that another program wrote; -1 for what is no number.
inline double read_runtime(const sqlite::Statement& from, int column) {
  const sqlite::ValueType type = from.type(column);
  if (type == sqlite::ValueType::kReal || type == sqlite::ValueType::kInteger) {
    return from.real(column);
  }
  const std::string_view text = from.text(column);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = error == std::errc() && end == text.data() + text.size() && value < 1e300;
  return type == sqlite::ValueType::kText && number ? value : -1;
}

/// Columns 0 to 9 of the current row; the time that retention counts from. A time that is not
/// understood is 0 in the record.
inline RowTime read_row(const sqlite::Statement& from, Record& record) {
  const auto time = [&from](int column) { return read_time(Cell::of(from, column)); };
  const CellTime received = time(3);
  const CellTime started = time(4);
  const CellTime finished = time(5);
  record.task_id = from.text(0);
  record.task_name = from.text(1);
  record.state = from.text(2);
  record.received_at = received.at;
  record.started_at = started.at;
  record.finished_at = finished.at;
  record.runtime_ms = read_runtime(from, 6);
  record.worker = from.text(7);
  record.queue = from.text(8);
  record.exception_type = from.text(9);
  return row_time(finished, started, received);
}

/// Three columns from `first` on.
inline void read_details(const sqlite::Statement& from, int first, Record& record) {
  record.args = from.text(first);
  record.kwargs = from.text(first + 1);
  record.traceback = from.text(first + 2);
}

}  // namespace phlower
