// Whether anybody else has a database open.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "phlower/ground/real_path.hpp"

namespace phlower {

/// Whether another process has a database in WAL mode open, at the price of one system call. Every
/// connection holds a lock on one byte of the -shm file for as long as it lives
/// (unixLockSharedMemory in SQLite's os_unix.c). Not thread safe.
class Company {
 public:
  /// Requires: this process has the database open. The descriptor is never closed: closing it would
  /// drop the locks that SQLite has on the same file.
  explicit Company(const std::string& database)
      : shm_(::open(beside(database, "-shm").c_str(), O_RDWR | O_CLOEXEC)) {}

  /// In doubt true.
  bool present() const {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 128;
    lock.l_len = 1;
    // Locks of this process itself do not count.
    return shm_ < 0 || ::fcntl(shm_, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
  }

 private:
  int shm_;
};

}  // namespace phlower
