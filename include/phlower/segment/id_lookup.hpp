// Finds the row of an id in the file of a segment: by its index where that is made, else by the
// runs and what stands behind them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/segment/format/filter.hpp"
#include "phlower/segment/format/id_pages.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

/// Filters of the runs of one segment, in memory: a run does not change once it is written. One
/// filter over all of them says no to nearly every id that is not there; then one for each run says
/// which page to read. About three bytes a row. Not thread safe.
class RunFilters {
 public:
  std::uint64_t runs() const noexcept { return runs_.size(); }
  bool may_hold(IdTag tag) const noexcept { return !runs_.empty() && all_.may_hold(tag); }
  /// Run `run` may have the id; yes for one that is not known.
  bool may_hold(std::uint64_t run, IdTag tag) const noexcept {
    return run >= runs_.size() || runs_[run].may_hold(tag);
  }

  /// Takes in the runs up to number `runs`. Errors: of the database; then it is as it was.
  Status extend(sqlite::Connection& db, std::uint64_t runs) {
    // Widened by half, so that each run is read a few times at most, however many there will be.
    const bool wider = runs > room_;
    const std::uint64_t room = wider ? runs + runs / 2 + 1 : room_;
    IdFilter all = wider ? IdFilter(room * kRunRows) : all_;
    std::vector<IdFilter> more;
    for (std::uint64_t run = wider ? 0 : runs_.size(); run < runs; ++run) {
      IdFilter own(kRunRows);
      if (Status status = add(db, run, all, own); !status.ok()) return status;
      if (run >= runs_.size()) more.push_back(std::move(own));
    }
    all_ = std::move(all);
    room_ = room;
    for (IdFilter& filter : more) runs_.push_back(std::move(filter));
    return Status();
  }

 private:
  static Status add(sqlite::Connection& db, std::uint64_t run, IdFilter& all, IdFilter& own) {
    auto select = db.prepare("SELECT entries, page FROM id_run WHERE page >= ?1 AND page < ?2");
    if (!select.ok()) return select.status();
    select->bind(1, static_cast<std::int64_t>(run * kParts));
    select->bind(2, static_cast<std::int64_t>((run + 1) * kParts));
    std::vector<IdEntry> entries;
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      entries.clear();
      const auto part = static_cast<std::uint32_t>(select->integer(1)) % kParts;
      unpack_run(select->text(0), run, part, entries);
      for (const IdEntry entry : entries) {
        all.add(tag_of(entry));
        own.add(tag_of(entry));
      }
    }
    return Status();
  }

  IdFilter all_;
  std::vector<IdFilter> runs_;
  std::uint64_t room_ = 0;  // runs that `all_` was made for
};

/// Not thread safe. `db` outlives this.
class IdLookup {
 public:
  explicit IdLookup(sqlite::Connection& db) : db_(&db) {}

  /// Takes up the file as it is now. Where rows may be added it is called for each view.
  Status refresh() {
    const auto bits = segment_file::fact(*db_, segment_schema::kIndexBitsKey, 0);
    if (!bits.ok()) return bits.status();
    const auto rows = db_->query_integer("SELECT max(seq) FROM task");
    if (!rows.ok()) return rows.status();
    bits_ = static_cast<int>(std::clamp<std::int64_t>(*bits, kIndexBitsMin, kIndexBitsMax));
    rows_ = *rows;
    filtered_ = filtered_ || runs() == 0;
    Status status = filtered_ ? extend_filters() : Status();
    // After the filters: a part that moves meanwhile then counts as moved, and is in the index.
    if (status.ok()) status = load_parts();
    return status.ok() && parts_ < kParts ? extend_tail() : status;
  }

  /// False: certainly not there, known without a look at the file.
  bool may_hold(IdTag tag) const {
    if (!filtered_ || part_of(tag) < parts_) return true;
    return filters_.may_hold(tag) || tail_.find(tag, [](std::uint32_t) { return true; });
  }

  /// Calls visit(row) for each row that may be it until it returns true.
  template <class Visit>
  Status find(IdTag tag, Visit&& visit) {
    if (part_of(tag) < parts_) return find_in_index_of(tag, visit);
    if (tail_.find(tag, visit)) return Status();
    bool gone = false;
    const auto found = find_in_runs(tag, visit, gone);
    if (!found.ok() || *found) return found.status();
    if (!gone) return note_absent();
    // A page that is not there was moved by a sealing since the last `refresh`.
    if (Status status = load_parts(); !status.ok()) return status;
    return part_of(tag) < parts_ ? find_in_index_of(tag, visit) : Status();
  }

 private:
  // From so many ids on that were looked for in vain the runs are worth their filters.
  static constexpr int kAbsentUnfiltered = 32;

  std::uint64_t runs() const noexcept { return static_cast<std::uint64_t>(rows_) / kRunRows; }

  Status load_parts() {
    const auto parts = segment_file::fact(*db_, segment_schema::kIndexPartsKey, 0);
    if (!parts.ok()) return parts.status();
    const auto bits = segment_file::fact(*db_, segment_schema::kIndexBitsKey, 0);
    if (!bits.ok()) return bits.status();
    parts_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(*parts, 0, kParts));
    bits_ = static_cast<int>(std::clamp<std::int64_t>(*bits, kIndexBitsMin, kIndexBitsMax));
    return Status();
  }

  Status extend_filters() {
    return runs() > filters_.runs() ? filters_.extend(*db_, runs()) : Status();
  }

  Status note_absent() {
    if (filtered_ || ++absent_ < kAbsentUnfiltered) return Status();
    Status status = extend_filters();
    if (status.ok()) status = load_parts();
    filtered_ = status.ok();
    return status;
  }

  template <class Visit>
  Status find_in_index_of(IdTag tag, Visit& visit) {
    bool there = false;
    const auto in_index = [&](std::string_view page) { return find_in_index(page, tag, visit); };
    return in_page("SELECT entries FROM id_index WHERE page = ?1", select_index_,
                   tag >> (32 - bits_), in_index, there)
        .status();
  }

  // `gone`: a page that a run should have is not there.
  template <class Visit>
  Result<bool> find_in_runs(IdTag tag, Visit& visit, bool& gone) {
    for (std::uint64_t run = runs(); run-- > 0;) {
      if (filtered_ && !filters_.may_hold(run, tag)) continue;
      const auto in_run = [&](std::string_view page) { return find_in_run(page, run, tag, visit); };
      bool there = false;
      const auto done =
          in_page("SELECT entries FROM id_run WHERE page = ?1", select_run_,
                  static_cast<std::int64_t>(run * kParts + part_of(tag)), in_run, there);
      if (!done.ok() || *done) return done;
      gone = gone || !there;
    }
    return false;
  }

  template <class Find>
  Result<bool> in_page(const char* sql, sqlite::Statement& select, std::int64_t page,
                       const Find& find, bool& there) {
    Status ready = db_->prepare_once(select, sql);
    if (!ready.ok()) return ready;
    select.bind(1, page);
    const auto row = select.step();
    if (!row.ok()) return row;
    there = *row;
    if (!there) return false;
    const bool done = find(select.text(0));
    select.reset();
    return done;
  }

  // Rows behind the last run: only what came since the last look is read.
  Status extend_tail() {
    const std::int64_t first = static_cast<std::int64_t>(runs() * kRunRows);
    if (first != tail_first_) {
      tail_ = IdMap();
      tail_first_ = tail_seen_ = first;
    }
    Status ready =
        db_->prepare_once(select_tail_, "SELECT seq, id FROM task WHERE seq > ?1 AND seq <= ?2");
    if (!ready.ok()) return ready;
    select_tail_.bind(1, tail_seen_);
    select_tail_.bind(2, rows_);
    for (;;) {
      const auto row = select_tail_.step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      const std::string id = read_task_id(select_tail_, 1);
      tail_.insert(TaskKey(id).tag(), static_cast<std::uint32_t>(select_tail_.integer(0)));
    }
    tail_seen_ = rows_;
    return Status();
  }

  sqlite::Connection* db_;
  int bits_ = kIndexBitsMin;
  std::uint32_t parts_ = 0;
  std::int64_t rows_ = 0;
  sqlite::Statement select_index_, select_run_, select_tail_;
  IdMap tail_;
  std::int64_t tail_first_ = 0;
  std::int64_t tail_seen_ = 0;
  RunFilters filters_;
  bool filtered_ = false;  // the filters are as far as rows_
  int absent_ = 0;
};

}  // namespace phlower
