// Byte locks on the ring file that belong to one open file description (F_OFD_SETLK). The kernel
// drops them when the process dies, however it dies. What can go wrong is inside the process: a
// child of fork shares the description, and an application may close descriptors it does not know.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"

namespace phlower {

class LockFile;

/// What the library keeps once for each process: the open lock files, and a mutex that no child of
/// fork finds locked. It is never destroyed, so that threads may end after main, and while no file
/// is open it keeps no memory of its own: a shared object with it can be unloaded without a trace.
class RingProcess {
 public:
  static RingProcess& instance() {
    alignas(RingProcess) static std::byte place[sizeof(RingProcess)];
    static RingProcess* const process = [] {
      auto* made = new (place) RingProcess;
      ::pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                       [] { instance().in_child(); });
      return made;
    }();
    return *process;
  }

  std::mutex& mutex() { return mutex_; }

 private:
  friend class LockFile;
  inline void in_child();

  std::mutex mutex_;
  std::vector<LockFile*> files_;
};

/// An open ring file and the locks taken through it. Thread safety: one thread; `lost` any.
class LockFile {
 public:
  /// Opens `path`. Errors: as of open(2); kNotOurs when it is not a regular file.
  static Result<std::unique_ptr<LockFile>> open(const std::string& path, int flags,
                                                mode_t mode = 0) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
    if (fd < 0) return Status::from_errno("open " + path);
    struct ::stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      ::close(fd);
      return Status(Code::kNotOurs, path + " is not a regular file");
    }
    return std::unique_ptr<LockFile>(new LockFile(fd, info));
  }

  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  ~LockFile() {
    const std::lock_guard guard(RingProcess::instance().mutex());
    auto& files = RingProcess::instance().files_;
    std::erase(files, this);
    if (files.empty()) files.shrink_to_fit();
    // A descriptor that is not ours any more may be somebody else's by now.
    if (intact()) ::close(fd_);
  }

  int fd() const { return fd_; }

  /// True when the descriptor went away under us: in a child of fork, or its number was given to
  /// a later LockFile. Relaxed is enough: the first is written by the only thread of the child,
  /// the second is a hint; the swaps on control words decide.
  bool lost() const { return lost_.load(std::memory_order_relaxed); }

  /// Asks the kernel whether the descriptor still is the file that was opened.
  bool intact() const {
    struct ::stat info {};
    return !lost() && ::fstat(fd_, &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  }

  /// Whether `path` names this very file.
  bool is_at(const std::string& path) const {
    struct ::stat info {};
    return ::stat(path.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  }

  /// Takes the lock on one byte. Errors: kBusy (another description holds it), kDetached (the
  /// descriptor was lost), kUnsupported (no such locks here). Blocks: never.
  Status try_lock(std::int64_t byte) { return set(F_WRLCK, byte); }

  /// The same for a lock that others may share; whoever wants it alone waits for all of them.
  Status try_share(std::int64_t byte) { return set(F_RDLCK, byte); }

  void unlock(std::int64_t byte) { static_cast<void>(set(F_UNLCK, byte)); }

  dev_t device() const { return device_; }
  ino_t inode() const { return inode_; }

 private:
  friend class RingProcess;

  LockFile(int fd, const struct ::stat& info) : fd_(fd), device_(info.st_dev), inode_(info.st_ino) {
    RingProcess& process = RingProcess::instance();
    const std::lock_guard guard(process.mutex());
    for (LockFile* other : process.files_) {
      if (other->fd_ == fd) other->lost_.store(true, std::memory_order_relaxed);  // see lost()
    }
    process.files_.push_back(this);
  }

  Status set(short type, std::int64_t byte) {
    if (lost()) return Status(Code::kDetached);
    struct ::flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    if (::fcntl(fd_, F_OFD_SETLK, &lock) == 0) return Status();
    switch (errno) {
      case EAGAIN:
      case EACCES: return Status(Code::kBusy);
      case EBADF: return Status(Code::kDetached);
      default: return Status(Code::kUnsupported, "this file system has no OFD locks", errno);
    }
  }

  int fd_;
  dev_t device_;
  ino_t inode_;
  std::atomic<bool> lost_{false};
};

/// The child shares its parent's descriptions: it closes its copies, so that the locks end with the
/// parent, and never unlocks, which would take them from the parent.
inline void RingProcess::in_child() {
  for (LockFile* file : files_) {
    if (file->intact()) ::close(file->fd_);
    file->lost_.store(true, std::memory_order_relaxed);  // see LockFile::lost
  }
  files_.clear();
  mutex_.unlock();
}

}  // namespace phlower
