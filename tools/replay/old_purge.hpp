// The purge of the store that Phlower replaces, kept to compare with: everything in one transaction
// ("monolith", its first way), or 50,000 rows a transaction ("batch50k", its second).
#pragma once

#include <string_view>
#include <utility>

#include "phlower/ground/status.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower::tools {

enum class OldWay : std::uint8_t { kMonolith, kBatch50k };

inline constexpr std::string_view old_way_name(OldWay way) {
  return way == OldWay::kMonolith ? "monolith" : "batch50k";
}

/// Deletes in the origin's schema on a connection whose pragmas are SQLite's defaults.
class OldPurge {
 public:
  OldPurge(sqlite::Connection& db, OldWay way) : db_(db), way_(way) {}

  struct Step {
    std::uint64_t details = 0;
    std::uint64_t invocations = 0;
    bool more = false;
  };

  /// One transaction's worth. Holds the write lock for as long as it takes.
  Result<Step> step(const Cutoffs& cutoffs) {
    const bool all = way_ == OldWay::kMonolith;
    const int limit = all ? -1 : 50'000;
    Step done;
    if (Status status = db_.exec("BEGIN IMMEDIATE"); !status.ok()) return status;
    Status status;
    if (all || !details_done_) {
      status = run(
          "DELETE FROM invocation_details WHERE rowid IN (SELECT d.rowid FROM invocations i "
          "JOIN invocation_details d ON d.task_id = i.task_id WHERE i.finished_at < ?1 LIMIT ?2)",
          cutoffs.details, limit, done.details);
      details_done_ = done.details == 0;
    }
    if (status.ok() && (all || details_done_)) {
      status =
          run("DELETE FROM invocations WHERE rowid IN (SELECT rowid FROM invocations "
              "WHERE finished_at < ?1 LIMIT ?2)",
              cutoffs.invocations, limit, done.invocations);
    }
    if (status.ok()) status = db_.exec("COMMIT");
    if (!status.ok()) {
      (void)db_.exec("ROLLBACK");  // the first error is the one that tells
      return status;
    }
    done.more = !all && done.details + done.invocations > 0;
    return done;
  }

 private:
  Status run(std::string_view sql, double cutoff, int limit, std::uint64_t& deleted) {
    auto statement = db_.prepare(sql);
    if (!statement.ok()) return statement.status();
    statement->bind(1, cutoff);
    statement->bind(2, std::int64_t{limit});
    if (Status status = statement->run(); !status.ok()) return status;
    deleted = static_cast<std::uint64_t>(db_.changes());
    return Status();
  }

  sqlite::Connection& db_;
  OldWay way_;
  bool details_done_ = false;
};

}  // namespace phlower::tools
