// The life of a ring file: made whole or not at all, taken over by one consumer, set aside when it
// is of another boot, of another geometry or damaged.
#pragma once

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ring/mapping.hpp"
#include "phlower/ring/ring_identity.hpp"
#include "phlower/ring/view.hpp"

namespace phlower {

/// An open ring, mapped, with the lock file that holds its locks.
struct OpenRing {
  std::unique_ptr<LockFile> file;
  std::shared_ptr<Mapping> mapping;
  RingView view;
};

namespace ring_file_detail {

inline std::string parent_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

/// Makes renames and new names in the folder of `path` last.
inline void sync_folder(const std::string& path) {
  const int fd = ::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  static_cast<void>(::fsync(fd));  // a file system that cannot do this has nothing to lose
  ::close(fd);
}

inline Status no_room(const std::string& path, std::uint64_t need, int error) {
  struct ::statvfs room {};
  const bool known = ::statvfs(parent_of(path).c_str(), &room) == 0;
  const std::uint64_t free = known ? std::uint64_t{room.f_bavail} * room.f_frsize : 0;
  std::string text = "no room for the ring " + path + ": it needs " + std::to_string(need) +
                     " bytes, the file system has " +
                     (known ? std::to_string(free) : std::string("an unknown number of")) +
                     " free; make ring.size smaller or the file system larger";
  return Status(Code::kDiskFull, std::move(text), error);
}

/// Allocates all blocks, then writes zeros: no later store can meet a hole or a full disk, which
/// would kill the producer with SIGBUS, and tmpfs charges the pages to this process.
inline Status fill_with_zeros(int fd, const std::string& path, std::uint64_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  if (size < 0) return no_room(path, bytes, EFBIG);
  const int error = ::posix_fallocate(fd, 0, size);
  if (error == ENOSPC || error == EFBIG || error == EDQUOT) return no_room(path, bytes, error);
  if (error != 0) return Status::from_errno("allocate " + path, error);
  const std::vector<char> zeros(1u << 20);
  for (off_t at = 0; at < size;) {
    const auto part = std::min<std::size_t>(zeros.size(), static_cast<std::size_t>(size - at));
    const ssize_t wrote = ::pwrite(fd, zeros.data(), part, at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == ENOSPC) return no_room(path, bytes, errno);
    if (wrote <= 0) return Status::from_errno("write " + path);
    at += wrote;
  }
  return Status();
}

inline Status write_identity(int fd, const std::string& path, const RingIdentity& identity) {
  const ssize_t wrote = ::pwrite(fd, &identity, sizeof(identity), 0);
  if (wrote != static_cast<ssize_t>(sizeof(identity)) || ::fsync(fd) != 0) {
    return Status::from_errno("write " + path);
  }
  return Status();
}

/// rename(2) that does not replace, where the file system can do that.
inline Status rename_new(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return Status();
  }
  if (errno == EINVAL && ::rename(from.c_str(), to.c_str()) == 0) return Status();
  if (errno == EEXIST) return Status(Code::kBusy, to + " was made by another process just now");
  return Status::from_errno("rename " + from + " to " + to);
}

}  // namespace ring_file_detail

namespace ring_file_detail {

/// Makes the file that was opened as `path`.new a ring. Errors: as prepare_ring.
inline Status make_whole(LockFile& file, const std::string& path, RingIdentity identity,
                         const BootId& boot, mode_t mode, WallTime now) {
  const std::string name = path + ".new";
  // The check after the lock: what was opened may have become the ring in between.
  if (!file.try_lock(kLockInit).ok() || !file.is_at(name)) {
    return Status(Code::kBusy, path + " is being made by another process");
  }
  if (const Status locked = file.try_lock(kLockConsumer); !locked.ok()) {
    return locked.with_context("lock " + name);
  }
  std::memcpy(identity.boot_id, boot.data(), boot.size());
  identity.created_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
  if (::getrandom(identity.ring_id.data(), identity.ring_id.size(), 0) != 16) {
    return Status::from_errno("getrandom");
  }
  seal_identity(identity);
  Status status = ::ftruncate(file.fd(), 0) == 0 ? Status() : Status::from_errno("empty " + name);
  if (status.ok()) status = fill_with_zeros(file.fd(), path, identity.file_bytes);
  if (status.ok()) status = write_identity(file.fd(), name, identity);
  // Not by open: the umask must not shut out whom the options let in.
  if (status.ok() && ::fchmod(file.fd(), mode) != 0) status = Status::from_errno("chmod " + name);
  if (!status.ok()) ::unlink(name.c_str());
  return status;
}

}  // namespace ring_file_detail

/// Makes a new ring beside `path`, as `path`.new, with the consumer's lock taken; publish_ring
/// gives it its name. A leftover of a killed maker is taken over. Errors: kDiskFull names path,
/// need and free; kBusy when another process makes one.
inline Result<std::unique_ptr<LockFile>> prepare_ring(const std::string& path,
                                                      const RingIdentity& identity,
                                                      const BootId& boot, mode_t mode,
                                                      WallTime now) {
  auto opened = LockFile::open(path + ".new", O_RDWR | O_CREAT, 0600);
  if (!opened.ok()) return opened;
  if (Status made = ring_file_detail::make_whole(**opened, path, identity, boot, mode, now);
      !made.ok()) {
    return made;
  }
  return opened;
}

inline Status publish_ring(const std::string& path) {
  const Status status = ring_file_detail::rename_new(path + ".new", path);
  if (!status.ok()) ::unlink((path + ".new").c_str());
  ring_file_detail::sync_folder(path);
  return status;
}

/// Maps an open ring whose identity was checked.
inline Result<OpenRing> map_ring(std::unique_ptr<LockFile> file, const RingIdentity& identity,
                                 const std::string& path) {
  auto mapping = Mapping::share(*file, identity.file_bytes, path);
  if (!mapping.ok()) return mapping.status();
  const RingView view((*mapping)->data(), identity);
  return OpenRing{std::move(file), std::move(mapping).value(), view};
}

/// What is to be done with a ring file found at start.
enum class FoundRing { kAttach, kSalvage, kBad, kRefuse };

/// The decision table. `status` is the outcome of read_identity, `found` its value if OK;
/// `in_doubt`: only another history knows which of its records are stored.
inline FoundRing judge_ring(const Status& status, const RingIdentity& found,
                            const RingIdentity& wanted, const BootId& boot, bool retired,
                            bool in_doubt) {
  switch (status.code()) {
    case Code::kOk: break;
    case Code::kCorrupt: return FoundRing::kBad;
    // Not a ring, or one of a later build: never touch what may be somebody's.
    default: return FoundRing::kRefuse;
  }
  const bool usable = of_boot(found, boot) && same_geometry(found, wanted) && !retired && !in_doubt;
  return usable ? FoundRing::kAttach : FoundRing::kSalvage;
}

/// The rings that were set aside beside `path` and wait to be read by RingSalvage, sorted.
inline std::vector<std::string> salvage_files(const std::string& path) {
  std::vector<std::string> found;
  const auto prefix = std::filesystem::path(path).filename().string() + ".";
  const std::string suffix = ".salvage";
  std::error_code error;
  std::filesystem::directory_iterator entries(ring_file_detail::parent_of(path), error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const auto name = entries->path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix)) found.push_back(entries->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Whether a file there would be gone after power loss, whatever is synced.
inline bool on_memory_file_system(const std::string& path) {
  struct ::statfs info {};
  if (::statfs(ring_file_detail::parent_of(path).c_str(), &info) != 0) return false;
  const auto type = static_cast<unsigned long>(info.f_type);
  return type == static_cast<unsigned long>(TMPFS_MAGIC) ||
         type == static_cast<unsigned long>(RAMFS_MAGIC);
}

/// Whether a ring can keep its promise there. Errors: kInvalidConfig for durability power in
/// memory, kNotFound or kPermission for a folder that cannot be looked at.
inline Status check_ring_place(const RingOptions& options, Durability durability) {
  const std::string folder = ring_file_detail::parent_of(options.path);
  struct ::stat info {};
  if (::stat(folder.c_str(), &info) != 0) return Status::from_errno("ring.path: " + folder);
  if (durability != Durability::kPower || !on_memory_file_system(options.path)) return Status();
  return Status(Code::kInvalidConfig,
                "store.durability is power, but ring.path " + options.path +
                    " is in memory and does not survive power loss; put the ring on a disk");
}

/// The mode that lets those of `access` submit.
constexpr mode_t ring_mode(FileAccess access) noexcept {
  return access == FileAccess::kOwner ? 0600 : access == FileAccess::kGroup ? 0660 : 0666;
}

}  // namespace phlower
