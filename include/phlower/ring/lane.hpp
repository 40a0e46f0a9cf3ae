// Taking and leaving a lane: who may write under which identity. The kernel's byte lock decides;
// what stands in the lane is a second opinion against locks that were lost while their holder
// lives.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <optional>

#include "phlower/ground/lock_file.hpp"
#include "phlower/ring/process.hpp"
#include "phlower/ring/view.hpp"

namespace phlower {

inline constexpr std::uint32_t kNoChunk = 0xFFFFFFFFu;

/// A lane that was held: its number and how often it had been taken by then.
struct LaneHold {
  std::uint32_t lane = 0;
  std::uint64_t holders = 0;
};

/// Whether a lane whose byte lock is free belongs to somebody who lives: his descriptor was closed
/// by somebody else's code, and he may be writing at this moment. Acquire pairs with the release of
/// enter_lane; the rest may be relaxed, stored as it was before the lock was given up.
inline bool holder_alive(const RingView& view, std::uint32_t lane, std::uint64_t my_namespace) {
  LaneWords& words = view.lane(lane);
  const std::uint64_t pid = std::atomic_ref(words.pid).load(std::memory_order_acquire);
  return pid != 0 && load_counter(words.pid_namespace) == my_namespace &&
         process_alive(pid, load_counter(words.start_time));
}

/// Writes the holder into a lane whose lock was just taken.
inline LaneHold enter_lane(const RingView& view, std::uint32_t lane, const ProcessIdentity& me) {
  LaneWords& words = view.lane(lane);
  store_counter(words.start_time, me.start_time);
  store_counter(words.pid_namespace, me.pid_namespace);
  // Last, and release: a pid never stands beside the start time of the holder before.
  std::atomic_ref(words.pid).store(me.pid, std::memory_order_release);
  bump_counter(words.holders);
  return {lane, load_counter(words.holders)};
}

/// Takes a free lane. `former` is a lane that this same producer lost: nobody else took it if its
/// holder is still this process and the count has not moved, and then the producer goes on in it.
/// Errors: kBusy (none is free), kUnsupported, kDetached.
inline Result<LaneHold> take_lane(LockFile& file, const RingView& view,
                                  const std::optional<LaneHold>& former) {
  const ProcessIdentity me = current_process();
  if (former && former->lane < view.lanes()) {
    LaneWords& words = view.lane(former->lane);
    if (file.try_lock(lane_lock(former->lane)).ok()) {
      if (load_counter(words.pid) == me.pid && load_counter(words.start_time) == me.start_time &&
          load_counter(words.holders) == former->holders) {
        return enter_lane(view, former->lane, me);
      }
      file.unlock(lane_lock(former->lane));
    }
  }
  const auto thread = static_cast<std::uint64_t>(::syscall(SYS_gettid));
  const std::uint64_t start = (me.pid * 2654435761u + thread) % view.lanes();
  for (std::uint32_t step = 0; step < view.lanes(); ++step) {
    const auto lane = static_cast<std::uint32_t>((start + step) % view.lanes());
    const Status locked = file.try_lock(lane_lock(lane));
    if (locked.code() == Code::kBusy) continue;
    if (!locked.ok()) return locked;
    if (!holder_alive(view, lane, me.pid_namespace)) return enter_lane(view, lane, me);
    file.unlock(lane_lock(lane));
  }
  return Status(Code::kBusy, "every lane of the ring is taken");
}

/// Finds the chunk that an earlier holder of the lane left open; kNoChunk if there is none. There
/// is at most one, unless a control word was damaged: what is found beyond the first is sealed.
inline std::uint32_t adopt_chunk(const RingView& view, std::uint32_t lane, std::uint64_t& word) {
  std::uint32_t adopted = kNoChunk;
  for (std::uint32_t chunk = 0; chunk < view.chunks(); ++chunk) {
    // Pairs with the earlier holder's swaps: what he committed is there.
    std::uint64_t found = view.ctl(chunk).load(std::memory_order_acquire);
    Ctl ctl = unpack(found);
    if (ctl.state != ChunkState::kOwned || ctl.lane != lane ||
        !plausible(ctl, view.lanes(), view.chunk_bytes())) {
      continue;
    }
    if (adopted == kNoChunk) {
      adopted = chunk;
      word = found;
      continue;
    }
    ctl.state = ChunkState::kFull;
    // T3; pairs with the consumer's acquire loads. A failure means it is not ours: nothing to do.
    view.ctl(chunk).compare_exchange_strong(found, pack(ctl), std::memory_order_seq_cst,
                                            std::memory_order_relaxed);
  }
  return adopted;
}

}  // namespace phlower
