// All families of tables of one file, with what is prepared and remembered for each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/positions.hpp"
#include "phlower/single/census.hpp"
#include "phlower/single/counts.hpp"
#include "phlower/single/details_mark.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/purge.hpp"
#include "phlower/single/time_span.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this.
class FamilySet {
 public:
  explicit FamilySet(sqlite::Connection& db) : db_(db) {}

  /// Takes over the families of a new look at the schema; what is known of those that stay is
  /// kept. `marks`: read the places where the retention of details has got to from phlower_state.
  Status relist(const std::vector<TableFamily>& found, bool marks) {
    std::vector<std::unique_ptr<Family>> fresh;
    for (const TableFamily& tables : found) {
      auto family = std::make_unique<Family>(db_, tables);
      const Family* known = find(tables.suffix);
      if (known != nullptr && known->tables.invocations == tables.invocations &&
          known->tables.details == tables.details) {
        family->state = known->state;
        family->stored_mark = known->stored_mark;
      } else if (marks && !tables.invocations.empty()) {
        auto mark = load_mark(db_, tables.invocations);
        if (!mark.ok()) return mark.status();
        family->state.mark = family->stored_mark = *mark;
      }
      family->state.dropped = false;
      fresh.push_back(std::move(family));
    }
    families_ = std::move(fresh);
    ++listings_;
    return Status();
  }
  void clear() {
    families_.clear();
    ++listings_;
  }
  /// Changes whenever other tables are there to read.
  std::uint64_t listing() const {
    std::uint64_t dropped = 0;
    for (const auto& family : families_) dropped += family->state.dropped;
    return listings_ << 16 | dropped;
  }
  std::vector<TableFamily> tables() const {
    std::vector<TableFamily> found;
    for (const auto& family : families_) {
      if (!family->state.dropped) found.push_back(family->tables);
    }
    return found;
  }

  // -- Transactions ---------------------------------------------------------------------------
  void snapshot() {
    for (auto& family : families_) family->saved = family->state;
  }
  void restore() {
    for (auto& family : families_) family->state = family->saved;
  }
  /// Inside the transaction: the marks that moved go to phlower_state, those of dropped tables go.
  Status save_marks() {
    for (auto& family : families_) {
      if (!family->state.dropped && family->state.mark == family->stored_mark) continue;
      Status saved = family->state.dropped
                         ? forget_mark(db_, family->tables.invocations)
                         : save_mark(db_, family->tables.invocations, family->state.mark);
      if (!saved.ok()) return saved;
    }
    return Status();
  }
  void marks_are_stored() {
    for (auto& family : families_) family->stored_mark = family->state.mark;
  }
  /// Another process wrote: what was known of times and counts may be wrong.
  void forget_quiet() {
    for (auto& family : families_) family->state.quiet_until = -kNever;
  }
  void retention_changed() {
    for (auto& family : families_) {
      family->state.quiet_until = -kNever;
      family->state.walk = {};
    }
  }
  /// Requires: the last look had a family without suffix.
  FamilyState& main_state() { return families_.back()->state; }
  const TableFamily& main_tables() const { return families_.back()->tables; }

  // -- Purge ----------------------------------------------------------------------------------
  Result<PurgeReport> purge_some(const PurgeTime& time, std::uint32_t max_rows) {
    PurgeReport report;
    for (auto& family : families_) {
      if (!is_due(*family, time)) continue;
      if (report.examined >= max_rows) {
        report.more = true;
        break;
      }
      const auto room = static_cast<std::uint32_t>(max_rows - report.examined);
      Status status = family->purge.run(time, room, family->state, report);
      if (!status.ok()) return status;
      if (report.more) break;
    }
    return report;
  }
  /// Looks closer at families that were written since they were last quiet.
  Result<bool> purge_due(const PurgeTime& time) {
    for (auto& family : families_) {
      if (!is_due(*family, time)) continue;
      Status status = family->purge.find_quiet(time, family->state);
      if (!status.ok()) return status;
      if (is_due(*family, time)) return true;
    }
    return false;
  }
  std::uint64_t backlog(const PurgeTime& time) {
    std::uint64_t rows = 0;
    for (auto& family : families_) {
      if (is_due(*family, time)) rows += backlog_of(*family, time.cutoffs);
    }
    return rows;
  }
  Status census(const PurgeTime& time, std::uint32_t max_rows, PurgeReport& totals) {
    std::uint32_t room = max_rows;
    for (auto& family : families_) {
      if (family->state.dropped) continue;
      if (!family->census) family->census.emplace(db_, family->tables);
      if (Status status = family->census->run(time, room, totals); !status.ok()) return status;
    }
    totals.more = std::any_of(families_.begin(), families_.end(), [](const auto& family) {
      return !family->state.dropped && !(family->census && family->census->is_done());
    });
    return Status();
  }
  /// What the last whole pass of a purge, or a census since its start, found rows to stay for.
  Doubts doubts() const {
    Doubts sum;
    for (const auto& family : families_) {
      if (family->state.dropped) continue;
      sum.add(family->census ? family->census->doubts() : family->state.doubts);
    }
    return sum;
  }
  void end_census() {
    for (auto& family : families_) family->census.reset();
  }

  // -- Counts ---------------------------------------------------------------------------------
  /// True: more to do.
  Result<bool> recount_some(std::uint32_t rows) {
    for (auto& family : families_) {
      if (family->state.dropped) continue;
      if (Status status = family->recount.run(rows, family->state); !status.ok()) return status;
    }
    return !counted();
  }
  bool counted() const {
    return std::all_of(families_.begin(), families_.end(), [](const auto& family) {
      return family->state.dropped || FamilyRecount::is_done(family->state);
    });
  }
  void restart_counts() {
    for (auto& family : families_) {
      family->state.invocations.restart();
      family->state.details.restart();
    }
  }
  Counts counts() const {
    Counts counts;
    for (const auto& family : families_) {
      counts.invocations += family->state.invocations.rows();
      counts.details += family->state.details.rows();
      UnixSeconds oldest = 0;
      UnixSeconds newest = 0;
      if (family->state.dropped || !family->span.read(oldest, newest).ok()) continue;
      if (oldest > 0 && (!(counts.oldest > 0) || oldest < counts.oldest)) counts.oldest = oldest;
      counts.newest = std::max(counts.newest, newest);
    }
    counts.exact = counted();
    return counts;
  }

 private:
  struct Family {
    Family(sqlite::Connection& db, const TableFamily& from)
        : tables(from), purge(db, from), recount(db, from), span(db, from) {}

    TableFamily tables;
    FamilyState state;
    FamilyState saved;  // as of the begin of the transaction
    DetailsMark stored_mark;
    FamilyPurge purge;
    FamilyRecount recount;
    FamilyTimeSpan span;
    std::optional<FamilyCensus> census;
  };

  static bool is_due(const Family& family, const PurgeTime& time) {
    return !family.state.dropped && time.now >= family.state.quiet_until;
  }

  const Family* find(std::string_view suffix) const {
    for (const auto& family : families_) {
      if (family->tables.suffix == suffix) return family.get();
    }
    return nullptr;
  }

  // Rows are written about in the order in which they end, so the distance of two row ids is
  // about the number of rows between two times.
  std::uint64_t backlog_of(Family& family, const Cutoffs& cutoffs) {
    if (family.tables.invocations.empty()) return 0;
    const std::int64_t end = rowid_of(family, "ORDER BY rowid DESC LIMIT 1") + 1;
    if (!family.tables.finished_index) {
      const std::int64_t first = rowid_of(family, "ORDER BY rowid LIMIT 1");
      return end > first ? static_cast<std::uint64_t>(end - first) : 0;
    }
    const auto first_past = [&](UnixSeconds time) {
      const std::int64_t rowid =
          rowid_of(family, "WHERE finished_at > ?1 ORDER BY finished_at LIMIT 1", time);
      return rowid > 0 ? rowid : end;
    };
    const auto between = [&](UnixSeconds from, UnixSeconds to) -> std::uint64_t {
      if (!(to > from)) return 0;
      const std::int64_t first = first_past(from);
      const std::int64_t last = first_past(to);
      return last > first ? static_cast<std::uint64_t>(last - first) : 0;
    };
    return between(-kNever, cutoffs.invocations) + between(family.state.mark.time, cutoffs.details);
  }

  // 0 where there is no such row or it cannot be read: this only feeds an estimate.
  std::int64_t rowid_of(const Family& family, std::string_view rest, UnixSeconds time = 0) {
    auto statement =
        db_.prepare("SELECT rowid FROM \"" + family.tables.invocations + "\" " + std::string(rest));
    if (!statement.ok()) return 0;
    if (rest.find("?1") != std::string_view::npos) statement->bind(1, time);
    const auto row = statement->step();
    return row.ok() && *row ? statement->integer(0) : 0;
  }

  sqlite::Connection& db_;
  std::vector<std::unique_ptr<Family>> families_;
  std::uint64_t listings_ = 0;
};

}  // namespace phlower
