// One finished (or last seen) invocation of a task, as producers hand it over and as rows hold it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/record/fields.hpp"

namespace phlower {

/// What a state weighs against another of the same task; see `state_rank`.
enum class StateRank : std::uint8_t {
  kUnfinished,
  kRejected,
  kRevoked,
  kOther,
  kFailed,
  kSucceeded
};

/// States in the words of the task queue ("SUCCESS"), in the order of Celery's states.PRECEDENCE:
/// a task that was delivered twice has succeeded if one run of it has. Unknown words count as
/// finished, because a record is made when an invocation ends; they stand where Celery has them. No
/// state at all is one that is not known yet.
constexpr StateRank state_rank(std::string_view state) noexcept {
  if (state.empty()) return StateRank::kUnfinished;
  if (state == "SUCCESS") return StateRank::kSucceeded;
  if (state == "FAILURE") return StateRank::kFailed;
  if (state == "REVOKED") return StateRank::kRevoked;
  if (state == "REJECTED") return StateRank::kRejected;
  for (std::string_view open : {"PENDING", "SENT", "RECEIVED", "STARTED", "RETRY"}) {
    if (state == open) return StateRank::kUnfinished;
  }
  return StateRank::kOther;
}

/// A time of an invocation in Unix seconds; 0 or less means "not known" (stored as NULL).
using UnixSeconds = double;

/// Flags that travel with a record and tell what was done to it on the way.
enum RecordFlag : std::uint16_t {
  kDetailsCut = 1,   // a text was shortened to its limit
  kDetailsShed = 2,  // args, kwargs and traceback were left out because the ring was filling
};

/// Non-owning record. The text must stay valid for the duration of the call it is given to.
/// Strings are UTF-8; empty means "not known". `runtime_ms` below 0 means "not known".
struct RecordView {
  std::string_view task_id;
  std::string_view task_name;
  std::string_view state;
  UnixSeconds received_at = 0;
  UnixSeconds started_at = 0;
  UnixSeconds finished_at = 0;
  double runtime_ms = -1;
  std::string_view worker;
  std::string_view queue;
  std::string_view exception_type;
  std::string_view args;
  std::string_view kwargs;
  std::string_view traceback;
  std::uint16_t flags = 0;

  /// The time that orders versions of one task: the latest thing known to have happened to it.
  UnixSeconds version_time() const noexcept {
    if (finished_at > 0) return finished_at;
    return started_at > 0 ? started_at : received_at;
  }
  [[gnu::flatten]] bool has_details() const noexcept {
    bool some = false;
    visit_details([&some](const Field&, std::string_view text) { some |= !text.empty(); }, *this);
    return some;
  }
  void clear_details() noexcept {
    visit_details([](const Field&, std::string_view& text) { text = {}; }, *this);
  }
};

inline bool same_details(const RecordView& a, const RecordView& b) noexcept {
  bool same = true;
  visit_details(
      [&same](const Field&, std::string_view one, std::string_view other) { same &= one == other; },
      a, b);
  return same;
}

/// The same with text of its own, for code that keeps records.
struct Record {
  std::string task_id;
  std::string task_name;
  std::string state;
  UnixSeconds received_at = 0;
  UnixSeconds started_at = 0;
  UnixSeconds finished_at = 0;
  double runtime_ms = -1;
  std::string worker;
  std::string queue;
  std::string exception_type;
  std::string args;
  std::string kwargs;
  std::string traceback;
  std::uint16_t flags = 0;

  [[gnu::flatten]] RecordView view() const noexcept {
    RecordView out;
    visit_fields([](const Field&, auto& to, const auto& from) { to = from; }, out, *this);
    out.flags = flags;
    return out;
  }
};

/// A copy of the text a view shows. Allocates.
inline Record owned(const RecordView& view) {
  Record out;
  visit_fields([](const Field&, auto& to, const auto& from) { to = from; }, out, view);
  out.flags = view.flags;
  return out;
}

/// Gives a record the details of a view.
inline void take_details(Record& record, const RecordView& from) {
  visit_details([](const Field&, std::string& to, std::string_view text) { to = text; }, record,
                from);
}

}  // namespace phlower
