// Removes what has expired from one family of tables, a few rows at a step. The caller looks at
// the clock between steps; every step can be the last one before a commit, a rollback or a crash.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/store/family.hpp"
#include "phlower/store/sqlite.hpp"
#include "phlower/store/tables.hpp"
#include "phlower/store/types.hpp"

namespace phlower {

/// The moment of a purge: cutoffs and lifetimes belong together.
struct PurgeTime {
  UnixSeconds now = 0;
  Cutoffs cutoffs;
  double invocation_lifetime() const { return now - cutoffs.invocations; }
  double details_lifetime() const { return now - cutoffs.details; }
};

/// Not thread safe. Requires an open transaction. `db` outlives this.
class FamilyPurge {
 public:
  FamilyPurge(sqlite::Connection& db, const TableFamily& tables) : db_(db), tables_(tables) {}

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
                            &FamilyPurge::walk_rows, &FamilyPurge::expire_orphans}) {
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
    if (tables_.finished_index && !tables_.invocations.empty()) {
      auto oldest = first_after({0, std::numeric_limits<std::int64_t>::max()});
      if (!oldest.ok()) return oldest.status();
      auto unmarked = first_after(state.mark);
      if (!unmarked.ok()) return unmarked.status();
      state.quiet_until = *oldest + time.invocation_lifetime();
      if (has_details()) {
        state.quiet_until = std::min(state.quiet_until, *unmarked + time.details_lifetime());
      }
    }
    if (!tables_.invocations.empty()) {
      state.quiet_until = std::min(state.quiet_until, state.walk.next_due);
    }
    if (!tables_.is_day()) return Status();
    const auto day = day_due(time);
    if (!day.ok()) return day.status();
    state.quiet_until = std::min(state.quiet_until, *day);
    return Status();
  }

 private:
  struct Row {
    std::int64_t rowid;
    std::string task_id;
    bool countable;  // a text, as the counts have them
  };

  enum class Key : std::uint8_t { kRowid, kTaskId };

  bool has_details() const { return !tables_.details.empty() || tables_.details_in_row; }
  std::string inv() const { return "\"" + tables_.invocations + "\""; }
  std::string det() const { return "\"" + tables_.details + "\""; }

  // rowid, task_id, and the time to go on from, of the rows a bound statement yields.
  Status collect(sqlite::Statement& select, DetailsMark* last = nullptr) {
    rows_.clear();
    for (;;) {
      const auto found = select.step();
      if (!found.ok()) return found.status();
      if (!*found) return Status();
      rows_.push_back({select.integer(0), std::string(select.text(1)), select.is_text(1)});
      if (last != nullptr) *last = {select.real(2), select.integer(0)};
    }
  }

  // An end of 0 or less, which no version of Phlower writes, is not known to be long ago.
  Status expire_rows(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                     PurgeReport& report) {
    if (tables_.invocations.empty() || !tables_.finished_index) return Status();
    Status ready =
        db_.prepare_once(select_expired_, "SELECT rowid, task_id FROM " + inv() +
                                              " WHERE finished_at > 0 AND finished_at <= ?1 "
                                              "ORDER BY finished_at LIMIT ?2");
    if (!ready.ok()) return ready;
    select_expired_.bind(1, time.cutoffs.invocations);
    select_expired_.bind(2, std::int64_t{room});
    if (Status status = collect(select_expired_); !status.ok()) return status;
    report.examined += rows_.size();
    return delete_rows(rows_, state, report);
  }

  // Along the index from the mark: first what shares its time, then what is later.
  Status expire_details(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                        PurgeReport& report) {
    if (tables_.invocations.empty() || !tables_.finished_index || !has_details()) return Status();
    if (Status status = prepare_details_walk(); !status.ok()) return status;
    DetailsMark last = state.mark;
    rows_.clear();
    if (state.mark.time <= time.cutoffs.details) {
      select_tied_.bind(1, state.mark.time);
      select_tied_.bind(2, state.mark.rowid);
      select_tied_.bind(3, std::int64_t{room});
      if (Status status = collect(select_tied_, &last); !status.ok()) return status;
    }
    if (rows_.empty()) {
      select_later_.bind(1, std::max(state.mark.time, 0.0));
      select_later_.bind(2, time.cutoffs.details);
      select_later_.bind(3, std::int64_t{room});
      if (Status status = collect(select_later_, &last); !status.ok()) return status;
    }
    if (Status status = delete_details(rows_, state, report); !status.ok()) return status;
    state.mark = last;
    // The tied ones may be fewer than there is room for although later ones follow.
    report.examined += rows_.size();
    return rows_.empty() || rows_.size() == room ? Status()
                                                 : expire_details_rest(time, room, state, report);
  }
  Status expire_details_rest(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                             PurgeReport& report) {
    const auto done = static_cast<std::uint32_t>(rows_.size());
    return expire_details(time, room - done, state, report);
  }

  Status prepare_details_walk() {
    Status ready = db_.prepare_once(
        select_tied_, "SELECT rowid, task_id, finished_at FROM " + inv() +
                          " WHERE finished_at = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3");
    if (!ready.ok()) return ready;
    return db_.prepare_once(select_later_, "SELECT rowid, task_id, finished_at FROM " + inv() +
                                               " WHERE finished_at > ?1 AND finished_at <= ?2 "
                                               "ORDER BY finished_at, rowid LIMIT ?3");
  }

  // Rows without an end, or all where no index brings them in order; in passes.
  Status walk_rows(const PurgeTime& time, std::uint32_t room, FamilyState& state,
                   PurgeReport& report) {
    if (tables_.invocations.empty() || time.now < state.walk.next_due) return Status();
    const std::string unfinished = tables_.finished_index ? "finished_at IS NULL AND " : "";
    Status ready = db_.prepare_once(
        select_walk_, "SELECT rowid, task_id, finished_at, started_at, received_at FROM " + inv() +
                          " WHERE " + unfinished + "rowid > ?1 ORDER BY rowid LIMIT ?2");
    if (!ready.ok()) return ready;
    select_walk_.bind(1, state.walk.after);
    select_walk_.bind(2, std::int64_t{room});
    std::vector<UnixSeconds> times;
    rows_.clear();
    for (;;) {
      const auto found = select_walk_.step();
      if (!found.ok()) return found.status();
      if (!*found) break;
      rows_.push_back(
          {select_walk_.integer(0), std::string(select_walk_.text(1)), select_walk_.is_text(1)});
      times.push_back(
          retention_time(select_walk_.real(2), select_walk_.real(3), select_walk_.real(4)));
    }
    rows_due_.clear();
    details_due_.clear();
    for (std::size_t i = 0; i < rows_.size(); ++i) judge(rows_[i], times[i], time, state);
    if (!rows_.empty()) state.walk.after = rows_.back().rowid;
    if (Status status = delete_rows(rows_due_, state, report); !status.ok()) return status;
    if (Status status = delete_details(details_due_, state, report); !status.ok()) return status;
    report.examined += rows_.size();
    if (rows_.size() < room) state.walk.end_pass(time.now);
    return Status();
  }

  // A row without any time stays: nothing says how old it is.
  void judge(const Row& row, UnixSeconds at, const PurgeTime& time, FamilyState& state) {
    if (!(at > 0)) return;
    if (at <= time.cutoffs.invocations) {
      rows_due_.push_back(row);
      return;
    }
    double due = at + time.invocation_lifetime();
    if (at <= time.cutoffs.details) {
      details_due_.push_back(row);
    } else if (has_details()) {
      due = std::min(due, at + time.details_lifetime());
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
    if (Status status = collect(select_orphans_); !status.ok()) return status;
    report.examined += rows_.size();
    return delete_from(det(), Key::kRowid, delete_orphans_, rows_, state.details, report.details);
  }

  Status delete_rows(std::span<const Row> rows, FamilyState& state, PurgeReport& report) {
    Status status =
        delete_from(inv(), Key::kRowid, delete_rows_, rows, state.invocations, report.invocations);
    // Columns went with their row. Details of a row should be gone by now, but another process may
    // have written them late, and without the row nothing would ever tell their age.
    if (!status.ok() || tables_.details.empty()) return status;
    return delete_from(det(), Key::kTaskId, delete_details_, rows, state.details, report.details);
  }

  Status delete_details(std::span<const Row> rows, FamilyState& state, PurgeReport& report) {
    if (tables_.details_in_row) {
      Status ready = db_.prepare_once(
          empty_details_, "UPDATE " + inv() +
                              " SET args_preview = NULL, kwargs_preview = NULL, traceback_snippet "
                              "= NULL WHERE rowid = ?1 AND (args_preview IS NOT NULL OR "
                              "kwargs_preview IS NOT NULL OR traceback_snippet IS NOT NULL)");
      if (!ready.ok()) return ready;
      for (const Row& row : rows) {
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
                     std::span<const Row> rows, TableCount& count, std::uint64_t& deleted) {
    while (!rows.empty()) {
      const auto most = rows.first(std::min(rows.size(), kMany));
      const bool many =
          most.size() >= kMany / 4 && !count.needs_keys() &&
          std::all_of(most.begin(), most.end(), [](const Row& r) { return r.countable; });
      const std::size_t taken = many ? most.size() : 1;
      sqlite::Statement& statement = many ? statements.many : statements.one;
      if (!statement) {
        auto made = db_.prepare(delete_sql(table, key, many ? kMany : 1));
        if (!made.ok()) return made.status();
        statement = std::move(*made);
      }
      for (std::size_t i = 0; i < (many ? kMany : 1); ++i) {
        const Row& row = rows[i < taken ? i : 0];  // the first again where there are fewer
        const int at = static_cast<int>(i) + 1;
        key == Key::kRowid ? statement.bind(at, row.rowid)
                           : statement.bind(at, std::string_view(row.task_id));
      }
      if (Status status = statement.run(); !status.ok()) return status;
      const auto gone = static_cast<std::uint64_t>(db_.changes());
      deleted += gone;
      if (many) {
        count.deleted_many(gone);
      } else if (gone > 0 && rows[0].countable) {
        count.deleted(rows[0].task_id);
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

  // Finished_at of the first row behind a place of the index; kNever if there is none.
  Result<UnixSeconds> first_after(const DetailsMark& mark) {
    if (Status status = prepare_details_walk(); !status.ok()) return status;
    select_tied_.bind(1, mark.time);
    select_tied_.bind(2, mark.rowid);
    select_tied_.bind(3, std::int64_t{1});
    select_later_.bind(1, std::max(mark.time, 0.0));
    select_later_.bind(2, kNever);
    select_later_.bind(3, std::int64_t{1});
    for (sqlite::Statement* select : {&select_tied_, &select_later_}) {
      DetailsMark found{kNever, 0};
      if (Status status = collect(*select, &found); !status.ok()) return status;
      if (!rows_.empty()) return found.time;
    }
    return kNever;
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
  std::vector<Row> rows_;  // of the step that runs; kept for its memory
  std::vector<Row> rows_due_, details_due_;
  sqlite::Statement select_expired_, select_tied_, select_later_, select_walk_, select_orphans_;
  sqlite::Statement empty_details_;
  DeletePair delete_rows_, delete_details_, delete_orphans_;
};

}  // namespace phlower
