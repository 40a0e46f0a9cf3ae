// Makes the files and folders of a history with the same mode whatever the umask: they hold
// arguments of tasks, which are not for everybody.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "phlower/ground/status.hpp"

namespace phlower {

inline constexpr mode_t kNewFolderMode = 0750;
inline constexpr mode_t kNewFileMode = 0640;

/// The mode of a new file in `folder`: who may enter the folder may read it, its owner writes it.
/// So one chmod of the folder says for all that is made in it who reads it.
inline mode_t file_mode_in(const std::string& folder) {
  struct ::stat info {};
  if (::stat(folder.c_str(), &info) != 0) return kNewFileMode;
  return 0600 | (info.st_mode & 0044);
}

/// Makes an empty file of exactly this mode; SQLite gives the same to -wal, -shm and -journal. One
/// that exists stays as it is.
inline Status make_file(const std::string& path, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
  if (fd < 0) return errno == EEXIST ? Status() : Status::from_errno("make " + path);
  const Status status = ::fchmod(fd, mode) == 0 ? Status() : Status::from_errno("chmod " + path);
  ::close(fd);
  return status;
}

/// Makes a folder of exactly this mode; one that exists stays as it is.
inline Status make_folder(const std::string& path, mode_t mode = kNewFolderMode) {
  if (::mkdir(path.c_str(), 0700) != 0) {
    return errno == EEXIST ? Status() : Status::from_errno("make folder " + path);
  }
  return ::chmod(path.c_str(), mode) == 0 ? Status() : Status::from_errno("chmod " + path);
}

}  // namespace phlower
