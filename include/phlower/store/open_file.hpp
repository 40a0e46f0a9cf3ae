// Opens a database file: looks before it touches, sets the pragmas, adds the tables that miss.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "phlower/config/options.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/store/log_vfs.hpp"
#include "phlower/store/new_file.hpp"
#include "phlower/store/pragmas.hpp"
#include "phlower/store/schema.hpp"
#include "phlower/store/sqlite.hpp"
#include "phlower/store/tables.hpp"
#include "phlower/store/types.hpp"

namespace phlower {

struct OpenedFile {
  sqlite::Connection db;
  FileKind kind = FileKind::kEmpty;  // as it was found
  FileLook look;                     // as it is now
  bool frozen = false;               // read without locks: nobody had the file open
};

namespace open_detail {

inline bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

inline bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

/// Whoever has a history open has one of these beside it.
inline bool is_open_somewhere(const std::string& path) {
  return exists(path + "-shm") || exists(path + "-journal");
}

/// How to look without leaving a trace. Whoever has the file open has a -shm beside it; without
/// one nobody can object, and the main file is read as it is, or with the log that a crash left.
/// (Not where this process has it open already: closing such a reader would drop its locks; but
/// then there is a -shm.)
inline sqlite::Access looking_access(const std::string& path) {
  if (is_open_somewhere(path)) return sqlite::Access::kReadOnly;
  std::error_code missing;
  const bool log = std::filesystem::file_size(path + "-wal", missing) > 0 && !missing;
  return log ? sqlite::Access::kFrozenWithLog : sqlite::Access::kFrozen;
}

inline Status check_encoding(sqlite::Connection& db) {
  const auto encoding = db.query_text("PRAGMA encoding");
  if (!encoding.ok()) return encoding.status();
  if (*encoding == "UTF-8") return Status();
  // The answer itself comes in that encoding, so it is not shown.
  return Status(Code::kUnsupported, db.path() + ": its text is UTF-16; only UTF-8 is supported");
}

inline Result<FileLook> look_with(const std::string& path, sqlite::Access access) {
  auto db = sqlite::Connection::open(path, access);
  if (!db.ok()) return db.status();
  if (Status set = sqlite::set_busy_timeout(*db, 1000); !set.ok()) return set;
  auto look = look_at_tables(*db);
  // In another encoding no name of a table was understood.
  Status encoding = check_encoding(*db);
  if (encoding.code() == Code::kUnsupported) return encoding;
  if ((look.status().sqlite_code() & 0xff) == SQLITE_NOTADB) {
    return Status(Code::kNotOurs, path + ": not a SQLite database", 0, SQLITE_NOTADB);
  }
  return look;
}

/// What the file is, before anything is written. kNotOurs for everything that is not a history.
/// A crash in the middle of a transaction leaves a journal that only a writer can roll back:
/// whoever opens for writing has SQLite do that first.
inline Result<FileLook> look_before(const std::string& path, OpenMode mode) {
  auto look = look_with(path, looking_access(path));
  if (mode == OpenMode::kReadOnly || look.ok()) return look;
  const int code = look.status().sqlite_code();
  const bool left_by_crash = code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY;
  return left_by_crash ? look_with(path, sqlite::Access::kReadWrite) : look;
}

inline Status check_version(sqlite::Connection& db) {
  const auto version = db.query_integer("SELECT whole FROM phlower_state WHERE key = '" +
                                        std::string(schema::kVersionKey) + "'");
  if (!version.ok()) return version.status();
  if (*version <= schema::kVersion) return Status();
  return Status(Code::kVersion, db.path() + ": its Phlower tables are of version " +
                                    std::to_string(*version) + "; this build knows " +
                                    std::to_string(schema::kVersion));
}

}  // namespace open_detail

inline bool has_main_tables(const FileLook& look) {
  if (look.families.empty() || !look.families.back().is_main()) return false;
  return !look.families.back().invocations.empty() && !look.families.back().details.empty();
}

/// Creates the tables that an engine needs and that miss. Indexes only with their table. Requires
/// an open transaction.
inline Status create_missing_tables(sqlite::Connection& db, const FileLook& look) {
  const bool main_rows = !look.families.empty() && look.families.back().is_main() &&
                         !look.families.back().invocations.empty();
  std::string sql;
  const auto add = [&sql](std::string_view statement) { (sql += statement) += ";"; };
  if (!main_rows) {
    add(schema::kCreateInvocations);
    for (const std::string_view index : schema::kCreateIndexes) add(index);
  }
  add(schema::kCreateDetails);
  if (look.kind == FileKind::kEmpty) {
    for (const std::string_view table : schema::kCreateOriginTables) add(table);
  }
  for (const std::string_view table : schema::kCreateOwnTables) add(table);
  add("INSERT INTO phlower_state (key, whole) VALUES ('" + std::string(schema::kVersionKey) +
      "', " + std::to_string(schema::kVersion) + ") ON CONFLICT (key) DO NOTHING");
  return db.exec(sql);
}

namespace open_detail {

inline Status add_tables(sqlite::Connection& db, FileLook& look) {
  if (look.own_tables && has_main_tables(look)) return Status();
  if (Status begun = db.exec("BEGIN IMMEDIATE"); !begun.ok()) return begun;
  // Somebody may have been faster.
  auto fresh = look_at_tables(db);
  Status status = fresh.ok() ? create_missing_tables(db, *fresh) : fresh.status();
  if (status.ok()) status = db.exec("COMMIT");
  if (!status.ok()) {
    if (!db.autocommit()) static_cast<void>(db.exec("ROLLBACK"));
    return status;
  }
  auto made = look_at_tables(db);
  if (made.ok()) look = std::move(*made);
  return made.status();
}

inline Status prepare_for_writing(OpenedFile& file, const StoreOptions& options, OpenMode mode) {
  if (Status set = sqlite::set_busy_timeout(file.db, 1000); !set.ok()) return set;
  // Both only take before the first page is written; WAL mode would write it.
  if (file.kind == FileKind::kEmpty) {
    Status set = sqlite::set_pragma(file.db, {"page_size", "4096", "4096"});
    if (set.ok() && options.reclaim) {
      set = sqlite::set_pragma(file.db, {"auto_vacuum", "INCREMENTAL", "2"});
    }
    if (!set.ok()) return set;
  }
  if (Status set = sqlite::set_writer_pragmas(file.db, options); !set.ok()) return set;
  if (mode == OpenMode::kEngine) {
    if (Status added = add_tables(file.db, file.look); !added.ok()) return added;
  }
  return sqlite::set_busy_timeout(file.db, 0);
}

}  // namespace open_detail

/// Errors: see Store::open.
inline Result<OpenedFile> open_file(const StoreOptions& options, OpenMode mode) {
  namespace od = open_detail;
  OpenedFile file;
  if (od::is_folder(options.path)) {
    return Status(Code::kNotOurs, options.path + ": a folder, not a database file");
  }
  if (od::exists(options.path)) {
    auto look = od::look_before(options.path, mode);
    if (!look.ok()) return look.status();
    file.look = std::move(*look);
    file.kind = file.look.kind;
  } else if (mode != OpenMode::kEngine) {
    return Status(Code::kNotFound, options.path + ": no such file");
  } else if (Status made = make_file(options.path, kNewFileMode); !made.ok()) {
    return made;
  }
  if (mode != OpenMode::kEngine && file.kind == FileKind::kEmpty) {
    return Status(Code::kNotOurs, options.path + ": an empty file, not a Phlower history");
  }
  const sqlite::Access access = mode == OpenMode::kEngine        ? sqlite::Access::kCreate
                                : mode == OpenMode::kMaintenance ? sqlite::Access::kReadWrite
                                                                 : od::looking_access(options.path);
  auto db = mode == OpenMode::kReadOnly ? sqlite::Connection::open(options.path, access)
                                        : sqlite::open_writer(options.path, access);
  if (!db.ok()) return db.status();
  file.db = std::move(*db);
  file.frozen = access == sqlite::Access::kFrozen || access == sqlite::Access::kFrozenWithLog;
  if (file.look.state_table) {
    if (Status version = od::check_version(file.db); !version.ok()) return version;
  }
  const Status ready = mode == OpenMode::kReadOnly ? sqlite::set_reader_pragmas(file.db)
                                                   : od::prepare_for_writing(file, options, mode);
  if (!ready.ok()) return ready;
  return file;
}

}  // namespace phlower
