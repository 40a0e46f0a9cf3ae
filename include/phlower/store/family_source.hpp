// A family of tables in the origin's schemas as a source of reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "phlower/store/rows.hpp"
#include "phlower/store/source.hpp"
#include "phlower/store/sqlite.hpp"
#include "phlower/store/tables.hpp"
#include "phlower/store/types.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this. Requires: the family has a table of invocations.
class FamilySource final : public Source {
 public:
  FamilySource(sqlite::Connection& db, TableFamily tables, std::int64_t seq)
      : db_(db), tables_(std::move(tables)), seq_(seq) {}

  std::int64_t seq() const override { return seq_; }
  bool may_overlap(std::int64_t, std::int64_t) const override { return true; }
  std::int64_t newest_us() const override { return std::numeric_limits<std::int64_t>::max(); }
  bool may_hold(const TaskKey&) override { return true; }

  Result<std::optional<FoundRow>> find(const TaskKey& key) override {
    std::optional<FoundRow> found;
    Status ready = db_.prepare_once(select_, select("WHERE task_id = ?1"));
    if (!ready.ok()) return ready;
    select_.bind(1, key.text());
    const auto row = select_.step();
    if (!row.ok()) return row.status();
    if (!*row) return found;
    read(select_, found.emplace());
    select_.reset();
    return found;
  }

  Status add_details(FoundRow& row) override {
    if (tables_.details_in_row) {
      Status status = details_from(tables_.invocations, select_in_row_, row.record);
      if (!status.ok()) return status;
    }
    if (tables_.details.empty()) return Status();
    return details_from(tables_.details, select_details_, row.record);
  }

  Result<std::unique_ptr<RowStream>> stream(const Query& query, StopCheck& check) override;

 private:
  class Stream;

  std::string select(const std::string& rest) const {
    return "SELECT " + std::string(kRowColumns) + " FROM \"" + tables_.invocations + "\" " + rest;
  }

  static void read(const sqlite::Statement& from, FoundRow& row) {
    read_row(from, row.record);
    const UnixSeconds time =
        retention_time(row.record.finished_at, row.record.started_at, row.record.received_at);
    row.at_us = time > 0 ? to_us(time) : 0;
    row.details = 1;
  }

  Status details_from(const std::string& table, sqlite::Statement& statement, Record& record) {
    Status ready = db_.prepare_once(
        statement, "SELECT args_preview, kwargs_preview, traceback_snippet FROM \"" + table +
                       "\" WHERE task_id = ?1");
    if (!ready.ok()) return ready;
    statement.bind(1, std::string_view(record.task_id));
    const auto row = statement.step();
    if (!row.ok()) return row.status();
    if (!*row) return Status();
    read_details(statement, 0, record);
    statement.reset();
    return Status();
  }

  sqlite::Connection& db_;
  TableFamily tables_;
  std::int64_t seq_;
  sqlite::Statement select_, select_in_row_, select_details_;
};

/// Two statements in step: rows that have ended, by their index, and those that have not. One step
/// may look through a whole table, so the check is asked within it, too.
class FamilySource::Stream final : public RowStream {
 public:
  Stream(sqlite::Connection& db, StopCheck& check, sqlite::Statement ended, sqlite::Statement open)
      : db_(db),
        check_(check),
        sides_{{std::move(ended), {}, false, false}, {std::move(open), {}, false, false}} {}

  Result<bool> next(FoundRow& row) override {
    for (Side& side : sides_) {
      if (side.ready || side.done) continue;
      const auto found = step(side.select);
      if (!found.ok() && check_.stopped()) return false;
      if (!found.ok()) return found.status();
      side.done = !*found;
      side.ready = *found;
      if (*found) read(side.select, side.row);
    }
    Side* first = nullptr;
    for (Side& side : sides_) {
      if (side.ready && (first == nullptr || side.row.at_us > first->row.at_us)) first = &side;
    }
    if (first == nullptr) return false;
    row = std::move(first->row);
    first->row = FoundRow();
    first->ready = false;
    return true;
  }

 private:
  struct Side {
    sqlite::Statement select;
    FoundRow row;
    bool ready;
    bool done;
  };

  Result<bool> step(sqlite::Statement& select) {
    constexpr int kInstructions = 20'000;  // of SQLite's machine: well below a millisecond
    const auto stop = [](void* check) { return static_cast<StopCheck*>(check)->now() ? 1 : 0; };
    sqlite3_progress_handler(db_.raw(), kInstructions, stop, &check_);
    auto found = select.step();
    sqlite3_progress_handler(db_.raw(), 0, nullptr, nullptr);
    return found;
  }

  sqlite::Connection& db_;
  StopCheck& check_;
  Side sides_[2];
};

inline Result<std::unique_ptr<RowStream>> FamilySource::stream(const Query& query,
                                                               StopCheck& check) {
  const std::string name = query.task_name.empty() ? "" : "AND task_name = ?3 ";
  auto ended = db_.prepare(select("WHERE finished_at >= ?1 AND finished_at <= ?2 " + name +
                                  "ORDER BY finished_at DESC"));
  const std::string time = "coalesce(started_at, received_at, 0)";
  auto open = db_.prepare(select("WHERE finished_at IS NULL AND " + time + " >= ?1 AND " + time +
                                 " <= ?2 " + name + "ORDER BY " + time + " DESC"));
  for (auto* statement : {&ended, &open}) {
    if (!statement->ok()) return statement->status();
    // A microsecond more on each side: the exact look is at whole ones.
    const std::int64_t last =
        query.after ? std::min(query.after->at_us, query.until_us) : query.until_us;
    (*statement)->bind(1, static_cast<double>(query.from_us) / 1e6 - 1e-6);
    (*statement)->bind(2, static_cast<double>(last) / 1e6 + 1e-6);
    if (!name.empty()) (*statement)->bind(3, std::string_view(query.task_name));
  }
  return std::unique_ptr<RowStream>(new Stream(db_, check, *std::move(ended), *std::move(open)));
}

}  // namespace phlower
