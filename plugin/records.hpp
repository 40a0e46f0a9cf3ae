// Records and queries between the C ABI and the library.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "abi_structs.hpp"
#include "phlower/history/query.hpp"
#include "phlower/record/record.hpp"

namespace phlower::plugin {

inline constexpr double kNs = 1e9;

inline UnixSeconds seconds(std::int64_t at_ns) { return static_cast<double>(at_ns) / kNs; }

/// To whole microseconds: a double has no more of a time of our days.
inline std::int64_t nanoseconds(UnixSeconds at) {
  constexpr double kMost = 9e9;  // seconds; the year 2255
  return at > 0 && at < kMost ? std::llround(at * 1e6) * 1000 : 0;
}

/// Errors: see `take`; kInvalidArgument for text that is NULL with a size.
inline Status to_view(const phlower_record* given, RecordView& out) {
  phlower_record record;
  const phlower_record* from = given;
  // The usual case needs no copy: the caller has the same struct as we.
  if (given == nullptr || given->struct_size != sizeof(phlower_record)) {
    if (Status status = take(given, "record", record); !status.ok()) return status;
    from = &record;
  }
  const phlower_text* const texts = &from->task_id;
  for (int i = 0; i < 9; ++i) {
    if (texts[i].data == nullptr && texts[i].size != 0) {
      return Status(Code::kInvalidArgument, "record: a text is NULL and has a size");
    }
  }
  out.task_id = view(from->task_id);
  out.task_name = view(from->task_name);
  out.state = view(from->state);
  out.worker = view(from->worker);
  out.queue = view(from->queue);
  out.exception_type = view(from->exception_type);
  out.args = view(from->args);
  out.kwargs = view(from->kwargs);
  out.traceback = view(from->traceback);
  out.received_at = seconds(from->received_at_ns);
  out.started_at = seconds(from->started_at_ns);
  out.finished_at = seconds(from->finished_at_ns);
  out.runtime_ms = from->runtime_ns < 0 ? -1 : static_cast<double>(from->runtime_ns) / 1e6;
  out.flags = static_cast<std::uint16_t>(from->flags & (kDetailsCut | kDetailsShed));
  return Status();
}

/// Shows the text of `record`, which must outlive it.
inline phlower_record to_struct(const Record& record) {
  phlower_record out = PHLOWER_RECORD_INIT;
  out.flags = record.flags;
  out.task_id = text(record.task_id);
  out.task_name = text(record.task_name);
  out.state = text(record.state);
  out.worker = text(record.worker);
  out.queue = text(record.queue);
  out.exception_type = text(record.exception_type);
  out.args = text(record.args);
  out.kwargs = text(record.kwargs);
  out.traceback = text(record.traceback);
  out.received_at_ns = nanoseconds(record.received_at);
  out.started_at_ns = nanoseconds(record.started_at);
  out.finished_at_ns = nanoseconds(record.finished_at);
  out.runtime_ns = record.runtime_ms < 0 ? -1 : std::llround(record.runtime_ms * 1e6);
  return out;
}

/// Errors: kInvalidArgument for what is no cursor or out of range.
inline Status to_query(const phlower_query& given, Query& out) {
  constexpr std::uint32_t kMostRows = 10'000;
  if (given.limit > kMostRows) {
    return Status(Code::kInvalidArgument,
                  "limit is " + std::to_string(given.limit) + "; at most 10000 rows come at once");
  }
  out.task_name = view(given.task_name);
  out.state = view(given.state);
  out.worker = view(given.worker);
  out.queue = view(given.queue);
  out.text = view(given.text);
  if (given.limit != 0) out.limit = given.limit;
  if (given.scan_limit != 0) out.scan_limit = given.scan_limit;
  if (given.from_at_ns != 0) out.from_us = given.from_at_ns / 1000 + (given.from_at_ns % 1000 > 0);
  if (given.until_at_ns != 0) {
    out.until_us = given.until_at_ns / 1000 + (given.until_at_ns % 1000 > 0);
  }
  out.details = given.without_details == 0;
  if (given.after.size == 0) return Status();
  auto cursor = Cursor::parse(view(given.after));
  if (!cursor.ok()) return cursor.status();
  out.after = *std::move(cursor);
  return Status();
}

}  // namespace phlower::plugin
