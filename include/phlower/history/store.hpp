// What the engine asks of a store, whatever its layout.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/history/figures.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/history/source.hpp"
#include "phlower/record/record.hpp"
#include "phlower/record/ring_position.hpp"
#include "phlower/sqlite/checkpoint.hpp"
#include "phlower/sqlite/reclaim.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Thread safety: none; one thread at a time. Blocks: on disk, never on another process's lock.
/// Errors of every call: kBusy (another process has a lock), kDiskFull, kIo, kCorrupt, kNotOurs;
/// each names the file and what was done.
class Store {
 public:
  virtual ~Store() = default;

  virtual const std::string& path() const noexcept = 0;

  // -- Ring positions -------------------------------------------------------------------------
  virtual Result<RingPositions> load_positions(const RingId& ring) = 0;
  /// For a ring that is gone for good. Outside a transaction.
  virtual Status forget_ring(const RingId& ring) = 0;
  /// Whether the history of this id has become part of this one.
  virtual bool has_taken_in(const HistoryId&) { return false; }

  /// Of the whole history: the connection whose phlower_state holds small facts of it.
  virtual sqlite::Connection& facts() noexcept = 0;
  /// Whether the files that are written stand where they were opened: what goes elsewhere is
  /// nowhere. Errors: kNotFound, which names the file. Microseconds.
  virtual Status in_place() = 0;

  // -- One transaction at a time --------------------------------------------------------------
  /// kBusy at once when another process has the write lock.
  virtual Status begin() = 0;
  /// Adds or merges one version of a task. kInvalidArgument: this record can never be stored; it
  /// left no trace and the transaction goes on. After any other error the transaction is lost:
  /// every call returns that error until `rollback`.
  virtual Status upsert(const RecordView& record) = 0;
  virtual Status save_positions(const RingPositions& positions) = 0;
  /// Rows and positions become durable together. On an error everything is rolled back.
  virtual Status commit() = 0;
  /// Does nothing outside a transaction.
  virtual void rollback() noexcept = 0;

  /// Other limits from now on. Readers in other processes are told where they go by them.
  virtual Status set_limits(const RetentionOptions& retention, const DiskOptions& disk) = 0;

  // -- Retention row by row: inside the open transaction ----------------------------------------
  /// Looks at no more than `max_rows` rows, oldest first, and deletes what has expired at `now`.
  virtual Result<PurgeReport> purge_some(WallTime now, std::uint32_t max_rows) = 0;
  /// Whether `purge_some` would have anything to do. Microseconds.
  virtual Result<bool> purge_due(WallTime now) = 0;
  /// An estimate of rows and details that have expired and are still there.
  virtual std::uint64_t purge_backlog_rows(WallTime now) = 0;

  // -- Outside a transaction ------------------------------------------------------------------
  /// Moves what readers allow of the longest log into its file. Never waits for a lock.
  virtual Result<CheckpointReport> checkpoint() = 0;
  /// Size of the longest log that the next commit appends to; 0 when it starts anew.
  virtual std::uint64_t wal_bytes() const noexcept = 0;
  /// Returns up to `pages` free pages to the file system. kUnsupported where that is not possible.
  virtual Result<ReclaimReport> reclaim_some(std::uint32_t pages) = 0;
  virtual bool can_reclaim() const noexcept = 0;
  virtual std::uint64_t free_pages() = 0;
  /// One slice of the recount over at most `rows` rows. True: more to do.
  virtual Result<bool> recount_some(std::uint32_t rows) = 0;
  /// How the store is at `now`, and what it has counted since it was opened. A few look-ups.
  virtual StoreFigures figures(WallTime now) = 0;

  /// One step for the files of the layout: rotating, sealing, unlinking.
  virtual bool tend_due(MonoTime) { return false; }
  virtual Result<TendReport> tend(MonoTime) { return TendReport{}; }

  /// What the upkeep cannot get done at the moment while records are stored all the same; empty:
  /// none.
  virtual std::string problem() const { return {}; }
  /// What the owner of the data should know although all goes well; empty: nothing.
  virtual std::string notice() const { return {}; }

  // -- Reads ----------------------------------------------------------------------------------
  /// The tables or files to read, valid until the next call of any other function.
  virtual Result<std::vector<Source*>> sources() = 0;
};

}  // namespace phlower
