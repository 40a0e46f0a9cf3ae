// Opens a database for reading, whoever has it open and whatever a crash left beside it.
//
// Where others may be at work SQLite's own locks are taken, whatever their journal and locking
// mode. A file in WAL mode that nobody has open is only looked at (look_vfs.hpp), as SQLite would
// leave files beside it, and could not read it at all where it may not make them.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "phlower/ground/real_path.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/sqlite/lock_holders.hpp"
#include "phlower/sqlite/look_vfs.hpp"
#include "phlower/sqlite/pragmas.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

namespace reader_detail {

inline constexpr int kPatienceMs = 1000;  // for a lock that somebody holds
inline constexpr std::string_view kAnything = "SELECT count(*) FROM sqlite_master";

inline bool exists(const std::string& path) {
  struct ::stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

/// What the header says, read without a lock and without a transaction.
inline bool in_wal_mode(const sqlite::Connection& db) {
  sqlite3_file* file = nullptr;
  constexpr int kReadVersionAt = 19;
  unsigned char version = 0;
  const bool known =
      sqlite3_file_control(db.raw(), "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
      file != nullptr && file->pMethods != nullptr &&
      file->pMethods->xRead(file, &version, 1, kReadVersionAt) == SQLITE_OK;
  return known && version == 2;
}

/// Which name on the way to the file, or beside it, is closed to this process; OK if none is.
inline Status closed_to_us(const std::string& path) {
  const std::filesystem::path real(real_path(path));
  const auto refused = [](const std::string& name, int how) {
    return ::faccessat(AT_FDCWD, name.c_str(), how, AT_EACCESS) != 0 && errno == EACCES;
  };
  std::filesystem::path folder;
  for (const auto& part : real.parent_path()) {
    folder /= part;
    if (refused(folder.string(), X_OK)) {
      return Status::from_errno(path + ": " + folder.string() + " may not be entered", EACCES);
    }
  }
  for (const char* side : {"", "-wal", "-journal"}) {
    const std::string name = real.string() + side;
    if (exists(name) && refused(name, R_OK)) return Status::from_errno("read " + name, EACCES);
  }
  return Status();
}

/// Another name of the same file in its folder that has a log; empty if there is none.
inline std::string other_log(const std::string& real) {
  struct ::stat own {};
  if (::stat(real.c_str(), &own) != 0 || own.st_nlink < 2) return "";
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(real).parent_path(), error)) {
    const std::string name = entry.path().string();
    struct ::stat info {};
    if (name == real || ::stat(name.c_str(), &info) != 0) continue;
    const bool same = info.st_ino == own.st_ino && info.st_dev == own.st_dev;
    if (same && std::filesystem::file_size(name + "-wal", error) > 0 && !error) return name;
  }
  return "";
}

/// Nobody has a -shm beside this name. Whoever has the file open all the same has it by another
/// name, and beside that lies what is not to be seen here.
inline Status check_names(const std::string& path) {
  const std::string real = real_path(path);
  if (const std::string other = other_log(real); !other.empty()) {
    return Status(Code::kUnsupported, path + ": its log lies beside " + other +
                                          ", another name of the same file; name that one");
  }
  sqlite3_vfs& vfs = sqlite::log_detail::system_vfs();
  std::string who;
  for (int tries = 0; tries < 5; ++tries) {  // somebody may be about to open it, or to look, too
    who = lock_holders(real, SqliteLock::kDatabase);
    if (who.empty() || exists(real + "-shm")) return Status();
    vfs.xSleep(&vfs, 5000);
  }
  return Status(Code::kUnsupported,
                path + ": " + who +
                    " has it open by another name (a hard link, a bind mount), and what is in the "
                    "log beside that name is not seen from here; name that one");
}

inline Status explained(const std::string& path, const Status& status) {
  const int result = status.sqlite_code();
  if ((result & 0xff) == SQLITE_NOTADB) {
    return Status(Code::kNotOurs, path + ": not a SQLite database", 0, SQLITE_NOTADB);
  }
  if (status.code() == Code::kBusy && result != SQLITE_READONLY_ROLLBACK) {
    return Status(Code::kBusy, path + ": locked by " + whoever_locks(path), 0, result);
  }
  if (status.code() == Code::kPermission || (result & 0xff) == SQLITE_CANTOPEN) {
    if (Status closed = closed_to_us(path); !closed.ok()) return closed;
  }
  if (result == SQLITE_READONLY_ROLLBACK) {
    return Status(Code::kPermission,
                  path +
                      ": a crash left a transaction half done and a journal too large to read "
                      "past it; let a program that may write open it once: sqlite3 " +
                      path + " .tables",
                  0, result);
  }
  return status;
}

inline Status first_read(sqlite::Connection& db) {
  Status status = sqlite::set_busy_timeout(db, kPatienceMs);
  if (status.ok()) status = sqlite::set_reader_pragmas(db);
  if (status.ok()) status = db.query_integer(kAnything).status();
  return status;
}

inline Result<sqlite::Connection> look(const std::string& path) {
  auto db = sqlite::open_to_look(path);
  if (!db.ok()) return db;
  Status status = first_read(*db);
  sqlite::let_others_in(*db);
  // Whoever has it for himself has no -shm: that was said as kBusy.
  if (status.ok() && in_wal_mode(*db)) status = check_names(path);
  if (!status.ok()) return status;
  return db;
}

/// Whether SQLite failed for something that a look does without: a file beside the database that
/// it may not make or map, a journal that it may not roll back.
constexpr bool looking_helps(int result) noexcept {
  const int primary = result & 0xff;
  return primary == SQLITE_READONLY || primary == SQLITE_CANTOPEN || primary == SQLITE_PERM ||
         result == SQLITE_IOERR_SHMOPEN || result == SQLITE_IOERR_SHMMAP ||
         result == SQLITE_IOERR_SHMSIZE || result == SQLITE_IOERR_SHMLOCK;
}

inline Result<sqlite::Connection> open_once(const std::string& path) {
  auto db = sqlite::Connection::open(path, sqlite::Access::kReadOnly);
  if (!db.ok()) return db;
  if (in_wal_mode(*db) && !exists(beside(path, "-shm"))) return look(path);
  const Status status = first_read(*db);
  if (status.ok()) return db;
  if (!looking_helps(status.sqlite_code())) return status;
  *db = sqlite::Connection();
  return look(path);
}

}  // namespace reader_detail

/// For reading only. Leaves no trace where nobody has the file open and no -shm of a killed process
/// lies beside it (SQLite renews that one). See sqlite::is_stale. Errors: kNotFound, kPermission
/// with the name that may not be read, kNotOurs, kBusy with who holds it after a second,
/// kUnsupported where its log lies beside another name, kReload where it is written without an end,
/// and of SQLite. Thread safety: safe. Blocks: on the disk, a second for a lock.
inline Result<sqlite::Connection> open_reader(const std::string& path) {
  constexpr int kTries = 5;
  for (int tries = 1;; ++tries) {
    auto db = reader_detail::open_once(path);
    if (db.ok()) return db;
    // Somebody came in between; then there is a -shm now.
    if (db.status().sqlite_code() == sqlite::kChangedUnderReader && tries < kTries) continue;
    return reader_detail::explained(path, db.status());
  }
}

}  // namespace phlower
