// RingConsumer, the part that looks: scans, the list of work, and one record after the other.
#pragma once

#include "phlower/ring/consumer.hpp"

namespace phlower {

/// Whether a control word can be true, given what the consumer knows of the chunk.
inline bool RingConsumer::fits(std::uint32_t chunk, const Ctl& ctl) const {
  return plausible(ctl, view_.lanes(), view_.chunk_bytes()) &&
         ctl.generation == chunks_[chunk].generation &&
         (ctl.state == ChunkState::kFree || ctl.used >= chunks_[chunk].read);
}

/// Whether a scan goes on at this chunk. Chunks are claimed lowest first and freed by the consumer
/// alone: above the highest one ever seen in use, the first free one ends what can be in use,
/// because whoever claimed a higher one saw this one taken (acquire in Producer::claim_chunk).
inline bool RingConsumer::in_scope(std::uint32_t chunk, std::uint64_t word) const {
  return chunk <= highest_ || unpack(word).state != ChunkState::kFree;
}

inline void RingConsumer::collect(std::vector<ScanEntry>& into) {
  into.clear();
  in_use_ = 0;
  const auto now = static_cast<std::uint64_t>(clock_.mono().time_since_epoch().count());
  for (std::uint32_t chunk = 0; chunk < view_.chunks(); ++chunk) {
    // Acquire pairs with T1, T2 and T3: the records below `used` are whole, and the chunks that
    // the lane sealed earlier will be seen sealed.
    const std::uint64_t word = view_.ctl(chunk).load(std::memory_order_acquire);
    if (!in_scope(chunk, word)) break;
    highest_ = std::max(highest_, chunk);
    const Ctl ctl = unpack(word);
    const Chunk& known = chunks_[chunk];
    if (!fits(chunk, ctl)) {
      // With records given out but not stored the chunk must wait: they could be rolled back.
      if (known.read == known.stored) repair(chunk, word, known.generation);
      continue;
    }
    if (ctl.state == ChunkState::kFree || free_if_stored(chunk, word)) continue;
    ++in_use_;
    if (ctl.used == known.read) continue;
    ScanEntry entry{ctl.lane, chunk, 0, 0, ctl.generation};
    const std::uint64_t at = std::uint64_t{known.read} * 8;
    const std::uint64_t peeked = kRecordHeaderBytes + kCodecSubmittedAt + 8;
    if (at + peeked <= std::uint64_t{ctl.used} * 8) {
      entry.sequence = peek_header(view_.chunk(chunk), at).sequence;
      std::memcpy(&entry.submitted_ns, view_.chunk(chunk) + at + peeked - 8, 8);
      // Damaged: it must not wait behind everything that is still to come.
      if (entry.submitted_ns > now) entry.submitted_ns = 0;
    }
    into.push_back(entry);
  }
}

inline void RingConsumer::scan() {
  if (file_->lost()) return;
  if (given_ == 0 && !touched_chunks_.empty()) commit();  // damaged bytes only: nothing to store
  collect(first_scan_);
  collect(worklist_);
  announce_freed();
  oldest_ns_ = 0;
  for (const ScanEntry& entry : worklist_) {
    if (entry.submitted_ns == 0) continue;
    oldest_ns_ = oldest_ns_ == 0 ? entry.submitted_ns : std::min(oldest_ns_, entry.submitted_ns);
  }
  apply_two_scan_rule(first_scan_, worklist_, limits_);
  cursor_ = 0;
}

inline bool RingConsumer::next(RingRecord& out) {
  if (file_->lost()) return false;
  for (; cursor_ < worklist_.size(); ++cursor_) {
    if (take(worklist_[cursor_], out)) return true;
  }
  return false;
}

inline ChunkUse RingConsumer::use_of(std::uint32_t chunk) {
  const std::uint64_t generation = chunks_[chunk].generation;
  if (const auto use = std::make_pair(chunk, generation); seed_of_ != use) {
    seed_ = record_seed(id(), chunk, generation);
    seed_of_ = use;
  }
  return {view_.chunk(chunk), generation, seed_};
}

/// Marks bytes of a chunk as read.
inline void RingConsumer::advance(std::uint32_t chunk, std::uint64_t to_bytes) {
  Chunk& known = chunks_[chunk];
  known.read = static_cast<std::uint32_t>(to_bytes / 8);
  if (known.touched) return;
  known.touched = true;
  touched_chunks_.push_back(chunk);
}

/// The next good record of one chunk. False: the chunk has no more.
inline bool RingConsumer::take(const ScanEntry& entry, RingRecord& out) {
  Chunk& known = chunks_[entry.chunk];
  if (known.generation != entry.generation) return false;  // freed since the scan
  if (known.seen <= known.read) {
    // Looked at only when all that was seen is read: each look takes the line from its owner.
    // Acquire pairs with T2: the owner may have gone on since the scan, and all of it is whole.
    const Ctl ctl = unpack(view_.ctl(entry.chunk).load(std::memory_order_acquire));
    if (!fits(entry.chunk, ctl) || ctl.state == ChunkState::kFree) return false;
    known.seen = ctl.used;
  }
  const ChunkUse use = use_of(entry.chunk);
  const std::uint64_t end = std::uint64_t{known.seen} * 8;
  std::uint64_t at = std::uint64_t{known.read} * 8;
  while (at < end) {
    RawRecord raw;
    if (!read_record(use, at, end, arena_, raw)) {
      const std::uint64_t good = find_record(use, at, end, arena_);
      ++tally_.corrupt_records;
      tally_.corrupt_bytes += good - at;
      advance(entry.chunk, good);
      at = good;
      continue;
    }
    const std::uint64_t after = at + record_span(raw.header.length);
    advance(entry.chunk, after);
    auto decoded = decode_record(raw.payload);
    if (raw.header.type != kRecordInvocation || raw.header.lane >= view_.lanes() || !decoded.ok()) {
      ++tally_.corrupt_records;
      tally_.corrupt_bytes += after - at;
      at = after;
      continue;
    }
    const std::uint32_t lane = raw.header.lane;  // under the checksum, as the control word is not
    Lane& totals = lanes_[lane];
    if (!lane_touched_[lane]) {
      lane_touched_[lane] = true;
      touched_lanes_.push_back({lane, totals});
    }
    ++totals.delivered;
    totals.last_sequence = std::max(totals.last_sequence, raw.header.sequence);
    if ((decoded->record.flags & kDetailsShed) != 0) ++tally_.shed;
    if ((decoded->record.flags & kDetailsCut) != 0) ++tally_.cut;
    ++given_;
    out = {decoded->record, decoded->submitted_ns, lane, raw.header.sequence};
    return true;
  }
  return false;
}

inline bool RingConsumer::has_unread() const {
  if (file_->lost()) return false;
  for (std::uint32_t chunk = 0; chunk < view_.chunks(); ++chunk) {
    // seq_cst, see `wait`; acquire is part of it.
    const std::uint64_t word = view_.ctl(chunk).load(std::memory_order_seq_cst);
    if (!in_scope(chunk, word)) return false;
    const Ctl ctl = unpack(word);
    const Chunk& known = chunks_[chunk];
    if (!fits(chunk, ctl)) {
      if (known.read == known.stored) return true;
    } else if (ctl.state != ChunkState::kFree && ctl.used > known.read) {
      return true;
    }
  }
  return false;
}

inline bool RingConsumer::wait(Nanoseconds at_most) {
  std::uint32_t& word = view_.header().sleeping;
  std::atomic_ref<std::uint32_t> sleeping(word);
  for (Nanoseconds left = at_most; !file_->lost(); left -= kFutexWaitCap) {
    // Against "commit, then look at sleeping" of Producer::write: all four are seq_cst, so either
    // the producer sees 1 and wakes us, or has_unread sees its record.
    sleeping.exchange(1, std::memory_order_seq_cst);
    const bool unread = has_unread();
    if (!unread && left > Nanoseconds(0)) futex_wait(&word, 1, left);
    // Relaxed is enough: a producer that still sees 1 makes one wake-up too many.
    sleeping.store(0, std::memory_order_relaxed);
    if (unread || has_unread()) return true;
    if (left <= kFutexWaitCap) return false;
  }
  return false;
}

inline RingStats RingConsumer::stats() const {
  return collect_stats(view_, [&](std::uint32_t chunk, const Ctl& ctl) -> std::uint64_t {
    if (!plausible(ctl, view_.lanes(), view_.chunk_bytes())) return 0;
    const Chunk& known = chunks_[chunk];
    if (ctl.generation != known.generation) return 0;
    // A full ring is a hundred thousand records: only chunks that changed are walked over again.
    Counted& counted = counted_[chunk];
    if (counted.generation != ctl.generation || counted.stored != known.stored ||
        counted.used != ctl.used) {
      counted = {ctl.generation, known.stored, ctl.used,
                 count_records(view_.chunk(chunk), std::uint64_t{known.stored} * 8,
                               std::uint64_t{ctl.used} * 8, 0)};
    }
    return counted.records;
  });
}

}  // namespace phlower
