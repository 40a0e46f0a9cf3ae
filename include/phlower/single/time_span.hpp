// The times between which the rows of one family of tables ended.
#pragma once

#include <string>
#include <utility>

#include "phlower/ground/status.hpp"
#include "phlower/record/record.hpp"
#include "phlower/single/cell_time.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this.
class FamilyTimeSpan {
 public:
  FamilyTimeSpan(sqlite::Connection& db, const TableFamily& tables) : db_(db), tables_(tables) {}

  /// Oldest and newest finished_at along the index, a handful of pages; 0 where there is none.
  Status read(UnixSeconds& oldest, UnixSeconds& newest) {
    oldest = newest = 0;
    if (tables_.invocations.empty() || !tables_.finished_index) return Status();
    const std::string from = "SELECT finished_at FROM \"" + tables_.invocations +
                             "\" WHERE finished_at >= " + std::to_string(kFirstTime) +
                             " AND finished_at <= " + std::to_string(kLastTime) +
                             " ORDER BY finished_at";
    Status ready = db_.prepare_once(select_oldest_, from + " LIMIT 1");
    if (ready.ok()) ready = db_.prepare_once(select_newest_, from + " DESC LIMIT 1");
    if (!ready.ok()) return ready;
    for (auto [select, value] : {std::pair{&select_oldest_, &oldest}, {&select_newest_, &newest}}) {
      const auto found = select->step();
      if (!found.ok()) return found.status();
      if (!*found) return Status();
      *value = select->real(0);
      select->reset();
    }
    return Status();
  }

 private:
  sqlite::Connection& db_;
  TableFamily tables_;
  sqlite::Statement select_oldest_, select_newest_;
};

}  // namespace phlower
