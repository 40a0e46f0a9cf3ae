// Opens a database file: looks before it touches, sets the pragmas, adds the tables that miss.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "phlower/config/options.hpp"
#include "phlower/ground/later_build.hpp"
#include "phlower/ground/new_file.hpp"
#include "phlower/ground/real_path.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/single/file_kind.hpp"
#include "phlower/single/foreign_schema.hpp"
#include "phlower/single/schema.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/lock_holders.hpp"
#include "phlower/sqlite/log_vfs.hpp"
#include "phlower/sqlite/open_reader.hpp"
#include "phlower/sqlite/pragmas.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

struct OpenedFile {
  sqlite::Connection db;
  FileKind kind = FileKind::kEmpty;  // as it was found
  FileLook look;                     // as it is now
  std::string journal_was;           // where it was another than WAL and is WAL now
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

inline Status check_encoding(sqlite::Connection& db) {
  const auto encoding = db.query_text("PRAGMA encoding");
  if (!encoding.ok()) return encoding.status();
  if (*encoding == "UTF-8") return Status();
  // The answer itself comes in that encoding, so it is not shown.
  return Status(Code::kUnsupported, db.path() + ": its text is UTF-16; only UTF-8 is supported");
}

inline Status check_version(sqlite::Connection& db) {
  const auto version = db.query_integer("SELECT whole FROM phlower_state WHERE key = '" +
                                        std::string(schema::kVersionKey) + "'");
  if (!version.ok()) return version.status();
  if (*version <= schema::kVersion) return Status();
  return of_later_build(db.path() + ": its Phlower tables are of", *version, schema::kVersion);
}

/// The tables of a file that was opened for reading. kVersion: a later build made them.
inline Result<FileLook> look_with(sqlite::Connection& db) {
  auto look = look_at_tables(db);
  // In another encoding no name of a table was understood.
  Status encoding = check_encoding(db);
  if (encoding.code() == Code::kUnsupported) return encoding;
  if (look.ok() && look->state_table) {
    if (Status known = check_version(db); !known.ok()) return known;
  }
  return look;
}

/// What the file is, before anything is written. kNotOurs for everything that is not a history.
inline Result<FileLook> look_before(const std::string& path) {
  auto db = open_reader(path);
  if (!db.ok()) return db.status();
  return look_with(*db);
}

/// The log lies beside one name of a file alone: who writes by one name and who reads by another
/// see two histories, and can destroy each other's.
inline Status check_one_name(const std::string& path) {
  const unsigned long names = names_of(path);
  if (names < 2) return Status();
  return Status(Code::kUnsupported,
                path + ": the file has " + std::to_string(names) +
                    " names (hard links), and its log would lie beside this one alone; remove the "
                    "others, or work on a copy");
}

}  // namespace open_detail

/// The statements that give a file what an engine needs and it lacks: tables, and columns of fields
/// that are younger than its tables. Nothing where there is nothing to add.
inline std::string missing_sql(const FileLook& look) {
  std::string sql;
  const auto add = [&sql](std::string_view statement) { (sql += statement) += ";"; };
  const bool main = !look.families.empty() && look.families.back().is_main();
  const TableFamily known = main ? look.families.back() : TableFamily();
  if (known.invocations.empty()) {
    add(schema::create_invocations());
    // Only with their table: on rows that are there they would take long.
    for (const std::string_view index : schema::kCreateIndexes) add(index);
  } else {
    sql += row_sql::add_columns<FieldPart::kRow>(known.invocations, known.row_columns);
  }
  if (known.details.empty()) {
    add(schema::create_details());
  } else {
    sql += row_sql::add_columns<FieldPart::kDetails>(known.details, known.details_columns);
  }
  if (look.kind == FileKind::kEmpty) {
    for (const std::string_view table : schema::kCreateOriginTables) add(table);
  }
  if (!look.own_tables) {
    for (const std::string_view table : schema::kCreateOwnTables) add(table);
    add("INSERT INTO phlower_state (key, whole) VALUES ('" + std::string(schema::kVersionKey) +
        "', " + std::to_string(schema::kVersion) + ") ON CONFLICT (key) DO NOTHING");
  }
  return sql;
}

namespace open_detail {

inline Status add_tables(sqlite::Connection& db, FileLook& look) {
  if (missing_sql(look).empty()) return Status();
  if (Status begun = db.exec("BEGIN IMMEDIATE"); !begun.ok()) return begun;
  // Somebody may have been faster.
  auto fresh = look_at_tables(db);
  Status status = fresh.ok() ? db.exec(missing_sql(*fresh)) : fresh.status();
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
  const auto journal = file.db.query_text("PRAGMA journal_mode");
  if (!journal.ok()) return journal.status();
  // A tool leaves the file as its owner made it; an engine needs readers that do not wait.
  const bool engine = mode == OpenMode::kEngine;
  Status set = sqlite::set_writer_pragmas_of_owner(file.db, options, !engine);
  if (!set.ok()) return set;
  if (engine && file.kind != FileKind::kEmpty && *journal != "wal") file.journal_was = *journal;
  if (Status through = check_deletes(file.db, file.look.families); !through.ok()) return through;
  if (engine) {
    if (Status added = add_tables(file.db, file.look); !added.ok()) return added;
    if (Status through = check_rows(file.db); !through.ok()) return through;
  }
  return sqlite::set_busy_timeout(file.db, 0);
}

}  // namespace open_detail

namespace open_detail {

inline Result<OpenedFile> open_to_read(const std::string& path) {
  auto db = open_reader(path);
  if (!db.ok()) return db.status();
  auto look = look_with(*db);
  if (!look.ok()) return look.status();
  OpenedFile file;
  file.db = *std::move(db);
  file.look = *std::move(look);
  file.kind = file.look.kind;
  return file;
}

inline Result<OpenedFile> open_to_write(const StoreOptions& options, OpenMode mode, bool there) {
  OpenedFile file;
  if (there) {
    if (Status one = check_one_name(options.path); !one.ok()) return one;
    auto look = look_before(options.path);
    if (!look.ok()) return look.status();
    file.look = *std::move(look);
    file.kind = file.look.kind;
  }
  auto db =
      sqlite::open_writer(options.path, mode == OpenMode::kEngine ? sqlite::Access::kCreate
                                                                  : sqlite::Access::kReadWrite);
  if (!db.ok()) return db.status();
  file.db = *std::move(db);
  return file;
}

}  // namespace open_detail

/// Errors: see SingleStore::open.
inline Result<OpenedFile> open_file(const StoreOptions& options, OpenMode mode) {
  namespace od = open_detail;
  if (od::is_folder(options.path)) {
    return Status(Code::kNotOurs, options.path + ": a folder, not a database file");
  }
  struct ::stat info {};
  const bool there = ::stat(options.path.c_str(), &info) == 0;
  if (!there && errno == EACCES) return Status::from_errno(options.path);
  if (!there && mode != OpenMode::kEngine) {
    return Status(Code::kNotFound, options.path + ": no such file");
  }
  if (!there) {
    Status made = make_file(real_path(options.path), kNewFileMode);
    if (!made.ok()) return made;
  }
  const bool reads = mode == OpenMode::kReadOnly;
  auto file = reads ? od::open_to_read(options.path) : od::open_to_write(options, mode, there);
  if (!file.ok()) return file;
  if (mode != OpenMode::kEngine && file->kind == FileKind::kEmpty) {
    return Status(Code::kNotOurs, options.path + ": an empty file, not a Phlower history");
  }
  if (reads) return file;
  Status ready = od::prepare_for_writing(*file, options, mode);
  if (ready.code() == Code::kBusy) {
    ready = Status(Code::kBusy, options.path + ": locked by " + whoever_locks(options.path), 0,
                   ready.sqlite_code());
  }
  if (!ready.ok()) return ready;
  return file;
}

}  // namespace phlower
