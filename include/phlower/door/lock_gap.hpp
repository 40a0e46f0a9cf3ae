// Leaves a file's write lock free between two slices, for longer where somebody seems to wait.
#pragma once

#include <cstdint>
#include <optional>

#include "phlower/door/pace.hpp"
#include "phlower/schedule/neighbour.hpp"
#include "phlower/single/single_store.hpp"

namespace phlower {

/// Listens for the commits of others while it pauses. Not thread safe. Both outlive this. Blocks:
/// as long as the gap is, 105 ms at most beside what it is asked for.
class LockGap {
 public:
  LockGap(SingleStore& store, Pace& pace) : store_(store), pace_(pace) {}

  /// Somebody else holds the lock.
  void taken() { neighbour_.heard(now()); }

  /// Pauses for `time`, or until somebody who has missed such pauses has come, or surely would
  /// have.
  void leave(Nanoseconds time) {
    const MonoTime start = now();
    const Nanoseconds gap = neighbour_.gap(start);
    if (gap <= time) {
      pace_.pause(time);
      if (others_wrote()) neighbour_.heard(now());
      return;
    }
    bool heard = false;
    while (!heard && now() - start < gap && !pace_.over()) {
      pace_.pause(kListen);
      heard = others_wrote();
    }
    neighbour_.gave(now() - start);
    if (heard) neighbour_.heard(now());
  }

 private:
  static constexpr Nanoseconds kListen = Milliseconds(1);
  static constexpr std::uint32_t kSharePercent = 4;  // of the time, for gaps that are longer

  MonoTime now() { return pace_.clock().mono(); }

  // What is wrong where this cannot be known, the next slice tells.
  bool others_wrote() {
    const auto version = store_.data_version();
    if (!version.ok()) return false;
    const bool wrote = version_ && *version != *version_;
    version_ = *version;
    return wrote;
  }

  SingleStore& store_;
  Pace& pace_;
  SilentNeighbour neighbour_{kSharePercent};
  std::optional<std::int64_t> version_;  // of the data, when it was last asked for
};

}  // namespace phlower
