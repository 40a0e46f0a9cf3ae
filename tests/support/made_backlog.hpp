// Small histories with expired rows, in each schema that is met in the field, made with plain SQL
// so that nothing of the store is needed to make them.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <set>
#include <string>
#include <utility>

#include "phlower/sqlite/sqlite.hpp"

namespace phlower::testing {

enum class MadeSchema : std::uint8_t {
  kSingle,       // invocations and invocation_details
  kPresplit,     // the columns of details are in invocations
  kPartitioned,  // two tables for each UTC day
};

/// What a history holds. Of the rows every third has no details, every fifth has not finished.
struct BacklogPlan {
  MadeSchema schema = MadeSchema::kSingle;
  double now = 1'794'999'600;  // a half hour, as the rows have
  int expired = 240;           // 180 h to 130 h old: past both retentions (120 h and 60 h)
  int thin = 120;              // 100 h to 70 h old: the row stays, its details go
  int fresh = 80;              // 8 h to 0 h old
  int timeless = 5;            // rows without any time
  int orphans = 15;            // details without a row, in each table of details
  bool legacy = false;         // the same once more in *_legacy tables
  std::size_t details_bytes = 10;
  bool auto_vacuum = false;
  bool finished_index = true;
};

/// Writes one history. Every call returns the first error.
class BacklogMaker {
 public:
  static Status make(const std::string& path, const BacklogPlan& plan) {
    auto db = sqlite::Connection::open(path, sqlite::Access::kCreate);
    if (!db.ok()) return db.status();
    return BacklogMaker(*db, plan).run();
  }

 private:
  struct Group {
    const char* name;
    int rows;
    double oldest_hours, newest_hours;
  };

  BacklogMaker(sqlite::Connection& db, const BacklogPlan& plan) : db_(db), plan_(plan) {}

  Status run() {
    Status status = db_.exec(std::string("PRAGMA auto_vacuum = ") +
                             (plan_.auto_vacuum ? "INCREMENTAL" : "NONE") +
                             "; PRAGMA synchronous = OFF; BEGIN");
    if (status.ok()) status = fill(plan_.schema == MadeSchema::kPartitioned ? nullptr : "");
    if (status.ok() && plan_.legacy) status = fill("_legacy");
    // The origin's own tables, which no purge may touch.
    if (status.ok()) {
      status = db_.exec(
          "CREATE TABLE metadata (key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, "
          "value)); CREATE TABLE aggregate_snapshots (task_name TEXT PRIMARY KEY, snapshot_ts "
          "REAL NOT NULL, data BLOB NOT NULL); INSERT INTO metadata VALUES ('a', 'b'); "
          "COMMIT; PRAGMA journal_mode = WAL");
    }
    return status;
  }

  // Into one family of tables, or with `fixed` null into that of each row's day.
  Status fill(const char* fixed) {
    const double noon = plan_.now - 30 * 3600;
    for (const Group& group :
         {Group{"expired", plan_.expired, 180, 130}, Group{"thin", plan_.thin, 100, 70},
          Group{"fresh", plan_.fresh, 8, 0}, Group{"timeless", plan_.timeless, 0, 0}}) {
      for (int i = 0; i < group.rows; ++i) {
        const double hours =
            group.oldest_hours - (group.oldest_hours - group.newest_hours) * i / group.rows;
        // Whole half hours: many rows share their time.
        const double at = std::floor((plan_.now - hours * 3600) / 1800) * 1800;
        const bool timeless = group.oldest_hours == 0;
        const std::string suffix = fixed != nullptr ? fixed : day_of(timeless ? noon : at);
        Status status = add(suffix, std::string(group.name) + suffix, i, timeless ? 0 : at);
        if (!status.ok()) return status;
      }
    }
    if (plan_.schema == MadeSchema::kPresplit) return Status();
    for (const std::string& suffix : made_) {
      if (fixed != nullptr && suffix != fixed) continue;
      for (int i = 0; i < plan_.orphans; ++i) {
        Status status = db_.exec("INSERT INTO invocation_details" + suffix + " VALUES ('orphan-" +
                                 std::to_string(i) + "', '[1]', '{}', NULL)");
        if (!status.ok()) return status;
      }
    }
    return Status();
  }

  Status add(const std::string& suffix, const std::string& group, int i, double at) {
    if (Status made = make_tables(suffix); !made.ok()) return made;
    // Ids are in no order, as those of tasks are.
    const auto scattered = static_cast<std::uint32_t>(i) * 2654435761u;
    const std::string id = "'" + std::to_string(scattered) + "-" + group + std::to_string(i) + "'";
    const std::string time = at > 0 ? std::to_string(at) : "NULL";
    const bool finished = i % 5 != 4;
    const bool started = finished || i % 10 == 4;
    const std::string details =
        i % 3 == 2 ? "NULL, NULL, NULL"
                   : "'[" + std::to_string(i) + "]', '" + std::string(plan_.details_bytes, 'k') +
                         "', " + (i % 7 == 0 ? "'Traceback (most recent call last)'" : "NULL");
    std::string sql = "INSERT INTO invocations" + suffix + " VALUES (" + id + ", 'task." +
                      std::to_string(i % 4) + "', 'SUCCESS', " + time + ", " +
                      (started ? time : "NULL") + ", " + (finished ? time : "NULL") +
                      ", 5, 'w', 'q', NULL";
    if (plan_.schema == MadeSchema::kPresplit) return db_.exec(sql + ", " + details + ")");
    sql += ");";
    if (i % 3 != 2) {
      sql += "INSERT INTO invocation_details" + suffix + " VALUES (" + id + ", " + details + ")";
    }
    return db_.exec(sql);
  }

  Status make_tables(const std::string& suffix) {
    if (!made_.insert(suffix).second) return Status();
    const bool presplit = plan_.schema == MadeSchema::kPresplit;
    const std::string columns = "args_preview TEXT, kwargs_preview TEXT, traceback_snippet TEXT";
    std::string sql = "CREATE TABLE invocations" + suffix +
                      " (task_id TEXT PRIMARY KEY, task_name TEXT NOT NULL, state TEXT NOT NULL, "
                      "received_at REAL, started_at REAL, finished_at REAL, runtime_ms REAL, "
                      "worker TEXT, queue TEXT, exception_type TEXT" +
                      (presplit ? ", " + columns : "") + ");";
    if (!presplit) {
      sql += "CREATE TABLE invocation_details" + suffix + " (task_id TEXT PRIMARY KEY, " + columns +
             ");";
    }
    if (plan_.finished_index) {
      sql +=
          "CREATE INDEX idx_inv" + suffix + "_finished ON invocations" + suffix + " (finished_at);";
    }
    return db_.exec(sql + "CREATE INDEX idx_inv" + suffix + "_task_name ON invocations" + suffix +
                    " (task_name, finished_at)");
  }

  static std::string day_of(double at) {
    const auto seconds = static_cast<std::time_t>(at);
    std::tm day{};
    ::gmtime_r(&seconds, &day);
    std::array<char, 16> text{};
    std::strftime(text.data(), text.size(), "_%Y%m%d", &day);
    return text.data();
  }

  sqlite::Connection& db_;
  BacklogPlan plan_;
  std::set<std::string> made_;  // suffixes
};

}  // namespace phlower::testing
