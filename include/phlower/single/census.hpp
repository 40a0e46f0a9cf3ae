// The dry run of a purge: how much of a family has expired, counted in steps, with nothing written.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/family_walk.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Walks one family once, as the purge does: along the index up to the cutoff of details, then over
/// the rows aside, then over the details of a day that would lose all its rows. Counts as the purge
/// reports: details that are columns of an expired row go with it and are none. Not thread safe.
class FamilyCensus {
 public:
  FamilyCensus(sqlite::Connection& db, const TableFamily& tables)
      : db_(db),
        tables_(tables),
        walk_(db, tables, true),
        stage_(walk_.has_index()  ? Stage::kIndex
               : walk_.has_rows() ? Stage::kAside
                                  : Stage::kOrphans) {}

  bool is_done() const { return stage_ == Stage::kDone; }

  /// Looks at up to `room` rows, takes them off `room` and adds what has expired to `report`.
  Status run(const PurgeTime& time, std::uint32_t& room, PurgeReport& report) {
    while (room > 0 && !is_done()) {
      const Status status = stage_ == Stage::kOrphans ? along_orphans(time.cutoffs, room, report)
                                                      : along_rows(time, room, report);
      if (!status.ok()) return status;
    }
    return Status();
  }

  const Doubts& doubts() const { return doubts_; }

 private:
  enum class Stage : std::uint8_t { kIndex, kAside, kOrphans, kDone };

  Status along_rows(const PurgeTime& time, std::uint32_t& room, PurgeReport& report) {
    rows_.clear();
    const bool index = stage_ == Stage::kIndex;
    Status status = index ? walk_.along_index(place_, time.cutoffs.details, room, rows_)
                          : walk_.aside(aside_, time.now, room, rows_);
    if (!status.ok()) return status;
    for (const WalkedRow& row : rows_) take(row, time, report);
    report.examined += rows_.size();
    room -= static_cast<std::uint32_t>(rows_.size());
    if (room > 0) stage_ = index ? Stage::kAside : Stage::kOrphans;
    return Status();
  }

  void take(const WalkedRow& row, const PurgeTime& time, PurgeReport& report) {
    const Verdict verdict = judge(row.time, time);
    if (verdict.doubt) doubts_.note(*verdict.doubt, [&] { return row.where(tables_.invocations); });
    if (verdict.row_goes) ++report.invocations;
    if (verdict.details_go) {
      report.details += row.details_in_row && !verdict.row_goes ? 1 : 0;
      report.details += row.details_in_table ? 1 : 0;
    }
    row_stays_ |= !verdict.row_goes;
  }

  Status along_orphans(const Cutoffs& cutoffs, std::uint32_t& room, PurgeReport& report) {
    const auto go = orphans_go(cutoffs);
    if (!go.ok()) return go.status();
    if (!*go) {
      stage_ = Stage::kDone;
      return Status();
    }
    const std::string orphan = tables_.invocations.empty()
                                   ? "1"
                                   : "NOT EXISTS (SELECT 1 FROM \"" + tables_.invocations +
                                         "\" i WHERE i.task_id = d.task_id)";
    Status ready =
        db_.prepare_once(orphans_, "SELECT rowid, " + orphan + " FROM \"" + tables_.details +
                                       "\" d WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
    if (!ready.ok()) return ready;
    orphans_.bind(1, orphan_);
    orphans_.bind(2, std::int64_t{room});
    for (;;) {
      const auto found = orphans_.step();
      if (!found.ok()) return found.status();
      if (!*found) break;
      orphan_ = orphans_.integer(0);
      if (orphans_.integer(1) != 0) ++report.details;
      ++report.examined;
      --room;
    }
    if (room > 0) stage_ = Stage::kDone;
    return Status();
  }

  // Only once no row of the day is left.
  Result<bool> orphans_go(const Cutoffs& cutoffs) {
    if (!tables_.is_day() || tables_.details.empty() || row_stays_) return false;
    if (end_of_day(tables_.suffix) > cutoffs.details) return false;
    if (!walk_.has_index()) return true;
    // Those later than the cutoff of details were not looked at.
    DetailsMark place{cutoffs.details, std::numeric_limits<std::int64_t>::max()};
    rows_.clear();
    Status status = walk_.along_index(place, kLastTime, 1, rows_);
    if (!status.ok()) return status;
    return rows_.empty();
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  FamilyWalk walk_;
  Stage stage_;
  DetailsMark place_;
  AsidePlace aside_;
  std::int64_t orphan_ = std::numeric_limits<std::int64_t>::min();
  bool row_stays_ = false;  // among those seen
  Doubts doubts_;
  std::vector<WalkedRow> rows_;  // of the step that runs
  sqlite::Statement orphans_;
};

}  // namespace phlower
