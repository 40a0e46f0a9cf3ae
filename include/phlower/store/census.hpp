// The dry run of a purge: how much of a family has expired, counted in steps, with nothing written.
#pragma once

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
/// id over the rows without an end; a table without the index all by row id. Not thread safe.
class FamilyCensus {
 public:
  FamilyCensus(sqlite::Connection& db, const TableFamily& tables)
      : db_(db),
        tables_(tables),
        stage_(tables.invocations.empty() ? Stage::kDone
               : tables.finished_index    ? Stage::kIndex
                                          : Stage::kRows) {}

  bool is_done() const { return stage_ == Stage::kDone; }

  /// Looks at up to `room` rows, takes them off `room` and adds what has expired to `report`.
  Status run(const Cutoffs& cutoffs, std::uint32_t& room, PurgeReport& report) {
    while (room > 0 && !is_done()) {
      const Status status = stage_ == Stage::kIndex ? along_index(cutoffs, room, report)
                                                    : along_rows(cutoffs, room, report);
      if (!status.ok()) return status;
    }
    return Status();
  }

 private:
  enum class Stage : std::uint8_t { kIndex, kRows, kDone };

  // rowid, the three times, whether there are details.
  std::string select_from() const {
    const std::string row = tables_.details_in_row
                                ? "(args_preview IS NOT NULL OR kwargs_preview IS NOT NULL OR "
                                  "traceback_snippet IS NOT NULL)"
                                : "0";
    const std::string own = tables_.details.empty() ? "0"
                                                    : "EXISTS (SELECT 1 FROM \"" + tables_.details +
                                                          "\" d WHERE d.task_id = i.task_id)";
    return "SELECT rowid, finished_at, started_at, received_at, " + row + " OR " + own +
           " FROM \"" + tables_.invocations + "\" i WHERE ";
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
    later_.bind(1, place_.time);
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
    if (room > 0) stage_ = Stage::kDone;
    return Status();
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
      if (ended || time > 0) {
        const UnixSeconds at = ended ? select.real(1) : time;
        if (at <= cutoffs.invocations) ++report.invocations;
        if (at <= cutoffs.details && select.integer(4) != 0) ++report.details;
      }
      ++report.examined;
      if (room > 0) --room;
    }
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  Stage stage_;
  DetailsMark place_;
  sqlite::Statement tied_, later_, rows_;
};

}  // namespace phlower
