// A record as a row of a segment, and back. Times go through whole microseconds.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "phlower/history/retention.hpp"
#include "phlower/history/source.hpp"
#include "phlower/history/task_key.hpp"
#include "phlower/record/record.hpp"
#include "phlower/segment/format/layout.hpp"
#include "phlower/segment/format/words.hpp"

namespace phlower {

inline constexpr std::string_view kTaskColumns =
    "id, name, state, at, started, received, runtime, worker, queue, exception, details, flags";

/// The time a row counts from; `now_us` for a record that knows no time at all.
inline std::int64_t row_time_us(const RecordView& record, std::int64_t now_us) {
  const UnixSeconds time =
      retention_time(record.finished_at, record.started_at, record.received_at);
  return time > 0 ? to_us(time) : now_us;
}

/// Parameters 2 to 13 in the order of kTaskColumns; 1 is the row's number.
inline Status bind_task(sqlite::Statement& statement, WordWriter& words, const TaskKey& key,
                        const RecordView& record, std::int64_t base_us, std::int64_t at_us,
                        std::optional<std::int64_t> details) {
  key.bind(statement, 2);
  Status status = words.bind(statement, 3, record.task_name);
  if (status.ok()) status = words.bind(statement, 4, record.state);
  if (!status.ok()) return status;
  statement.bind(5, at_us - base_us);
  const auto bind_before = [&](int at, UnixSeconds time) {
    time > 0 ? statement.bind(at, at_us - to_us(time)) : statement.bind_null(at);
  };
  bind_before(6, record.started_at);
  bind_before(7, record.received_at);
  record.runtime_ms < 0 ? statement.bind_null(8)
                        : statement.bind(8, to_us(record.runtime_ms / 1e3));
  status = words.bind(statement, 9, record.worker);
  if (status.ok()) status = words.bind(statement, 10, record.queue);
  if (status.ok()) status = words.bind(statement, 11, record.exception_type, kLooseWordsBytes);
  details ? statement.bind(12, *details) : statement.bind_null(12);
  statement.bind(13, std::int64_t{record.flags} | (record.finished_at > 0 ? 0 : kNotEnded));
  return status;
}

/// What the numbers of a segment's rows count from.
struct RowBase {
  std::int64_t us = 0;
  std::int64_t details_segment = 0;
};

/// Columns from `first` on, in the order of kTaskColumns.
inline Status read_task(const sqlite::Statement& row, int first, WordReader& words,
                        const RowBase& base, FoundRow& out) {
  Record& record = out.record;
  record.task_id = read_task_id(row, first);
  std::string* const texts[] = {&record.task_name, &record.state, &record.worker, &record.queue,
                                &record.exception_type};
  const int columns[] = {1, 2, 7, 8, 9};
  for (std::size_t i = 0; i < std::size(columns); ++i) {
    const auto text = words.text(row, first + columns[i]);
    if (!text.ok()) return text.status();
    *texts[i] = *text;
  }
  out.at_us = base.us + row.integer(first + 3);
  const auto before = [&](int column) {
    return row.is_null(column) ? 0 : from_us(out.at_us - row.integer(column));
  };
  record.started_at = before(first + 4);
  record.received_at = before(first + 5);
  record.runtime_ms =
      row.is_null(first + 6) ? -1 : static_cast<double>(row.integer(first + 6)) / 1e3;
  out.details = row.is_null(first + 10)
                    ? 0
                    : row.integer(first + 10) + DetailsRef{base.details_segment, 0, 0}.packed();
  const std::int64_t flags = row.integer(first + 11);
  record.flags = static_cast<std::uint16_t>(flags & 0xffff);
  record.finished_at = (flags & kNotEnded) != 0 ? 0 : from_us(out.at_us);
  return Status();
}

}  // namespace phlower
