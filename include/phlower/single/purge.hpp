// Removes what has expired from one family of tables, a few rows at a step. The caller looks at
// the clock between steps; every step can be the last one before a commit, a rollback or a crash.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/family_walk.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. Requires an open transaction. `db` outlives this.
class FamilyPurge {
 public:
  FamilyPurge(sqlite::Connection& db, const TableFamily& tables)
      : db_(db), tables_(tables), walk_(db, tables, false) {}

  /// Examines up to `room` rows, oldest first, and adds to `report`. `report.more` is set when
  /// there was no room left to see the end; otherwise `state.quiet_until` is set.
  Status run(const PurgeTime& time, std::uint32_t room, FamilyState& state, PurgeReport& report) {
    const std::uint64_t end = report.examined + room;
    report.more = false;
    // All details first, then the rows: each leaves one index whose pages are hit at random, and
    // one at a time stays in the cache and is written once for several rows at a checkpoint.
    // Details that are columns go with their row.
    const bool rows_first = tables_.details_in_row;
    for (const auto step : {rows_first ? &FamilyPurge::expire_rows : &FamilyPurge::expire_details,
                            rows_first ? &FamilyPurge::expire_details : &FamilyPurge::expire_rows,
                            &FamilyPurge::expire_aside, &FamilyPurge::expire_orphans}) {
      for (;;) {
        if (report.examined >= end) {
          report.more = true;
          return Status();
        }
        const auto left = static_cast<std::uint32_t>(end - report.examined);
        const std::uint64_t before = report.examined;
        if (Status status = (this->*step)(time, left, state, report); !status.ok()) return status;
        if (report.examined - before < left) break;  // the step saw its end
      }
    }
    if (Status status = drop_if_over(time, state); !status.ok()) return status;
    if (state.dropped) return Status();
    return find_quiet(time, state);
  }

  /// Sets `state.quiet_until` without removing anything. A few look-ups of one row.
  Status find_quiet(const PurgeTime& time, FamilyState& state) {
    state.quiet_until = kNever;
    if (walk_.has_index()) {
      auto oldest = first_after({});
      if (!oldest.ok()) return oldest.status();
      auto unmarked = first_after(state.mark);
      if (!unmarked.ok()) return unmarked.status();
      state.quiet_until = *oldest + time.invocation_lifetime();
      if (has_details()) {
        state.quiet_until = std::min(state.quiet_until, *unmarked + time.details_lifetime());
      }
    }
    if (walk_.has_rows()) state.quiet_until = std::min(state.quiet_until, state.walk.next_due);
    if (!tables_.is_day()) return Status();
    const auto day = day_due(time);
    if (!day.ok()) return day.status();
    state.quiet_until = std::min(state.quiet_until, *day);
    return Status();
  }

 private:
  enum class Key : std::uint8_t { kRowid, kTaskId };

  bool has_details() const { return !tables_.details.empty() || tables_.details_in_row; }
  std::string inv() const { return "\"" + tables_.invocations + "\""; }
  std::string det() const { return "\"" + tables_.details + "\""; }

  // From the front of the index: what is found here goes.
  Status expire_rows(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                     PurgeReport& report) {
    if (!walk_.has_index()) return Status();
    DetailsMark front;
    rows_.clear();
    Status status = walk_.along_index(front, time.cutoffs.invocations, room, rows_);
    if (!status.ok()) return status;
    report.examined += rows_.size();
    return delete_rows(rows_, state, report);
  }

  Status expire_details(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                        PurgeReport& report) {
    if (!walk_.has_index() || !has_details()) return Status();
    DetailsMark last = state.mark;
    rows_.clear();
    Status status = walk_.along_index(last, time.cutoffs.details, room, rows_);
    if (status.ok()) status = delete_details(rows_, state, report);
    if (!status.ok()) return status;
    state.mark = last;
    report.examined += rows_.size();
    return Status();
  }

  // What no index brings in order of time; in passes.
  Status expire_aside(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                      PurgeReport& report) {
    if (!walk_.has_rows() || time.now < state.walk.next_due) return Status();
    rows_.clear();
    Status status = walk_.aside(state.walk.place, time.now, room, rows_);
    if (!status.ok()) return status;
    rows_due_.clear();
    details_due_.clear();
    for (const WalkedRow& row : rows_) sort_out(row, time, state);
    state.walk.rows += rows_.size();
    status = delete_rows(rows_due_, state, report);
    if (status.ok()) status = delete_details(details_due_, state, report);
    if (!status.ok()) return status;
    report.examined += rows_.size();
    if (rows_.size() < room) {
      state.doubts = std::move(state.walk.doubts);
      state.walk.end_pass(time.now);
    }
    return Status();
  }

  void sort_out(const WalkedRow& row, const PurgeTime& time, FamilyState& state) {
    const Verdict verdict = judge(row.time, time);
    if (verdict.doubt) {
      state.walk.doubts.note(*verdict.doubt, [&] { return row.where(tables_.invocations); });
    }
    if (verdict.row_goes) {
      rows_due_.push_back(row);
      return;
    }
    double due = verdict.row_due;
    if (verdict.details_go) {
      details_due_.push_back(row);
    } else if (has_details()) {
      due = std::min(due, verdict.details_due);
    }
    state.walk.next_found = std::min(state.walk.next_found, due);
  }

  // Details of a day that is over whose rows are gone (or were never there).
  Status expire_orphans(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                        PurgeReport& report) {
    if (!tables_.is_day() || tables_.details.empty()) return Status();
    if (end_of_day(tables_.suffix) > time.cutoffs.details) return Status();
    const auto rows_left = any_row(tables_.invocations);
    if (!rows_left.ok()) return rows_left.status();
    if (*rows_left) return Status();
    Status ready =
        db_.prepare_once(select_orphans_, "SELECT rowid, task_id FROM " + det() + " LIMIT ?1");
    if (!ready.ok()) return ready;
    select_orphans_.bind(1, std::int64_t{room});
    rows_.clear();
    for (;;) {
      const auto found = select_orphans_.step();
      if (!found.ok()) return found.status();
      if (!*found) break;
      rows_.push_back(
          {select_orphans_.integer(0), Cell::of(select_orphans_, 1), {}, {}, false, false});
    }
    report.examined += rows_.size();
    return delete_from(det(), Key::kRowid, delete_orphans_, rows_, state.details, report.details);
  }

  // Details first, which may refer to their row. They should be gone by now, but another process
  // may have written them late, and without the row nothing would ever tell their age. Columns go
  // with their row.
  Status delete_rows(std::span<const WalkedRow> rows, FamilyState& state, PurgeReport& report) {
    Status status;
    if (!tables_.details.empty()) {
      status =
          delete_from(det(), Key::kTaskId, delete_details_, rows, state.details, report.details);
    }
    if (!status.ok()) return status;
    return delete_from(inv(), Key::kRowid, delete_rows_, rows, state.invocations,
                       report.invocations);
  }

  Status delete_details(std::span<const WalkedRow> rows, FamilyState& state, PurgeReport& report) {
    if (tables_.details_in_row) {
      Status ready = db_.prepare_once(
          empty_details_, "UPDATE " + inv() +
                              " SET args_preview = NULL, kwargs_preview = NULL, traceback_snippet "
                              "= NULL WHERE rowid = ?1 AND (args_preview IS NOT NULL OR "
                              "kwargs_preview IS NOT NULL OR traceback_snippet IS NOT NULL)");
      if (!ready.ok()) return ready;
      for (const WalkedRow& row : rows) {
        empty_details_.bind(1, row.rowid);
        if (Status status = empty_details_.run(); !status.ok()) return status;
        report.details += static_cast<std::uint64_t>(db_.changes());
      }
    }
    if (tables_.details.empty()) return Status();
    return delete_from(det(), Key::kTaskId, delete_details_, rows, state.details, report.details);
  }

  // One statement for many rows: it opens its five trees once, and goes through a list of keys in
  // order. A row alone where the count that runs must know which of them were there.
  struct DeletePair {
    sqlite::Statement one, many;
  };
  static constexpr std::size_t kMany = 64;

  Status delete_from(const std::string& table, Key key, DeletePair& statements,
                     std::span<const WalkedRow> rows, TableCount& count, std::uint64_t& deleted) {
    while (!rows.empty()) {
      const auto most = rows.first(std::min(rows.size(), kMany));
      const bool many =
          most.size() >= kMany / 4 && !count.needs_keys() &&
          std::all_of(most.begin(), most.end(), [](const WalkedRow& r) { return r.id.is_text(); });
      const std::size_t taken = many ? most.size() : 1;
      sqlite::Statement& statement = many ? statements.many : statements.one;
      if (!statement) {
        auto made = db_.prepare(delete_sql(table, key, many ? kMany : 1));
        if (!made.ok()) return made.status();
        statement = std::move(*made);
      }
      for (std::size_t i = 0; i < (many ? kMany : 1); ++i) {
        const WalkedRow& row = rows[i < taken ? i : 0];  // the first again where there are fewer
        const int at = static_cast<int>(i) + 1;
        key == Key::kRowid ? statement.bind(at, row.rowid) : row.id.bind_to(statement, at);
      }
      if (Status status = statement.run(); !status.ok()) return status;
      const auto gone = static_cast<std::uint64_t>(db_.changes());
      deleted += gone;
      if (many) {
        count.deleted_many(gone);
      } else if (gone > 0 && rows[0].id.is_text()) {
        count.deleted(rows[0].id.bytes);
      }
      if (key == Key::kRowid && gone < taken) {
        if (Status status = expect_gone(table, rows.first(taken)); !status.ok()) return status;
      }
      rows = rows.subspan(taken);
    }
    return Status();
  }

  static std::string delete_sql(const std::string& table, Key key, std::size_t rows) {
    std::string sql = "DELETE FROM " + table + " WHERE ";
    sql += key == Key::kRowid ? "rowid IN (?" : "task_id IN (?";
    for (std::size_t i = 1; i < rows; ++i) sql += ", ?";
    return sql + ")";
  }

  // A trigger of the file may have kept a row, or have deleted it before we did. One that is kept
  // would be found again for ever.
  Status expect_gone(const std::string& table, std::span<const WalkedRow> rows) {
    for (const WalkedRow& row : rows) {
      const auto left = db_.query_integer("SELECT 1 FROM " + table +
                                          " WHERE rowid = " + std::to_string(row.rowid));
      if (!left.ok()) return left.status();
      if (*left == 0) continue;
      return Status(Code::kUnsupported, db_.path() + ": a trigger keeps rows of table " + table +
                                            " from being deleted (as task " + shown(row.id) + ")");
    }
    return Status();
  }

  // The end, in seconds, of the first row behind a place of the index; kNever if there is none.
  Result<UnixSeconds> first_after(DetailsMark place) {
    rows_.clear();
    Status status = walk_.along_index(place, kLastTime, 1, rows_);
    if (!status.ok()) return status;
    return rows_.empty() ? kNever : place.time;
  }

  Result<bool> any_row(const std::string& table) {
    if (table.empty()) return false;
    const auto found = db_.query_integer("SELECT 1 FROM \"" + table + "\" LIMIT 1");
    if (!found.ok()) return found.status();
    return *found == 1;
  }

  // When the tables of a day are next due for what no row's own time tells: details without rows,
  // then the drop. While there are rows, the purge of the last of them looks at both.
  Result<UnixSeconds> day_due(const PurgeTime& time) {
    const UnixSeconds end = end_of_day(tables_.suffix);
    if (end > time.cutoffs.details) return end + time.details_lifetime();
    const auto rows_left = any_row(tables_.invocations);
    if (!rows_left.ok()) return rows_left.status();
    if (*rows_left) return kNever;
    const auto orphans_left = any_row(tables_.details);
    if (!orphans_left.ok()) return orphans_left.status();
    return *orphans_left ? -kNever : end + time.invocation_lifetime();
  }

  // The empty tables of a day that is over: a few pages, unlike a DROP of a full table.
  Status drop_if_over(const PurgeTime& time, FamilyState& state) {
    if (!tables_.is_day() || end_of_day(tables_.suffix) > time.cutoffs.invocations) return Status();
    for (const std::string& table : {tables_.invocations, tables_.details}) {
      const auto rows_left = any_row(table);
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
  FamilyWalk walk_;
  std::vector<WalkedRow> rows_;  // of the step that runs; kept for its memory
  std::vector<WalkedRow> rows_due_, details_due_;
  sqlite::Statement select_orphans_, empty_details_;
  DeletePair delete_rows_, delete_details_, delete_orphans_;
};

}  // namespace phlower
