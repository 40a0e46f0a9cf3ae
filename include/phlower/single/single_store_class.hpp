// What class SingleStore is. Who uses it includes single_store.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/file_watch.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/history/positions.hpp"
#include "phlower/history/reports.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/history/store.hpp"
#include "phlower/record/record.hpp"
#include "phlower/record/ring_position.hpp"
#include "phlower/single/family_set.hpp"
#include "phlower/single/family_source.hpp"
#include "phlower/single/file_kind.hpp"
#include "phlower/single/open_file.hpp"
#include "phlower/single/upsert.hpp"
#include "phlower/sqlite/checkpoint.hpp"
#include "phlower/sqlite/reclaim.hpp"

namespace phlower {

class SingleChores;

/// One connection to one database file: it writes, purges, checkpoints and reads.
/// Thread safety: none; one thread at a time. Blocks: on disk; never on another process's lock,
/// except `open`, which waits at most one second for one.
/// Errors of every call: kBusy (another process has the lock), kDiskFull, kIo, kCorrupt, kNotOurs;
/// each names the file and the statement.
class SingleStore final : public Store {
 public:
  /// Opens the file as it is: no rewrite, no index build, no scan. Errors: kNotFound (file or
  /// folder), kPermission, kNotOurs (nothing was changed), kVersion, kBusy, kIo, kCorrupt.
  /// `clock`: of an engine; it outlives the store. Without one (tools) there are no chores, and
  /// records of any age are stored.
  static Result<std::unique_ptr<SingleStore>> open(const StoreOptions& options,
                                                   const RetentionOptions& retention,
                                                   OpenMode mode = OpenMode::kEngine,
                                                   Clock* clock = nullptr);
  ~SingleStore() override;
  SingleStore(const SingleStore&) = delete;
  SingleStore& operator=(const SingleStore&) = delete;

  /// What the file was found to be.
  FileKind kind() const noexcept { return kind_; }
  const std::string& path() const noexcept override { return db_.path(); }
  /// The journal mode that the file had and has no more, since it is written in WAL mode; empty
  /// where nothing was changed.
  const std::string& journal_was() const noexcept { return journal_was_; }
  /// Other tables of the file with a foreign key on ours, as "a, b": their rows are left alone.
  std::string referring_tables() { return phlower::referring_tables(db_, families_.tables()); }

  // -- Ring positions -------------------------------------------------------------------------
  Result<RingPositions> load_positions(const RingId& ring) override;
  /// Inside a transaction as part of it, else in one of its own.
  Status forget_ring(const RingId& ring) override;
  sqlite::Connection& facts() noexcept override { return db_; }
  Status in_place() override { return watch_.look(); }

  // -- One transaction at a time --------------------------------------------------------------
  /// Takes the write lock. kBusy at once when another process has it.
  Status begin() override;
  /// Adds or merges one version of a task. kInvalidArgument: this record can never be stored; it
  /// left no trace and the transaction goes on. After any other error the transaction is lost:
  /// every call returns that error until `rollback`.
  Result<Put> upsert(const RecordView& record) override;
  Status save_positions(const RingPositions& positions) override;
  /// Rows and positions become durable together. On an error everything is rolled back.
  Status commit() override;
  /// Counts and cursors are as before `begin`. Does nothing outside a transaction.
  void rollback() noexcept override;
  bool in_transaction() const noexcept { return in_transaction_; }
  /// A number that is another one when others have committed since it was last asked for; commits
  /// of this store leave it as it is. Microseconds.
  Result<std::int64_t> data_version();

  // -- Retention ------------------------------------------------------------------------------
  /// Looks at no more than `max_rows` rows inside the open transaction, oldest first, and deletes
  /// what has expired at `now`.
  Result<PurgeReport> purge_some(WallTime now, std::uint32_t max_rows);
  /// Whether `purge_some` would have anything to do. Microseconds.
  Result<bool> purge_due(WallTime now);
  bool keeps_forever() const noexcept { return retention_.keeps_forever(); }
  /// An estimate of rows and details that have expired, from the distance of row ids (rows are
  /// written about in the order in which they end). Microseconds; for weights and progress.
  std::uint64_t purge_backlog_rows(WallTime now);
  /// Dry run: counts what has expired at `now` in steps of at most `max_rows` rows, without a
  /// transaction. The first call starts; the report holds the totals so far, `more` until the end.
  Result<PurgeReport> census_some(WallTime now, std::uint32_t max_rows);
  /// Rows that stay because their age is not certain, as the last whole purge met them, or the dry
  /// run that was made.
  Doubts doubts() const { return families_.doubts(); }
  /// The same as a sentence; empty where there are none.
  std::string notice() const {
    const std::string text = doubts().text();
    return text.empty() ? text : path() + ": " + text;
  }
  /// Takes effect at once, for purges; reads go by the retention that they are asked with.
  void set_retention(const RetentionOptions& retention);
  Status set_limits(const RetentionOptions& retention, const DiskOptions&) override {
    set_retention(retention);
    return Status();
  }

  // -- WAL and free pages; both outside a transaction -----------------------------------------
  /// A PASSIVE checkpoint of all frames that readers allow. Never waits for a lock. When all is
  /// moved and nobody reads, the log is reset too.
  Result<CheckpointReport> checkpoint();
  /// Size of the log that the next commit appends to; 0 when it starts anew.
  std::uint64_t wal_bytes() const noexcept { return wal_ ? wal_->bytes() : 0; }
  std::uint64_t wal_bytes_max() const noexcept { return wal_ ? wal_->bytes_max() : 0; }
  /// Returns up to `pages` free pages to the file system, in one transaction of its own; the file
  /// shrinks at the next checkpoint. kUnsupported: the file has no auto_vacuum, the sentence says
  /// what is needed.
  Result<ReclaimReport> reclaim_some(std::uint32_t pages);
  bool can_reclaim() const noexcept { return can_reclaim_; }
  /// The file was made with auto_vacuum = FULL: SQLite gives free pages back at each commit.
  Result<bool> reclaims_itself() { return sqlite::reclaims_itself(db_); }
  std::uint64_t free_pages();
  std::uint32_t page_size() const noexcept { return page_size_; }

  // -- Counts ---------------------------------------------------------------------------------
  /// One slice of the recount over at most `rows` rows. True: more to do.
  Result<bool> recount_some(std::uint32_t rows);
  /// Whether `recount_some` has anything to do: after an open, and again some time after another
  /// process has written to the file.
  bool recount_due() const { return !families_.counted(); }
  Counts counts() const;
  StoreFigures figures(WallTime now) override;

  std::span<Chore* const> chores() noexcept override;

  // -- Reads ----------------------------------------------------------------------------------
  Result<std::vector<Source*>> sources() override;

 private:
  SingleStore(const RetentionOptions& retention, OpenMode mode, OpenedFile file,
              std::uint32_t page_size, bool can_reclaim);

  Status start(const FileLook& look);
  Status look_again(bool first);
  Status notice_others();
  Status thaw();
  Status lost(Status status);
  PurgeTime purge_time(WallTime now) const {
    return {to_unix_seconds(now), cutoffs_at(retention_, now)};
  }

  RetentionPolicy retention_;
  OpenMode mode_;
  FileKind kind_;
  std::string journal_was_;
  std::uint32_t page_size_;
  bool can_reclaim_;
  sqlite::Connection db_;  // before everything that holds its statements
  FamilySet families_;
  PositionTables positions_;
  FileWatch watch_;
  std::optional<Upserter> upserter_;
  std::optional<sqlite::WalWatch> wal_;
  sqlite::Statement begin_, commit_, data_version_statement_, schema_version_statement_;

  Clock* clock_ = nullptr;  // of an engine
  StoreFigures sums_;
  std::unique_ptr<SingleChores> chores_;

  bool in_transaction_ = false;
  Status lost_;      // why the open transaction cannot go on
  Cutoffs cutoffs_;  // of the open transaction, for an engine
  std::int64_t data_version_ = 0;
  std::int64_t schema_version_ = 0;
  std::uint32_t begins_alone_ = 0;        // since another process last wrote
  bool counts_stale_ = false;             // another process wrote since the count began
  UnixSeconds details_cutoff_ = -kNever;  // of the last purge
  std::optional<PurgeReport> census_;
  std::vector<std::unique_ptr<FamilySource>> sources_;  // after db_: they hold its statements
  std::uint64_t sources_of_ = 0;                        // the listing of tables that they show
};

}  // namespace phlower
