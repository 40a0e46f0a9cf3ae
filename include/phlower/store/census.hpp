// The dry run of a purge: how much of a family has expired, counted in steps, with nothing written.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/store/family.hpp"
#include "phlower/store/sqlite.hpp"
#include "phlower/store/tables.hpp"
#include "phlower/store/types.hpp"

namespace phlower {

/// Walks one family once: along the index on finished_at up to the cutoff of details, then by row
/// id over the rows without an end; a table without the index all by row id; then over the details
/// of a day that would lose all its rows. Counts as the purge reports: details that are columns of
/// an expired row go with it and are none. Not thread safe.
class FamilyCensus {
 public:
  FamilyCensus(sqlite::Connection& db, const TableFamily& tables)
      : db_(db),
        tables_(tables),
        stage_(tables.invocations.empty() ? Stage::kOrphans
               : tables.finished_index    ? Stage::kIndex
                                          : Stage::kRows) {}

  bool is_done() const { return stage_ == Stage::kDone; }

  /// Looks at up to `room` rows, takes them off `room` and adds what has expired to `report`.
  Status run(const Cutoffs& cutoffs, std::uint32_t& room, PurgeReport& report) {
    while (room > 0 && !is_done()) {
      const Status status = stage_ == Stage::kIndex  ? along_index(cutoffs, room, report)
                            : stage_ == Stage::kRows ? along_rows(cutoffs, room, report)
                                                     : along_orphans(cutoffs, room, report);
      if (!status.ok()) return status;
    }
    return Status();
  }

 private:
  enum class Stage : std::uint8_t { kIndex, kRows, kOrphans, kDone };

  // rowid, the three times, whether there are details in the row and in their own table.
  std::string select_from() const {
    const std::string row = tables_.details_in_row
                                ? "(args_preview IS NOT NULL OR kwargs_preview IS NOT NULL OR "
                                  "traceback_snippet IS NOT NULL)"
                                : "0";
    const std::string own = tables_.details.empty() ? "0"
                                                    : "EXISTS (SELECT 1 FROM \"" + tables_.details +
                                                          "\" d WHERE d.task_id = i.task_id)";
    return "SELECT rowid, finished_at, started_at, received_at, " + row + ", " + own + " FROM \"" +
           tables_.invocations + "\" i WHERE ";
  }

  Status along_index(const Cutoffs& cutoffs, std::uint32_t& room, PurgeReport& report) {
    Status ready = db_.prepare_once(
        tied_, select_from() + "finished_at = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3");
    if (ready.ok()) {
      ready = db_.prepare_once(later_, select_from() +
                                           "finished_at > ?1 AND finished_at <= ?2 "
                                           "ORDER BY finished_at, rowid LIMIT ?3");
    }
    if (!ready.ok()) return ready;
    tied_.bind(1, place_.time);
    tied_.bind(2, place_.rowid);
    tied_.bind(3, std::int64_t{room});
    auto seen = take(tied_, cutoffs, room, report);
    if (!seen.ok()) return seen.status();
    if (room == 0) return Status();
    later_.bind(1, std::max(place_.time, 0.0));
    later_.bind(2, cutoffs.details);
    later_.bind(3, std::int64_t{room});
    seen = take(later_, cutoffs, room, report);
    if (!seen.ok()) return seen.status();
    if (room > 0) {
      stage_ = Stage::kRows;
      place_ = {};
    }
    return Status();
  }

  Status along_rows(const Cutoffs& cutoffs, std::uint32_t& room, PurgeReport& report) {
    const std::string unfinished = tables_.finished_index ? "finished_at IS NULL AND " : "";
    Status ready =
        db_.prepare_once(rows_, select_from() + unfinished + "rowid > ?1 ORDER BY rowid LIMIT ?2");
    if (!ready.ok()) return ready;
    rows_.bind(1, place_.rowid);
    rows_.bind(2, std::int64_t{room});
    const auto seen = take(rows_, cutoffs, room, report);
    if (!seen.ok()) return seen.status();
    if (room > 0) {
      stage_ = Stage::kOrphans;
      place_ = {};
    }
    return Status();
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
    orphans_.bind(1, place_.rowid);
    orphans_.bind(2, std::int64_t{room});
    for (;;) {
      const auto found = orphans_.step();
      if (!found.ok()) return found.status();
      if (!*found) break;
      place_.rowid = orphans_.integer(0);
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
    if (tables_.invocations.empty() || !tables_.finished_index) return true;
    Status ready = db_.prepare_once(
        staying_, "SELECT 1 FROM \"" + tables_.invocations + "\" WHERE finished_at > ?1 LIMIT 1");
    if (!ready.ok()) return ready;
    staying_.bind(1, cutoffs.invocations);
    const auto found = staying_.step();
    staying_.reset();
    if (!found.ok()) return found.status();
    return !*found;
  }

  Result<bool> take(sqlite::Statement& select, const Cutoffs& cutoffs, std::uint32_t& room,
                    PurgeReport& report) {
    for (;;) {
      const auto found = select.step();
      if (!found.ok()) return found.status();
      if (!*found) return true;
      place_ = {select.real(1), select.integer(0)};
      const UnixSeconds time = retention_time(select.real(1), select.real(2), select.real(3));
      const bool ended = !select.is_null(1) && tables_.finished_index;
      const UnixSeconds at = ended ? select.real(1) : time;
      const bool known = ended || time > 0;
      const bool row_goes = known && at <= cutoffs.invocations;
      if (row_goes) ++report.invocations;
      if (known && at <= cutoffs.details) {
        if (!row_goes && select.integer(4) != 0) ++report.details;
        if (select.integer(5) != 0) ++report.details;
      }
      row_stays_ |= !row_goes;
      ++report.examined;
      if (room > 0) --room;
    }
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  Stage stage_;
  DetailsMark place_;
  bool row_stays_ = false;  // among those seen
  sqlite::Statement tied_, later_, rows_, orphans_, staying_;
};

}  // namespace phlower
