// What a database file holds, as text to compare; and what it must hold after a purge, by one plain
// DELETE for each rule.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/history/retention.hpp"
#include "phlower/single/tables.hpp"

namespace phlower::testing {

/// Rows of each table, each as one line, in order.
using StoreContent = std::map<std::string, std::vector<std::string>>;

inline sqlite::Connection open_db(const std::string& path,
                                  sqlite::Access access = sqlite::Access::kReadWrite) {
  auto db = sqlite::Connection::open(path, access);
  EXPECT_TRUE(db.ok()) << db.status().message();
  return db.ok() ? *std::move(db) : sqlite::Connection();
}

inline void exec(sqlite::Connection& db, const std::string& sql) {
  const Status status = db.exec(sql);
  ASSERT_TRUE(status.ok()) << status.message();
}

inline std::vector<std::string> lines(sqlite::Connection& db, std::string_view sql, int columns) {
  std::vector<std::string> found;
  auto statement = db.prepare(sql);
  EXPECT_TRUE(statement.ok()) << statement.status().message();
  if (!statement.ok()) return found;
  for (;;) {
    const auto row = statement->step();
    EXPECT_TRUE(row.ok()) << row.status().message();
    if (!row.ok() || !*row) return found;
    std::string line;
    for (int i = 0; i < columns; ++i) {
      line += statement->is_null(i) ? "NULL" : std::string(statement->text(i));
      line += '|';
    }
    found.push_back(std::move(line));
  }
}

inline std::string integrity(sqlite::Connection& db) {
  const auto text = db.query_text("PRAGMA integrity_check");
  return text.ok() ? *text : std::string(text.status().message());
}

/// Without the tables that hold Phlower's own state.
inline StoreContent content_of(sqlite::Connection& db) {
  StoreContent content;
  for (std::string name : lines(db, "SELECT name FROM sqlite_master WHERE type = 'table'", 1)) {
    name.pop_back();
    if (name.starts_with("ring_") || name.starts_with("phlower_")) continue;
    const auto columns = db.query_integer("SELECT count(*) FROM pragma_table_info('" + name + "')");
    EXPECT_TRUE(columns.ok());
    content[name] = lines(db, "SELECT * FROM " + name + " ORDER BY 1", static_cast<int>(*columns));
  }
  return content;
}

inline StoreContent content_of(const std::string& path) {
  auto db = open_db(path);
  return content_of(db);
}

/// Totals of a purge as the reference sees them.
struct Purged {
  std::uint64_t invocations = 0;
  std::uint64_t details = 0;
};

inline void purge_family_plainly(sqlite::Connection& db, const TableFamily& family,
                                 const Cutoffs& cutoffs, Purged& purged) {
  const std::string expired = " WHERE coalesce(finished_at, started_at, received_at) <= ";
  const std::string details_cutoff = std::to_string(std::max(cutoffs.details, -1e9));
  const std::string cutoff = std::to_string(std::max(cutoffs.invocations, -1e9));
  const auto run = [&](const std::string& sql, std::uint64_t* count) {
    exec(db, sql);
    if (count != nullptr) *count += static_cast<std::uint64_t>(db.changes());
  };
  if (!family.invocations.empty()) {
    if (!family.details.empty()) {
      run("DELETE FROM " + family.details + " WHERE task_id IN (SELECT task_id FROM " +
              family.invocations + expired + details_cutoff + ")",
          &purged.details);
    }
    run("DELETE FROM " + family.invocations + expired + cutoff, &purged.invocations);
    if (family.details_in_row) {
      run("UPDATE " + family.invocations +
              " SET args_preview = NULL, kwargs_preview = NULL, traceback_snippet = NULL" +
              expired + details_cutoff + " AND args_preview IS NOT NULL",
          &purged.details);
    }
  }
  if (!family.is_day() || end_of_day(family.suffix) > cutoffs.details) return;
  const auto rows = db.query_integer("SELECT count(*) FROM " + family.invocations);
  if (*rows > 0) return;
  run("DELETE FROM " + family.details, &purged.details);
  if (end_of_day(family.suffix) > cutoffs.invocations) return;
  run("DROP TABLE " + family.invocations, nullptr);
  run("DROP TABLE " + family.details, nullptr);
}

/// Purges a file with one statement for each rule.
inline Purged purge_plainly(const std::string& path, const RetentionOptions& retention,
                            WallTime now) {
  Purged purged;
  auto db = open_db(path);
  const auto look = look_at_tables(db);
  EXPECT_TRUE(look.ok()) << look.status().message();
  if (!look.ok()) return purged;
  for (const TableFamily& family : look->families) {
    purge_family_plainly(db, family, cutoffs_at(retention, now), purged);
  }
  return purged;
}

}  // namespace phlower::testing
