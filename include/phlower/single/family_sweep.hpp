// One pass over a family of tables for what has expired: which rows are looked at, in which order
// and by which rule. A purge deletes what a sweep finds, a dry run counts it: they cannot disagree.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/family_walk.hpp"
#include "phlower/single/row_age.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Where a sweep has got to. What is behind a place was visited.
struct SweepPlace {
  DetailsMark details;
  DetailsMark rows;
  AsidePlace aside;
  std::int64_t orphan = std::numeric_limits<std::int64_t>::min();  // row id in the details
};

/// Is told what a sweep finds. An error ends the sweep.
class SweepVisitor {
 public:
  virtual ~SweepVisitor() = default;
  /// Their details go with them.
  virtual Status rows_go(std::span<const WalkedRow> rows) = 0;
  /// Rows whose details are past their retention. Where the place of the details began before the
  /// cutoff of rows, those that go are among them.
  virtual Status details_go(std::span<const WalkedRow> rows) = 0;
  /// Entries of the table of details whose rows are gone, or were never there.
  virtual Status orphans_go(std::span<const WalkedRow> entries) = 0;
  /// A row aside of the order of time that stays now.
  virtual void stays(const WalkedRow& row, const Verdict& verdict) = 0;
  /// Whether any row of the family stays.
  virtual Result<bool> any_row_stays(const PurgeTime& time) = 0;
};

/// Not thread safe. `db` outlives this.
class FamilySweep {
 public:
  /// `details`: have each row say whether it has some.
  FamilySweep(sqlite::Connection& db, const TableFamily& tables, bool details)
      : db_(db), tables_(tables), walk_(db, tables, details) {}

  FamilyWalk& walk() noexcept { return walk_; }

  /// Looks at up to `room` rows, oldest first, and adds them to `report.examined`. `report.more`:
  /// there was no room left to see the end.
  Status run(const PurgeTime& time, std::uint32_t room, SweepPlace& place, SweepVisitor& visitor,
             PurgeReport& report) {
    const std::uint64_t end = report.examined + room;
    report.more = false;
    // All details first, then the rows: each leaves one index whose pages are hit at random, and
    // one at a time stays in the cache and is written once for several rows at a checkpoint.
    // Details that are columns go with their row.
    const bool rows_first = tables_.details_in_row;
    for (const auto step : {rows_first ? &FamilySweep::rows : &FamilySweep::details,
                            rows_first ? &FamilySweep::details : &FamilySweep::rows,
                            &FamilySweep::aside, &FamilySweep::orphans}) {
      for (;;) {
        if (report.examined >= end) {
          report.more = true;
          return Status();
        }
        const auto left = static_cast<std::uint32_t>(end - report.examined);
        const auto seen = (this->*step)(time, left, place, visitor);
        if (!seen.ok()) return seen.status();
        report.examined += *seen;
        if (*seen < left) break;  // the step saw its end
      }
    }
    return Status();
  }

 private:
  // Each step returns how many rows it has looked at.
  Result<std::size_t> details(const PurgeTime& time, std::uint32_t room, SweepPlace& place,
                              SweepVisitor& visitor) {
    if (!walk_.has_index() || !tables_.has_details()) return std::size_t{0};
    return in_order(place.details, time.cutoffs.details, room, visitor, &SweepVisitor::details_go);
  }

  Result<std::size_t> rows(const PurgeTime& time, std::uint32_t room, SweepPlace& place,
                           SweepVisitor& visitor) {
    if (!walk_.has_index()) return std::size_t{0};
    return in_order(place.rows, time.cutoffs.invocations, room, visitor, &SweepVisitor::rows_go);
  }

  Result<std::size_t> in_order(DetailsMark& place, UnixSeconds last, std::uint32_t room,
                               SweepVisitor& visitor,
                               Status (SweepVisitor::*visit)(std::span<const WalkedRow>)) {
    DetailsMark reached = place;
    rows_.clear();
    Status status = walk_.along_index(reached, last, room, rows_);
    if (status.ok()) status = (visitor.*visit)(rows_);
    if (!status.ok()) return status;
    place = reached;
    return rows_.size();
  }

  // What no index brings in order of time.
  Result<std::size_t> aside(const PurgeTime& time, std::uint32_t room, SweepPlace& place,
                            SweepVisitor& visitor) {
    if (!walk_.has_rows()) return std::size_t{0};
    rows_.clear();
    if (Status status = walk_.aside(place.aside, time.now, room, rows_); !status.ok()) {
      return status;
    }
    rows_due_.clear();
    details_due_.clear();
    for (const WalkedRow& row : rows_) {
      const Verdict verdict = judge(row.time, time);
      if (verdict.row_goes) {
        rows_due_.push_back(row);
        continue;
      }
      if (verdict.details_go) details_due_.push_back(row);
      visitor.stays(row, verdict);
    }
    Status status = visitor.rows_go(rows_due_);
    if (status.ok()) status = visitor.details_go(details_due_);
    if (!status.ok()) return status;
    return rows_.size();
  }

  // Details of a day that is over whose rows are gone (or were never there).
  Result<std::size_t> orphans(const PurgeTime& time, std::uint32_t room, SweepPlace& place,
                              SweepVisitor& visitor) {
    if (!tables_.is_day() || tables_.details.empty()) return std::size_t{0};
    if (end_of_day(tables_.suffix) > time.cutoffs.details) return std::size_t{0};
    const auto stays = visitor.any_row_stays(time);
    if (!stays.ok()) return stays.status();
    if (*stays) return std::size_t{0};
    if (Status ready = prepare_orphans(); !ready.ok()) return ready;
    orphans_.bind(1, place.orphan);
    orphans_.bind(2, std::int64_t{room});
    rows_.clear();
    std::size_t seen = 0;
    for (;; ++seen) {
      const auto found = orphans_.step();
      if (!found.ok()) return found.status();
      if (!*found) break;
      place.orphan = orphans_.integer(0);
      const bool alone = orphans_.integer(1) != 0;  // else it goes with its row
      if (alone) rows_.push_back({place.orphan, Cell::of(orphans_, 2), {}, {}, false, false});
    }
    if (Status status = visitor.orphans_go(rows_); !status.ok()) return status;
    return seen;
  }

  Status prepare_orphans() {
    if (orphans_) return Status();
    const std::string alone = tables_.invocations.empty()
                                  ? "1"
                                  : "NOT EXISTS (SELECT 1 FROM \"" + tables_.invocations +
                                        "\" i WHERE i.task_id = d.task_id)";
    return db_.prepare_once(orphans_, "SELECT rowid, " + alone + ", task_id FROM \"" +
                                          tables_.details +
                                          "\" d WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  FamilyWalk walk_;
  std::vector<WalkedRow> rows_;  // of the step that runs; kept for its memory
  std::vector<WalkedRow> rows_due_, details_due_;
  sqlite::Statement orphans_;
};

}  // namespace phlower
