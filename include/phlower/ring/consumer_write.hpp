// RingConsumer, the part that changes the ring: start, commit and rollback, freeing and repair.
#pragma once

#include "phlower/ring/consumer.hpp"

namespace phlower {

inline Result<std::unique_ptr<RingConsumer>> RingConsumer::open(const RingOptions& options,
                                                                Durability durability, Clock& clock,
                                                                const RingHome& home) {
  try {
    auto ring = take_over_ring(options, durability, home, clock);
    if (!ring.ok()) return ring.status();
    const RingOwner owner = read_owner(*ring->file);
    const auto stored = claim_ring(ring->view, owner, home);
    if (!stored.ok()) return stored.status();
    std::unique_ptr<RingConsumer> consumer(new RingConsumer(std::move(ring).value(), clock));
    consumer->set_aside_ = salvage_files(options.path);
    consumer->path_ = options.path;
    if (!home.owns(owner.history)) consumer->taken_from_ = owner.path;
    consumer->start_from(*stored);
    return consumer;
  } catch (const std::exception& error) {
    return Status(Code::kInternal, "open the ring " + options.path + ": " + error.what());
  }
}

inline RingConsumer::~RingConsumer() {
  if (!file_->lost()) store_counter(view_.header().consumer_pid, 0);
}

/// Takes the stored positions for true, and the ring where it does not contradict them.
inline void RingConsumer::start_from(const RingPositions& stored) {
  std::vector<ChunkPosition> positions(view_.chunks());
  for (const ChunkPosition& position : stored.chunks) {
    if (position.chunk < view_.chunks()) positions[position.chunk] = position;
  }
  for (const LanePosition& lane : stored.lanes) {
    if (lane.lane < view_.lanes()) lanes_[lane.lane] = {lane.delivered, lane.last_sequence};
  }
  std::vector<Lane> said(view_.lanes());
  for (std::uint32_t index = 0; index < view_.lanes(); ++index) {
    said[index] = {load_counter(view_.lane(index).delivered),
                   load_counter(view_.lane(index).last_sequence)};
  }
  for (std::uint32_t index = 0; index < view_.chunks(); ++index) {
    // Acquire pairs with T1 to T3 of producers and with T4 and T5 of an earlier consumer.
    const std::uint64_t word = view_.ctl(index).load(std::memory_order_acquire);
    const Ctl ctl = unpack(word);
    Chunk& chunk = chunks_[index];
    chunk.generation = ctl.generation;
    const ChunkPosition& position = positions[index];
    const bool same_use = position.generation == ctl.generation;
    if (same_use && ctl.state != ChunkState::kFree) chunk.stored = chunk.read = position.used;
    if (ctl.state != ChunkState::kFree) highest_ = index;
    // A stored use at or after a free word's, too: its next use would be taken for stored.
    const bool behind = position.generation > ctl.generation ||
                        (same_use && ctl.state == ChunkState::kFree && position.used > 0);
    if (behind || !fits(index, ctl)) {
      chunk.stored = chunk.read = chunk.seen = 0;
      repair(index, word, std::max(ctl.generation, position.generation));
    }
  }
  count_again(said);
  for (std::uint32_t index = 0; index < view_.lanes(); ++index) {
    store_counter(view_.lane(index).delivered, lanes_[index].delivered);
    store_counter(view_.lane(index).last_sequence, lanes_[index].last_sequence);
  }
  // Release: behind the words of the lanes, which are true now.
  std::atomic_ref(view_.header().unsettled).store(0, std::memory_order_release);
  store_counter(view_.header().consumer_pid, current_process().pid);
  // The consumer before us may have freed chunks and died before it said so.
  freed_ = true;
  announce_freed();
}

/// A store that was set back (a backup, a copy of the folder) gets again what is still here. That
/// must not count twice, and what is here no more was delivered all the same. `said`: the lanes of
/// the ring, which were written behind each commit and so are never ahead of a store that was not.
inline void RingConsumer::count_again(const std::vector<Lane>& said) {
  bool set_back = false;
  for (std::uint32_t lane = 0; lane < view_.lanes(); ++lane) {
    set_back = set_back || lanes_[lane].delivered < said[lane].delivered;
  }
  if (!set_back) return;
  std::vector<std::uint64_t> again(view_.lanes());
  std::vector<std::uint64_t> first(view_.lanes(), ~std::uint64_t{0});
  for (std::uint32_t chunk = 0; chunk < view_.chunks(); ++chunk) {
    // Acquire pairs with T2: the records below `used` are whole.
    const Ctl ctl = unpack(view_.ctl(chunk).load(std::memory_order_acquire));
    if (ctl.state == ChunkState::kFree || !fits(chunk, ctl)) continue;
    const std::uint64_t end = std::uint64_t{ctl.used} * 8;
    for (std::uint64_t at = std::uint64_t{chunks_[chunk].read} * 8;
         at + kRecordHeaderBytes < end;) {
      const RecordHeader header = peek_header(view_.chunk(chunk), at);
      if (header.length == 0 || header.length > end - at || header.lane >= view_.lanes()) break;
      if (header.sequence <= said[header.lane].last_sequence) {
        ++again[header.lane];
        first[header.lane] = std::min(first[header.lane], header.sequence);
      }
      at += record_span(header.length);
    }
  }
  for (std::uint32_t lane = 0; lane < view_.lanes(); ++lane) {
    if (lanes_[lane].delivered >= said[lane].delivered) continue;
    lanes_[lane].delivered = said[lane].delivered - std::min(said[lane].delivered, again[lane]);
    lanes_[lane].last_sequence = again[lane] > 0 ? first[lane] - 1 : said[lane].last_sequence;
  }
}

/// Frees a chunk whose control word cannot be true. If it has an owner after all, his next swap
/// fails and he takes another lane.
inline void RingConsumer::repair(std::uint32_t chunk, std::uint64_t word, std::uint64_t after) {
  const std::uint64_t free = free_word_after(after);
  // Pairs with T1, as T4 does. Fails if a producer was faster: then the next scan judges again.
  if (!view_.ctl(chunk).compare_exchange_strong(word, free, std::memory_order_seq_cst,
                                                std::memory_order_relaxed)) {
    return;
  }
  bump_counter(view_.header().repaired_words);
  chunks_[chunk].generation = unpack(free).generation;
  chunks_[chunk].stored = chunks_[chunk].read = chunks_[chunk].seen = 0;
  freed_ = true;
}

/// T4: a full chunk of which all is stored. True: it was freed.
inline bool RingConsumer::free_if_stored(std::uint32_t chunk, std::uint64_t word) {
  const Ctl ctl = unpack(word);
  Chunk& known = chunks_[chunk];
  if (ctl.state != ChunkState::kFull || ctl.used != known.stored || ctl.used != known.read) {
    return false;
  }
  // Pairs with T1: whoever claims the chunk writes after our last read of it.
  if (!view_.ctl(chunk).compare_exchange_strong(word, free_word_after(ctl.generation),
                                                std::memory_order_seq_cst,
                                                std::memory_order_relaxed)) {
    return false;
  }
  known.generation = unpack(free_word_after(ctl.generation)).generation;
  known.stored = known.read = known.seen = 0;
  freed_ = true;
  return true;
}

/// Tells producers that found the ring full to look again.
inline void RingConsumer::announce_freed() {
  if (!freed_) return;
  freed_ = false;
  // Release pairs with the acquire load before Producer::claim_chunk: it sees the freed chunks.
  std::atomic_ref(view_.header().free_epoch).fetch_add(1, std::memory_order_release);
}

inline void RingConsumer::add(const Tally& tally) {
  RingHeader& header = view_.header();
  if (tally.corrupt_records != 0) bump_counter(header.corrupt_records, tally.corrupt_records);
  if (tally.corrupt_bytes != 0) bump_counter(header.corrupt_bytes, tally.corrupt_bytes);
  if (tally.shed != 0) bump_counter(header.shed, tally.shed);
  if (tally.cut != 0) bump_counter(header.cut, tally.cut);
}

inline const RingPositions& RingConsumer::pending() {
  // Before the COMMIT; release is enough, the process that may be killed in it is this one.
  std::atomic_ref(view_.header().unsettled).store(1, std::memory_order_release);
  pending_.ring = id();
  pending_.chunks.clear();
  pending_.lanes.clear();
  for (const std::uint32_t chunk : touched_chunks_) {
    pending_.chunks.push_back({chunk, chunks_[chunk].generation, chunks_[chunk].read});
  }
  for (const LaneChange& change : touched_lanes_) {
    const Lane& lane = lanes_[change.lane];
    pending_.lanes.push_back({change.lane, lane.delivered, lane.last_sequence});
  }
  return pending_;
}

inline void RingConsumer::commit() {
  if (file_->lost()) return;
  for (const LaneChange& change : touched_lanes_) {
    store_counter(view_.lane(change.lane).delivered, lanes_[change.lane].delivered);
    store_counter(view_.lane(change.lane).last_sequence, lanes_[change.lane].last_sequence);
    lane_touched_[change.lane] = false;
  }
  touched_lanes_.clear();
  // Release: behind the words of the lanes. Not in `rollback`: a COMMIT that failed may have
  // happened on the disk.
  std::atomic_ref(view_.header().unsettled).store(0, std::memory_order_release);
  add(std::exchange(tally_, {}));
  for (const std::uint32_t index : touched_chunks_) {
    Chunk& chunk = chunks_[index];
    chunk.touched = false;
    chunk.stored = chunk.read;
    // Acquire pairs with T3: the owner may have sealed it since it was read.
    const std::uint64_t word = view_.ctl(index).load(std::memory_order_acquire);
    if (fits(index, unpack(word))) free_if_stored(index, word);
  }
  touched_chunks_.clear();
  given_ = 0;
  arena_.reset();
  announce_freed();
}

inline void RingConsumer::rollback() {
  for (const LaneChange& change : touched_lanes_) {
    lanes_[change.lane] = change.before;
    lane_touched_[change.lane] = false;
  }
  touched_lanes_.clear();
  tally_ = {};
  for (const std::uint32_t index : touched_chunks_) {
    chunks_[index].touched = false;
    chunks_[index].read = chunks_[index].stored;
  }
  touched_chunks_.clear();
  given_ = 0;
  arena_.reset();
  scan();
}

inline void RingConsumer::reap() {
  if (file_->lost()) return;
  store_counter(view_.header().consumer_beat_ns,
                static_cast<std::uint64_t>(clock_.mono().time_since_epoch().count()));
  replaced_ = !file_->is_at(path_);
  const std::uint64_t my_namespace = current_process().pid_namespace;
  for (std::uint32_t index = 0; index < view_.chunks(); ++index) {
    // Acquire pairs with T2: `used` counts for what is stored.
    std::uint64_t word = view_.ctl(index).load(std::memory_order_acquire);
    if (!in_scope(index, word)) break;
    const Ctl ctl = unpack(word);
    Chunk& chunk = chunks_[index];
    const bool candidate = fits(index, ctl) && ctl.state == ChunkState::kOwned &&
                           ctl.used == chunk.stored && ctl.used == chunk.read;
    const bool idle = candidate && std::exchange(chunk.reap_word, word) == word;
    if (!idle || !file_->try_lock(lane_lock(ctl.lane)).ok()) continue;
    if (!holder_alive(view_, ctl.lane, my_namespace) &&
        // T5, under the lane's lock: nobody can take the lane up meanwhile. Pairs with T1.
        view_.ctl(index).compare_exchange_strong(word, free_word_after(ctl.generation),
                                                 std::memory_order_seq_cst,
                                                 std::memory_order_relaxed)) {
      chunk.generation = unpack(free_word_after(ctl.generation)).generation;
      chunk.stored = chunk.read = chunk.seen = 0;
      freed_ = true;
    }
    file_->unlock(lane_lock(ctl.lane));
  }
  announce_freed();
}

}  // namespace phlower
