// What both kinds of segment share while they are written: one connection, one transaction, a log.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "phlower/segment/segment_file.hpp"
#include "phlower/sqlite/checkpoint.hpp"

namespace phlower {

/// Not thread safe. Its address stays.
class SegmentWriter {
 public:
  SegmentWriter(std::int64_t seq, sqlite::Connection db, SegmentFamily family)
      : seq_(seq),
        db_(std::move(db)),
        wal_(db_, static_cast<std::uint32_t>(segment_file::page_bytes(family))),
        page_bytes_(static_cast<std::uint64_t>(segment_file::page_bytes(family))) {}

  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  std::int64_t seq() const noexcept { return seq_; }
  sqlite::Connection& db() noexcept { return db_; }
  sqlite::WalWatch& wal() noexcept { return wal_; }
  bool in_transaction() const noexcept { return in_transaction_; }
  /// Size of the database once its log is moved into it.
  std::uint64_t bytes() const noexcept { return bytes_; }

  Status begin() {
    if (in_transaction_) return Status();
    Status status = db_.prepare_once(begin_, "BEGIN IMMEDIATE");
    if (status.ok()) status = begin_.run();
    in_transaction_ = status.ok();
    return status;
  }

  /// On an error everything since `begin` is rolled back.
  Status commit() {
    Status status = db_.prepare_once(commit_, "COMMIT");
    if (status.ok()) status = measure();
    if (status.ok()) status = commit_.run();
    if (!status.ok()) {
      rollback();
      return status;
    }
    in_transaction_ = false;
    return status;
  }

  void rollback() noexcept {
    if (!in_transaction_) return;
    in_transaction_ = false;
    // SQLite has rolled back by itself after some errors.
    if (!db_.autocommit()) static_cast<void>(db_.exec("ROLLBACK"));
  }

  /// Closing leaves the log as it is: whoever seals the file empties it.
  void leave_log() noexcept {
    sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }

  Status measure() {
    Status ready = db_.prepare_once(pages_, "PRAGMA page_count");
    if (!ready.ok()) return ready;
    const auto row = pages_.step();
    if (!row.ok()) return row.status();
    if (*row) bytes_ = static_cast<std::uint64_t>(pages_.integer(0)) * page_bytes_;
    pages_.reset();
    return Status();
  }

  Status set_fact(std::string_view key, std::int64_t value) {
    Status ready = db_.prepare_once(set_fact_, segment_file::kSetFact);
    return ready.ok() ? segment_file::set_fact(set_fact_, key, value) : ready;
  }

 private:
  std::int64_t seq_;
  sqlite::Connection db_;  // before everything that holds its statements
  sqlite::WalWatch wal_;
  std::uint64_t page_bytes_;
  std::uint64_t bytes_ = 0;
  bool in_transaction_ = false;
  sqlite::Statement begin_, commit_, pages_, set_fact_;
};

}  // namespace phlower
