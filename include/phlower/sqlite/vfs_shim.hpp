// A SQLite VFS in front of the real one: its files pass everything on but what it is made for.
#pragma once

#include "phlower/sqlite/sqlite.hpp"

namespace phlower::sqlite {

/// A file of such a VFS, in front of the real one's, which lies right behind it. `Extra`: what the
/// VFS itself wants to know of a file.
template <class Extra>
struct ShimFile {
  sqlite3_file shim;
  Extra extra;

  static ShimFile* of(sqlite3_file* file) { return reinterpret_cast<ShimFile*>(file); }
  static sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(of(file) + 1);
  }

  /// Methods that pass on; the caller puts its own in. Version 2: the shared memory of WAL, no
  /// memory-mapped reads.
  static sqlite3_io_methods passing_methods() {
    sqlite3_io_methods table{};
    table.iVersion = 2;
    table.xClose = [](sqlite3_file* f) { return on(f).xClose(real(f)); };
    table.xRead = [](sqlite3_file* f, void* to, int bytes, sqlite3_int64 at) {
      return on(f).xRead(real(f), to, bytes, at);
    };
    table.xWrite = [](sqlite3_file* f, const void* data, int bytes, sqlite3_int64 at) {
      return on(f).xWrite(real(f), data, bytes, at);
    };
    table.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      return on(f).xTruncate(real(f), size);
    };
    table.xSync = [](sqlite3_file* f, int flags) { return on(f).xSync(real(f), flags); };
    table.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return on(f).xFileSize(real(f), size);
    };
    table.xLock = [](sqlite3_file* f, int level) { return on(f).xLock(real(f), level); };
    table.xUnlock = [](sqlite3_file* f, int level) { return on(f).xUnlock(real(f), level); };
    table.xCheckReservedLock = [](sqlite3_file* f, int* held) {
      return on(f).xCheckReservedLock(real(f), held);
    };
    table.xFileControl = [](sqlite3_file* f, int op, void* arg) {
      return on(f).xFileControl(real(f), op, arg);
    };
    table.xSectorSize = [](sqlite3_file* f) { return on(f).xSectorSize(real(f)); };
    table.xDeviceCharacteristics = [](sqlite3_file* f) {
      return on(f).xDeviceCharacteristics(real(f));
    };
    table.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** to) {
      return on(f).xShmMap(real(f), page, size, extend, to);
    };
    table.xShmLock = [](sqlite3_file* f, int from, int count, int flags) {
      return on(f).xShmLock(real(f), from, count, flags);
    };
    table.xShmBarrier = [](sqlite3_file* f) { on(f).xShmBarrier(real(f)); };
    table.xShmUnmap = [](sqlite3_file* f, int remove) { return on(f).xShmUnmap(real(f), remove); };
    return table;
  }

 private:
  static const sqlite3_io_methods& on(sqlite3_file* file) { return *real(file)->pMethods; }
};

}  // namespace phlower::sqlite
