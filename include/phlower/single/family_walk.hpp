// Goes over the rows of one family in steps, for the purge and for its dry run: along the index on
// finished_at as far as that is in order of time, and over the rest by itself.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/single/cell.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/row_age.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// One row as a walk finds it.
struct WalkedRow {
  std::int64_t rowid = 0;
  Cell id;  // of the task
  RowTime time;
  Cell time_value;              // which `time` was read from
  bool details_in_row = false;  // looked for where the walk was asked to
  bool details_in_table = false;

  /// "invocations.finished_at = 'soon' of task 'x'", for somebody to look at it.
  std::string where(const std::string& table) const {
    const std::string column(kTimeColumns[time.column]);
    return table + "." + column + " = " + shown(time_value) + " of task " + shown(id);
  }
};

/// The index holds, in this order: NULLs, numbers, texts, blobs. Numbers that are seconds since
/// 1970 are in order of time; all other rows ("aside") have to be looked at one by one, be it that
/// they have not ended, be it that another program wrote them. Where no index serves, all are
/// aside, by row id. Not thread safe. `db` outlives this.
class FamilyWalk {
 public:
  /// `details`: look whether each row has some.
  FamilyWalk(sqlite::Connection& db, const TableFamily& tables, bool details)
      : db_(db), tables_(tables), details_(details) {}

  bool has_rows() const { return !tables_.invocations.empty(); }
  bool has_index() const { return has_rows() && tables_.finished_index; }

  /// Adds up to `room` rows behind `place` that ended up to `last`, in seconds; fewer: there are no
  /// more. `place` moves to the last of them. Requires: has_index().
  Status along_index(DetailsMark& place, UnixSeconds last, std::size_t room,
                     std::vector<WalkedRow>& rows) {
    const std::size_t end = rows.size() + room;
    if (Status status = prepare_in_order(); !status.ok()) return status;
    last = std::min(last, kLastTime);
    if (place.time >= kFirstTime && place.time <= last) {
      tied_.bind(1, place.time);
      tied_.bind(2, place.rowid);
      tied_.bind(3, static_cast<std::int64_t>(room));
      if (Status status = take(tied_, Times::kEnd, rows); !status.ok()) return status;
    }
    if (rows.size() < end) {
      later_.bind(1, std::max(place.time, std::nextafter(kFirstTime, 0.0)));
      later_.bind(2, last);
      later_.bind(3, static_cast<std::int64_t>(end - rows.size()));
      if (Status status = take(later_, Times::kEnd, rows); !status.ok()) return status;
    }
    if (rows.size() + room > end) place = {rows.back().time.time.at, rows.back().rowid};
    return Status();
  }

  /// Adds up to `room` rows behind `place` that are aside; fewer: there are no more.
  Status aside(AsidePlace& place, UnixSeconds now, std::size_t room, std::vector<WalkedRow>& rows) {
    const std::size_t end = rows.size() + room;
    while (rows.size() < end && place.part != AsidePlace::Part::kEnd) {
      const std::size_t left = end - rows.size();
      Status status = place.part == AsidePlace::Part::kByRowid ? by_rowid(place, left, rows)
                                                               : in_order(place, left, rows);
      if (!status.ok()) return status;
      if (rows.size() < end) next_part(place, now);
    }
    return Status();
  }

 private:
  using Part = AsidePlace::Part;

  // In order of the index the end is all that counts.
  enum class Times : std::uint8_t { kEnd, kAll };

  // rowid, task_id, whether there are details in the row and in their own table, the times.
  std::string select(Times times) const {
    std::string sql = "SELECT rowid, task_id";
    if (details_) {
      sql += tables_.details_in_row ? ", " + row_sql::has_details(tables_.row_columns) : ", 0";
      sql += tables_.details.empty() ? ", 0"
                                     : ", EXISTS (SELECT 1 FROM \"" + tables_.details +
                                           "\" d WHERE d.task_id = i.task_id)";
    }
    sql += times == Times::kEnd ? ", finished_at" : ", finished_at, started_at, received_at";
    return sql + " FROM \"" + tables_.invocations + "\" i WHERE ";
  }

  // Once: a step of a purge is short, and would build the texts each time.
  Status prepare_in_order() {
    if (tied_ && later_) return Status();
    Status ready = db_.prepare_once(
        tied_, select(Times::kEnd) + "finished_at = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3");
    if (!ready.ok()) return ready;
    return db_.prepare_once(later_, select(Times::kEnd) +
                                        "finished_at > ?1 AND finished_at <= ?2 "
                                        "ORDER BY finished_at, rowid LIMIT ?3");
  }

  Status by_rowid(AsidePlace& place, std::size_t room, std::vector<WalkedRow>& rows) {
    const std::string unfinished = tables_.finished_index ? "finished_at IS NULL AND " : "";
    Status ready = db_.prepare_once(
        by_rowid_, select(Times::kAll) + unfinished + "rowid > ?1 ORDER BY rowid LIMIT ?2");
    if (!ready.ok()) return ready;
    by_rowid_.bind(1, place.rowid);
    by_rowid_.bind(2, static_cast<std::int64_t>(room));
    return take(by_rowid_, Times::kAll, rows, &place);
  }

  // First what shares the value of the place, then what is behind it.
  Status in_order(AsidePlace& place, std::size_t room, std::vector<WalkedRow>& rows) {
    const std::size_t end = rows.size() + room;
    const bool low = place.part == Part::kLow;
    sqlite::Statement& behind = low ? low_ : high_;
    Status ready = db_.prepare_once(
        equal_, select(Times::kAll) + "finished_at = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3");
    if (ready.ok()) {
      ready = db_.prepare_once(behind, select(Times::kAll) + "finished_at > ?1 AND " +
                                           (low ? "finished_at < ?2 " : "?2 ") +
                                           "ORDER BY finished_at, rowid LIMIT ?3");
    }
    if (!ready.ok()) return ready;
    const Cell value = place.value;  // bound, while `place` moves on
    value.bind_to(equal_, 1);
    equal_.bind(2, place.rowid);
    equal_.bind(3, static_cast<std::int64_t>(room));
    Status status = take(equal_, Times::kAll, rows, &place);
    if (!status.ok() || rows.size() == end) return status;
    value.bind_to(behind, 1);
    behind.bind(2, kFirstTime);
    behind.bind(3, static_cast<std::int64_t>(end - rows.size()));
    return take(behind, Times::kAll, rows, &place);
  }

  void next_part(AsidePlace& place, UnixSeconds now) const {
    constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
    constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
    if (place.part == Part::kByRowid && tables_.finished_index) {
      place = {Part::kLow, Cell::of(-kNever), kFirst};
    } else if (place.part == Part::kLow) {
      place = {Part::kHigh, Cell::of(now + kFarAhead), kLast};
    } else {
      place = {Part::kEnd, {}, kFirst};
    }
  }

  Status take(sqlite::Statement& select, Times times, std::vector<WalkedRow>& rows,
              AsidePlace* place = nullptr) {
    for (;;) {
      const auto found = select.step();
      if (!found.ok()) return found.status();
      if (!*found) return Status();
      WalkedRow& row = rows.emplace_back();
      row.rowid = select.integer(0);
      row.id = Cell::of(select, 1);
      if (details_) {
        row.details_in_row = select.integer(2) != 0;
        row.details_in_table = select.integer(3) != 0;
      }
      take_times(select, times, row, place);
    }
  }

  void take_times(const sqlite::Statement& select, Times times, WalkedRow& row, AsidePlace* place) {
    const int first = details_ ? 4 : 2;
    Cell ended = Cell::of(select, first);
    if (place != nullptr) {
      place->rowid = row.rowid;
      if (place->part != Part::kByRowid) place->value = ended;
    }
    row.time = {read_time(ended), 0};
    row.time_value = std::move(ended);
    if (row.time.time.kind != TimeKind::kNone || times == Times::kEnd) return;
    Cell others[] = {Cell::of(select, first + 1), Cell::of(select, first + 2)};
    row.time = row_time(row.time.time, read_time(others[0]), read_time(others[1]));
    row.time_value = std::move(others[row.time.column - 1]);
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  bool details_;
  sqlite::Statement tied_, later_, by_rowid_, equal_, low_, high_;
};

}  // namespace phlower
