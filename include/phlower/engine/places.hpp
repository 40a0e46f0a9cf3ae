// Whether the ring and the database stand where their promise can be kept.
#pragma once

#include <linux/magic.h>
#include <sys/vfs.h>

#include <filesystem>
#include <string>

#include "phlower/config/options.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Errors: kInvalidConfig when `durability: power` is asked of a ring in memory, kNotFound when the
/// folder of the ring does not exist.
inline Status check_places(const Options& options) {
  const std::filesystem::path ring(options.ring.path);
  const std::string folder = ring.has_parent_path() ? ring.parent_path().string() : ".";
  struct statfs info {};
  if (::statfs(folder.c_str(), &info) != 0) return Status::from_errno("ring.path: " + folder);
  if (options.store.durability != Durability::kPower) return Status();
  if (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC) {
    return Status(Code::kInvalidConfig,
                  "store.durability is power, but ring.path " + options.ring.path +
                      " is in memory and does not survive power loss; put the ring on a disk");
  }
  return Status();
}

}  // namespace phlower
