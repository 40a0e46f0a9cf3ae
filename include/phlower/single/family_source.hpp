// A family of tables in the origin's schemas as a source of reads.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "phlower/history/retention.hpp"
#include "phlower/history/source.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/rows.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/single/time_function.hpp"
#include "phlower/sqlite/sqlite.hpp"

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
    if (!select_) {
      // A text is not equal to a number, where the column leaves both as they are.
      Status ready = db_.prepare_once(
          select_, select(tables_.text_ids ? "WHERE task_id = ?1" : "WHERE task_id IN (?1, ?2)"));
      if (!ready.ok()) return ready;
    }
    const std::string_view id = key.text();
    select_.bind(1, id);
    if (!tables_.text_ids) {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
      const bool whole = error == std::errc() && end == id.data() + id.size();
      whole ? select_.bind(2, number) : select_.bind(2, id);
    }
    const auto row = select_.step();
    if (!row.ok()) return row.status();
    if (!*row) return found;
    read(select_, found.emplace());
    select_.reset();
    return found;
  }

  Status add_details(FoundRow& row) override {
    const std::string of_row = " FROM \"" + tables_.invocations + "\" WHERE rowid = ?1";
    if (tables_.details_in_row) {
      Status status = details_from(tables_.row_columns, of_row, select_in_row_, row);
      if (!status.ok()) return status;
    }
    if (tables_.details.empty()) return Status();
    // By the id as it stands there, which need not be a text.
    return details_from(
        tables_.details_columns,
        " FROM \"" + tables_.details + "\" WHERE task_id = (SELECT task_id" + of_row + ")",
        select_details_, row);
  }

  Result<std::unique_ptr<RowStream>> stream(const Query& query, StopCheck& check) override;

 private:
  class Stream;

  std::string select(const std::string& rest) const {
    return "SELECT " + row_sql::select_list<FieldPart::kRow>(tables_.row_columns) +
           ", rowid FROM \"" + tables_.invocations + "\" " + rest;
  }

  static void read(const sqlite::Statement& from, FoundRow& row) {
    const RowTime time = read_row(from, row.record);
    row.at_us = time.time.at > 0 ? to_us(time.time.at) : 0;
    row.latest_us = time.time.latest > time.time.at ? to_us(time.time.latest) : 0;
    row.details = from.integer(kRowColumns) ^ kNoRow;
    if (from.is_null(0)) {
      row.record.task_id = "(no id, row " + std::to_string(from.integer(kRowColumns)) + ")";
    }
  }

  Status details_from(const row_sql::Columns& there, const std::string& from,
                      sqlite::Statement& statement, FoundRow& row) {
    if (!statement) {
      Status ready = db_.prepare_once(
          statement, "SELECT " + row_sql::select_list<FieldPart::kDetails>(there) + from);
      if (!ready.ok()) return ready;
    }
    statement.bind(1, row.details ^ kNoRow);
    const auto found = statement.step();
    if (!found.ok()) return found.status();
    if (!*found) return Status();
    read_details(statement, 0, row.record);
    statement.reset();
    return Status();
  }

  // Row ids begin at the lowest number; 0 stands for none in a FoundRow.
  static constexpr std::int64_t kNoRow = std::numeric_limits<std::int64_t>::min();

  sqlite::Connection& db_;
  TableFamily tables_;
  std::int64_t seq_;
  sqlite::Statement select_, select_in_row_, select_details_;
};

/// Several statements in step: rows that have ended, by their index, and all others. One step may
/// look through a whole table, so the check is asked within it, too.
class FamilySource::Stream final : public RowStream {
 public:
  Stream(sqlite::Connection& db, StopCheck& check) : db_(db), check_(check) {}
  void add(sqlite::Statement select) { sides_.push_back({std::move(select), {}, false, false}); }

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
  std::vector<Side> sides_;
};

inline Result<std::unique_ptr<RowStream>> FamilySource::stream(const Query& query,
                                                               StopCheck& check) {
  const std::string name = query.task_name.empty() ? "" : "AND task_name = ?3 ";
  const std::string first = std::to_string(kFirstTime);
  const std::string last = std::to_string(kLastTime);
  std::vector<std::string> sides;
  if (tables_.finished_index) {
    sides.push_back("WHERE finished_at >= max(?1, " + first + ") AND finished_at <= min(?2, " +
                    last + ") " + name + "ORDER BY finished_at DESC");
  }
  // The others are sorted by what their times say, whatever they are written as.
  const std::string time = "phlower_time(finished_at, started_at, received_at)";
  const auto aside = [&](const std::string& which) {
    const std::string timeless = query.timeless ? " OR " + time + " <= 0" : "";
    sides.push_back("WHERE " + which + "(" + time + " BETWEEN ?1 AND ?2" + timeless + ") " + name +
                    "ORDER BY " + time + " DESC");
  };
  if (tables_.finished_index) {
    aside("finished_at IS NULL AND ");
    aside("finished_at < " + first + " AND ");
    aside("finished_at > " + last + " AND ");
  } else {
    aside("");
  }
  if (Status added = add_time_function(db_); !added.ok()) return added;
  auto stream = std::make_unique<Stream>(db_, check);
  // A microsecond more on each side: the exact look is at whole ones.
  const std::int64_t until =
      query.after ? std::min(query.after->at_us, query.until_us) : query.until_us;
  for (const std::string& side : sides) {
    auto statement = db_.prepare(select(side));
    if (!statement.ok()) return statement.status();
    statement->bind(1, static_cast<double>(query.from_us) / 1e6 - 1e-6);
    statement->bind(2, static_cast<double>(until) / 1e6 + 1e-6);
    if (!name.empty()) statement->bind(3, std::string_view(query.task_name));
    stream->add(*std::move(statement));
  }
  return std::unique_ptr<RowStream>(std::move(stream));
}

}  // namespace phlower
