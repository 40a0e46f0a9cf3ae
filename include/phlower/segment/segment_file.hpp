// Makes and opens the file of one segment.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "phlower/config/options.hpp"
#include "phlower/ground/later_build.hpp"
#include "phlower/ground/new_file.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/segment/format/layout.hpp"
#include "phlower/sqlite/log_vfs.hpp"
#include "phlower/sqlite/open_reader.hpp"
#include "phlower/sqlite/pragmas.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower::segment_file {

/// Makes what was written to a file, or to the list of a folder, survive power loss. Never for a
/// database file that this process has open: closing the descriptor would drop SQLite's locks.
inline Status sync_path(const std::string& path, bool folder = false) {
  const int fd = ::open(path.c_str(), (folder ? O_RDONLY | O_DIRECTORY : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) return Status::from_errno("open " + path);
  const Status status = ::fsync(fd) == 0 ? Status() : Status::from_errno("fsync " + path);
  ::close(fd);
  return status;
}

/// A page of details holds two or three blocks; rows are small.
constexpr int page_bytes(SegmentFamily family) noexcept {
  return family == SegmentFamily::kRows ? 4096 : 16384;
}

inline Status fill(const std::string& path, SegmentFamily family, std::int64_t base_us) {
  namespace ss = segment_schema;
  auto db = sqlite::Connection::open(path, sqlite::Access::kCreate);
  if (!db.ok()) return db.status();
  std::string sql =
      "PRAGMA synchronous = OFF; PRAGMA page_size = " + std::to_string(page_bytes(family)) +
      "; BEGIN;";
  sql += ss::kState;
  if (family == SegmentFamily::kRows) {
    ((sql += ss::kFirstTask) += ss::add_columns_since(1)) += ss::kRows;
  } else {
    sql += ss::kDetails;
  }
  const auto put = [&sql](std::string_view key, std::int64_t value) {
    sql += "INSERT INTO phlower_state (key, whole) VALUES ('" + std::string(key) + "', " +
           std::to_string(value) + ");";
  };
  put(ss::kVersionKey, ss::kVersion);
  put(ss::kBaseKey, base_us);
  put(ss::kDetailsKey, 0);
  put(ss::kIndexBitsKey, 0);
  put(ss::kIndexPartsKey, 0);
  return db->exec(sql + "COMMIT; PRAGMA journal_mode = WAL;");
}

/// Makes an empty segment under its name, whole or not at all. What a crash leaves ends in ".tmp".
/// Blocks: for two fsyncs.
inline Status create(const std::string& path, SegmentFamily family, std::int64_t base_us) {
  const std::string unfinished = path + ".tmp";
  std::error_code ignored;
  for (const char* side : {"", "-wal", "-shm", "-journal"}) {
    std::filesystem::remove(unfinished + side, ignored);
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (Status made = make_file(unfinished, file_mode_in(folder)); !made.ok()) return made;
  if (Status status = fill(unfinished, family, base_us); !status.ok()) return status;
  if (Status status = sync_path(unfinished); !status.ok()) return status;
  if (std::rename(unfinished.c_str(), path.c_str()) != 0) {
    return Status::from_errno("rename " + unfinished);
  }
  return sync_path(folder, true);
}

/// A number of phlower_state; `fallback` where there is none.
inline Result<std::int64_t> fact(sqlite::Connection& db, std::string_view key,
                                 std::int64_t fallback) {
  auto select = db.prepare("SELECT whole FROM phlower_state WHERE key = ?1");
  if (!select.ok()) return select.status();
  select->bind(1, key);
  const auto row = select->step();
  if (!row.ok()) return row.status();
  return *row ? select->integer(0) : fallback;
}

/// Requires: `set` is kSetFact, prepared.
inline constexpr std::string_view kSetFact =
    "INSERT INTO phlower_state (key, whole) VALUES (?1, ?2) "
    "ON CONFLICT (key) DO UPDATE SET whole = ?2";
inline Status set_fact(sqlite::Statement& set, std::string_view key, std::int64_t value) {
  set.bind(1, key);
  set.bind(2, value);
  return set.run();
}

/// kNotOurs for a database that is no segment, kVersion for one of a later build.
inline Status check_version(sqlite::Connection& db) {
  namespace ss = segment_schema;
  const auto version = fact(db, ss::kVersionKey, 0);
  const bool other = !version.ok() && (version.status().sqlite_code() & 0xff) == SQLITE_ERROR;
  if (!version.ok() && !other) return version.status();
  if (other || *version < 1) {
    return Status(Code::kNotOurs, db.path() + ": not a segment of a Phlower history");
  }
  if (*version <= ss::kVersion) return Status();
  return of_later_build(db.path() + ": segment", *version, ss::kVersion);
}

/// Makes what an older build left to be written a segment of this version, or leaves it as it was.
/// A column that was missing is NULL in the rows that are there.
inline Status upgrade(sqlite::Connection& db, SegmentFamily family) {
  namespace ss = segment_schema;
  const auto version = fact(db, ss::kVersionKey, 0);
  if (!version.ok() || *version >= ss::kVersion) return version.status();
  std::string sql = "BEGIN IMMEDIATE;";
  if (family == SegmentFamily::kRows) sql += ss::add_columns_since(static_cast<int>(*version));
  sql += "UPDATE phlower_state SET whole = " + std::to_string(ss::kVersion) + " WHERE key = '" +
         std::string(ss::kVersionKey) + "'; COMMIT";
  Status status = db.exec(sql);
  if (!status.ok() && !db.autocommit()) static_cast<void>(db.exec("ROLLBACK"));
  return status;
}

/// For the one connection that writes and checkpoints this file.
inline Result<sqlite::Connection> open_for_writing(const std::string& path, StoreOptions options,
                                                   std::uint64_t cache_bytes) {
  auto db = sqlite::open_writer(path, sqlite::Access::kReadWrite);
  if (!db.ok()) return db;
  options.cache_bytes = cache_bytes;
  Status status = sqlite::set_busy_timeout(*db, 1000);
  if (status.ok()) status = check_version(*db);
  if (status.ok()) status = sqlite::set_writer_pragmas(*db, options);
  if (status.ok()) status = sqlite::set_busy_timeout(*db, 0);
  if (!status.ok()) return status;
  return db;
}

/// What is sealed has no log, or an empty one. Errors: kCorrupt.
inline Status check_sealed(const sqlite::Connection& db) {
  struct ::stat log {};
  const bool has_log = ::stat((db.path() + "-wal").c_str(), &log) == 0 && log.st_size > 0;
  if (!has_log || !reader_detail::in_wal_mode(db)) return Status();
  return Status(Code::kCorrupt,
                db.path() +
                    ": was not sealed yet, but the catalog says so: a copy that was taken while an "
                    "engine wrote; take it again while the engine is stopped");
}

/// `sealed`: nobody writes it any more, so it is read without locks, also after it was unlinked.
/// Else as of open_reader.
inline Result<sqlite::Connection> open_for_reading(const std::string& path, bool sealed,
                                                   std::uint64_t cache_bytes) {
  auto db = sealed ? sqlite::Connection::open(path, sqlite::Access::kFrozen) : open_reader(path);
  if (!db.ok()) return db;
  Status status = sealed ? check_sealed(*db) : Status();
  if (status.ok() && sealed) status = sqlite::set_reader_pragmas(*db);
  if (status.ok()) status = db->exec("PRAGMA cache_size = -" + std::to_string(cache_bytes >> 10));
  if (status.ok()) status = check_version(*db);
  // A transaction that never ends: each new one would look for journals and drop the page cache.
  if (status.ok() && sealed) status = db->exec("BEGIN");
  if (!status.ok()) return status;
  return db;
}

}  // namespace phlower::segment_file
