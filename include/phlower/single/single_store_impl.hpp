// Bodies of class SingleStore. Included by single_store.hpp alone.
#pragma once

#include "phlower/single/chores.hpp"
#include "phlower/single/single_store_class.hpp"

namespace phlower {

inline Result<std::unique_ptr<SingleStore>> SingleStore::open(const StoreOptions& options,
                                                              const RetentionOptions& retention,
                                                              OpenMode mode, Clock* clock) {
  auto file = open_file(options, mode);
  if (!file.ok()) return file.status();
  const auto page_size = file->db.query_integer("PRAGMA page_size");
  if (!page_size.ok()) return page_size.status();
  const auto reclaim = sqlite::can_reclaim(file->db);
  if (!reclaim.ok()) return reclaim.status();
  const FileLook look = file->look;
  std::unique_ptr<SingleStore> store(new SingleStore(
      retention, mode, std::move(*file), static_cast<std::uint32_t>(*page_size), *reclaim));
  if (Status status = store->start(look); !status.ok()) return status;
  if (clock != nullptr) {
    store->clock_ = clock;
    store->chores_ = std::make_unique<SingleChores>(*store, options, *clock, store->sums_);
  }
  return store;
}

inline SingleStore::SingleStore(const RetentionOptions& retention, OpenMode mode, OpenedFile file,
                                std::uint32_t page_size, bool can_reclaim)
    : retention_(retention),
      mode_(mode),
      kind_(file.kind),
      journal_was_(std::move(file.journal_was)),
      page_size_(page_size),
      can_reclaim_(can_reclaim),
      db_(std::move(file.db)),
      families_(db_),
      positions_(db_),
      watch_(db_.path()) {}

inline SingleStore::~SingleStore() { rollback(); }

inline std::span<Chore* const> SingleStore::chores() noexcept {
  return chores_ ? chores_->all() : std::span<Chore* const>();
}

inline Status SingleStore::start(const FileLook& look) {
  const bool marks = mode_ == OpenMode::kEngine;
  if (Status status = families_.relist(look.families, marks); !status.ok()) return status;
  if (mode_ == OpenMode::kReadOnly) return Status();
  wal_.emplace(db_, page_size_);
  if (marks) upserter_.emplace(db_, families_.main_tables());
  for (auto [statement, sql] : {std::pair{&begin_, "BEGIN IMMEDIATE"},
                                {&commit_, "COMMIT"},
                                {&data_version_statement_, "PRAGMA data_version"},
                                {&schema_version_statement_, "PRAGMA schema_version"}}) {
    if (Status status = db_.prepare_once(*statement, sql); !status.ok()) return status;
  }
  return look_again(true);
}

// -- Transactions -------------------------------------------------------------------------------

inline Status SingleStore::begin() {
  if (in_transaction_) return Status(Code::kInternal, path() + ": begin inside a transaction");
  if (mode_ == OpenMode::kReadOnly) {
    return Status(Code::kPermission, path() + ": opened for reading only");
  }
  if (Status status = begin_.run(); !status.ok()) return status;
  if (Status status = notice_others(); !status.ok()) {
    if (!db_.autocommit()) static_cast<void>(db_.exec("ROLLBACK"));
    return status;
  }
  families_.snapshot();
  lost_ = Status();
  if (clock_ != nullptr) cutoffs_ = cutoffs_at(retention_, clock_->wall());
  in_transaction_ = true;
  return Status();
}

inline Result<std::int64_t> SingleStore::data_version() {
  if (!data_version_statement_) return db_.query_integer("PRAGMA data_version");
  const auto row = data_version_statement_.step();
  if (!row.ok()) return row.status();
  const std::int64_t version = *row ? data_version_statement_.integer(0) : 0;
  data_version_statement_.reset();
  return version;
}

/// Takes both version numbers; tables are listed anew where the schema has changed, by somebody
/// else or by the last purge of our own.
inline Status SingleStore::look_again(bool first) {
  const auto read = [](sqlite::Statement& statement) -> Result<std::int64_t> {
    const auto row = statement.step();
    if (!row.ok()) return row.status();
    const std::int64_t value = *row ? statement.integer(0) : 0;
    statement.reset();
    return value;
  };
  const auto data = data_version();
  if (!data.ok()) return data.status();
  const auto schema_now = read(schema_version_statement_);
  if (!schema_now.ok()) return schema_now.status();
  const bool others = !first && *data != data_version_;
  const bool tables = !first && *schema_now != schema_version_;
  data_version_ = *data;
  if (others) {
    families_.forget_quiet();
    counts_stale_ = true;
    begins_alone_ = 0;
  }
  schema_version_ = *schema_now;
  if (tables) {
    auto look = look_at_tables(db_);
    if (!look.ok()) return look.status();
    const std::string missing = mode_ == OpenMode::kEngine ? missing_sql(*look) : "";
    if (!missing.empty()) {
      if (Status made = db_.exec(missing); !made.ok()) return made;
      schema_version_ = -1;  // looked at anew even if this transaction is rolled back
      look = look_at_tables(db_);
      if (!look.ok()) return look.status();
    }
    const bool marks = mode_ == OpenMode::kEngine;
    if (Status status = families_.relist(look->families, marks); !status.ok()) return status;
    if (marks) upserter_.emplace(db_, families_.main_tables());
  }
  return Status();
}

inline Status SingleStore::notice_others() {
  // After another process has been still for a while its rows are counted, not in between: a purge
  // by a tool would otherwise start a new count at each of its slices.
  constexpr std::uint32_t kBeginsAlone = 64;
  if (Status status = look_again(false); !status.ok()) return status;
  if (counts_stale_ && ++begins_alone_ >= kBeginsAlone) {
    families_.restart_counts();
    counts_stale_ = false;
  }
  return Status();
}

inline Status SingleStore::lost(Status status) {
  if (status.ok() || status.code() == Code::kInvalidArgument) return status;
  lost_ = status;
  return status;
}

inline Result<Put> SingleStore::upsert(const RecordView& record) {
  if (!in_transaction_ || !upserter_) {
    return Status(Code::kInternal, path() + ": upsert outside a transaction");
  }
  if (!lost_.ok()) return lost_;
  const UnixSeconds time =
      retention_time(record.finished_at, record.started_at, record.received_at);
  if (cutoffs_.row_is_over(record, to_us(time))) {
    if (Status valid = check_record(record); !valid.ok()) return valid;
    return Put::kTooOld;
  }
  Status status =
      lost(upserter_->upsert(record, {retention_, details_cutoff_}, families_.main_state()));
  if (!status.ok()) return status;
  return Put::kStored;
}

inline Status SingleStore::save_positions(const RingPositions& positions) {
  if (!in_transaction_ || mode_ != OpenMode::kEngine) {
    return Status(Code::kInternal, path() + ": positions outside a transaction");
  }
  if (!lost_.ok()) return lost_;
  return lost(positions_.save(positions));
}

inline Result<RingPositions> SingleStore::load_positions(const RingId& ring) {
  return positions_.load(ring);
}

inline Status SingleStore::forget_ring(const RingId& ring) {
  if (in_transaction_) return lost_.ok() ? lost(positions_.forget(ring)) : lost_;
  if (Status status = begin(); !status.ok()) return status;
  if (Status status = lost(positions_.forget(ring)); !status.ok()) {
    rollback();
    return status;
  }
  return commit();
}

inline Status SingleStore::commit() {
  if (!in_transaction_) return Status(Code::kInternal, path() + ": commit without a transaction");
  Status status = lost_;
  if (status.ok() && mode_ == OpenMode::kEngine) status = families_.save_marks();
  if (status.ok()) status = commit_.run();
  if (!status.ok()) {
    rollback();
    return status;
  }
  in_transaction_ = false;
  families_.marks_are_stored();
  return Status();
}

inline void SingleStore::rollback() noexcept {
  if (!in_transaction_) return;
  in_transaction_ = false;
  lost_ = Status();
  // SQLite has rolled back by itself after some errors.
  if (!db_.autocommit()) static_cast<void>(db_.exec("ROLLBACK"));
  families_.restore();
}

// -- Retention ----------------------------------------------------------------------------------

inline Result<PurgeReport> SingleStore::purge_some(WallTime now, std::uint32_t max_rows) {
  if (!in_transaction_) return Status(Code::kInternal, path() + ": purge outside a transaction");
  if (!lost_.ok()) return lost_;
  const PurgeTime time = purge_time(now);
  details_cutoff_ = time.cutoffs.details;
  auto report = families_.purge_some(time, max_rows);
  if (!report.ok()) return lost(report.status());
  return report;
}

inline Result<bool> SingleStore::purge_due(WallTime now) {
  if (retention_.keeps_forever()) return false;
  return families_.purge_due(purge_time(now));
}

inline std::uint64_t SingleStore::purge_backlog_rows(WallTime now) {
  return retention_.keeps_forever() ? 0 : families_.backlog(purge_time(now));
}

inline Result<PurgeReport> SingleStore::census_some(WallTime now, std::uint32_t max_rows) {
  if (Status status = thaw(); !status.ok()) return status;
  if (!census_) {
    // As a purge would be stopped at its opening.
    if (Status status = sqlite::set_pragma(db_, {"trusted_schema", "ON", "1"}); !status.ok()) {
      return status;
    }
    Status through = check_deletes(db_, families_.tables());
    if (through.ok() && mode_ == OpenMode::kReadOnly) {
      through = sqlite::set_pragma(db_, {"trusted_schema", "OFF", "0"});
    }
    if (!through.ok()) return through;
    census_.emplace();
    families_.end_census();
  }
  Status status = families_.census(purge_time(now), max_rows, *census_);
  const PurgeReport totals = *census_;
  if (!status.ok() || !totals.more) census_.reset();
  if (!status.ok()) return status;
  return totals;
}

inline void SingleStore::set_retention(const RetentionOptions& retention) {
  retention_ = retention;
  details_cutoff_ = -kNever;
  families_.retention_changed();
}

// -- WAL, free pages, counts --------------------------------------------------------------------

inline Result<CheckpointReport> SingleStore::checkpoint() {
  if (!wal_) return CheckpointReport{};
  if (in_transaction_) return Status(Code::kInternal, path() + ": checkpoint in a transaction");
  return wal_->checkpoint();
}

inline Result<ReclaimReport> SingleStore::reclaim_some(std::uint32_t pages) {
  if (!can_reclaim_) return sqlite::reclaim_unsupported(db_);
  if (Status status = begin(); !status.ok()) return status;
  auto report = sqlite::reclaim_some(db_, pages);
  if (!report.ok()) {
    rollback();
    return report.status();
  }
  if (Status status = commit(); !status.ok()) return status;
  return report;
}

inline std::uint64_t SingleStore::free_pages() {
  const auto pages = sqlite::free_pages(db_);
  return pages.ok() ? *pages : 0;
}

inline Result<bool> SingleStore::recount_some(std::uint32_t rows) {
  return families_.recount_some(rows);
}

inline Counts SingleStore::counts() const {
  Counts counts = families_.counts();
  counts.exact = counts.exact && !counts_stale_;
  return counts;
}

inline StoreFigures SingleStore::figures(WallTime now) {
  StoreFigures figures = sums_;
  figures.counts = counts();
  figures.expired_rows = purge_backlog_rows(now);
  figures.log_bytes = wal_bytes();
  return figures;
}

// -- Reads --------------------------------------------------------------------------------------

/// A file that nobody had open was only looked at; once somebody has written it, it is opened anew.
inline Status SingleStore::thaw() {
  if (!sqlite::is_stale(db_)) return Status();
  auto db = open_reader(path());
  if (!db.ok()) return db.status();
  auto look = look_at_tables(*db);
  if (!look.ok()) return look.status();
  families_.clear();
  sources_.clear();
  db_ = *std::move(db);
  census_.reset();
  return families_.relist(look->families, false);
}

inline Result<std::vector<Source*>> SingleStore::sources() {
  if (Status status = thaw(); !status.ok()) return status;
  if (sources_of_ != families_.listing()) {
    sources_.clear();
    for (const TableFamily& family : families_.tables()) {
      if (family.invocations.empty()) continue;
      const auto seq = static_cast<std::int64_t>(sources_.size());
      sources_.push_back(std::make_unique<FamilySource>(db_, family, seq));
    }
    sources_of_ = families_.listing();
  }
  std::vector<Source*> list;
  for (const auto& source : sources_) list.push_back(source.get());
  return list;
}

}  // namespace phlower
