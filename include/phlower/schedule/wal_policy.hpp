// When a guest in a database file takes a checkpoint itself. Pure decisions on figures that were
// measured. An engine goes on writing past the bound, for records must not wait: a guest stops
// there.
#pragma once

#include <algorithm>
#include <cstdint>

namespace phlower {

enum class WalStep : std::uint8_t {
  kGoOn,        // the next slice may come
  kCheckpoint,  // take a PASSIVE checkpoint first
  kWait,        // somebody keeps the log from starting anew and there is no room for a slice
};

/// Keeps the log within `hard` bytes. While another process checkpoints (the log starts anew
/// without our doing) it is left alone for longer; past that bound it is taken for given up.
class WalPolicy {
 public:
  WalPolicy(std::uint64_t soft, std::uint64_t hard)
      : soft_(std::min(soft, hard / 4 * 3)), hard_(hard), limit_(soft_) {}

  /// `bytes`: size of the log after our commit.
  WalStep after_commit(std::uint64_t bytes) {
    if (bytes < last_) {
      other_resets_ = true;
      limit_ = std::max(soft_, hard_ / 4 * 3);
    } else {
      // The first slice into a log may follow commits of others; that says nothing of a slice.
      if (last_ > 0) growth_ = std::max(growth_, bytes - last_);
    }
    last_ = bytes;
    if (bytes >= limit_) {
      other_resets_ = false;
      return WalStep::kCheckpoint;
    }
    return room(bytes) ? WalStep::kGoOn : WalStep::kCheckpoint;
  }

  /// `reset`: the log starts anew. `bytes`: its size that the next commit appends to.
  WalStep after_checkpoint(bool reset, std::uint64_t bytes) {
    if (reset) {
      last_ = 0;
      limit_ = soft_;
      return WalStep::kGoOn;
    }
    last_ = bytes;
    // Somebody reads or writes: tried again only after some growth, for each try costs syncs.
    limit_ = bytes + (hard_ - soft_) / 4;
    return room(bytes) ? WalStep::kGoOn : WalStep::kWait;
  }

  bool other_resets() const { return other_resets_; }

 private:
  // Room for the largest slice seen and as much again, for the others who write.
  bool room(std::uint64_t bytes) const { return bytes + 2 * growth_ <= hard_; }

  std::uint64_t soft_;
  std::uint64_t hard_;
  std::uint64_t limit_;
  std::uint64_t last_ = 0;
  std::uint64_t growth_ = 1u << 20;
  bool other_resets_ = false;
};

}  // namespace phlower
