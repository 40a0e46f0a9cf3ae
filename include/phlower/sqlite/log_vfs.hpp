// Opens a database so that its log is written a commit at a time: see log_frames.hpp. A SQLite VFS
// of our own for two files, the log and the database, whose lock says when a transaction is over.
// All else stays between SQLite and the system's VFS.
#pragma once

#include <cstdio>
#include <mutex>
#include <new>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/sqlite/log_frames.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "phlower/sqlite/vfs_shim.hpp"

namespace phlower::sqlite {

namespace log_detail {

// Looked up at each call: whoever has this process may change it.
inline sqlite3_vfs& system_vfs() { return *sqlite3_vfs_find(nullptr); }

inline constexpr int kSystemFileMost = 1024;  // bytes that a file of the system's VFS may take

struct MainExtra {
  LogFrames* log = nullptr;
};
struct LogExtra {
  LogFrames frames;
  MainExtra* main = nullptr;  // outlives the log
};
using MainFile = ShimFile<MainExtra>;
using LogFile = ShimFile<LogExtra>;

// -- The database: only its lock is looked at ----------------------------------------------------
inline int main_shm_lock(sqlite3_file* file, int from, int count, int flags) {
  constexpr int kWriteLock = 0;
  LogFrames* log = MainFile::of(file)->extra.log;
  const bool unlocks = (flags & SQLITE_SHM_UNLOCK) != 0 && (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  if (log != nullptr && unlocks && from == kWriteLock) log->forget();
  sqlite3_file* real = MainFile::real(file);
  return real->pMethods->xShmLock(real, from, count, flags);
}

inline const sqlite3_io_methods* main_methods() {
  static const sqlite3_io_methods table = [] {
    sqlite3_io_methods ours = MainFile::passing_methods();
    ours.xShmLock = &main_shm_lock;
    return ours;
  }();
  return &table;
}

// -- The log -------------------------------------------------------------------------------------
inline LogFrames& frames_of(sqlite3_file* file) { return LogFile::of(file)->extra.frames; }

inline int log_close(sqlite3_file* file) {
  const int result = LogFile::real(file)->pMethods->xClose(LogFile::real(file));
  if (LogFile::of(file)->extra.main != nullptr) LogFile::of(file)->extra.main->log = nullptr;
  LogFile::of(file)->~LogFile();
  return result;
}
inline int log_read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
  return frames_of(file).read(LogFile::real(file), to, size, at);
}
inline int log_write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
  return frames_of(file).write(LogFile::real(file), data, size, at);
}
inline int log_truncate(sqlite3_file* file, sqlite3_int64 size) {
  sqlite3_file* real = LogFile::real(file);
  const int result = frames_of(file).flush(real);
  return result != SQLITE_OK ? result : real->pMethods->xTruncate(real, size);
}
inline int log_sync(sqlite3_file* file, int flags) {
  sqlite3_file* real = LogFile::real(file);
  const int result = frames_of(file).flush(real);
  frames_of(file).note_sync();
  return result != SQLITE_OK ? result : real->pMethods->xSync(real, flags);
}
inline int log_file_size(sqlite3_file* file, sqlite3_int64* size) {
  sqlite3_file* real = LogFile::real(file);
  const int result = frames_of(file).flush(real);
  return result != SQLITE_OK ? result : real->pMethods->xFileSize(real, size);
}

inline const sqlite3_io_methods* log_methods() {
  static const sqlite3_io_methods table = [] {
    sqlite3_io_methods ours = LogFile::passing_methods();
    ours.iVersion = 1;  // without shared memory, which is the database's
    ours.xClose = &log_close;
    ours.xRead = &log_read;
    ours.xWrite = &log_write;
    ours.xTruncate = &log_truncate;
    ours.xSync = &log_sync;
    ours.xFileSize = &log_file_size;
    return ours;
  }();
  return &table;
}

// -- The VFS -------------------------------------------------------------------------------------
template <class File>
int open_real(const char* name, sqlite3_file* file, int flags, int* out,
              const sqlite3_io_methods* methods) {
  new (file) File{};
  sqlite3_file* real = File::real(file);
  int result = system_vfs().xOpen(&system_vfs(), name, real, flags, out);
  // One without shared memory can have no log.
  if (result == SQLITE_OK && real->pMethods->iVersion < methods->iVersion) result = SQLITE_CANTOPEN;
  if (result == SQLITE_OK) file->pMethods = methods;
  // A VFS may want its file closed that it has not opened.
  if (result != SQLITE_OK && real->pMethods != nullptr) real->pMethods->xClose(real);
  return result;
}

inline int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  if (system_vfs().szOsFile > kSystemFileMost) return SQLITE_CANTOPEN;
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
    return open_real<MainFile>(name, file, flags, out, main_methods());
  }
  if ((flags & SQLITE_OPEN_WAL) != 0) {
    const int result = open_real<LogFile>(name, file, flags, out, log_methods());
    sqlite3_file* main = sqlite3_database_file_object(name);
    if (result == SQLITE_OK && main->pMethods == main_methods()) {
      MainFile::of(main)->extra.log = &frames_of(file);
      LogFile::of(file)->extra.main = &MainFile::of(main)->extra;
    }
    return result;
  }
  return system_vfs().xOpen(&system_vfs(), name, file, flags, out);
}

inline sqlite3_vfs make_vfs() {
  sqlite3_vfs vfs{};
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(LogFile)) + kSystemFileMost;
  vfs.mxPathname = system_vfs().mxPathname;
  vfs.xOpen = &open;
  vfs.xDelete = [](sqlite3_vfs*, const char* name, int sync_folder) {
    return system_vfs().xDelete(&system_vfs(), name, sync_folder);
  };
  vfs.xAccess = [](sqlite3_vfs*, const char* name, int flags, int* out) {
    return system_vfs().xAccess(&system_vfs(), name, flags, out);
  };
  vfs.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
    return system_vfs().xFullPathname(&system_vfs(), name, size, out);
  };
  vfs.xRandomness = [](sqlite3_vfs*, int size, char* out) {
    return system_vfs().xRandomness(&system_vfs(), size, out);
  };
  vfs.xSleep = [](sqlite3_vfs*, int us) { return system_vfs().xSleep(&system_vfs(), us); };
  vfs.xCurrentTime = [](sqlite3_vfs*, double* out) {
    return system_vfs().xCurrentTime(&system_vfs(), out);
  };
  vfs.xGetLastError = [](sqlite3_vfs*, int size, char* out) {
    return system_vfs().xGetLastError(&system_vfs(), size, out);
  };
  vfs.xCurrentTimeInt64 = [](sqlite3_vfs*, sqlite3_int64* out) {
    return system_vfs().xCurrentTimeInt64(&system_vfs(), out);
  };
  return vfs;
}

/// SQLite knows the VFS while this lives; its name has its address, as a process may have several
/// copies of this code.
class Registration {
 public:
  Registration(sqlite3_vfs& vfs, const char* kind) : vfs_(vfs) {
    std::snprintf(name_, sizeof name_, "phlower-%s-%p", kind, static_cast<void*>(&vfs));
    vfs.zName = name_;
    done_ = sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    if (done_) sqlite3_vfs_unregister(&vfs_);
    vfs_.zName = "phlower";
  }
  /// NULL: the system's own.
  const char* name() const { return done_ ? vfs_.zName : nullptr; }

 private:
  sqlite3_vfs& vfs_;
  char name_[40];
  bool done_ = false;
};

}  // namespace log_detail

/// Opens a database for a connection that writes. As Connection::open. Not for ATTACH and VACUUM,
/// which look the VFS up by its name: SQLite knows it for the time of this call only, so that a
/// shared object with this code can be unloaded.
/// Thread safety: safe.
inline Result<Connection> open_writer(const std::string& path, Access access) {
  // None at all where SQLite cannot start; the opening says why. A host's own that needs more room
  // for a file than ours has: its log is written as SQLite does it.
  const sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  if (system == nullptr || system->szOsFile > log_detail::kSystemFileMost) {
    return Connection::open(path, access);
  }
  static constinit std::mutex naming;
  const std::lock_guard guard(naming);
  static sqlite3_vfs vfs = log_detail::make_vfs();
  const log_detail::Registration registration(vfs, "log");
  return Connection::open(path, access, registration.name());
}

}  // namespace phlower::sqlite
