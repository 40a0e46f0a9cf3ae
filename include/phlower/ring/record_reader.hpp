// Takes one record out of a chunk: copies it out of shared memory first, then believes the copy
// only if its checksum fits this ring, this chunk and this use of the chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "phlower/ring/view.hpp"

namespace phlower {

/// Memory for the records of one batch: nothing is freed singly. Not thread safe.
class RecordArena {
 public:
  /// Requires: bytes <= kMaxChunkBytes.
  std::byte* allocate(std::size_t bytes) {
    if (block_ == blocks_.size() || used_ + bytes > kMaxChunkBytes) {
      if (block_ < blocks_.size()) ++block_;
      if (block_ == blocks_.size()) {
        blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kMaxChunkBytes));
      }
      used_ = 0;
    }
    std::byte* const start = blocks_[block_].get() + used_;
    used_ += round_up(bytes, 8);
    return start;
  }

  /// Takes back the last allocation.
  void give_back(const std::byte* start) {
    used_ = static_cast<std::size_t>(start - blocks_[block_].get());
  }

  /// All memory is free again; a few blocks are kept for the next batch.
  void reset() {
    if (blocks_.size() > kKeptBlocks) blocks_.resize(kKeptBlocks);
    block_ = used_ = 0;
  }

 private:
  static constexpr std::size_t kKeptBlocks = 8;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
};

/// A record whose checksum was right. Its bytes are in the arena.
struct RawRecord {
  RecordHeader header{};
  std::span<const std::byte> payload;
};

/// One use of a chunk as the reader sees it; `seed` is record_seed of the other three.
struct ChunkUse {
  const std::byte* data = nullptr;
  std::uint64_t generation = 0;
  std::uint32_t seed = 0;
};

/// Reads the record at byte `from`, which must end at or before byte `end`. False: no record of
/// this use of the chunk begins there.
inline bool read_record(const ChunkUse& use, std::uint64_t from, std::uint64_t end,
                        RecordArena& arena, RawRecord& out) {
  if (from + kRecordHeaderBytes >= end) return false;
  RecordHeader header;
  std::memcpy(&header, use.data + from, sizeof(header));
  if (header.length == 0 || header.tag != static_cast<std::uint32_t>(use.generation) ||
      header.length > end - from - kRecordHeaderBytes || record_span(header.length) > end - from) {
    return false;
  }
  const std::size_t bytes = kRecordHeaderBytes + header.length;
  std::byte* const copy = arena.allocate(bytes);
  std::memcpy(copy, use.data + from, bytes);
  std::memcpy(&out.header, copy, sizeof(out.header));
  if (out.header.length != header.length || out.header.tag != header.tag ||
      out.header.crc != record_crc(use.seed, copy, header.length, from)) {
    arena.give_back(copy);
    return false;
  }
  out.payload = std::span<const std::byte>(copy + kRecordHeaderBytes, header.length);
  return true;
}

/// The first byte after `from` where a record of this use begins, or `end`.
inline std::uint64_t find_record(const ChunkUse& use, std::uint64_t from, std::uint64_t end,
                                 RecordArena& arena) {
  RawRecord found;
  for (std::uint64_t at = from + 8; at < end; at += 8) {
    if (!read_record(use, at, end, arena, found)) continue;
    arena.give_back(found.payload.data() - kRecordHeaderBytes);
    return at;
  }
  return end;
}

/// Copies a header without belief, for sorting and for statistics. Requires: it lies in the chunk.
inline RecordHeader peek_header(const std::byte* chunk, std::uint64_t at) {
  RecordHeader header;
  std::memcpy(&header, chunk + at, sizeof(header));
  return header;
}

}  // namespace phlower
