// SQLite's C API in three types: Connection, Statement, and errors as Status. The only header that
// includes sqlite3.h.
#pragma once

#include <sqlite3.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/ground/status.hpp"

namespace phlower::sqlite {

/// An extended result of our own: somebody wrote a file that was read without locks.
inline constexpr int kChangedUnderReader = SQLITE_IOERR | (121 << 8);

/// The code for an (extended) SQLite result and the errno that stood behind it.
inline Code code_of(int result, int sys_errno = 0) noexcept {
  if (sys_errno == ENOSPC || sys_errno == EDQUOT) return Code::kDiskFull;
  if (result == SQLITE_READONLY_DBMOVED) return Code::kNotFound;
  if (result == kChangedUnderReader) return Code::kReload;
  // A journal that only a writer can roll back; often one that is gone at the next try.
  if (result == SQLITE_READONLY_ROLLBACK) return Code::kBusy;
  switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return Code::kOk;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
    case SQLITE_INTERRUPT: return Code::kBusy;
    case SQLITE_FULL: return Code::kDiskFull;
    case SQLITE_IOERR:
    case SQLITE_NOMEM: return Code::kIo;  // both may pass; the engine backs off and tries again
    case SQLITE_CORRUPT: return Code::kCorrupt;
    case SQLITE_NOTADB: return Code::kNotOurs;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return Code::kPermission;
    case SQLITE_CANTOPEN:
      if (sys_errno == EACCES || sys_errno == EPERM || sys_errno == EROFS) return Code::kPermission;
      if (sys_errno == ENOENT || sys_errno == ENOTDIR) return Code::kNotFound;
      return (result == SQLITE_CANTOPEN_ISDIR || sys_errno == EISDIR) ? Code::kNotOurs : Code::kIo;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE: return Code::kInvalidArgument;
    default: return Code::kInternal;
  }
}

namespace detail {
struct CloseDb {
  void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};

/// "file: what: SQLite's sentence".
inline Status error(sqlite3* db, int result, std::string_view path, std::string_view what) {
  const int extended = db != nullptr ? sqlite3_extended_errcode(db) : result;
  const bool same = (extended & 0xff) == (result & 0xff);
  // errno is only kept up to date for these; for others it may be left from an older call.
  const int primary = result & 0xff;
  const bool system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN;
  const int sys_errno = db != nullptr && system ? sqlite3_system_errno(db) : 0;
  std::string text(path);
  text += ": ";
  text += what;
  text += ": ";
  text += db != nullptr && same ? sqlite3_errmsg(db) : sqlite3_errstr(result);
  const int shown = same ? extended : result;
  if (shown == kChangedUnderReader || shown == SQLITE_READONLY_ROLLBACK) {
    return Status(code_of(shown), std::string(path) + ": was changed while it was read; ask again",
                  0, shown);
  }
  if (sys_errno != 0) {
    text += " (";
    text += std::strerror(sys_errno);
    text += sys_errno == EMFILE ? "; raise the limit, ulimit -n)" : ")";
  }
  return Status(code_of(shown, sys_errno), std::move(text), sys_errno, shown);
}
}  // namespace detail

/// What a value is. SQLite takes any of these in any column, and sorts them in this order, whole
/// numbers and others together.
enum class ValueType : std::uint8_t { kNull, kInteger, kReal, kText, kBlob };

/// One prepared statement. Text bound is not copied: it must stay valid until `reset`.
/// Thread safety: none; one thread at a time per Connection.
class Statement {
 public:
  Statement() noexcept = default;
  Statement(sqlite3_stmt* statement, std::shared_ptr<const std::string> path) noexcept
      : statement_(statement), path_(std::move(path)) {}

  explicit operator bool() const noexcept { return statement_ != nullptr; }

  void bind(int at, std::int64_t value) noexcept {
    note(sqlite3_bind_int64(statement_.get(), at, value));
  }
  void bind(int at, double value) noexcept {
    note(sqlite3_bind_double(statement_.get(), at, value));
  }
  /// NULL data is bound as an empty text, not as NULL.
  void bind(int at, std::string_view text) noexcept {
    note(sqlite3_bind_text64(statement_.get(), at, text.data() != nullptr ? text.data() : "",
                             text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind_blob(int at, const void* data, std::size_t bytes) noexcept {
    note(sqlite3_bind_blob64(statement_.get(), at, data, bytes, SQLITE_STATIC));
  }
  void bind_null(int at) noexcept { note(sqlite3_bind_null(statement_.get(), at)); }
  /// As the origin stores it: an empty text is NULL.
  void bind_text_or_null(int at, std::string_view text) noexcept {
    text.empty() ? bind_null(at) : bind(at, text);
  }

  /// True: a row stands ready. False: done. After false or an error the statement is reset.
  Result<bool> step() {
    int result = bind_result_;
    if (result == SQLITE_OK) result = sqlite3_step(statement_.get());
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) {
      reset();
      return false;
    }
    Status status = detail::error(sqlite3_db_handle(statement_.get()), result, *path_,
                                  std::string_view(sqlite3_sql(statement_.get())));
    reset();
    return status;
  }
  /// Runs a statement to its end; rows it yields are dropped.
  Status run() {
    for (;;) {
      const auto row = step();
      if (!row.ok()) return row.status();
      if (!*row) return Status();
    }
  }
  /// Ends the statement's use of the database. What is bound stays bound.
  void reset() noexcept {
    sqlite3_reset(statement_.get());
    bind_result_ = SQLITE_OK;
  }

  bool is_null(int column) const noexcept {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  bool is_text(int column) const noexcept {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_TEXT;
  }
  ValueType type(int column) const noexcept {
    switch (sqlite3_column_type(statement_.get(), column)) {
      case SQLITE_INTEGER: return ValueType::kInteger;
      case SQLITE_FLOAT: return ValueType::kReal;
      case SQLITE_TEXT: return ValueType::kText;
      case SQLITE_BLOB: return ValueType::kBlob;
      default: return ValueType::kNull;
    }
  }
  std::int64_t integer(int column) const noexcept {
    return sqlite3_column_int64(statement_.get(), column);
  }
  double real(int column) const noexcept { return sqlite3_column_double(statement_.get(), column); }
  /// Valid until the next step or reset; empty for NULL.
  std::string_view text(int column) const noexcept {
    const void* data = sqlite3_column_blob(statement_.get(), column);
    const int bytes = sqlite3_column_bytes(statement_.get(), column);
    return data == nullptr
               ? std::string_view()
               : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(bytes));
  }

 private:
  void note(int result) noexcept {
    if (bind_result_ == SQLITE_OK) bind_result_ = result;
  }

  std::unique_ptr<sqlite3_stmt, detail::FinalizeStatement> statement_;
  std::shared_ptr<const std::string> path_;
  int bind_result_ = SQLITE_OK;
};

enum class Access : std::uint8_t {
  kCreate,     // read and write, made when missing
  kReadWrite,  // read and write, must exist
  kReadOnly,   // sees what is in the WAL; may leave a -shm file beside a WAL database
  kFrozen,     // the main file alone, without locks: for what is never written again
};

/// One open database file. Thread safety: one thread at a time. Blocks: on disk, never on locks
/// unless a busy timeout is set.
class Connection {
 public:
  Connection() noexcept = default;

  /// Errors: kNotFound, kPermission (also for a file that opens only for reading), kIo. That a file
  /// is no database shows at the first statement, as kNotOurs. `vfs`: the system's own where NULL.
  static Result<Connection> open(const std::string& path, Access access,
                                 const char* vfs = nullptr) {
    Connection made;
    made.path_ = std::make_shared<const std::string>(path);
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;
    std::string name = path;
    switch (access) {
      case Access::kCreate: flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE; break;
      case Access::kReadWrite: flags |= SQLITE_OPEN_READWRITE; break;
      case Access::kReadOnly: flags |= SQLITE_OPEN_READONLY; break;
      case Access::kFrozen:
        flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
        name = "file:" + uri_path(path) + "?immutable=1";
        break;
    }
    sqlite3* raw = nullptr;
    const int result = sqlite3_open_v2(name.c_str(), &raw, flags, vfs);
    made.db_.reset(raw);
    if (result != SQLITE_OK) return detail::error(raw, result, path, "open");
    const bool write = access == Access::kCreate || access == Access::kReadWrite;
    if (write && sqlite3_db_readonly(raw, "main") != 0) {
      return Status(Code::kPermission, path + ": open: the file can be read but not written");
    }
    return made;
  }

  Result<Statement> prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    const int result = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                          SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) return detail::error(db_.get(), result, *path_, sql);
    return Statement(statement, path_);
  }
  /// Prepares into `statement` unless that was done before.
  Status prepare_once(Statement& statement, std::string_view sql) {
    if (statement) return Status();
    auto made = prepare(sql);
    if (made.ok()) statement = std::move(*made);
    return made.status();
  }
  /// Runs statements that yield nothing of interest.
  Status exec(const std::string& sql) {
    const int result = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    return result == SQLITE_OK ? Status() : detail::error(db_.get(), result, *path_, sql);
  }
  /// The first column of the first row as text; empty where there is no row or a NULL.
  Result<std::string> query_text(std::string_view sql) {
    auto statement = prepare(sql);
    if (!statement.ok()) return statement.status();
    const auto row = statement->step();
    if (!row.ok()) return row.status();
    return *row ? std::string(statement->text(0)) : std::string();
  }
  Result<std::int64_t> query_integer(std::string_view sql) {
    auto statement = prepare(sql);
    if (!statement.ok()) return statement.status();
    const auto row = statement->step();
    if (!row.ok()) return row.status();
    return *row ? statement->integer(0) : 0;
  }

  /// Rows that the last INSERT, UPDATE or DELETE changed.
  std::int64_t changes() const noexcept { return sqlite3_changes64(db_.get()); }
  std::int64_t last_rowid() const noexcept { return sqlite3_last_insert_rowid(db_.get()); }
  /// False inside a transaction. SQLite ends one by itself after some errors.
  bool autocommit() const noexcept { return sqlite3_get_autocommit(db_.get()) != 0; }
  const std::string& path() const noexcept { return *path_; }
  sqlite3* raw() const noexcept { return db_.get(); }
  explicit operator bool() const noexcept { return db_ != nullptr; }

 private:
  // '?', '#' and '%' mean something in a URI.
  static std::string uri_path(const std::string& path) {
    // After "file:", two slashes begin the name of a host, which may be empty.
    std::string out = path.starts_with("//") ? "//" : "";
    for (const char c : path) {
      if (c == '?')
        out += "%3f";
      else if (c == '#')
        out += "%23";
      else if (c == '%')
        out += "%25";
      else
        out += c;
    }
    return out;
  }

  std::unique_ptr<sqlite3, detail::CloseDb> db_;
  std::shared_ptr<const std::string> path_;
};

}  // namespace phlower::sqlite
