// Who a process is and whether it still lives: pid, start time, pid namespace; and which boot this
// is. A second opinion only: what says that a lane is free is the kernel's lock on it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"

namespace phlower {

struct ProcessIdentity {
  std::uint64_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot, field 22 of /proc/PID/stat
  std::uint64_t pid_namespace = 0;
};

namespace process_detail {

/// The first bytes of a small file in /proc.
inline std::optional<std::string> read_small(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  char buffer[1024];
  const ssize_t got = ::read(fd, buffer, sizeof(buffer));
  ::close(fd);
  if (got <= 0) return std::nullopt;
  return std::string(buffer, static_cast<std::size_t>(got));
}

}  // namespace process_detail

/// What /proc/PID/stat says that matters here.
struct ProcessStat {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t start_time = 0;
};

/// Reads the text of /proc/PID/stat. The name in it may hold blanks and parentheses.
inline std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 1);
  ProcessStat stat;
  for (int field = 3; field <= 22; ++field) {
    const auto begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) return std::nullopt;
    text.remove_prefix(begin);
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    if (field == 3) stat.state = word.front();
    if (field != 20 && field != 22) continue;
    std::uint64_t& value = field == 20 ? stat.threads : stat.start_time;
    if (std::from_chars(word.data(), word.data() + word.size(), value).ec != std::errc{}) {
      return std::nullopt;
    }
  }
  return stat;
}

inline std::optional<ProcessStat> read_process_stat(std::uint64_t pid) {
  const auto path = "/proc/" + std::to_string(pid) + "/stat";
  const auto text = process_detail::read_small(path.c_str());
  return text ? parse_process_stat(*text) : std::nullopt;
}

/// This process. Reads /proc: for attaching, not for each record.
inline ProcessIdentity current_process() {
  ProcessIdentity me;
  me.pid = static_cast<std::uint64_t>(::getpid());
  if (const auto stat = read_process_stat(me.pid)) me.start_time = stat->start_time;
  struct ::stat space {};
  if (::stat("/proc/self/ns/pid", &space) == 0) me.pid_namespace = space.st_ino;
  return me;
}

/// Whether the process that had this pid and start time still runs. A zombie does not: it holds no
/// lock and writes nothing. In doubt (no /proc) yes: that costs a lane, the other way costs data.
/// Requires: a pid of this pid namespace.
inline bool process_alive(std::uint64_t pid, std::uint64_t start_time) {
  // A damaged one that no process can have: as a pid_t it might stand for all of them.
  if (pid == 0 || pid > std::numeric_limits<pid_t>::max()) return false;
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return false;
  const auto stat = read_process_stat(pid);
  if (!stat) return true;
  const bool zombie = (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
  return !zombie && stat->start_time == start_time;
}

using BootId = std::array<std::uint8_t, 16>;

/// The identity of this boot of the host, the same in all its containers.
inline Result<BootId> current_boot_id() {
  const char* path = "/proc/sys/kernel/random/boot_id";
  const auto text = process_detail::read_small(path);
  BootId id{};
  std::size_t digits = 0;
  for (const char c : text.value_or("")) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (digits == 32) break;
    auto& byte = id[digits++ / 2];
    byte = static_cast<std::uint8_t>(byte * 16 + digit);
  }
  if (digits != 32) return Status(Code::kUnsupported, std::string("cannot read ") + path);
  return id;
}

}  // namespace phlower
