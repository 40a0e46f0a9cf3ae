// The sliced purge of phlower-purge: short transactions, pauses between them, a log that stays
// within its bound, whoever else has the file open.
#pragma once

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>

#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/schedule/backoff.hpp"
#include "phlower/schedule/duty.hpp"
#include "phlower/schedule/slice_size.hpp"
#include "phlower/single/single_store.hpp"
#include "phlower/sqlite/lock_holders.hpp"
#include "purge/baseline.hpp"
#include "purge/holders.hpp"
#include "purge/options.hpp"
#include "purge/outcome.hpp"
#include "purge/wal.hpp"

namespace phlower::tools {

/// Without a --max-time a lock that is not released ends the run after this long.
inline constexpr Nanoseconds kLockedForEver = Seconds(30);
/// One hold of the write lock while no other process has the file open.
inline constexpr Nanoseconds kSliceAlone = Milliseconds(40);

/// What a full VACUUM would find on the file system of `path`.
inline std::string room_for_vacuum(const std::string& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return "";
  const std::uint64_t room = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  return " (" + format_bytes(2 * file_bytes(path)) + "; " + format_bytes(room) + " are free)";
}

/// One run over one open file. Not thread safe. Blocks: until all is done, stopped or given up.
class PurgeRun {
 public:
  PurgeRun(SingleStore& store, Clock& clock, const PurgeOptions& options, PurgeOutcome& outcome)
      : store_(store),
        clock_(clock),
        options_(options),
        outcome_(outcome),
        company_(store.path()),
        progress_(options.common.quiet),
        wal_(options.store.wal_soft_bytes, options.store.wal_hard_bytes),
        begin_(clock.mono()),
        now_(clock.wall()) {}

  /// OK also when it was stopped early: `outcome.done` and `outcome.failure` tell.
  Status run() {
    Status status = delete_expired();
    if (status.ok() && outcome_.done && options_.reclaim) status = reclaim();
    outcome_.wal_bytes_max = store_.wal_bytes_max();
    if (!outcome_.done) outcome_.rows_left = store_.purge_backlog_rows(now_);
    // What is in the log goes to the file now, where that needs no waiting.
    if (status.ok()) {
      const auto last = store_.checkpoint();
      if (!last.ok()) status = last.status();
    }
    progress_.clear();
    outcome_.elapsed = clock_.mono() - begin_;
    return status;
  }

 private:
  // -- Deleting -------------------------------------------------------------------------------
  Status delete_expired() {
    for (bool more = true; more;) {
      if (stopped()) return Status();
      Status status = slice([&] { return delete_slice(more); });
      if (!status.ok()) return status;
      show_rows();
    }
    outcome_.done = true;
    return Status();
  }

  // While nobody else has the file open nobody waits, and long slices write the pages of the key's
  // index less often. Who opens it in the middle of one waits that long, once.
  Nanoseconds slice_target() const {
    return company_.present() ? options_.slice : std::max(options_.slice, kSliceAlone);
  }

  // As many small steps as fit into the slice together with the commit they make necessary.
  Result<bool> delete_slice(bool& more) {
    const MonoTime start = clock_.mono();
    const Nanoseconds target = slice_target();
    std::uint64_t examined = 0;
    PurgeReport sum;
    for (MonoTime step = start;;) {
      const auto report = store_.purge_some(now_, step_rows_);
      if (!report.ok()) return report.status();
      const MonoTime after = clock_.mono();
      sum.invocations += report->invocations;
      sum.details += report->details;
      examined += report->examined;
      sum.more = report->more;
      if (report->examined >= step_rows_) {
        step_rows_ = next_batch(step_rows_, after - step, target / 10, 4, 256);
      }
      const Nanoseconds one_more = after - step;
      const Nanoseconds commit = commit_per_row_ * static_cast<std::int64_t>(examined + step_rows_);
      if (!sum.more || after + one_more + commit >= start + target) break;
      step = after;
    }
    const MonoTime before = clock_.mono();
    if (Status status = store_.commit(); !status.ok()) return status;
    if (examined > 0) {
      // One stall of the machine says nothing of the next commit: it counts at most double.
      const Nanoseconds measured = (clock_.mono() - before) / static_cast<std::int64_t>(examined);
      commit_per_row_ = next_estimate(commit_per_row_, std::min(measured, 2 * commit_per_row_));
    }
    outcome_.invocations += sum.invocations;
    outcome_.details += sum.details;
    more = sum.more;
    return true;
  }

  // -- Free pages -----------------------------------------------------------------------------
  Status reclaim() {
    if (!store_.can_reclaim()) {
      const auto by_itself = store_.reclaims_itself();
      if (!by_itself.ok()) return by_itself.status();
      if (*by_itself) {
        outcome_.notes.push_back(store_.path() +
                                 ": auto_vacuum = FULL: free pages went back at each commit");
        return Status();
      }
      // What was asked for is not done, though nothing expired is left.
      outcome_.failure =
          std::string(store_.reclaim_some(0).status().message()) + room_for_vacuum(store_.path());
      return Status();
    }
    const std::uint64_t page = store_.page_size();
    std::uint32_t pages = 16;
    for (std::uint64_t left = store_.free_pages(); left > 0;) {
      if (stopped()) {
        outcome_.done = false;
        return Status();
      }
      std::uint64_t freed = 0;
      const MonoTime start = clock_.mono();
      const auto report = store_.reclaim_some(pages);
      if (!report.ok() && report.status().code() != Code::kBusy) return report.status();
      if (report.ok()) {
        const Nanoseconds held = clock_.mono() - start;
        freed = report->pages;
        left = report->pages_left;
        outcome_.bytes_reclaimed += freed * page;
        pages = next_batch(pages, held, options_.slice, 4, 4096);
        if (Status status = after_slice(held); !status.ok()) return status;
        if (freed == 0) break;
      } else if (Status status = wait_for_lock(); !status.ok()) {
        return status;
      }
      if (progress_.due(clock_.mono())) {
        show({"bytes given back", outcome_.bytes_reclaimed, left * page});
      }
    }
    return Status();
  }

  // -- One slice, and what comes between two ----------------------------------------------------
  template <class Body>
  Status slice(Body&& body) {
    const MonoTime asked = clock_.mono();
    Status begun = store_.begin();
    Result<bool> done = begun.ok() ? body() : Result<bool>(begun);
    if (done.ok()) return after_slice(clock_.mono() - asked);
    store_.rollback();
    return done.status().code() == Code::kBusy ? wait_for_lock() : done.status();
  }

  Status after_slice(Nanoseconds held) {
    ++outcome_.slices;
    outcome_.hold.record(held);
    last_hold_ = held;
    lock_.succeeded();
    if (Status status = tend_log(); !status.ok()) return status;
    if (company_.present()) pause(duty_.after(pause_after(held, options_.duty_percent)));
    return Status();
  }

  // Somebody else writes: asked again soon, then less often. Not for ever.
  Status wait_for_lock() {
    const MonoTime now = clock_.mono();
    lock_.failed(now);
    if (lock_.failing_for(now) >= kLockedForEver && !options_.max_time) {
      return Status(Code::kBusy,
                    fmt::format("{}: locked by {} for {}; gave up", store_.path(), lock_holder(),
                                format_duration(lock_.failing_for(now))));
    }
    if (lock_.failing_for(now) > Seconds(1)) trouble_ = "waiting for the write lock";
    pause(lock_.until() - now);
    return Status();
  }

  std::string lock_holder() const { return whoever_locks(store_.path()); }

  Status tend_log() {
    WalStep step = wal_.after_commit(store_.wal_bytes());
    bool said = false;
    while (step != WalStep::kGoOn && !stopped()) {
      const MonoTime start = clock_.mono();
      const auto report = store_.checkpoint();
      if (!report.ok()) return report.status();
      ++outcome_.checkpoints;
      duty_.lock_was_free(clock_.mono() - start);
      step = wal_.after_checkpoint(*report, store_.wal_bytes());
      if (step != WalStep::kWait) break;
      if (!said) say_who_pins();
      said = true;
      show_rows();
      pause(Milliseconds(50));
    }
    trouble_.clear();
    return Status();
  }

  void say_who_pins() {
    const std::string who = lock_holders(store_.path(), SqliteLock::kLogReaders);
    trouble_ = fmt::format("paused: {} reads an old state, the WAL is {} of at most {}",
                           who.empty() ? "another process" : who, format_bytes(store_.wal_bytes()),
                           format_bytes(options_.store.wal_hard_bytes));
    // Readers that come and go would have it said at every slice.
    const MonoTime now = clock_.mono();
    if (options_.common.quiet || now < say_again_) return;
    say_again_ = now + Seconds(30);
    progress_.clear();
    std::fprintf(stderr, "phlower-purge: %s; goes on when it has ended\n", trouble_.c_str());
  }

  void show_rows() {
    // What is left costs look-ups: only asked for when it will be seen.
    if (!progress_.due(clock_.mono())) return;
    const std::uint64_t deleted = outcome_.invocations + outcome_.details;
    show({"deleted", deleted, store_.purge_backlog_rows(now_)});
  }
  void show(ProgressFigures figures) {
    figures.elapsed = clock_.mono() - begin_;
    figures.hold = last_hold_;
    figures.trouble = trouble_;
    progress_.show(figures);
  }

  // Sleeps in short pieces, so that a signal does not wait.
  void pause(Nanoseconds time) {
    const MonoTime end = clock_.mono() + time;
    for (MonoTime now = clock_.mono(); now < end && !stop_requested(); now = clock_.mono()) {
      std::this_thread::sleep_for(std::min<Nanoseconds>(end - now, Milliseconds(50)));
    }
  }

  bool stopped() {
    if (stop_requested()) {
      outcome_.failure = "stopped by a signal";
    } else if (options_.max_time && clock_.mono() - begin_ >= *options_.max_time) {
      outcome_.failure = "stopped after --max-time " + exact_duration(*options_.max_time);
      // A lock that was never to be had is a problem, not a limit that was kept.
      outcome_.time_up = outcome_.slices > 0;
      if (lock_.failing()) {
        outcome_.failure += ": " + store_.path() + " is locked by " + lock_holder();
      } else if (!trouble_.empty()) {
        outcome_.failure += ": " + trouble_;
      }
    } else {
      return false;
    }
    return true;
  }

  SingleStore& store_;
  Clock& clock_;
  const PurgeOptions& options_;
  PurgeOutcome& outcome_;
  Company company_;
  Progress progress_;
  WalPolicy wal_;
  DutyPause duty_;
  Backoff lock_{Microseconds(500), Milliseconds(50)};
  MonoTime begin_;
  WallTime now_;  // retention counts from the start, so that a run has an end
  std::uint32_t step_rows_ = 16;
  Nanoseconds commit_per_row_ = Microseconds(20);
  Nanoseconds last_hold_{0};
  MonoTime say_again_{};
  std::string trouble_;
};

}  // namespace phlower::tools
