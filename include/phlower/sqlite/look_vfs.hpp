// Reads a database that nobody has open, without a trace: no lock that stays, no file beside it, no
// byte written, also where nothing may be written. What a crash left counts: the log is read with
// an index in memory, a journal is rolled back in memory.
//
// Others may open the file meanwhile and are not hindered. What makes that safe: the files' times
// of change are taken under SQLite's own lock, and looked at again after every read. A page that
// was read after somebody wrote is never used; the read fails with kChangedUnderReader.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/sqlite/log_vfs.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "phlower/sqlite/vfs_shim.hpp"

namespace phlower::sqlite {

namespace look_detail {

using log_detail::kSystemFileMost;
using log_detail::system_vfs;

/// What shows that a file was written. The kernel sets the time of change itself.
struct Mark {
  bool there = false;
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  std::int64_t changed_ns = 0;

  bool operator==(const Mark&) const = default;
  static Mark of(const std::string& path) {
    struct ::stat info {};
    if (::stat(path.c_str(), &info) != 0) return {};
    return {true, info.st_dev, info.st_ino, info.st_size,
            info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec};
  }
};

/// What a roll-back would have written, by blocks of the smallest page.
class Overlay {
 public:
  static constexpr sqlite3_int64 kBlock = 512;
  static constexpr std::size_t kBlocksMost = (std::size_t{256} << 20) / kBlock;

  sqlite3_int64 size(sqlite3_int64 real) const { return size_ < 0 ? real : size_; }
  void resize(sqlite3_int64 size) { size_ = size; }

  int write(const void* data, int bytes, sqlite3_int64 at, sqlite3_int64 size_before) {
    if (at % kBlock != 0 || bytes % kBlock != 0) return SQLITE_READONLY_ROLLBACK;
    const auto* from = static_cast<const char*>(data);
    for (int done = 0; done < bytes; done += kBlock) {
      if (blocks_.size() >= kBlocksMost) return SQLITE_READONLY_ROLLBACK;
      std::memcpy(blocks_[(at + done) / kBlock].data(), from + done, kBlock);
    }
    size_ = std::max(size_before, at + bytes);
    return SQLITE_OK;
  }
  /// Puts what was written over what the file itself has.
  void read(void* to, int bytes, sqlite3_int64 at) const {
    const sqlite3_int64 end = at + bytes;
    for (auto block = blocks_.lower_bound(at / kBlock); block != blocks_.end(); ++block) {
      const sqlite3_int64 begin = block->first * kBlock;
      if (begin >= end) break;
      const sqlite3_int64 from = std::max(begin, at);
      const sqlite3_int64 until = std::min(begin + kBlock, end);
      std::memcpy(static_cast<char*>(to) + (from - at), block->second.data() + (from - begin),
                  static_cast<std::size_t>(until - from));
    }
  }
  bool empty() const { return blocks_.empty() && size_ < 0; }

 private:
  std::map<sqlite3_int64, std::array<char, kBlock>> blocks_;
  sqlite3_int64 size_ = -1;  // below 0: that of the file
};

struct MainExtra {
  std::string path;
  Mark main, log;
  bool marked = false;
  Overlay overlay;

  bool unchanged() const {
    return !marked || (Mark::of(path) == main && Mark::of(path + "-wal") == log);
  }
};
struct SideExtra {
  MainExtra* main = nullptr;  // of the log; outlives it
  bool there = false;         // or an empty one that is not on the disk
};
using MainFile = ShimFile<MainExtra>;
using SideFile = ShimFile<SideExtra>;

inline int checked(const MainExtra* main, int result) {
  const bool read = result == SQLITE_OK || result == SQLITE_IOERR_SHORT_READ;
  return read && main != nullptr && !main->unchanged() ? kChangedUnderReader : result;
}

/// Takes the marks. A file that was written in this tick of the kernel's clock could be written
/// again without a new time: such a tick is waited for.
inline int take_marks(MainExtra& file) {
  constexpr sqlite3_int64 kTickMs = 20;
  constexpr sqlite3_int64 kUnixEpochMs = 210'866'760'000'000;  // as SQLite counts
  for (int tries = 0; tries < 4; ++tries) {
    file.main = Mark::of(file.path);
    file.log = Mark::of(file.path + "-wal");
    sqlite3_int64 now = 0;
    if (system_vfs().xCurrentTimeInt64(&system_vfs(), &now) != SQLITE_OK) return SQLITE_IOERR;
    const std::int64_t changed = std::max(file.main.changed_ns, file.log.changed_ns) / 1'000'000;
    const sqlite3_int64 age = now - kUnixEpochMs - changed;
    if (age > kTickMs || age < -kTickMs) {
      file.marked = true;
      return SQLITE_OK;
    }
    system_vfs().xSleep(&system_vfs(), static_cast<int>((kTickMs + 1) * 1000));
  }
  return kChangedUnderReader;
}

// -- The database --------------------------------------------------------------------------------
inline MainExtra& main_of(sqlite3_file* file) { return MainFile::of(file)->extra; }

inline int main_close(sqlite3_file* file) {
  const int result = MainFile::real(file)->pMethods->xClose(MainFile::real(file));
  MainFile::of(file)->~MainFile();
  return result;
}
inline int main_size(sqlite3_file* file, sqlite3_int64* size) {
  sqlite3_file* real = MainFile::real(file);
  const int result = real->pMethods->xFileSize(real, size);
  if (result == SQLITE_OK) *size = main_of(file).overlay.size(*size);
  return result;
}
inline int main_read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 at) {
  sqlite3_file* real = MainFile::real(file);
  const MainExtra& extra = main_of(file);
  const int result = checked(&extra, real->pMethods->xRead(real, to, bytes, at));
  if (extra.overlay.empty()) return result;
  if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) return result;
  extra.overlay.read(to, bytes, at);
  const sqlite3_int64 left = std::clamp<sqlite3_int64>(extra.overlay.size(0) - at, 0, bytes);
  if (left == bytes) return SQLITE_OK;
  std::memset(static_cast<char*>(to) + left, 0, static_cast<std::size_t>(bytes - left));
  return SQLITE_IOERR_SHORT_READ;
}
inline int main_write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 at) {
  sqlite3_int64 size = 0;
  if (const int result = main_size(file, &size); result != SQLITE_OK) return result;
  try {
    return main_of(file).overlay.write(data, bytes, at, size);
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}
inline int main_truncate(sqlite3_file* file, sqlite3_int64 size) {
  main_of(file).overlay.resize(size);
  return SQLITE_OK;
}
// Only the reader's lock is taken in earnest, and only until the marks are.
inline int main_lock(sqlite3_file* file, int level) {
  if (level > SQLITE_LOCK_SHARED || main_of(file).marked) return SQLITE_OK;
  sqlite3_file* real = MainFile::real(file);
  int result = real->pMethods->xLock(real, level);
  if (result != SQLITE_OK) return result;
  result = take_marks(main_of(file));
  if (result != SQLITE_OK) real->pMethods->xUnlock(real, SQLITE_LOCK_NONE);
  return result;
}
inline int main_unlock(sqlite3_file* file, int level) {
  sqlite3_file* real = MainFile::real(file);
  return level > SQLITE_LOCK_SHARED ? SQLITE_OK : real->pMethods->xUnlock(real, level);
}
inline int main_control(sqlite3_file* file, int op, void* arg) {
  if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE) return SQLITE_OK;
  sqlite3_file* real = MainFile::real(file);
  return real->pMethods->xFileControl(real, op, arg);
}

inline const sqlite3_io_methods* main_methods() {
  static const sqlite3_io_methods table = [] {
    sqlite3_io_methods ours = MainFile::passing_methods();
    ours.iVersion = 1;  // without shared memory: the index of the log is made in our own
    ours.xClose = &main_close;
    ours.xRead = &main_read;
    ours.xWrite = &main_write;
    ours.xTruncate = &main_truncate;
    ours.xSync = [](sqlite3_file*, int) { return SQLITE_OK; };
    ours.xFileSize = &main_size;
    ours.xLock = &main_lock;
    ours.xUnlock = &main_unlock;
    ours.xFileControl = &main_control;
    return ours;
  }();
  return &table;
}

// -- Beside it: the log and the journal ----------------------------------------------------------
inline SideExtra& side_of(sqlite3_file* file) { return SideFile::of(file)->extra; }

inline int side_close(sqlite3_file* file) {
  const bool there = side_of(file).there;
  return there ? SideFile::real(file)->pMethods->xClose(SideFile::real(file)) : SQLITE_OK;
}
inline int side_read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 at) {
  if (!side_of(file).there) {
    std::memset(to, 0, static_cast<std::size_t>(bytes));
    return SQLITE_IOERR_SHORT_READ;
  }
  sqlite3_file* real = SideFile::real(file);
  return checked(side_of(file).main, real->pMethods->xRead(real, to, bytes, at));
}
inline int side_size(sqlite3_file* file, sqlite3_int64* size) {
  *size = 0;
  sqlite3_file* real = SideFile::real(file);
  return side_of(file).there ? real->pMethods->xFileSize(real, size) : SQLITE_OK;
}

inline const sqlite3_io_methods* side_methods() {
  static const sqlite3_io_methods table = [] {
    sqlite3_io_methods ours = SideFile::passing_methods();
    ours.iVersion = 1;
    ours.xClose = &side_close;
    ours.xRead = &side_read;
    ours.xFileSize = &side_size;
    // A journal that was rolled back is marked so; ours stays as it is.
    ours.xWrite = [](sqlite3_file*, const void*, int, sqlite3_int64) { return SQLITE_OK; };
    ours.xTruncate = [](sqlite3_file*, sqlite3_int64) { return SQLITE_OK; };
    ours.xSync = [](sqlite3_file*, int) { return SQLITE_OK; };
    ours.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
    ours.xSectorSize = [](sqlite3_file*) { return 4096; };
    ours.xDeviceCharacteristics = [](sqlite3_file*) { return 0; };
    return ours;
  }();
  return &table;
}

// -- The VFS -------------------------------------------------------------------------------------
constexpr int read_only(int flags) noexcept {
  return (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
}

inline int open_main(const char* name, sqlite3_file* file, int flags, int* out) {
  new (file) MainFile{};
  sqlite3_file* real = MainFile::real(file);
  const int result = system_vfs().xOpen(&system_vfs(), name, real, read_only(flags), nullptr);
  if (result != SQLITE_OK) {
    if (real->pMethods != nullptr) real->pMethods->xClose(real);
    MainFile::of(file)->~MainFile();
    file->pMethods = nullptr;
    return result;
  }
  file->pMethods = main_methods();
  try {
    main_of(file).path = name;
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;  // SQLite closes what has methods
  }
  if (out != nullptr) *out = flags;  // written in memory only
  return SQLITE_OK;
}

inline int open_side(const char* name, sqlite3_file* file, int flags, int* out) {
  new (file) SideFile{};
  sqlite3_file* real = SideFile::real(file);
  const bool log = (flags & SQLITE_OPEN_WAL) != 0;
  // By the name of another kind: SQLite, as root, makes the owner of the database that of its log.
  constexpr int kAsItIs = SQLITE_OPEN_READONLY | SQLITE_OPEN_SUPER_JOURNAL;
  const int result = system_vfs().xOpen(&system_vfs(), name, real, kAsItIs, nullptr);
  if (result != SQLITE_OK) {
    if (real->pMethods != nullptr) real->pMethods->xClose(real);
    if (!log || Mark::of(name).there) return result;
  }
  file->pMethods = side_methods();
  side_of(file).there = result == SQLITE_OK;
  if (log) {
    sqlite3_file* main = sqlite3_database_file_object(name);
    if (main->pMethods == main_methods()) side_of(file).main = &main_of(main);
  }
  // A log that cannot be written is not moved into the file at the end. A journal has to look as if
  // it could, or it would not be rolled back.
  if (out != nullptr) *out = log ? read_only(flags) : flags;
  return SQLITE_OK;
}

inline int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  if (system_vfs().szOsFile > kSystemFileMost) return SQLITE_CANTOPEN;
  file->pMethods = nullptr;
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) return open_main(name, file, flags, out);
  if ((flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0) {
    return open_side(name, file, flags, out);
  }
  return system_vfs().xOpen(&system_vfs(), name, file, flags, out);
}

inline sqlite3_vfs make_vfs() {
  sqlite3_vfs vfs = log_detail::make_vfs();
  constexpr std::size_t kOurs = std::max(sizeof(MainFile), sizeof(SideFile));
  vfs.szOsFile = static_cast<int>(kOurs) + kSystemFileMost;
  vfs.xOpen = &open;
  vfs.xDelete = [](sqlite3_vfs*, const char*, int) { return SQLITE_OK; };
  return vfs;
}

/// The file of such a connection; null for another's.
inline sqlite3_file* file_of(const Connection& db) {
  sqlite3_file* file = nullptr;
  if (!db || sqlite3_file_control(db.raw(), "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK)
    return nullptr;
  return file != nullptr && file->pMethods == main_methods() ? file : nullptr;
}

}  // namespace look_detail

/// Opens a database to look at it as it lies there; see above. Errors: as Connection::open; at the
/// first read kBusy where somebody holds it for himself. Thread safety: safe.
inline Result<Connection> open_to_look(const std::string& path) {
  static constinit std::mutex naming;
  const std::lock_guard guard(naming);
  static sqlite3_vfs vfs = look_detail::make_vfs();
  const log_detail::Registration registration(vfs, "look");
  if (registration.name() == nullptr) {
    return Status(Code::kInternal, path + ": open: SQLite takes no other file system");
  }
  auto db = Connection::open(path, Access::kReadWrite, registration.name());
  if (!db.ok()) return db;
  sqlite3_db_config(db->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // Before the first read: only then is no -shm made.
  if (Status own = db->exec("PRAGMA locking_mode = EXCLUSIVE"); !own.ok()) return own;
  return db;
}

/// After the first read: nobody waits for this connection from now on.
inline void let_others_in(const Connection& db) {
  sqlite3_file* file = look_detail::file_of(db);
  if (file == nullptr) return;
  sqlite3_file* real = look_detail::MainFile::real(file);
  real->pMethods->xUnlock(real, SQLITE_LOCK_NONE);
}

/// Whether the file has been written since it was opened to look at it: open it anew. Never for
/// other connections, which see what others write. Thread safety: as the connection.
inline bool is_stale(const Connection& db) {
  sqlite3_file* file = look_detail::file_of(db);
  return file != nullptr && !look_detail::main_of(file).unchanged();
}

}  // namespace phlower::sqlite
