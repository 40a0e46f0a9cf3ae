// Whether a path still names the file that was opened there. A file that was removed or replaced
// takes writes as before, and they are nowhere.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "phlower/ground/status.hpp"

namespace phlower {

/// Not thread safe. One system call a look.
class FileWatch {
 public:
  /// Of the file that is at `path` now, wherever this process goes.
  explicit FileWatch(std::string path) : path_(std::move(path)) {
    std::error_code nowhere;
    const auto whole = std::filesystem::absolute(path_, nowhere);
    if (!nowhere) path_ = whole.string();
    struct ::stat info {};
    if (::stat(path_.c_str(), &info) != 0) return;
    device_ = info.st_dev;
    inode_ = info.st_ino;
  }

  const std::string& path() const noexcept { return path_; }

  /// Errors: kNotFound when it was removed or is another file now. What cannot be looked at is not
  /// gone.
  Status look() const {
    struct ::stat info {};
    if (::stat(path_.c_str(), &info) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) return Status();
      return Status(Code::kNotFound, path_ + " was removed or moved away");
    }
    if (info.st_dev == device_ && info.st_ino == inode_) return Status();
    return Status(Code::kNotFound, path_ + " is another file than the one that was opened");
  }

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace phlower
