// Which processes hold a lock on a database, for messages: the kernel's list of all locks.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "phlower/ground/real_path.hpp"

namespace phlower {

/// Where SQLite locks: bytes of a file. In the -shm file there is one for the writer, and five for
/// marks of readers. Each of the five can keep the log from starting anew: a reader that needs
/// nothing of the log has the first, and while it reads the database file, nothing is moved into
/// it.
enum class SqliteLock : std::uint8_t { kLogWriter, kLogReaders, kDatabase };

namespace lock_holders_detail {

struct Bytes {
  long from;
  long to;
};

constexpr Bytes bytes_of(SqliteLock kind) noexcept {
  switch (kind) {
    case SqliteLock::kLogWriter: return {120, 120};
    case SqliteLock::kLogReaders: return {123, 127};
    case SqliteLock::kDatabase: break;
  }
  return {0x40000000, 0x40000000 + 511};
}

/// Processes other than this one with a lock on some of these bytes.
inline std::vector<long> pids_on(const std::string& file, Bytes bytes) {
  std::vector<long> pids;
  struct ::stat info {};
  if (::stat(file.c_str(), &info) != 0) return pids;
  char place_of_file[64];
  std::snprintf(place_of_file, sizeof place_of_file, "%02x:%02x:%llu", major(info.st_dev),
                minor(info.st_dev), static_cast<unsigned long long>(info.st_ino));
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, type, mode, access, place, end;
    long pid = 0;
    long from = 0;
    if (!(words >> number >> type >> mode >> access >> pid >> place >> from >> end)) continue;
    const long to = end == "EOF" ? bytes.to : std::atol(end.c_str());
    if (place != place_of_file || from > bytes.to || to < bytes.from) continue;
    if (pid <= 0 || pid == ::getpid()) continue;
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
  }
  return pids;
}

}  // namespace lock_holders_detail

/// Processes other than this one with such a lock, as "python3 (pid 4711)". From /proc/locks;
/// empty where that cannot be read or says nothing (another pid namespace). Thread safety: safe.
inline std::string lock_holders(const std::string& database, SqliteLock kind) {
  namespace lh = lock_holders_detail;
  const bool log = kind != SqliteLock::kDatabase;
  const std::string file = log ? beside(database, "-shm") : real_path(database);
  std::string text;
  for (const long pid : lh::pids_on(file, lh::bytes_of(kind))) {
    std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    std::getline(comm, name);
    text += (text.empty() ? "" : ", ") + (name.empty() ? "process" : name) + " (pid " +
            std::to_string(pid) + ")";
  }
  return text;
}

/// The same for whatever lock hinders opening or reading, with words where nobody is found.
inline std::string whoever_locks(const std::string& database) {
  for (const SqliteLock kind : {SqliteLock::kLogWriter, SqliteLock::kDatabase}) {
    if (std::string who = lock_holders(database, kind); !who.empty()) return who;
  }
  return "another process";
}

}  // namespace phlower
