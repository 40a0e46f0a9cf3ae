// How the one consumer gets its ring: take the lock, judge the file, and replace it where needed.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "phlower/ground/clock.hpp"
#include "phlower/ring/owner.hpp"
#include "phlower/ring/ring_file.hpp"

namespace phlower {
namespace takeover_detail {

/// A word of the header of a file that may be damaged, so not by mapping.
template <class T>
T read_word(const LockFile& file, std::size_t offset) {
  T value{};
  if (::pread(file.fd(), &value, sizeof(value), static_cast<off_t>(offset)) != sizeof(value)) {
    return T{};
  }
  return value;
}

inline Status busy(const LockFile& file, const std::string& path) {
  // The kernel does not say who holds such a lock; the holder wrote its pid into the header.
  const auto pid = read_word<std::uint64_t>(file, offsetof(RingHeader, consumer_pid));
  return Status(Code::kBusy, "the ring " + path + " has a consumer already, process " +
                                 std::to_string(pid) + " by its header");
}

/// Tells producers that still write to this file to go to the one at its path. `retired` stands at
/// the same place in every version of the format.
inline Status retire(const LockFile& file, const std::string& path) {
  const std::uint32_t one = 1;
  const auto at = static_cast<off_t>(offsetof(RingHeader, retired));
  if (::pwrite(file.fd(), &one, sizeof(one), at) == sizeof(one)) return Status();
  return Status::from_errno("retire " + path);
}

/// For a ring that was made with other options. Who may not change it goes on with it as it is.
inline void set_access(const LockFile& file, FileAccess access) {
  struct ::stat info {};
  const mode_t mode = ring_mode(access);
  if (::fstat(file.fd(), &info) != 0 || (info.st_mode & 0777) == mode) return;
  static_cast<void>(::fchmod(file.fd(), mode));
}

/// Puts a new ring in the place of `old` (may be nullptr: no file there). The new one is whole
/// before the old one moves: without room nothing has changed.
inline Result<OpenRing> replace(const RingOptions& options, const RingIdentity& wanted,
                                const BootId& boot, WallTime now, LockFile* old,
                                const std::string& aside) {
  const std::string& path = options.path;
  auto prepared = prepare_ring(path, wanted, boot, ring_mode(options.access), now);
  if (!prepared.ok()) return prepared.status();
  if (old != nullptr) {
    Status moved = retire(*old, path);
    if (moved.ok() && ::rename(path.c_str(), aside.c_str()) != 0) {
      moved = Status::from_errno("rename " + path + " to " + aside);
    }
    if (!moved.ok()) {
      ::unlink((path + ".new").c_str());
      return moved;
    }
  }
  const Status published = publish_ring(path);
  if (!published.ok()) return published;
  const auto identity = read_identity(**prepared, path);
  if (!identity.ok()) return identity.status();
  return map_ring(std::move(prepared).value(), *identity, path);
}

/// One try: nothing in the Result means "the file changed under us, try again".
inline Result<std::unique_ptr<OpenRing>> attempt(const RingOptions& options,
                                                 const RingIdentity& wanted, const BootId& boot,
                                                 const RingHome& home, Clock& clock) {
  const std::string& path = options.path;
  const auto wrap = [](Result<OpenRing> ring) -> Result<std::unique_ptr<OpenRing>> {
    if (!ring.ok()) return ring.status();
    return std::make_unique<OpenRing>(std::move(ring).value());
  };
  auto opened = LockFile::open(path, O_RDWR);
  if (opened.status().code() == Code::kNotFound) {
    return wrap(replace(options, wanted, boot, clock.wall(), nullptr, ""));
  }
  if (!opened.ok()) return opened.status();
  LockFile& file = **opened;
  const auto identity = read_identity(file, path);
  const RingIdentity found = identity.ok() ? *identity : RingIdentity{};
  const auto judge = [&](bool retired, bool in_doubt) {
    return judge_ring(identity.status(), found, wanted, boot, retired, in_doubt);
  };
  if (judge(false, false) == FoundRing::kRefuse) return identity.status();
  if (const Status locked = file.try_lock(kLockConsumer); !locked.ok()) {
    return locked.code() == Code::kBusy ? busy(file, path) : locked.with_context(path);
  }
  if (!file.is_at(path)) return std::unique_ptr<OpenRing>();
  // With the lock: what the consumer before us did last.
  const bool retired = read_word<std::uint32_t>(file, offsetof(RingHeader, retired)) != 0;
  const RingOwner owner = read_owner(file);
  const bool anothers = !home.owns(owner.history);
  const auto verdict = judge(retired, anothers && owner.unsettled);
  if (verdict == FoundRing::kAttach) {
    set_access(file, options.access);
    return wrap(map_ring(std::move(opened).value(), found, path));
  }
  // Of another size, or retired: what waits there goes to whoever takes the ring over. In doubt, or
  // after a reboot, it waits for its history.
  if (verdict == FoundRing::kSalvage && anothers && !owner.unsettled && of_boot(found, boot)) {
    const auto mapping = Mapping::map(file, found.file_bytes, path, Mapping::Access::kReadWrite);
    if (!mapping.ok()) return mapping.status();
    const auto claimed = claim_ring(RingView((*mapping)->data(), found), owner, home);
    if (!claimed.ok()) return claimed.status();
  }
  const std::string aside =
      verdict == FoundRing::kBad ? path + ".bad" : path + "." + to_hex(found.ring_id) + ".salvage";
  return wrap(replace(options, wanted, boot, clock.wall(), &file, aside));
}

}  // namespace takeover_detail

/// Opens or makes the ring at options.path for its consumer and takes the consumer's lock. A file
/// of another boot or geometry becomes <path>.<ring id>.salvage, a damaged one <path>.bad (the last
/// one is kept). One in which another history was killed in the middle of a commit is set aside,
/// too, and waits for that history. Errors: kBusy (names path and pid), kNotOurs and kVersion (that
/// file is left alone), kDiskFull, kInvalidArgument, kPermission, kIo, kUnsupported.
inline Result<OpenRing> take_over_ring(const RingOptions& options, Durability durability,
                                       const RingHome& home, Clock& clock) {
  const auto wanted = wanted_identity(options, durability);
  if (!wanted.ok()) return wanted.status();
  if (Status place = check_ring_place(options, durability); !place.ok()) return place;
  const auto boot = current_boot_id();
  if (!boot.ok()) return boot.status();
  for (int tries = 0; tries < 8; ++tries) {
    auto ring = takeover_detail::attempt(options, *wanted, *boot, home, clock);
    if (!ring.ok()) return ring.status();
    if (*ring != nullptr) return std::move(**ring);
  }
  return Status(Code::kBusy, "the ring " + options.path + " is being replaced again and again");
}

}  // namespace phlower
