// A disk that fails when told: a SQLite VFS in front of the real one that counts operations which
// change files, and makes the k-th of them fail, once or for ever after, or kills the process
// there.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "phlower/sqlite/sqlite.hpp"
#include "phlower/sqlite/vfs_shim.hpp"

namespace phlower::testing {

enum class Fault : std::uint8_t {
  kIo,          // EIO
  kFull,        // ENOSPC
  kShortWrite,  // half of a write reaches the disk, then ENOSPC
  kKill,        // SIGKILL before the operation
};

/// The default VFS while it lives; one at a time. Writes, syncs, truncations and deletions count;
/// reads for themselves; locks do not. Close every connection before it goes. Not thread safe.
class FaultVfs {
 public:
  FaultVfs() : base_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *base_;
    vfs_.zName = "phlower-fault";
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = &open;
    vfs_.xDelete = &remove;
    vfs_.xSleep = &sleep;
    sqlite3_vfs_register(&vfs_, 1);
  }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  ~FaultVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(base_, 1);
  }

  /// The k-th operation from now fails (1 is the next), with `for_ever` all after it too.
  void fail_at(std::uint64_t k, Fault fault, bool for_ever) {
    operations_ = 0;
    at_ = k;
    fault_ = fault;
    for_ever_ = for_ever;
  }
  /// The k-th read from now fails once with EIO.
  void fail_read_at(std::uint64_t k) {
    reads_ = 0;
    read_at_ = k;
  }
  void heal() {
    operations_ = 0;
    at_ = 0;
    read_at_ = 0;
  }
  /// Operations since the last `fail_at` or `heal`.
  std::uint64_t operations() const { return operations_; }
  bool failed() const { return at_ != 0 && operations_ >= at_; }
  /// Runs at every sync: what a slow disk costs, told to the clock of a simulation.
  void at_sync(std::function<void()> hook) { at_sync_ = std::move(hook); }
  /// How often SQLite has waited, for a lock or otherwise.
  std::uint64_t sleeps() const { return sleeps_; }
  bool read_failed() const { return read_at_ != 0 && reads_ >= read_at_; }

 private:
  using File = sqlite::ShimFile<FaultVfs*>;
  static FaultVfs& owner_of(sqlite3_file* file) { return *File::of(file)->extra; }
  static sqlite3_file* real(sqlite3_file* file) { return File::real(file); }

  // SQLITE_OK, or what the operation is to return.
  int strike(int io_error) {
    ++operations_;
    if (at_ == 0 || operations_ < at_ || (operations_ > at_ && !for_ever_)) return SQLITE_OK;
    if (fault_ == Fault::kKill) ::raise(SIGKILL);
    return fault_ == Fault::kIo ? io_error : SQLITE_FULL;
  }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    auto* owner = static_cast<FaultVfs*>(vfs->pAppData);
    file->pMethods = nullptr;
    File::of(file)->extra = owner;
    const int result = owner->base_->xOpen(owner->base_, name, real(file), flags, out);
    if (result == SQLITE_OK) file->pMethods = methods();
    return result;
  }
  static int remove(sqlite3_vfs* vfs, const char* name, int sync) {
    auto* owner = static_cast<FaultVfs*>(vfs->pAppData);
    const int result = owner->strike(SQLITE_IOERR_DELETE);
    return result != SQLITE_OK ? result : owner->base_->xDelete(owner->base_, name, sync);
  }
  static int sleep(sqlite3_vfs* vfs, int microseconds) {
    auto* owner = static_cast<FaultVfs*>(vfs->pAppData);
    ++owner->sleeps_;
    return owner->base_->xSleep(owner->base_, microseconds);
  }
  static int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 at) {
    FaultVfs& owner = owner_of(file);
    const int result = owner.strike(SQLITE_IOERR_WRITE);
    const auto* io = real(file)->pMethods;
    if (result == SQLITE_OK) return io->xWrite(real(file), data, bytes, at);
    if (owner.fault_ == Fault::kShortWrite) (void)io->xWrite(real(file), data, bytes / 2, at);
    return result;
  }
  static int read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 at) {
    FaultVfs& owner = owner_of(file);
    if (++owner.reads_ == owner.read_at_) return SQLITE_IOERR_READ;
    return real(file)->pMethods->xRead(real(file), to, bytes, at);
  }
  static int sync(sqlite3_file* file, int flags) {
    FaultVfs& owner = owner_of(file);
    if (owner.at_sync_) owner.at_sync_();
    const int result = owner.strike(SQLITE_IOERR_FSYNC);
    return result != SQLITE_OK ? result : real(file)->pMethods->xSync(real(file), flags);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    const int result = owner_of(file).strike(SQLITE_IOERR_TRUNCATE);
    return result != SQLITE_OK ? result : real(file)->pMethods->xTruncate(real(file), size);
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods table = [] {
      sqlite3_io_methods ours = File::passing_methods();
      ours.xRead = &read;
      ours.xWrite = &write;
      ours.xTruncate = &truncate;
      ours.xSync = &sync;
      return ours;
    }();
    return &table;
  }

  sqlite3_vfs* base_;
  sqlite3_vfs vfs_{};
  std::uint64_t operations_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t read_at_ = 0;
  std::uint64_t sleeps_ = 0;
  Fault fault_ = Fault::kIo;
  bool for_ever_ = false;
  std::function<void()> at_sync_;
};

}  // namespace phlower::testing
