// Who has a database open: whether anybody has, and who holds a lock that is not released.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace phlower::tools {

/// Locks of SQLite in its -shm file: one byte for the writer, five for marks of readers. Each of
/// the five can keep the log from starting anew: a reader that needs nothing of the log has the
/// first, and while it reads the database file, nothing is moved into it.
enum class ShmLock : std::uint8_t { kWriter, kReaders };

/// Processes other than this one with such a lock, as "python3 (pid 4711)". From /proc/locks;
/// empty where that cannot be read or says nothing (another pid namespace).
inline std::string lock_holders(const std::string& database, ShmLock kind) {
  struct stat info {};
  if (::stat((database + "-shm").c_str(), &info) != 0) return "";
  const long first = kind == ShmLock::kWriter ? 120 : 123;
  const long last = kind == ShmLock::kWriter ? 120 : 127;
  const std::string file =
      fmt::format("{:02x}:{:02x}:{}", major(info.st_dev), minor(info.st_dev), info.st_ino);
  std::ifstream locks("/proc/locks");
  std::vector<long> pids;
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, type, mode, access, place, end;
    long pid = 0;
    long from = 0;
    if (!(words >> number >> type >> mode >> access >> pid >> place >> from >> end)) continue;
    const long to = end == "EOF" ? last : std::atol(end.c_str());
    if (place != file || from > last || to < first || pid <= 0 || pid == ::getpid()) continue;
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
  }
  std::string text;
  for (const long pid : pids) {
    std::ifstream comm(fmt::format("/proc/{}/comm", pid));
    std::string name;
    std::getline(comm, name);
    text += fmt::format("{}{} (pid {})", text.empty() ? "" : ", ", name.empty() ? "process" : name,
                        pid);
  }
  return text;
}

/// Whether another process has a database in WAL mode open, at the price of one system call. Every
/// connection holds a lock on one byte of the -shm file for as long as it lives
/// (unixLockSharedMemory in SQLite's os_unix.c). Not thread safe.
class Company {
 public:
  /// Requires: this process has the database open. The descriptor is never closed: closing it would
  /// drop the locks that SQLite has on the same file.
  explicit Company(const std::string& database)
      : shm_(::open((database + "-shm").c_str(), O_RDWR | O_CLOEXEC)) {}

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

}  // namespace phlower::tools
