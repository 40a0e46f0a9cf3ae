// How files go: first their names, all at once and within a millisecond; then their space, in
// steps. To free a large file takes a file system tens of milliseconds, in which others that need
// its journal may have to wait.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "phlower/segment/file_mark.hpp"
#include "phlower/segment/keeper.hpp"
#include "phlower/segment/pin_file.hpp"
#include "phlower/segment/segment_file.hpp"
#include "phlower/segment/segment_info.hpp"

namespace phlower {

/// A file without a name, kept open for as long as its space is given back. Not thread safe.
class Remains {
 public:
  /// What one step gives back at most: some 2 ms of a disk.
  static constexpr std::int64_t kStepBytes = std::int64_t{4} << 20;

  /// Opens `path` before it is unlinked. Holds nothing where that is not possible (a read-only
  /// file, no descriptor left) or would not pay; the unlink alone does it then.
  static Remains of(const std::string& path) {
    Remains made;
    made.fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct ::stat info {};
    const bool pays = made.fd_ >= 0 && ::fstat(made.fd_, &info) == 0 && S_ISREG(info.st_mode) &&
                      info.st_size > kStepBytes;
    if (!pays) made.close();
    made.left_ = info.st_size;
    return made;
  }

  Remains() = default;
  Remains(Remains&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), left_(other.left_), alone_(other.alone_) {}
  Remains& operator=(Remains&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(left_, other.left_);
    std::swap(alone_, other.alone_);
    return *this;
  }
  ~Remains() { close(); }

  bool held() const { return fd_ >= 0; }

  /// One step. True: nothing is left to do. Blocks: on the disk.
  bool give_back() {
    if (fd_ < 0) return true;
    if (!alone_ && !is_alone()) {  // whoever reads it keeps it, and it goes with its last reader
      close();
      return true;
    }
    alone_ = true;
    left_ = std::max<std::int64_t>(left_ - kStepBytes, 0);
    if (left_ == 0 || ::ftruncate(fd_, left_) != 0) close();
    return fd_ < 0;
  }

 private:
  // No name, so that nobody can open it any more, and nobody who has it open: a lease for writing
  // is given only then (fcntl(2), F_SETLEASE). Where there are no leases, the answer is no.
  bool is_alone() const {
    struct ::stat info {};
    return ::fstat(fd_, &info) == 0 && info.st_nlink == 0 && ::fcntl(fd_, F_SETLEASE, F_WRLCK) == 0;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  int fd_ = -1;
  std::int64_t left_ = 0;
  bool alone_ = false;
};

/// Gives back the space of files that are removed. Ends early without harm: the system does the
/// rest.
struct FreeJob final : KeeperJob {
  explicit FreeJob(std::vector<Remains> what)
      : KeeperJob(Kind::kFree, 0), remains(std::move(what)) {}
  Result<bool> step() override {
    while (!remains.empty() && !remains.back().held()) remains.pop_back();
    if (remains.empty()) return true;
    if (remains.back().give_back()) remains.pop_back();
    return remains.empty();
  }
  std::vector<Remains> remains;
};

/// Removes database files with what stands beside them, a file a step, and then makes sure of all
/// of them at once. Unlinking hurts nobody who has the file open. A file that is not as its mark
/// says is somebody's again: it stays.
struct RemoveJob final : KeeperJob {
  struct File {
    std::int64_t seq;
    std::string path;
    bool force;              // though a reader has pinned it
    std::uint64_t mark = 0;  // its file_mark when it was judged; 0: nobody else writes it
  };
  /// The file of a segment that expires.
  static File file_of(const SegmentInfo& info, std::string path, bool force) {
    return {info.seq, std::move(path), force, info.path.empty() ? 0 : info.checksum};
  }
  /// Requires: `files` is not empty.
  RemoveJob(std::vector<File> what, std::string pin_file)
      : KeeperJob(Kind::kRemove, what.front().seq),
        files(std::move(what)),
        pins(std::move(pin_file)) {}

  Result<bool> step() override {
    if (results.size() < files.size()) {
      results.push_back(remove(files[results.size()]));
      return false;
    }
    std::set<std::string> folders;
    for (const File& file : files) {
      folders.insert(std::filesystem::path(file.path).parent_path().string());
    }
    for (const std::string& folder : folders) {
      if (Status synced = segment_file::sync_path(folder, true); !synced.ok()) return synced;
    }
    return true;
  }

  /// How it went with a file; kBusy: it is being read.
  Status result(std::size_t file) const {
    if (!status.ok()) return status;
    return file < results.size() ? results[file] : Status(Code::kBusy, "not tried");
  }

  bool stays(const std::string& path) const {
    return std::find(written_anew.begin(), written_anew.end(), path) != written_anew.end();
  }

  const std::vector<File> files;
  const std::string pins;
  std::vector<std::string> written_anew;  // those that stay
  std::vector<Status> results;
  std::vector<Remains> remains;  // for a FreeJob

 private:
  Status remove(const File& what) {
    auto lock = open_pins(pins);
    if (!lock.ok()) return lock.status();
    const Status alone = (*lock)->try_lock(what.seq);
    if (alone.code() == Code::kBusy && !what.force) {
      return Status(Code::kBusy, what.path + ": is being read");
    }
    if (is_written_anew(what.path, what.mark)) {
      written_anew.push_back(what.path);
      return Status();
    }
    // The main file first: a log without it is nothing, but not the other way round.
    for (const char* side : {"", "-wal", "-shm", "-journal"}) {
      const std::string file = what.path + side;
      Remains left = Remains::of(file);
      if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
        return Status::from_errno("unlink " + file);
      }
      if (left.held()) remains.push_back(std::move(left));
    }
    return Status();
  }
};

}  // namespace phlower
