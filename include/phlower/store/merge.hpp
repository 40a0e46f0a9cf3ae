// Two versions of one task become one row, in whatever order they arrive. Pure functions.
#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// Whether `incoming`, which arrived later, wins against `stored`: finished beats unfinished, then
/// the later version time wins, then the later arrival.
inline bool supersedes(const RecordView& incoming, const RecordView& stored) noexcept {
  const StateClass a = state_class(incoming.state);
  const StateClass b = state_class(stored.state);
  if (a != b) return a > b;
  return incoming.version_time() >= stored.version_time();
}

/// The row for both: the winner, with the gaps filled from the loser that say nothing of how the
/// task ended. Exception, runtime and traceback are the winner's alone. The text of the result is
/// that of the arguments. Where three versions meet, and two losers differ in something that the
/// winner does not know, the first to arrive stays: a row does not remember whose word it holds.
inline RecordView merge_versions(const RecordView& stored, const RecordView& incoming) noexcept {
  const bool incoming_wins = supersedes(incoming, stored);
  RecordView row = incoming_wins ? incoming : stored;
  const RecordView& loser = incoming_wins ? stored : incoming;
  // A start filled in below a row that only has arrived would move its version time back, and the
  // next comparison would come out differently from here.
  const bool start_is_free = row.finished_at > 0 || !(row.version_time() > 0);
  if (!(row.started_at > 0) && start_is_free) row.started_at = loser.started_at;
  if (!(row.received_at > 0)) row.received_at = loser.received_at;
  const auto fill = [](std::string_view& mine, std::string_view other) {
    if (mine.empty()) mine = other;
  };
  fill(row.task_name, loser.task_name);
  fill(row.worker, loser.worker);
  fill(row.queue, loser.queue);
  fill(row.args, loser.args);
  fill(row.kwargs, loser.kwargs);
  return row;
}

/// Times a row may hold: up to the year 9999, so that one wrong clock cannot keep a row for ever.
inline constexpr UnixSeconds kLatestTime = 253'402'300'799.0;

/// kInvalidArgument for a record that no row can hold.
inline Status check_record(const RecordView& record) {
  if (record.task_id.empty()) return Status(Code::kInvalidArgument, "a record without task_id");
  for (const double time : {record.received_at, record.started_at, record.finished_at}) {
    if (!std::isfinite(time) || time > kLatestTime) {
      return Status(Code::kInvalidArgument,
                    "task " + std::string(record.task_id) + ": a time that is no time");
    }
  }
  if (!std::isfinite(record.runtime_ms)) {
    return Status(Code::kInvalidArgument,
                  "task " + std::string(record.task_id) + ": a runtime that is no number");
  }
  return Status();
}

}  // namespace phlower
