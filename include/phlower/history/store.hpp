// What the engine asks of a store, whatever its layout.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/history/figures.hpp"
#include "phlower/history/source.hpp"
#include "phlower/record/record.hpp"
#include "phlower/record/ring_position.hpp"
#include "phlower/schedule/chore.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// What became of a record.
enum class Put : std::uint8_t {
  kStored,
  kTooOld,  // past its retention when it came: it left no trace
};

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

  // -- One transaction at a time --------------------------------------------------------------
  /// Whether the files that are written stand where they were opened: what goes elsewhere is
  /// nowhere. Errors: kNotFound, which names the file. Microseconds.
  virtual Status in_place() = 0;
  /// kBusy at once when another process has the write lock.
  virtual Status begin() = 0;
  /// Adds or merges one version of a task. kInvalidArgument: this record can never be stored; it
  /// left no trace and the transaction goes on. After any other error the transaction is lost:
  /// every call returns that error until `rollback`.
  virtual Result<Put> upsert(const RecordView& record) = 0;
  virtual Status save_positions(const RingPositions& positions) = 0;
  /// Rows and positions become durable together. On an error everything is rolled back.
  virtual Status commit() = 0;
  /// Does nothing outside a transaction.
  virtual void rollback() noexcept = 0;

  // -- Outside a transaction ------------------------------------------------------------------
  /// Other limits from now on. Readers in other processes are told where they go by them.
  virtual Status set_limits(const RetentionOptions& retention, const DiskOptions& disk) = 0;
  /// What is to be done between transactions: always the same ones, in the order in which they are
  /// asked. They end with the store.
  virtual std::span<Chore* const> chores() noexcept = 0;
  /// How the store is at `now`, and what it has counted since it was opened. A few look-ups.
  virtual StoreFigures figures(WallTime now) = 0;
  /// The tables or files to read, valid until the next call of any other function.
  virtual Result<std::vector<Source*>> sources() = 0;
};

}  // namespace phlower
