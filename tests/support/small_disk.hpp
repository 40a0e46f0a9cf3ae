// A file system of a given size, in a mount namespace of the calling process.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>

namespace phlower::testing {

namespace small_disk_detail {

inline void write_to(const char* path, const std::string& text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const auto written = ::write(file, text.data(), text.size());
  ::close(file);
}

/// Without root, as root of a user namespace.
inline bool unshare_mounts() {
  if (::unshare(CLONE_NEWNS) == 0) return true;
  const std::string user = std::to_string(::getuid());
  const std::string group = std::to_string(::getgid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  write_to("/proc/self/setgroups", "deny");
  write_to("/proc/self/uid_map", "0 " + user + " 1");
  write_to("/proc/self/gid_map", "0 " + group + " 1");
  return true;
}

}  // namespace small_disk_detail

/// Mounts a tmpfs of `size` ("1m") on an existing folder, seen by this process alone and gone with
/// it: call it in a child. False where mounts are not allowed.
inline bool mount_small_disk(const std::string& folder, const std::string& size) {
  if (!small_disk_detail::unshare_mounts()) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return ::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

}  // namespace phlower::testing
