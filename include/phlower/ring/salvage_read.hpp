// RingSalvage, how it goes through a file: chunk by chunk, each indexed by checksum, then given out
// in the order in which the chunk was used.
#pragma once

#include "phlower/ring/salvage.hpp"

namespace phlower {

inline RingSalvage::RingSalvage(OpenRing ring, std::string path, bool same_boot,
                                const RingPositions& stored)
    : file_(std::move(ring.file)),
      mapping_(std::move(ring.mapping)),
      view_(ring.view),
      path_(std::move(path)),
      same_boot_(same_boot),
      chunks_(view_.chunks()),
      lanes_(view_.lanes()) {
  for (const ChunkPosition& position : stored.chunks) {
    if (position.chunk >= view_.chunks()) continue;
    const Place place{position.generation, std::uint64_t{position.used} * 8};
    chunks_[position.chunk].stored = chunks_[position.chunk].read = place;
  }
  for (const LanePosition& lane : stored.lanes) {
    if (lane.lane < view_.lanes()) lanes_[lane.lane] = {lane.delivered, lane.last_sequence};
  }
  lanes_before_ = lanes_;
}

/// Whether every lane's lock can be taken, one after the other, and no holder lives that lost his
/// lock. The file is not at its path any more and `retired` is set, so a lane that was left stays
/// left (see Producer::attach_now).
inline bool RingSalvage::all_lanes_left() {
  const std::uint64_t my_namespace = current_process().pid_namespace;
  for (std::uint32_t lane = 0; lane < view_.lanes(); ++lane) {
    if (!file_->try_lock(lane_lock(lane)).ok()) return false;
    const bool alive = holder_alive(view_, lane, my_namespace);
    file_->unlock(lane_lock(lane));
    if (alive) return false;
  }
  return true;
}

/// Every record in bytes [0, end) of a chunk that is not stored, whatever use of the chunk it is
/// of: pages of two uses may lie side by side. A bad record does not end the search: what follows
/// may have been synced when it was not.
inline void RingSalvage::index_range(std::uint32_t chunk, std::uint64_t end,
                                     std::uint64_t high_bits) {
  ChunkUse use = use_of(chunk, high_bits);
  RawRecord raw;
  for (std::uint64_t at = 0; at + kRecordHeaderBytes < end;) {
    const RecordHeader header = peek_header(use.data, at);
    const bool sane = header.length != 0 && header.length < end - at &&
                      header.type == kRecordInvocation && header.lane < view_.lanes();
    const std::uint64_t generation = high_bits | header.tag;
    if (sane && use.generation != generation) use = use_of(chunk, generation);
    if (!sane || !read_record(use, at, end, scratch_, raw)) {
      at += 8;
      continue;
    }
    scratch_.give_back(raw.payload.data() - kRecordHeaderBytes);
    const Found found{{generation, at}, at + record_span(raw.header.length)};
    if (Place{generation, found.end} > chunks_[chunk].read) found_.push_back(found);
    at = found.end;
  }
}

inline void RingSalvage::index_chunk(std::uint32_t chunk) {
  found_.clear();
  cursor_ = 0;
  // Acquire pairs with T2 of producers that are still on a retired file.
  const Ctl ctl = unpack(view_.ctl(chunk).load(std::memory_order_acquire));
  const bool used =
      ctl.state != ChunkState::kFree && plausible(ctl, view_.lanes(), view_.chunk_bytes());
  const std::uint64_t used_bytes = used ? std::uint64_t{ctl.used} * 8 : 0;
  const Place stored = chunks_[chunk].stored;
  // In this boot `used` is true: what is above it was not accepted, what is free was stored.
  const std::uint64_t end = same_boot_ ? used_bytes : view_.chunk_bytes();
  const std::uint64_t newest = std::max(used ? ctl.generation : 0, stored.generation);
  index_range(chunk, end, newest & ~std::uint64_t{0xFFFFFFFF});
  if (same_boot_) {
    std::erase_if(found_,
                  [&](const Found& found) { return found.at.generation != ctl.generation; });
  }
  std::sort(found_.begin(), found_.end(),
            [](const Found& a, const Found& b) { return a.at < b.at; });
  if (!used || !first_pass_) return;
  std::uint64_t whole = stored.generation == ctl.generation ? stored.bytes : 0;
  for (const Found& found : found_) {
    if (found.at == Place{ctl.generation, whole}) whole = found.end;
  }
  if (whole < used_bytes && stored.generation <= ctl.generation) ++bad_chunks_;
}

inline bool RingSalvage::take(const Found& found, RingRecord& out) {
  Chunk& chunk = chunks_[chunk_];
  RawRecord raw;
  const bool whole =
      read_record(use_of(chunk_, found.at.generation), found.at.bytes, found.end, arena_, raw);
  chunk.read = {found.at.generation, found.end};
  if (!std::exchange(chunk.touched, true)) touched_chunks_.push_back(chunk_);
  if (!whole || raw.header.lane >= view_.lanes()) return false;
  const auto decoded = decode_record(raw.payload);
  if (!decoded.ok()) return false;
  Lane& lane = lanes_[raw.header.lane];
  ++lane.delivered;
  lane.last_sequence = std::max(lane.last_sequence, raw.header.sequence);
  touched_lanes_.push_back(raw.header.lane);
  ++given_;
  out = {decoded->record, decoded->submitted_ns, raw.header.lane, raw.header.sequence};
  return true;
}

inline bool RingSalvage::next(RingRecord& out) {
  if (done_ || file_->lost()) return false;
  if (!in_pass_) {
    in_pass_ = true;
    // Before the pass: who left before it cannot add anything behind it.
    quiet_ = !same_boot_ || all_lanes_left();
    chunk_ = 0;
    index_chunk(0);
  }
  while (true) {
    while (cursor_ < found_.size()) {
      if (take(found_[cursor_++], out)) return true;
    }
    if (chunk_ + 1 == view_.chunks()) break;
    index_chunk(++chunk_);
  }
  in_pass_ = first_pass_ = false;
  done_ = quiet_;
  return false;
}

inline const RingPositions& RingSalvage::pending() {
  pending_.ring = id();
  pending_.chunks.clear();
  pending_.lanes.clear();
  for (const std::uint32_t chunk : touched_chunks_) {
    const Place& read = chunks_[chunk].read;
    pending_.chunks.push_back({chunk, read.generation, static_cast<std::uint32_t>(read.bytes / 8)});
  }
  std::sort(touched_lanes_.begin(), touched_lanes_.end());
  touched_lanes_.erase(std::unique(touched_lanes_.begin(), touched_lanes_.end()),
                       touched_lanes_.end());
  for (const std::uint32_t lane : touched_lanes_) {
    pending_.lanes.push_back({lane, lanes_[lane].delivered, lanes_[lane].last_sequence});
  }
  return pending_;
}

inline void RingSalvage::commit() {
  for (const std::uint32_t index : touched_chunks_) {
    chunks_[index].touched = false;
    chunks_[index].stored = chunks_[index].read;
  }
  for (const std::uint32_t lane : touched_lanes_) lanes_before_[lane] = lanes_[lane];
  touched_chunks_.clear();
  touched_lanes_.clear();
  recovered_ += std::exchange(given_, 0);
  arena_.reset();
}

inline void RingSalvage::rollback() {
  for (const std::uint32_t index : touched_chunks_) {
    chunks_[index].touched = false;
    chunks_[index].read = chunks_[index].stored;
  }
  for (const std::uint32_t lane : touched_lanes_) lanes_[lane] = lanes_before_[lane];
  touched_chunks_.clear();
  touched_lanes_.clear();
  // Only what was given has to be given again: an end that was seen without it stands.
  if (std::exchange(given_, 0) > 0) in_pass_ = done_ = false;
  arena_.reset();
}

inline Status RingSalvage::remove() {
  if (!done()) return Status(Code::kBusy, path_ + " is not read to its end");
  if (!file_->is_at(path_)) return Status(Code::kNotFound, path_ + " is not there any more");
  if (::unlink(path_.c_str()) != 0) return Status::from_errno("remove " + path_);
  ring_file_detail::sync_folder(path_);
  return Status();
}

}  // namespace phlower
