// A disk that forgets what was not synced: a SQLite VFS in front of the real one that remembers for
// every file what a sync has made durable, and for every folder which names. `cut` puts the folder
// into a state that the disk may have been in when the power went.
//
// Written like POSIX promises it and no better: a file's content is safe after a sync of the file,
// a new name, a rename and a removal after a sync of the folder. Writes that were not synced arrive
// each for itself, whole, in part or never; changes of names arrive in order, up to a point.
#pragma once

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/random.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "phlower/sqlite/vfs_shim.hpp"

namespace phlower::testing {

/// The default VFS while it lives; one at a time, for the files under one folder. It also sees
/// fsync, fdatasync, rename and unlink that are called past SQLite: see the end of this header.
/// Not thread safe.
class PowerCut {
 public:
  explicit PowerCut(std::string folder) : folder_(std::move(folder) + "/") {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.zName = "phlower-power";
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = &open;
    sqlite3_vfs_register(&vfs_, 1);
    current() = this;
  }
  PowerCut(const PowerCut&) = delete;
  PowerCut& operator=(const PowerCut&) = delete;
  ~PowerCut() {
    current() = nullptr;
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(base_, 1);
  }

  /// True: the power is off, and what is asked past SQLite fails. SQLite's own operations are
  /// failed by the VFS in front of this one.
  void when_off(std::function<bool()> off) { off_ = std::move(off); }

  /// Call when every file is closed. What was lost is gone after this, and the rest is durable.
  void cut(Random& random) {
    const std::uint64_t arrived = random.below(changes_.size() + 1);
    for (std::uint64_t i = 0; i < arrived; ++i) apply(changes_[i]);
    lost_names_ += changes_.size() - arrived;
    std::vector<std::string> present;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.is_regular_file()) present.push_back(entry.path().string());
    }
    for (const std::string& path : present) {
      const bool shared_memory = path.ends_with("-shm");
      if (shared_memory || now_.contains(path)) ::syscall(SYS_unlink, path.c_str());
    }
    for (const auto& [path, file] : durable_) write_what_arrived(path, *file, random);
    changes_.clear();
    now_.clear();
    durable_.clear();
  }
  /// Writes, and changes of names, that did not survive.
  std::uint64_t lost_writes() const { return lost_writes_; }
  std::uint64_t lost_names() const { return lost_names_; }

  static PowerCut*& current() {
    static PowerCut* one = nullptr;
    return one;
  }
  bool off() const { return off_ && off_(); }
  void synced(int fd) {
    char path[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
    if (size <= 0) return;
    const std::string name(path, static_cast<std::size_t>(size));
    if (name + "/" == folder_) return names_synced();
    if (const auto found = now_.find(name); found != now_.end()) found->second->sync();
  }
  void renamed(const std::string& from, const std::string& to) {
    const auto found = now_.find(from);
    if (found == now_.end()) return;
    const Content content = found->second;
    now_.erase(found);
    now_[to] = content;
    changes_.push_back({from, nullptr});
    changes_.push_back({to, content});
  }
  void unlinked(const std::string& path) {
    if (now_.erase(path) != 0) changes_.push_back({path, nullptr});
  }

 private:
  struct Write {
    std::uint64_t at = 0;
    std::string bytes;
    bool truncates = false;  // to `at`
  };
  struct Tracked {
    std::string image;  // as a sync left it
    std::vector<Write> since;

    static void apply(std::string& image, const Write& write, std::size_t bytes) {
      if (write.truncates) return image.resize(write.at);
      if (image.size() < write.at + bytes) image.resize(write.at + bytes);
      std::copy_n(write.bytes.begin(), bytes,
                  image.begin() + static_cast<std::ptrdiff_t>(write.at));
    }
    void sync() {
      for (const Write& write : since) apply(image, write, write.bytes.size());
      since.clear();
    }
  };
  using Content = std::shared_ptr<Tracked>;
  struct Change {
    std::string path;
    Content content;  // null: the name goes
  };
  using File = sqlite::ShimFile<Tracked*>;  // null: outside the folder
  static Tracked*& tracked_of(sqlite3_file* file) { return File::of(file)->extra; }
  static sqlite3_file* real(sqlite3_file* file) { return File::real(file); }

  void apply(const Change& change) {
    if (change.content) {
      durable_[change.path] = change.content;
    } else {
      durable_.erase(change.path);
    }
  }
  void names_synced() {
    for (const Change& change : changes_) apply(change);
    changes_.clear();
  }

  void write_what_arrived(const std::string& path, Tracked& file, Random& random) {
    const std::uint64_t all = random.below(3);  // 0: none of it, 1: all, 2: each for itself
    for (const Write& write : file.since) {
      const std::uint64_t fate = all == 2 ? random.below(3) : all;
      lost_writes_ += fate != 1;
      if (fate == 0 || (fate == 2 && write.truncates)) continue;
      constexpr std::size_t kSector = 512;
      const std::size_t part = write.bytes.size() / 2 / kSector * kSector;
      Tracked::apply(file.image, write, fate == 1 ? write.bytes.size() : part);
    }
    std::ofstream(path, std::ios::binary) << file.image;
  }

  Tracked* track(const std::string& path, bool existed) {
    Content& content = now_[path];
    if (content) return content.get();
    content = std::make_shared<Tracked>();
    opened_.push_back(content);
    if (existed) {
      std::ifstream in(path, std::ios::binary);
      content->image.assign(std::istreambuf_iterator<char>(in), {});
      durable_[path] = content;
    } else {
      changes_.push_back({path, content});
    }
    return content.get();
  }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    auto* owner = static_cast<PowerCut*>(vfs->pAppData);
    const std::string path = name != nullptr ? name : "";
    const bool existed = ::access(path.c_str(), F_OK) == 0;
    file->pMethods = nullptr;
    tracked_of(file) = nullptr;
    const int result = owner->base_->xOpen(owner->base_, name, real(file), flags, out);
    if (result != SQLITE_OK) return result;
    file->pMethods = methods();
    const bool writes = (flags & SQLITE_OPEN_READWRITE) != 0;
    if (writes && path.starts_with(owner->folder_)) tracked_of(file) = owner->track(path, existed);
    return result;
  }
  static int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 at) {
    const int result = real(file)->pMethods->xWrite(real(file), data, bytes, at);
    if (Tracked* tracked = tracked_of(file); result == SQLITE_OK && tracked != nullptr) {
      const auto* text = static_cast<const char*>(data);
      tracked->since.push_back(
          {static_cast<std::uint64_t>(at), std::string(text, static_cast<std::size_t>(bytes))});
    }
    return result;
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    const int result = real(file)->pMethods->xTruncate(real(file), size);
    if (Tracked* tracked = tracked_of(file); result == SQLITE_OK && tracked != nullptr) {
      tracked->since.push_back({static_cast<std::uint64_t>(size), {}, true});
    }
    return result;
  }
  static int sync(sqlite3_file* file, int flags) {
    const int result = real(file)->pMethods->xSync(real(file), flags);
    if (Tracked* tracked = tracked_of(file); result == SQLITE_OK && tracked != nullptr) {
      tracked->sync();
    }
    return result;
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods table = [] {
      sqlite3_io_methods ours = File::passing_methods();
      ours.xWrite = &write;
      ours.xTruncate = &truncate;
      ours.xSync = &sync;
      return ours;
    }();
    return &table;
  }

  std::string folder_;
  std::function<bool()> off_;
  sqlite3_vfs* base_;
  sqlite3_vfs vfs_{};
  std::map<std::string, Content> now_;      // what programs see
  std::map<std::string, Content> durable_;  // what the disk knows
  std::vector<Change> changes_;             // of names, since the last sync of the folder
  std::vector<Content> opened_;             // open files point into these
  std::uint64_t lost_writes_ = 0;
  std::uint64_t lost_names_ = 0;
};

}  // namespace phlower::testing

// In front of the C library's: the program's own definitions win over those of a shared library,
// also for the calls of SQLite and of the C++ library.
extern "C" {
inline int phlower_test_sync(int fd) {
  auto* power = phlower::testing::PowerCut::current();
  if (power != nullptr && power->off()) {
    errno = EIO;
    return -1;
  }
  if (power != nullptr) power->synced(fd);  // and no wait for the real disk
  return power != nullptr ? 0 : static_cast<int>(::syscall(SYS_fsync, fd));
}
// NOLINTBEGIN(readability-identifier-naming)
[[gnu::used]] int fsync(int fd) { return phlower_test_sync(fd); }
[[gnu::used]] int fdatasync(int fd) { return phlower_test_sync(fd); }
[[gnu::used]] int unlink(const char* path) noexcept {
  auto* power = phlower::testing::PowerCut::current();
  if (power != nullptr && power->off()) {
    errno = EIO;
    return -1;
  }
  const int result = static_cast<int>(::syscall(SYS_unlink, path));
  if (result == 0 && power != nullptr) power->unlinked(path);
  return result;
}
[[gnu::used]] int rename(const char* from, const char* to) noexcept {
  auto* power = phlower::testing::PowerCut::current();
  if (power != nullptr && power->off()) {
    errno = EIO;
    return -1;
  }
  const int result = static_cast<int>(::syscall(SYS_rename, from, to));
  if (result == 0 && power != nullptr) power->renamed(from, to);
  return result;
}
// NOLINTEND(readability-identifier-naming)
}
