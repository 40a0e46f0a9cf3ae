// The purge of a database file that others may be using: short transactions, pauses between them,
// a log that stays within its bound. Free pages go back to the file system in the same way.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "phlower/door/file_opening.hpp"
#include "phlower/door/lock_gap.hpp"
#include "phlower/schedule/backoff.hpp"
#include "phlower/schedule/duty.hpp"
#include "phlower/schedule/slice_size.hpp"
#include "phlower/schedule/wal_policy.hpp"
#include "phlower/single/purge_slice.hpp"
#include "phlower/sqlite/company.hpp"

namespace phlower {

/// One run over one open file. Not thread safe. Blocks: until all is done, stopped or given up.
class FilePurge {
 public:
  FilePurge(SingleStore& store, const MaintenanceOptions& options, Pace& pace,
            MaintenanceReport& report)
      : store_(store),
        clock_(pace.clock()),
        options_(options),
        pace_(pace),
        report_(report),
        company_(store.path()),
        wal_(options.store.wal_soft_bytes, options.store.wal_hard_bytes),
        now_(clock_.wall()),
        purging_(store, clock_),
        gap_(store, pace) {}

  /// OK also when it was stopped early: the pace tells. kUnsupported: all that has expired is
  /// deleted, but the file cannot give its free pages back.
  Status run() {
    Status status = delete_expired();
    if (status.ok() && report_.done && options_.reclaim) status = reclaim();
    report_.wal_bytes_max = store_.wal_bytes_max();
    if (!report_.done) report_.rows_left = store_.purge_backlog_rows(now_);
    // What is in the log goes to the file now, where that needs no waiting.
    if (!status.ok()) return status;
    if (const auto last = store_.checkpoint(); !last.ok()) return last.status();
    return name_what_was_in_the_way();
  }

 private:
  /// One hold of the write lock while no other process has the file open.
  static constexpr Nanoseconds kSliceAlone = Milliseconds(40);

  // -- Deleting -------------------------------------------------------------------------------
  Status delete_expired() {
    for (bool more = true; more;) {
      if (pace_.over()) return Status();
      if (Status status = delete_slice(more); !status.ok()) return status;
      show_rows();
    }
    report_.done = true;
    return Status();
  }

  // While nobody else has the file open nobody waits, and long slices write the pages of the key's
  // index less often. Who opens it in the middle of one waits that long, once.
  Nanoseconds slice_target() const {
    return company_.present() ? options_.slice : std::max(options_.slice, kSliceAlone);
  }

  Status delete_slice(bool& more) {
    const MonoTime asked = clock_.mono();
    const auto deleted = purging_.run(now_, slice_target());
    if (deleted.status().code() == Code::kBusy) return wait_for_lock();
    if (!deleted.ok()) return deleted.status();
    report_.invocations += deleted->invocations;
    report_.details += deleted->details;
    more = deleted->more;
    return after_slice(clock_.mono() - asked);
  }

  // -- Free pages -----------------------------------------------------------------------------
  Status reclaim() {
    if (!store_.can_reclaim()) return say_why_not();
    const std::uint64_t page = store_.page_size();
    std::uint32_t pages = 16;
    report_.done = false;
    for (std::uint64_t left = store_.free_pages(); left > 0;) {
      if (pace_.over()) return Status();
      const MonoTime start = clock_.mono();
      const auto freed = store_.reclaim_some(pages);
      if (freed.ok()) {
        const Nanoseconds held = clock_.mono() - start;
        left = freed->pages_left;
        report_.bytes_reclaimed += freed->pages * page;
        pages = next_batch(pages, held, options_.slice, 4, 4096);
        if (Status status = after_slice(held); !status.ok()) return status;
        if (freed->pages == 0) break;
      } else if (freed.status().code() != Code::kBusy) {
        return freed.status();
      } else if (Status status = wait_for_lock(); !status.ok()) {
        return status;
      }
      if (pace_.progress_due()) {
        tell(MaintenanceProgress::Unit::kFreedBytes, report_.bytes_reclaimed, left * page);
      }
    }
    report_.done = true;
    return Status();
  }

  // What was asked for is not done, though nothing expired is left.
  Status say_why_not() {
    const auto by_itself = store_.reclaims_itself();
    if (!by_itself.ok()) return by_itself.status();
    if (*by_itself) {
      report_.notes.push_back(store_.path() +
                              ": auto_vacuum = FULL: free pages went back at each commit");
      return Status();
    }
    const Status why = store_.reclaim_some(0).status();
    return Status(why.code(), std::string(why.message()) + room_for_vacuum());
  }

  // What a full VACUUM would need, and find on the file system.
  std::string room_for_vacuum() const {
    struct ::stat file {};
    struct ::statvfs disk {};
    const char* path = store_.path().c_str();
    if (::stat(path, &file) != 0 || ::statvfs(path, &disk) != 0) return "";
    const auto size = static_cast<std::uint64_t>(file.st_size);
    const std::uint64_t room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    return " (" + format_bytes(2 * size) + "; " + format_bytes(room) + " are free)";
  }

  // -- What comes between two slices ------------------------------------------------------------
  Status after_slice(Nanoseconds held) {
    ++report_.slices;
    report_.hold.record(held);
    last_hold_ = held;
    lock_.succeeded();
    if (Status status = tend_log(); !status.ok()) return status;
    if (company_.present()) gap_.leave(duty_.after(pause_after(held, options_.duty_percent)));
    return Status();
  }

  // Somebody else writes: asked again soon, then less often. Not for ever.
  Status wait_for_lock() {
    const MonoTime now = clock_.mono();
    lock_.failed(now);
    gap_.taken();
    const Nanoseconds failing = lock_.failing_for(now);
    if (failing >= kLockedForEver && !options_.max_time) {
      return Status(Code::kBusy, store_.path() + ": locked by " + whoever_locks(store_.path()) +
                                     " for " + format_duration(failing) + "; gave up");
    }
    if (failing > Seconds(1)) trouble_ = "waiting for the write lock";
    pace_.pause(lock_.until() - now);
    return Status();
  }

  Status tend_log() {
    WalStep step = wal_.after_commit(store_.wal_bytes());
    bool said = false;
    while (step != WalStep::kGoOn && !pace_.over()) {
      const MonoTime start = clock_.mono();
      const auto moved = store_.checkpoint();
      if (!moved.ok()) return moved.status();
      ++report_.checkpoints;
      duty_.lock_was_free(clock_.mono() - start);
      step = wal_.after_checkpoint(moved->reset, store_.wal_bytes());
      if (step != WalStep::kWait) break;
      if (!said) say_who_pins();
      said = true;
      show_rows();
      pace_.pause(Milliseconds(50));
    }
    if (step != WalStep::kWait) trouble_.clear();
    return Status();
  }

  void say_who_pins() {
    const std::string who = lock_holders(store_.path(), SqliteLock::kLogReaders);
    trouble_ = "paused: " + (who.empty() ? std::string("another process") : who) +
               " reads an old state, the WAL is " + format_bytes(store_.wal_bytes()) +
               " of at most " + format_bytes(options_.store.wal_hard_bytes);
    // Readers that come and go would have it said at every slice.
    const MonoTime now = clock_.mono();
    if (now < say_again_) return;
    say_again_ = now + Seconds(30);
    pace_.tell(MaintenanceNews::kPaused, trouble_ + "; goes on when it has ended");
  }

  void show_rows() {
    // What is left costs look-ups: only asked for when it will be seen.
    if (!pace_.progress_due()) return;
    const std::uint64_t deleted = report_.invocations + report_.details;
    tell(MaintenanceProgress::Unit::kDeletedRows, deleted, store_.purge_backlog_rows(now_));
  }
  void tell(MaintenanceProgress::Unit unit, std::uint64_t done, std::uint64_t left) {
    pace_.tell({unit, done, left, {}, last_hold_, trouble_});
  }

  // A lock that was never to be had is a problem, not a limit that was kept.
  Status name_what_was_in_the_way() {
    if (pace_.end() != MaintenanceEnd::kTimeUp) return Status();
    report_.waited_for = trouble_;
    if (!lock_.failing()) return Status();
    const std::string locked = "locked by " + whoever_locks(store_.path());
    report_.waited_for = store_.path() + " is " + locked;
    if (report_.slices > 0) return Status();
    return Status(Code::kBusy, store_.path() + ": " + locked + "; gave up after " +
                                   format_duration(pace_.elapsed()));
  }

  SingleStore& store_;
  Clock& clock_;
  const MaintenanceOptions& options_;
  Pace& pace_;
  MaintenanceReport& report_;
  Company company_;
  WalPolicy wal_;
  DutyPause duty_;
  Backoff lock_{Microseconds(500), Milliseconds(50)};
  WallTime now_;  // retention counts from the start, so that a run has an end
  PurgeSlice purging_;
  LockGap gap_;
  Nanoseconds last_hold_{0};
  MonoTime say_again_{};
  std::string trouble_;
};

/// Opens the file, purges it and notes what its owner should know. As FilePurge::run.
inline Status purge_file(const MaintenanceOptions& options, Pace& pace, MaintenanceReport& report) {
  auto store = open_patiently(options, OpenMode::kMaintenance, pace);
  if (!store.ok()) return store.status();
  note_references(**store, report);
  Status status = FilePurge(**store, options, pace, report).run();
  const bool whole = status.ok() || status.code() == Code::kUnsupported;
  if (whole && report.done) note_doubts(**store, report);
  return status;
}

}  // namespace phlower
