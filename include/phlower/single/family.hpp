// What the store remembers of each family of tables between steps: counts, how far the purge has
// got, when it is next due. Plain values, so that a rollback puts a copy back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/history/retention.hpp"
#include "phlower/record/record.hpp"
#include "phlower/single/cell.hpp"
#include "phlower/single/row_age.hpp"

namespace phlower {

/// Rows of one table, counted once in slices along the key and then kept by inserts and deletes:
/// first those whose key is NULL, by row id, then the others. During the count those at or below
/// its place adjust it; the others will be met.
class TableCount {
 public:
  /// A row whose key is this text.
  void inserted(std::string_view key) {
    if (counted_once_) ++rows_;
    if (has_passed(key)) ++passed_;
  }
  void deleted(std::string_view key) { deleted_one(has_passed(key)); }
  void deleted(const Cell& key, std::int64_t rowid) { deleted_one(has_passed(key, rowid)); }
  /// For several rows at once. While `needs_keys`, each row must be told alone.
  void deleted_many(std::uint64_t rows) {
    if (counted_once_) rows_ -= std::min(rows, rows_);
  }
  bool needs_keys() const { return counting_ && started_; }
  /// The next slice found `rows` more without a key, before the row id `next`.
  void count_nulls(std::uint64_t rows, std::int64_t next) {
    passed_ += rows;
    null_rowid_ = next;
    started_ = true;
  }
  void end_nulls() { nulls_done_ = true; }
  /// The next slice found `rows` more, up to `last`.
  void count(std::uint64_t rows, Cell last) {
    passed_ += rows;
    cursor_ = std::move(last);
    started_ = true;
  }
  void finish() {
    rows_ = passed_;
    counted_once_ = true;
    counting_ = false;
  }
  /// Counts anew; what is known is shown until the new count is through.
  void restart() {
    const std::uint64_t known = rows_;
    const bool counted = counted_once_;
    *this = TableCount();
    rows_ = known;
    counted_once_ = counted;
  }

  std::uint64_t rows() const { return counted_once_ ? rows_ : passed_; }
  bool counting() const { return counting_; }
  bool nulls_done() const { return nulls_done_; }
  std::int64_t null_rowid() const { return null_rowid_; }
  /// NULL: no key yet.
  const Cell& cursor() const { return cursor_; }

 private:
  void deleted_one(bool passed) {
    if (counted_once_ && rows_ > 0) --rows_;
    if (passed && passed_ > 0) --passed_;
  }
  // The types come in this order: NULLs, numbers, texts, blobs.
  bool has_passed(std::string_view key) const {
    if (!counting_ || !started_ || !nulls_done_) return false;
    return cursor_.is_text() ? key <= cursor_.bytes : cursor_.type == sqlite::ValueType::kBlob;
  }
  bool has_passed(const Cell& key, std::int64_t rowid) const {
    if (!counting_ || !started_) return false;
    if (key.type == sqlite::ValueType::kNull) return nulls_done_ || rowid < null_rowid_;
    return nulls_done_ && cursor_.type != sqlite::ValueType::kNull && compare(key, cursor_) <= 0;
  }

  std::uint64_t rows_ = 0;                                              // once counted
  std::uint64_t passed_ = 0;                                            // by the count that runs
  std::int64_t null_rowid_ = std::numeric_limits<std::int64_t>::min();  // where it goes on
  Cell cursor_;                                                         // its last key
  bool nulls_done_ = false;
  bool counting_ = true;
  bool started_ = false;
  bool counted_once_ = false;
};

/// Every row at or before this place of the index on finished_at has lost its details.
struct DetailsMark {
  UnixSeconds time = -kNever;
  std::int64_t rowid = std::numeric_limits<std::int64_t>::min();

  friend bool operator==(const DetailsMark&, const DetailsMark&) = default;
};

/// Where a walk over the rows aside of the order of time has got to: by row id, then along the
/// index over what is below and above the numbers that are seconds. See FamilyWalk.
struct AsidePlace {
  enum class Part : std::uint8_t { kByRowid, kLow, kHigh, kEnd };
  Part part = Part::kByRowid;
  Cell value;  // in the index
  std::int64_t rowid = std::numeric_limits<std::int64_t>::min();

  bool begun() const {
    return part != Part::kByRowid || rowid != std::numeric_limits<std::int64_t>::min();
  }
};

/// A walk over rows that no index brings in order of time, in passes: those that have not finished,
/// those with a time of another kind, or all of a table without an index on finished_at.
struct RowWalk {
  AsidePlace place;
  UnixSeconds next_due = -kNever;   // when the next pass begins
  UnixSeconds next_found = kNever;  // soonest expiry among the rows that this pass has left
  std::uint64_t rows = 0;           // that this pass has left
  Doubts doubts;                    // of this pass

  void begin_pass() {
    place = AsidePlace();
    next_found = kNever;
    rows = 0;
    doubts = Doubts();
  }
  /// The next pass is at most a day away: another process may write rows that nobody noted. After a
  /// long one there is a rest, or a whole history aside would be walked without an end.
  void end_pass(UnixSeconds now) {
    const double rest = std::min(static_cast<double>(rows) / 1000, 3600.0);
    next_due = std::min(std::max(next_found, now + rest), now + 86'400);
    begin_pass();
  }
  /// A row was written. A pass that runs may be past it already; the next one will see it.
  void note(UnixSeconds due) {
    next_due = std::min(next_due, due);
    if (place.begun()) next_found = std::min(next_found, due);
  }
};

struct FamilyState {
  TableCount invocations;
  TableCount details;
  DetailsMark mark;
  RowWalk walk;
  Doubts doubts;                      // of the last whole pass
  UnixSeconds quiet_until = -kNever;  // before this nothing expires
  bool dropped = false;               // in the transaction that is open

  /// A row was written.
  void note_row(const RecordView& row, const RetentionPolicy& policy) {
    const UnixSeconds time = retention_time(row.finished_at, row.started_at, row.received_at);
    if (!(time > 0)) return;
    const UnixSeconds due = policy.first_expiry(row, time);
    quiet_until = std::min(quiet_until, due);
    if (!(row.finished_at > 0)) {
      walk.note(due);
    } else if (row.has_details() && row.finished_at <= mark.time) {
      mark = {row.finished_at, std::numeric_limits<std::int64_t>::min()};
    }
  }
};

}  // namespace phlower
