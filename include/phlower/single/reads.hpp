// Reads of one family of tables. Retention is applied here, so that a reader never sees what has
// expired, whatever the purge has got to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/record/record.hpp"
#include "phlower/single/rows.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this.
class FamilyReads {
 public:
  FamilyReads(sqlite::Connection& db, const TableFamily& tables) : db_(db), tables_(tables) {}

  /// The row of a task with its details, if neither has expired. A handful of pages.
  Result<std::optional<Record>> get(std::string_view task_id, const Cutoffs& cutoffs) {
    std::optional<Record> record;
    if (tables_.invocations.empty()) return record;
    Status ready = db_.prepare_once(select_row_, "SELECT " + columns() + " FROM \"" +
                                                     tables_.invocations + "\" WHERE task_id = ?1");
    if (!ready.ok()) return ready;
    select_row_.bind(1, task_id);
    const auto found = select_row_.step();
    if (!found.ok()) return found.status();
    if (!*found) return record;
    record.emplace();
    read(select_row_, *record);
    select_row_.reset();
    const UnixSeconds time = time_of(*record);
    if (time > 0 && time <= cutoffs.invocations) return std::optional<Record>();
    if (Status status = finish(*record, cutoffs); !status.ok()) return status;
    return record;
  }

  /// Appends up to `limit` rows of one task name, newest first, those without an end last.
  /// Without an index on the name this reads the whole table.
  Status list(std::string_view task_name, std::uint32_t limit, const Cutoffs& cutoffs,
              std::vector<Record>& out) {
    if (tables_.invocations.empty() || limit == 0) return Status();
    if (Status status = prepare_list(); !status.ok()) return status;
    const std::size_t first = out.size();
    for (sqlite::Statement* select : {&select_ended_, &select_open_}) {
      const auto room =
          static_cast<std::int64_t>(limit) - static_cast<std::int64_t>(out.size() - first);
      select->bind(1, task_name);
      select->bind(2, cutoffs.invocations);
      select->bind(3, room);
      for (;;) {
        const auto found = select->step();
        if (!found.ok()) return found.status();
        if (!*found) break;
        out.emplace_back();
        read(*select, out.back());
      }
    }
    for (std::size_t i = first; i < out.size(); ++i) {
      if (Status status = finish(out[i], cutoffs); !status.ok()) return status;
    }
    return Status();
  }

  /// Oldest and newest finished_at along the index; 0 where there is none.
  Status range(UnixSeconds& oldest, UnixSeconds& newest) {
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
  static UnixSeconds time_of(const Record& record) {
    return retention_time(record.finished_at, record.started_at, record.received_at);
  }
  std::string columns() const {
    std::string names(kRowColumns);
    if (tables_.details_in_row) names += ", args_preview, kwargs_preview, traceback_snippet";
    return names;
  }
  void read(const sqlite::Statement& from, Record& record) const {
    read_row(from, record);
    if (tables_.details_in_row) read_details(from, 10, record);
  }

  Status prepare_list() {
    const std::string from = "SELECT " + columns() + " FROM \"" + tables_.invocations +
                             "\" WHERE task_name = ?1 AND finished_at ";
    Status ready =
        db_.prepare_once(select_ended_, from + "> ?2 ORDER BY finished_at DESC LIMIT ?3");
    if (!ready.ok()) return ready;
    return db_.prepare_once(
        select_open_, from + "IS NULL AND coalesce(started_at, received_at, 9e99) > ?2 LIMIT ?3");
  }

  // Details come from their own table where they have one, and go where they have expired.
  Status finish(Record& record, const Cutoffs& cutoffs) {
    const UnixSeconds time = time_of(record);
    if (time > 0 && time <= cutoffs.details) {
      record.args.clear();
      record.kwargs.clear();
      record.traceback.clear();
      return Status();
    }
    if (tables_.details.empty()) return Status();
    Status ready = db_.prepare_once(select_details_,
                                    "SELECT args_preview, kwargs_preview, traceback_snippet FROM "
                                    "\"" +
                                        tables_.details + "\" WHERE task_id = ?1");
    if (!ready.ok()) return ready;
    select_details_.bind(1, std::string_view(record.task_id));
    const auto found = select_details_.step();
    if (!found.ok()) return found.status();
    if (*found) read_details(select_details_, 0, record);
    select_details_.reset();
    return Status();
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  sqlite::Statement select_row_, select_details_, select_ended_, select_open_;
  sqlite::Statement select_oldest_, select_newest_;
};

}  // namespace phlower
