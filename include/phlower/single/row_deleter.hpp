// Deletes what a sweep finds to have expired, details before their rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "phlower/ground/status.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/family_sweep.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Whether `table` has a row; an empty name has none.
inline Result<bool> has_any_row(sqlite::Connection& db, const std::string& table) {
  if (table.empty()) return false;
  const auto found = db.query_integer("SELECT 1 FROM \"" + table + "\" LIMIT 1");
  if (!found.ok()) return found.status();
  return *found == 1;
}

/// Not thread safe. Requires an open transaction. `db` outlives this.
class RowDeleter final : public SweepVisitor {
 public:
  RowDeleter(sqlite::Connection& db, const TableFamily& tables) : db_(db), tables_(tables) {}

  /// What is deleted from here on is noted in both, which outlive the sweep.
  void begin(FamilyState& state, PurgeReport& report) {
    state_ = &state;
    report_ = &report;
  }

  // Details first, which may refer to their row. They should be gone by now, but another process
  // may have written them late, and without the row nothing would ever tell their age. Columns go
  // with their row.
  Status rows_go(std::span<const WalkedRow> rows) override {
    Status status;
    if (!tables_.details.empty()) {
      status = delete_from(det(), Key::kTaskId, delete_details_, rows, state_->details,
                           report_->details);
    }
    if (!status.ok()) return status;
    return delete_from(inv(), Key::kRowid, delete_rows_, rows, state_->invocations,
                       report_->invocations);
  }

  Status details_go(std::span<const WalkedRow> rows) override {
    if (rows.empty()) return Status();
    if (tables_.details_in_row) {
      Status ready = db_.prepare_once(
          empty_details_, "UPDATE " + inv() + " SET " + row_sql::no_details(tables_.row_columns) +
                              " WHERE rowid = ?1 AND " + row_sql::has_details(tables_.row_columns));
      if (!ready.ok()) return ready;
      for (const WalkedRow& row : rows) {
        empty_details_.bind(1, row.rowid);
        if (Status status = empty_details_.run(); !status.ok()) return status;
        report_->details += static_cast<std::uint64_t>(db_.changes());
      }
    }
    if (tables_.details.empty()) return Status();
    return delete_from(det(), Key::kTaskId, delete_details_, rows, state_->details,
                       report_->details);
  }

  Status orphans_go(std::span<const WalkedRow> entries) override {
    return delete_from(det(), Key::kRowid, delete_orphans_, entries, state_->details,
                       report_->details);
  }

  void stays(const WalkedRow& row, const Verdict& verdict) override {
    RowWalk& walk = state_->walk;
    ++walk.rows;
    if (verdict.doubt) {
      walk.doubts.note(*verdict.doubt, [&] { return row.where(tables_.invocations); });
    }
    double due = verdict.row_due;
    if (!verdict.details_go && tables_.has_details()) due = std::min(due, verdict.details_due);
    walk.next_found = std::min(walk.next_found, due);
  }

  Result<bool> any_row_stays(const PurgeTime&) override {
    return has_any_row(db_, tables_.invocations);
  }

 private:
  enum class Key : std::uint8_t { kRowid, kTaskId };

  std::string inv() const { return "\"" + tables_.invocations + "\""; }
  std::string det() const { return "\"" + tables_.details + "\""; }

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
      } else if (gone > 0) {
        count.deleted(rows[0].id, rows[0].rowid);
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

  sqlite::Connection& db_;
  TableFamily tables_;
  FamilyState* state_ = nullptr;
  PurgeReport* report_ = nullptr;
  sqlite::Statement empty_details_;
  DeletePair delete_rows_, delete_details_, delete_orphans_;
};

}  // namespace phlower
