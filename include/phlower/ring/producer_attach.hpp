// Producer, the part that is not done for each record: attaching, leaving, and changing chunks.
#pragma once

#include "phlower/ring/producer.hpp"

namespace phlower {

inline Status Producer::attach_now() {
  auto opened = LockFile::open(path_, O_RDWR);
  if (!opened.ok()) return opened.status();
  const auto identity = read_identity(**opened, path_);
  if (!identity.ok()) return identity.status();
  const auto boot = current_boot_id();
  if (!boot.ok()) return boot.status();
  if (!of_boot(*identity, *boot)) {
    return Status(Code::kNotFound, "the ring " + path_ + " is of an earlier boot; its engine has " +
                                       "not replaced it yet");
  }
  auto ring = map_ring(std::move(opened).value(), *identity, path_);
  if (!ring.ok()) return ring.status();
  std::optional<LaneHold> former;
  if (lost_ && identity->ring_id == view_.identity().ring_id) former = hold_;
  const auto taken = take_lane(*ring->file, ring->view, former);
  if (!taken.ok()) return taken.status().with_context(path_);
  // After the lock, and seq_cst: whoever set `retired` and then found this lane's lock free knows
  // that we see it here. Pairs with the pwrite in takeover.hpp.
  if (std::atomic_ref(ring->view.header().retired).load(std::memory_order_seq_cst) != 0) {
    store_counter(ring->view.lane(taken->lane).pid, 0);
    return Status(Code::kNotFound, "the ring " + path_ + " is being replaced");
  }
  file_ = std::move(ring->file);
  mapping_ = std::move(ring->mapping);
  view_ = ring->view;
  hold_ = *taken;
  lost_ = false;
  sequence_ = load_counter(view_.lane(hold_.lane).sequence);
  failed_epoch_.reset();
  above_epoch_.reset();
  shedding_ = false;
  std::uint64_t word = 0;
  const std::uint32_t adopted = adopt_chunk(view_, hold_.lane, word);
  chunk_ = kNoChunk;
  if (adopted != kNoChunk) use_chunk(adopted, word);
  return Status();
}

inline void Producer::leave() {
  if (file_ == nullptr) return;
  if (lost_ || !file_->intact()) {
    lost_ = true;
  } else {
    store_counter(view_.lane(hold_.lane).pid, 0);
  }
  file_.reset();
  chunk_ = kNoChunk;
}

/// Attached, or attached again just now.
inline bool Producer::ready() {
  if (file_ != nullptr) {
    // Relaxed is enough: seen late, it costs records that the salvage of the old file finds.
    const bool retired =
        std::atomic_ref(view_.header().retired).load(std::memory_order_relaxed) != 0;
    if (!retired && !file_->lost()) [[likely]]
      return true;
    leave();
    attach_again_ = MonoTime{};
  }
  const MonoTime now = clock_.mono();
  if (now < attach_again_) return false;
  attach_again_ = now + kAttachAgain;
  try {
    return attach_now().ok();
  } catch (const std::exception&) {
    return false;  // no memory for a path or a mapping: the next try is as good as any
  }
}

/// Whether the descriptor is still ours and the path still names this file. System calls: for a
/// claim, not for each record.
inline bool Producer::still_there() const { return file_->intact() && file_->is_at(path_); }

inline void Producer::count_unattached() {
  // Relaxed is enough: a counter that nothing depends on. An addition, because many may do it.
  std::atomic_ref(view_.header().unattached).fetch_add(1, std::memory_order_relaxed);
}

/// Seals the chunk in use (e) and claims another (f), in this order: a lane never owns two.
inline Status Producer::next_chunk() {
  if (chunk_ != kNoChunk) {
    Ctl ctl = unpack(word_);
    ctl.state = ChunkState::kFull;
    std::uint64_t expected = word_;
    // T3; pairs with the consumer's acquire loads. It fails only if somebody took the lane.
    const bool sealed = view_.ctl(chunk_).compare_exchange_strong(
        expected, pack(ctl), std::memory_order_seq_cst, std::memory_order_relaxed);
    chunk_ = kNoChunk;
    if (!sealed) return lose_lane();
  }
  // Acquire pairs with the consumer's fetch_add after freeing. Read before the scan: a chunk freed
  // after the scan passed it moves the epoch on, and the next call scans again.
  const std::uint64_t epoch =
      std::atomic_ref(view_.header().free_epoch).load(std::memory_order_acquire);
  const bool known_full = failed_epoch_ == epoch;
  if (known_full && (++refusals_ & 1023u) != 0) return Status(Code::kRefused);
  if (!still_there()) return lose_lane();
  if (claim_chunk()) {
    failed_epoch_.reset();
    return Status();
  }
  failed_epoch_ = epoch;
  shedding_ = true;
  return Status(Code::kRefused);
}

/// Takes the lowest free chunk, so that few pages are touched, and looks on until it has seen
/// enough free ones to know that the ring is below its high-water mark.
inline bool Producer::claim_chunk() {
  const std::uint64_t chunks = view_.chunks();
  const std::uint64_t enough = free_below_mark();
  std::uint64_t free = 0;
  bool claimed = false;
  for (std::uint32_t chunk = 0; chunk < chunks && !(claimed && free >= enough); ++chunk) {
    // Acquire pairs with T1 of others: the consumer relies on it that who holds a chunk saw all
    // lower ones taken (RingConsumer::in_scope).
    std::uint64_t word = view_.ctl(chunk).load(std::memory_order_acquire);
    const Ctl found = unpack(word);
    if (found.state != ChunkState::kFree) continue;
    if (claimed) {
      ++free;
      continue;
    }
    const std::uint64_t mine = pack({ChunkState::kOwned, hold_.lane, found.generation, 0});
    // T1; pairs with T4 and T5: the consumer's last read of the old use is before our first write.
    claimed = view_.ctl(chunk).compare_exchange_strong(word, mine, std::memory_order_seq_cst,
                                                       std::memory_order_relaxed);
    if (claimed) use_chunk(chunk, mine);
  }
  shedding_ = free < enough;
  return claimed;
}

/// Whether a record of somebody who can wait may go in now. Where the engine has nothing to free,
/// all chunks in use being producers', waiting would be for ever: then it may, above the mark too.
inline bool Producer::takes_whole(const RecordView& record) {
  const bool room = has_room(record_span(encoded_bytes(fit(record))));
  if (room && !shedding_) [[likely]]
    return true;
  // As in next_chunk: a chunk freed later moves the epoch on, and the next call counts again.
  const std::uint64_t epoch =
      std::atomic_ref(view_.header().free_epoch).load(std::memory_order_acquire);
  if (above_epoch_ == epoch && (++refusals_ & 1023u) != 0) return false;
  if (!still_there()) {
    static_cast<void>(lose_lane());  // no attempt yet, so none is torn; the next call attaches
    return false;
  }
  std::uint64_t free = 0;
  std::uint64_t full = 0;
  for (std::uint32_t chunk = 0; chunk < view_.chunks(); ++chunk) {
    // Relaxed is enough: a number to decide by; the claim looks for itself.
    const ChunkState state = unpack(view_.ctl(chunk).load(std::memory_order_relaxed)).state;
    free += state == ChunkState::kFree ? 1 : 0;
    full += state == ChunkState::kFull ? 1 : 0;
  }
  shedding_ = free < free_below_mark() + (room ? 0 : 1);
  const bool waits = shedding_ && full > 0;
  above_epoch_ = waits ? std::optional(epoch) : std::nullopt;
  return !waits;
}

inline void Producer::use_chunk(std::uint32_t chunk, std::uint64_t word) {
  const Ctl ctl = unpack(word);
  chunk_ = chunk;
  word_ = word;
  used_bytes_ = std::uint64_t{ctl.used} * 8;
  generation_ = ctl.generation;
  seed_ = record_seed(view_.identity().ring_id, chunk, ctl.generation);
}

}  // namespace phlower
