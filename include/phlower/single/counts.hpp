// Counts the rows of a family in slices along the key, whose index is small and holds every row.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "phlower/ground/status.hpp"
#include "phlower/single/cell.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this.
class FamilyRecount {
 public:
  FamilyRecount(sqlite::Connection& db, const TableFamily& tables) : db_(db), tables_(tables) {}

  /// Counts up to `rows` rows and takes them off `rows`; returns early when both tables are
  /// through.
  Status run(std::uint32_t& rows, FamilyState& state) {
    Status counted = run_table(tables_.invocations, select_invocations_, rows, state.invocations);
    if (!counted.ok()) return counted;
    return run_table(tables_.details, select_details_, rows, state.details);
  }

  static bool is_done(const FamilyState& state) {
    return !state.invocations.counting() && !state.details.counting();
  }

 private:
  struct Selects {
    sqlite::Statement nulls, first, next;
  };

  Status run_table(const std::string& table, Selects& selects, std::uint32_t& rows,
                   TableCount& count) {
    if (!count.counting() || rows == 0) return Status();
    if (table.empty()) {
      count.finish();
      return Status();
    }
    if (!count.nulls_done()) {
      if (Status status = run_nulls(table, selects.nulls, rows, count); !status.ok()) return status;
      if (!count.nulls_done()) return Status();
    }
    const bool first = count.cursor().type == sqlite::ValueType::kNull;
    sqlite::Statement& slice = first ? selects.first : selects.next;
    Status ready =
        db_.prepare_once(slice, "SELECT count(*), max(task_id) FROM (SELECT task_id FROM \"" +
                                    table + "\" WHERE task_id " + (first ? "IS NOT NULL" : "> ?1") +
                                    " ORDER BY task_id LIMIT ?2)");
    if (!ready.ok()) return ready;
    const Cell from = count.cursor();  // bound, while the count moves on
    if (!first) from.bind_to(slice, 1);
    slice.bind(2, std::int64_t{rows});
    const auto found = slice.step();
    if (!found.ok()) return found.status();
    const auto counted = static_cast<std::uint64_t>(*found ? slice.integer(0) : 0);
    Cell last = counted > 0 ? Cell::of(slice, 1) : from;
    slice.reset();
    count.count(counted, std::move(last));
    if (counted < rows) count.finish();
    rows -= static_cast<std::uint32_t>(counted);
    return Status();
  }

  Status run_nulls(const std::string& table, sqlite::Statement& slice, std::uint32_t& rows,
                   TableCount& count) {
    constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
    Status ready = db_.prepare_once(
        slice, "SELECT count(*), max(rowid) FROM (SELECT rowid FROM \"" + table +
                   "\" WHERE task_id IS NULL AND rowid >= ?1 ORDER BY rowid LIMIT ?2)");
    if (!ready.ok()) return ready;
    slice.bind(1, count.null_rowid());
    slice.bind(2, std::int64_t{rows});
    const auto found = slice.step();
    if (!found.ok()) return found.status();
    const auto counted = static_cast<std::uint64_t>(*found ? slice.integer(0) : 0);
    const std::int64_t last = counted > 0 ? slice.integer(1) : kLast;
    slice.reset();
    count.count_nulls(counted, last == kLast ? kLast : last + 1);
    if (counted < rows || last == kLast) count.end_nulls();
    rows -= static_cast<std::uint32_t>(counted);
    return Status();
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  Selects select_invocations_, select_details_;
};

}  // namespace phlower
