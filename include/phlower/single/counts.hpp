// Counts the rows of a family in slices along the key, whose index is small and holds every row.
#pragma once

#include <cstdint>
#include <string>

#include "phlower/ground/status.hpp"
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
  Status run_table(const std::string& table, sqlite::Statement& select, std::uint32_t& rows,
                   TableCount& count) {
    if (!count.counting() || rows == 0) return Status();
    if (table.empty()) {
      count.finish();
      return Status();
    }
    // Keys are texts; whatever else somebody put there (a NULL, a blob) is not a task. The empty
    // blob is the end of all texts. The first slice begins with the empty text itself.
    const auto sql = [&](std::string_view compare) {
      return "SELECT count(*), max(task_id) FROM (SELECT task_id FROM \"" + table +
             "\" WHERE task_id " + std::string(compare) +
             " ?1 AND task_id < x'' ORDER BY task_id LIMIT ?2)";
    };
    sqlite::Statement first;
    if (!count.started()) {
      if (Status ready = db_.prepare_once(first, sql(">=")); !ready.ok()) return ready;
    } else if (Status ready = db_.prepare_once(select, sql(">")); !ready.ok()) {
      return ready;
    }
    sqlite::Statement& slice = count.started() ? select : first;
    slice.bind(1, std::string_view(count.cursor()));
    slice.bind(2, std::int64_t{rows});
    const auto found = slice.step();
    if (!found.ok()) return found.status();
    const auto counted = static_cast<std::uint64_t>(*found ? slice.integer(0) : 0);
    // The bound text is the cursor itself: it must not change before the statement lets go of it.
    const std::string last(counted > 0 ? slice.text(1) : std::string_view(count.cursor()));
    slice.reset();
    count.count(counted, last);
    if (counted < rows) count.finish();
    rows -= static_cast<std::uint32_t>(counted);
    return Status();
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  sqlite::Statement select_invocations_, select_details_;
};

}  // namespace phlower
