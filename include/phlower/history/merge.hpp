// Two versions of one task become one row, in whatever order they arrive. Pure functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// A time as it can be compared with one that was stored: segments keep whole microseconds.
inline std::int64_t comparable_us(UnixSeconds time) noexcept {
  return std::llround(std::clamp(time, -9e12, 9e12) * 1e6);
}

/// Whether `incoming`, which arrived later, wins against `stored`: the state of the higher rank
/// (SUCCESS, FAILURE, others, REVOKED, REJECTED, then what is unfinished), then the later version
/// time, then the later arrival. So the order in which versions come does not matter.
inline bool supersedes(const RecordView& incoming, const RecordView& stored) noexcept {
  const StateRank a = state_rank(incoming.state);
  const StateRank b = state_rank(stored.state);
  if (a != b) return a > b;
  return comparable_us(incoming.version_time()) >= comparable_us(stored.version_time());
}

/// Which of two times of a kind, of versions that know of the same end, belongs to the run that
/// ended: the later one, if it is not after the end. 0 is none.
inline UnixSeconds time_up_to(UnixSeconds end, UnixSeconds a, UnixSeconds b) noexcept {
  const UnixSeconds later = std::max(a, b);
  const UnixSeconds earlier = std::min(a, b);
  return later > end && earlier > 0 ? earlier : later;
}

/// The row for both: the winner, with the gaps filled from the loser that say nothing of how the
/// task ended. Exception, runtime and traceback are the winner's alone. The text of the result is
/// that of the arguments. Versions that tell of the same end are pieces of one story: their times
/// are those of the run that ended, whichever came last. Where three versions meet, and two losers
/// differ in something that the winner does not know, the first to arrive stays: a row does not
/// remember whose word it holds.
[[gnu::flatten]] inline RecordView merge_versions(const RecordView& stored,
                                                  const RecordView& incoming) noexcept {
  const bool incoming_wins = supersedes(incoming, stored);
  RecordView row = incoming_wins ? incoming : stored;
  const RecordView& loser = incoming_wins ? stored : incoming;
  // A start filled in below a row that only has arrived would move its version time back, and the
  // next comparison would come out differently from here.
  const bool start_is_free = row.finished_at > 0 || !(row.version_time() > 0);
  if (!(row.started_at > 0) && start_is_free) row.started_at = loser.started_at;
  if (!(row.received_at > 0)) row.received_at = loser.received_at;
  if (row.finished_at > 0 && row.state == loser.state &&
      comparable_us(row.finished_at) == comparable_us(loser.finished_at)) {
    row.started_at = time_up_to(row.finished_at, row.started_at, loser.started_at);
    row.received_at = time_up_to(row.finished_at, row.received_at, loser.received_at);
  }
  visit_fields(
      [](const Field& field, auto& mine, const auto& other) {
        if (field.merge == FieldMerge::kFilled && !is_known(field, mine)) mine = other;
      },
      row, loser);
  return row;
}

/// Times a row may hold: up to the year 9999, so that one wrong clock cannot keep a row for ever.
inline constexpr UnixSeconds kLatestTime = 253'402'300'799.0;

/// kInvalidArgument for a record that no row can hold.
inline Status check_record(const RecordView& record) {
  if (record.task_id.empty()) return Status(Code::kInvalidArgument, "a record without task_id");
  const char* wrong = nullptr;
  visit_numbers(
      [&wrong](const Field& field, double value) {
        const bool time = field.kind == FieldKind::kTime;
        if (std::isfinite(value) && !(time && value > kLatestTime)) return;
        if (wrong == nullptr)
          wrong = time ? "a time that is no time" : "a runtime that is no number";
      },
      record);
  if (wrong != nullptr) {
    return Status(Code::kInvalidArgument, "task " + std::string(record.task_id) + ": " + wrong);
  }
  return Status();
}

}  // namespace phlower
