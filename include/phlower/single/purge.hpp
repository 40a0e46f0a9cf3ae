// Removes what has expired from one family of tables, a few rows at a step. The caller looks at
// the clock between steps; every step can be the last one before a commit, a rollback or a crash.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/family_sweep.hpp"
#include "phlower/single/row_deleter.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. Requires an open transaction. `db` outlives this.
class FamilyPurge {
 public:
  FamilyPurge(sqlite::Connection& db, const TableFamily& tables)
      : db_(db), tables_(tables), sweep_(db, tables, false), deleter_(db, tables) {}

  /// Examines up to `room` rows, oldest first, and adds to `report`. `report.more` is set when
  /// there was no room left to see the end; otherwise `state.quiet_until` is set.
  Status run(const PurgeTime& time, std::uint32_t room, FamilyState& state, PurgeReport& report) {
    // Rows go from the front of the index, details from the mark on, what is aside in passes.
    SweepPlace place;
    place.details = state.mark;
    const bool pass = time.now >= state.walk.next_due;
    if (pass) {
      place.aside = state.walk.place;
    } else {
      place.aside.part = AsidePlace::Part::kEnd;
    }
    deleter_.begin(state, report);
    Status status = sweep_.run(time, room, place, deleter_, report);
    if (!status.ok()) return status;
    state.mark = place.details;
    if (pass && walk().has_rows()) note_pass(time, place.aside, state.walk, state.doubts);
    if (report.more) return Status();
    if (status = drop_if_over(time, state); !status.ok()) return status;
    if (state.dropped) return Status();
    return find_quiet(time, state);
  }

  /// Sets `state.quiet_until` without removing anything. A few look-ups of one row.
  Status find_quiet(const PurgeTime& time, FamilyState& state) {
    state.quiet_until = kNever;
    if (walk().has_index()) {
      auto oldest = first_after({});
      if (!oldest.ok()) return oldest.status();
      auto unmarked = first_after(state.mark);
      if (!unmarked.ok()) return unmarked.status();
      state.quiet_until = *oldest + time.invocation_lifetime();
      if (tables_.has_details()) {
        state.quiet_until = std::min(state.quiet_until, *unmarked + time.details_lifetime());
      }
    }
    if (walk().has_rows()) state.quiet_until = std::min(state.quiet_until, state.walk.next_due);
    if (!tables_.is_day()) return Status();
    const auto day = day_due(time);
    if (!day.ok()) return day.status();
    state.quiet_until = std::min(state.quiet_until, *day);
    return Status();
  }

 private:
  FamilyWalk& walk() noexcept { return sweep_.walk(); }

  static void note_pass(const PurgeTime& time, const AsidePlace& reached, RowWalk& walk,
                        Doubts& doubts) {
    walk.place = reached;
    if (reached.part != AsidePlace::Part::kEnd) return;
    doubts = std::move(walk.doubts);
    walk.end_pass(time.now);
  }

  // The end, in seconds, of the first row behind a place of the index; kNever if there is none.
  Result<UnixSeconds> first_after(DetailsMark place) {
    rows_.clear();
    Status status = walk().along_index(place, kLastTime, 1, rows_);
    if (!status.ok()) return status;
    return rows_.empty() ? kNever : place.time;
  }

  // When the tables of a day are next due for what no row's own time tells: details without rows,
  // then the drop. While there are rows, the purge of the last of them looks at both.
  Result<UnixSeconds> day_due(const PurgeTime& time) {
    const UnixSeconds end = end_of_day(tables_.suffix);
    if (end > time.cutoffs.details) return end + time.details_lifetime();
    const auto rows_left = has_any_row(db_, tables_.invocations);
    if (!rows_left.ok()) return rows_left.status();
    if (*rows_left) return kNever;
    const auto orphans_left = has_any_row(db_, tables_.details);
    if (!orphans_left.ok()) return orphans_left.status();
    return *orphans_left ? -kNever : end + time.invocation_lifetime();
  }

  // The empty tables of a day that is over: a few pages, unlike a DROP of a full table.
  Status drop_if_over(const PurgeTime& time, FamilyState& state) {
    if (!tables_.is_day() || end_of_day(tables_.suffix) > time.cutoffs.invocations) return Status();
    for (const std::string& table : {tables_.invocations, tables_.details}) {
      const auto rows_left = has_any_row(db_, table);
      if (!rows_left.ok()) return rows_left.status();
      if (*rows_left) return Status();
    }
    for (const std::string& table : {tables_.invocations, tables_.details}) {
      if (table.empty()) continue;
      if (Status status = db_.exec("DROP TABLE \"" + table + "\""); !status.ok()) return status;
    }
    state.dropped = true;
    return Status();
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  FamilySweep sweep_;
  RowDeleter deleter_;
  std::vector<WalkedRow> rows_;  // of one look-up; kept for its memory
};

}  // namespace phlower
