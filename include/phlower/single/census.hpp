// The dry run of a purge: how much of a family has expired, counted in steps, with nothing written.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/single/family_sweep.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Counts what a sweep finds as the purge reports it: details that are columns of an expired row go
/// with it and are none. Not thread safe. `db` outlives this.
class ExpiredCount final : public SweepVisitor {
 public:
  ExpiredCount(sqlite::Connection& db, const TableFamily& tables) : db_(db), tables_(tables) {}

  /// Counts into this from here on.
  void begin(PurgeReport& report) { report_ = &report; }
  const Doubts& doubts() const { return doubts_; }

  Status rows_go(std::span<const WalkedRow> rows) override {
    report_->invocations += rows.size();
    for (const WalkedRow& row : rows) report_->details += row.details_in_table ? 1 : 0;
    return Status();
  }
  Status details_go(std::span<const WalkedRow> rows) override {
    for (const WalkedRow& row : rows) {
      report_->details += (row.details_in_row ? 1 : 0) + (row.details_in_table ? 1 : 0);
    }
    row_stays_ |= !rows.empty();
    return Status();
  }
  Status orphans_go(std::span<const WalkedRow> entries) override {
    report_->details += entries.size();
    return Status();
  }
  void stays(const WalkedRow& row, const Verdict& verdict) override {
    row_stays_ = true;
    if (verdict.doubt) doubts_.note(*verdict.doubt, [&] { return row.where(tables_.invocations); });
  }

  // Those later than the cutoff of details are not visited.
  Result<bool> any_row_stays(const PurgeTime& time) override {
    if (row_stays_ || tables_.invocations.empty() || !tables_.finished_index) return row_stays_;
    Status ready = db_.prepare_once(later_, "SELECT 1 FROM \"" + tables_.invocations +
                                                "\" WHERE finished_at > ?1 AND finished_at <= ?2 "
                                                "LIMIT 1");
    if (!ready.ok()) return ready;
    later_.bind(1, time.cutoffs.details);
    later_.bind(2, kLastTime);
    const auto found = later_.step();
    if (!found.ok()) return found.status();
    row_stays_ = *found;
    later_.reset();
    return row_stays_;
  }

 private:
  sqlite::Connection& db_;
  TableFamily tables_;
  PurgeReport* report_ = nullptr;
  bool row_stays_ = false;  // among those seen
  Doubts doubts_;
  sqlite::Statement later_;
};

/// One dry run over one family. Not thread safe. `db` outlives this.
class FamilyCensus {
 public:
  FamilyCensus(sqlite::Connection& db, const TableFamily& tables)
      : sweep_(db, tables, true), count_(db, tables) {}

  bool is_done() const { return done_; }
  const Doubts& doubts() const { return count_.doubts(); }

  /// Looks at up to `room` rows, takes them off `room` and adds what has expired to `report`.
  Status run(const PurgeTime& time, std::uint32_t& room, PurgeReport& report) {
    if (done_ || room == 0) return Status();
    if (!begun_) {
      // Nothing is removed: the details of rows that go are counted with these.
      place_.details = {time.cutoffs.invocations, std::numeric_limits<std::int64_t>::max()};
      begun_ = true;
    }
    const std::uint64_t before = report.examined;
    count_.begin(report);
    Status status = sweep_.run(time, room, place_, count_, report);
    room -= static_cast<std::uint32_t>(report.examined - before);
    done_ = status.ok() && !report.more;
    return status;
  }

 private:
  FamilySweep sweep_;
  ExpiredCount count_;
  SweepPlace place_;
  bool begun_ = false;
  bool done_ = false;
};

}  // namespace phlower
