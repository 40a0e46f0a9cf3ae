// A record as a row and back: which column holds what, and what is NULL.
#pragma once

#include <string_view>

#include "phlower/record/record.hpp"
#include "phlower/store/sqlite.hpp"

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

/// Columns 0 to 9 of the current row.
inline void read_row(const sqlite::Statement& from, Record& record) {
  record.task_id = from.text(0);
  record.task_name = from.text(1);
  record.state = from.text(2);
  record.received_at = from.real(3);
  record.started_at = from.real(4);
  record.finished_at = from.real(5);
  record.runtime_ms = from.is_null(6) ? -1 : from.real(6);
  record.worker = from.text(7);
  record.queue = from.text(8);
  record.exception_type = from.text(9);
}

/// Three columns from `first` on.
inline void read_details(const sqlite::Statement& from, int first, Record& record) {
  record.args = from.text(first);
  record.kwargs = from.text(first + 1);
  record.traceback = from.text(first + 2);
}

}  // namespace phlower
