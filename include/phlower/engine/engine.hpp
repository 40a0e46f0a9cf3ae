// START HERE. The engine takes pending records out of the ring, keeps them in the store, answers
// questions about them and forgets them in time, in small slices under one budget.
//
//   auto engine = phlower::Engine::open(options, clock, log);
//   while (running) {
//     const auto report = (*engine)->tick(std::chrono::milliseconds(20));
//     (*engine)->wait(report);   // or come back from the host's own loop at report.next_due
//   }
//
// The way of one record: Producer::submit (ring/producer.hpp) -> the ring -> FlushSlice -> the
// store of its layout (SegmentedStore or SingleStore) -> retention. doc/ARCHITECTURE.md tells it in
// full.
#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "phlower/config/live_options.hpp"
#include "phlower/config/options.hpp"
#include "phlower/config/options_fields.hpp"
#include "phlower/door/open_store.hpp"
#include "phlower/engine/agenda.hpp"
#include "phlower/engine/flush_slice.hpp"
#include "phlower/engine/rings.hpp"
#include "phlower/engine/stats.hpp"
#include "phlower/engine/trouble.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/history/history.hpp"
#include "phlower/schedule/fair_queue.hpp"

namespace phlower {

/// What one `tick` did, and when the next one has something to do.
struct TickReport {
  std::uint64_t flushed = 0;  // records
  std::uint64_t purged = 0;   // rows and details that are gone with their retention
  Nanoseconds spent{0};
  MonoTime next_due{};    // now or earlier: at once
  bool may_wait = false;  // true: nothing is due before `next_due` unless a record comes
  Status status;          // the first error of this tick; the engine deals with it by itself
};

/// One ring, one history (a data folder, or one file), one writer. Not thread safe: call everything
/// from one thread. Nothing here waits for another process's lock; the only long calls are SQLite's
/// own I/O.
class Engine {
 public:
  /// Opens or creates the ring and the history, and takes up where the last engine ended.
  /// Requires: `clock` outlives the engine.
  /// Errors: kInvalidConfig for all that `validate` (config/options_fields.hpp) refuses, a line for
  /// each knob with its key, and for options that contradict the machine; kBusy when another engine
  /// reads this ring; and what opening the ring and the history report.
  static Result<std::unique_ptr<Engine>> open(const Options& options, Clock& clock, Log log = {}) {
    if (Status status = validate(options); !status.ok()) return status;
    std::unique_ptr<Engine> engine(new Engine(options, clock, std::move(log)));
    if (Status status = engine->start(); !status.ok()) return status;
    return engine;
  }

  /// Does what is due, in slices, until about `budget` is used. Longer only by the part of a slice
  /// that cannot be interrupted: one statement, one commit, or one checkpoint. An exception (memory
  /// ran out, a clock that throws) ends this engine like corruption does: what is committed is
  /// whole, the rest waits in the ring for the next engine.
  TickReport tick(Nanoseconds budget) noexcept {
    TickReport report;
    try {
      run_slices(budget, report);
    } catch (...) {
      const bool first = !broken_;
      broken_ = true;
      trouble_.note(exception_status(), MonoTime());
      report.status = trouble_.fatal_status();
      if (first) {
        log_.error("{}: the engine ends: {}", options_.store.path, report.status.message());
      }
    }
    return report;
  }

  /// Sleeps until the report's time or until a record comes. Blocks: at most that long.
  void wait(const TickReport& report) {
    if (trouble_.fatal()) {
      std::this_thread::sleep_for(kFinishedPause);  // for a loop that looks at nothing
      return;
    }
    const Nanoseconds left = report.next_due - clock_.mono();
    if (!report.may_wait || left <= Nanoseconds(0)) return;
    if (agenda_->records_wait() || trouble_.blocking() || !place_.ok()) {
      std::this_thread::sleep_for(left);  // one more record would not make anything due earlier
    } else {
      rings_->current().wait(left);
    }
  }

  /// True when no record waits in the ring or in a ring of an earlier boot.
  bool drained() {
    rings_->current().scan();
    return !rings_->any_set_aside() && !rings_->current().has_unread();
  }

  /// True when no record that was submitted before `then` waits.
  bool flushed(MonoTime then) {
    if (drained()) return true;
    const MonoTime oldest(
        Nanoseconds(static_cast<std::int64_t>(rings_->current().oldest_pending_ns())));
    return !rings_->any_set_aside() && oldest > then;
  }

  /// The newest version of a task's row, if its retention is not over.
  Result<std::optional<Record>> get(std::string_view task_id) {
    auto history = this->history();
    if (!history.ok()) return history.status();
    return history->get(task_id);
  }
  /// The newest rows of a task, newest first.
  Result<std::vector<Record>> list_by_task(std::string_view task_name, std::uint32_t limit) {
    Query query;
    query.task_name = task_name;
    query.limit = limit;
    auto answer = list(query);
    if (!answer.ok()) return answer.status();
    std::vector<Record> records;
    for (Row& row : answer->rows) records.push_back(std::move(row.record));
    return records;
  }
  /// Rows that a query asks for, newest first, with a cursor to go on from.
  Result<QueryAnswer> list(const Query& query) {
    auto history = this->history();
    if (!history.ok()) return history.status();
    return history->list(query);
  }
  /// All questions that a history answers, as of now. Use it before the next `tick`.
  Result<History> history() {
    if (broken_) return trouble_.fatal_status();
    auto sources = store_->sources();
    if (!sources.ok()) return sources.status();
    return History(*std::move(sources), cutoffs_at(options_.retention, clock_.wall()));
  }

  /// Takes over what may change while records flow (live_options.hpp). Errors: kInvalidConfig as of
  /// `open`, and nothing has changed; of the store, which are not final: the new values are in
  /// force all the same.
  Status set_limits(const Options& options) {
    Options wanted = options_;
    take_live_options(wanted, options);
    if (Status status = validate(wanted); !status.ok()) return status;
    take_live_options(options_, options);
    queue_.set_round(options.schedule.round);
    if (broken_) return Status();
    return store_->set_limits(options.retention, options.disk);
  }

  /// One step of what the store should have done before a close, such as emptying its log. True:
  /// there is no more of it, or what is left is in somebody's way.
  Result<bool> finish_some() {
    bool all = true;
    for (Chore* chore : store_->chores()) {
      const auto done = chore->finish();
      if (!done.ok()) return done.status();
      all &= *done;
    }
    return all;
  }

  HealthReport health() const {
    HealthReport report = trouble_.report(clock_.mono());
    if (report.health != Health::kFailed && !place_.ok()) {
      return {Health::kFailed, std::string(place_.message())};
    }
    if (report.health != Health::kOk) return report;
    for (const Chore* chore : store_->chores()) {
      if (report.reason.empty()) report.reason = chore->problem();
    }
    if (!report.reason.empty()) report.health = Health::kDegraded;
    return report;
  }
  const EngineStats& stats() const { return stats_; }
  RingStats ring_stats() const { return rings_->current().stats(); }
  /// Of the store: its rows, what it has counted, how it is. A few look-ups. Nothing after an
  /// exception: what the store has in memory may be half done then.
  StoreFigures figures() { return broken_ ? StoreFigures() : store_->figures(clock_.wall()); }
  Counts counts() { return figures().counts; }
  /// Rows that are past their retention and still there: an estimate, cheap.
  std::uint64_t purge_backlog_rows() { return figures().expired_rows; }

 private:
  static constexpr Nanoseconds kFinishedPause = Milliseconds(100);
  static constexpr Nanoseconds kPlaceLook = Milliseconds(500);

  Engine(const Options& options, Clock& clock, Log log)
      : options_(options), clock_(clock), log_(std::move(log)), queue_(options.schedule.round) {
    // The host may change its folder; the history stays where it is.
    for (std::string* path : {&options_.store.path, &options_.ring.path}) {
      std::error_code nowhere;
      const auto whole = std::filesystem::absolute(*path, nowhere);
      if (!nowhere) *path = whole.string();
    }
  }

  Status start() {
    Status placed = check_ring_place(options_.ring, options_.store.durability);
    if (!placed.ok()) return placed;
    auto store = open_store(options_, clock_, log_);
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    flush_.emplace(*store_, clock_, stats_);
    agenda_.emplace(options_, store_->chores(), trouble_, stats_);
    stats_.jobs.push_back({"flush", 0, Nanoseconds(0)});
    for (const Chore* chore : store_->chores()) {
      stats_.jobs.push_back({chore->name(), 0, Nanoseconds(0)});
    }
    rings_.emplace(options_, *store_, clock_, log_);
    return rings_->open();
  }

  // Somebody removed or replaced the file: what was accepted before is read to its end first.
  void reopen_if_replaced() {
    if (!rings_->current().replaced() || rings_->current().has_unread()) return;
    log_.warn_limited("ring", "{}: the ring was removed or replaced; a new one is made",
                      options_.ring.path);
    if (Status status = rings_->open(); !status.ok()) trouble_.note(status, clock_.mono());
  }

  // Once a day: it is no trouble, and it does not go away by itself.
  void say_notice(MonoTime now) {
    if (now < next_notice_) return;
    for (const Chore* chore : store_->chores()) {
      const std::string text = chore->notice();
      if (text.empty()) continue;
      log_.warn("{}", text);
      next_notice_ = now + std::chrono::hours(24);
    }
  }

  void run_slices(Nanoseconds budget, TickReport& report) {
    const MonoTime begin = clock_.mono();
    const MonoTime deadline = begin + budget;
    MonoTime now = begin;
    bool worked = true;
    while (worked && now < deadline && !trouble_.fatal()) {
      worked = step(now, deadline, report);
      now = clock_.mono();
    }
    report.spent = now - begin;
    report.may_wait = !worked || trouble_.fatal();
    report.next_due = worked ? now : place_.ok() ? agenda_->next_due(now) : now + kPlaceLook;
    if (!place_.ok() && report.status.ok()) report.status = place_;
    if (trouble_.fatal()) report.status = trouble_.fatal_status();
  }

  // What goes into files that were removed or replaced is nowhere: then nothing is written, and
  // what was accepted waits in the ring.
  bool in_place() {
    const Status now = store_->in_place();
    if (now.ok() && !place_.ok())
      log_.info("{}: is back, records are stored again", store_->path());
    if (!now.ok() && place_.ok()) {
      place_ = Status(now.code(), std::string(now.message()) +
                                      "; nothing is stored any more, records wait in the ring: put "
                                      "it back, or start again with what is there now");
      log_.error("{}", place_.message());
    }
    if (now.ok()) place_ = now;
    return now.ok();
  }

  // One decision and one slice. False: nothing is due.
  bool step(MonoTime now, MonoTime deadline, TickReport& report) {
    if (now >= next_reap_) {
      next_reap_ = now + Seconds(1);
      rings_->current().reap();
      reopen_if_replaced();
      say_notice(now);
      if (trouble_.fatal()) return false;
    }
    if (!in_place()) return false;
    const bool salvaging = rings_->any_set_aside() && now >= next_salvage_;
    const auto job = queue_.pick(agenda_->measure(now, rings_->current(), salvaging));
    if (!job) return false;
    from_salvage_ = salvaging && !(from_salvage_ && agenda_->ring_due(now));
    const Nanoseconds target = std::min<Nanoseconds>(options_.schedule.slice, deadline - now);
    const auto slice = *job == kFlush ? run_flush(target) : store_->chores()[*job - 1]->run(target);
    settle(*job, slice, now, report);
    return true;
  }

  Result<SliceReport> run_flush(Nanoseconds target) {
    if (!from_salvage_) return flush_->run(rings_->current(), target);
    auto slice = flush_->run(rings_->set_aside(), target);
    if (!slice.ok()) return slice;
    stats_.salvaged += slice->units;
    if (rings_->set_aside().done()) {
      rings_->end_set_aside();
    } else if (slice->units == 0) {
      next_salvage_ = clock_.mono() + Seconds(1);  // producers still write there
    }
    return slice;
  }

  void settle(Job job, const Result<SliceReport>& result, MonoTime begin, TickReport& report) {
    const MonoTime now = clock_.mono();
    JobStats& stats = stats_.jobs[job];
    queue_.charge(job, now - begin);
    ++stats.slices;
    stats.spent += now - begin;
    stats_.slice.record(now - begin);
    if (result.ok()) {
      if (job == kFlush) report.flushed += result->units;
      report.purged += result->purged;
      if (result->hold > Nanoseconds(0)) {
        stats_.hold.record(result->hold);
        trouble_.write_succeeded();
      } else if (!result->commits) {
        trouble_.succeeded(job);
      }
      agenda_->done(*result, now);
      return;
    }
    const Status& status = result.status();
    if (report.status.ok()) report.status = status;
    trouble_.note(status, now, job);
    if (status.code() == Code::kBusy) {
      ++stats_.busy;
      return;
    }
    ++stats_.failures;
    log_.warn_limited(stats.name, "{}: {}", stats.name, status.message());
  }

  Options options_;
  Clock& clock_;
  Log log_;
  EngineStats stats_;
  Trouble trouble_;
  FairQueue queue_;
  std::unique_ptr<Store> store_;
  std::optional<EngineRings> rings_;
  std::optional<FlushSlice> flush_;
  std::optional<Agenda> agenda_;
  MonoTime next_reap_{};
  MonoTime next_notice_{};
  MonoTime next_salvage_{};
  Status place_;               // why nothing is stored: its files are not where they were
  bool broken_ = false;        // by an exception
  bool from_salvage_ = false;  // the source of this flush slice, and of the last one
};

}  // namespace phlower
