// Who has a database open: for messages about locks that are not released.
#pragma once

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

}  // namespace phlower::tools
