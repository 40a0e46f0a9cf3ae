// The bytes of a ring file and nothing that moves them. Little endian, offsets in bytes; L lanes,
// C chunks of B bytes each. doc/ring_format.md is the norm.
//
//   0x0000     RingHeader, 4096 bytes
//   0x1000     LaneWords[L], 128 bytes each
//   ctl_off    control words[C], 64 bytes each, of which 8 are used
//   data_off   chunks[C], B bytes each; page aligned, to the end of the file
//
// A chunk is linear: records from 0 upwards, 8-byte aligned, each with a RecordHeader.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "phlower/record/ring_position.hpp"

namespace phlower {

inline constexpr char kRingMagic[9] = "PHLRING1";
inline constexpr std::uint32_t kRingVersion = 1;
inline constexpr std::uint32_t kRingEndian = 0x01020304;
inline constexpr std::uint64_t kRingHeaderBytes = 4096;
inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kLaneStride = 128;  // two lines: adjacent lines are fetched together
inline constexpr std::uint64_t kCtlStride = 64;
inline constexpr std::uint32_t kMaxLanes = 4096;  // 12 bits in the control word
inline constexpr std::uint32_t kMaxChunks = 1u << 20;
inline constexpr std::uint32_t kMinChunkBytes = 4096;
inline constexpr std::uint32_t kMaxChunkBytes = 256u << 10;  // `used` counts 8 bytes in 16 bits

static_assert(std::endian::native == std::endian::little, "the file is used as memory holds it");
static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free, "processes share these words");
static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free, "processes share these words");

/// What never changes after creation; `header_crc` is the CRC32C of all bytes before it.
struct RingIdentity {
  char magic[8];
  std::uint32_t version;
  std::uint32_t endian;
  std::uint64_t file_bytes;
  std::uint32_t lanes;
  std::uint32_t chunks;
  std::uint32_t chunk_bytes;
  std::uint32_t record_header_bytes;
  std::uint64_t lane_off;
  std::uint64_t ctl_off;
  std::uint64_t data_off;
  RingId ring_id;
  std::uint8_t boot_id[16];
  std::uint64_t created_ns;  // Unix time
  std::uint32_t durability;  // 0 process, 1 power
  std::uint32_t header_crc;
};
static_assert(std::is_trivially_copyable_v<RingIdentity> && sizeof(RingIdentity) == 0x70);
static_assert(offsetof(RingIdentity, file_bytes) == 0x10 && offsetof(RingIdentity, lanes) == 0x18);
static_assert(offsetof(RingIdentity, lane_off) == 0x28 && offsetof(RingIdentity, ring_id) == 0x40);
static_assert(offsetof(RingIdentity, durability) == 0x68);
static_assert(offsetof(RingIdentity, header_crc) == 0x6C);

/// Header page. Words that are written often stand on lines of their own.
struct RingHeader {
  RingIdentity identity;
  alignas(64) std::uint32_t retired;       // 0x080: 1 when another file takes its place
  alignas(64) std::uint32_t sleeping;      // 0x0C0: futex word, 1 while the consumer sleeps
  alignas(64) std::uint64_t free_epoch;    // 0x100: +1 when the consumer freed chunks
  alignas(64) std::uint64_t unattached;    // 0x140: records of producers that had no lane
  alignas(64) std::uint64_t consumer_pid;  // 0x180: for people, and in the message of kBusy
  std::uint64_t consumer_beat_ns;          // 0x188: CLOCK_MONOTONIC of the last `reap`
  std::uint64_t corrupt_records;           // 0x190: these five are written by the consumer only
  std::uint64_t corrupt_bytes;
  std::uint64_t shed;
  std::uint64_t cut;
  std::uint64_t repaired_words;
  alignas(
      64) std::uint64_t history[2];  // 0x1C0: whose records these are (owner.hpp); zeros: nobody's
  std::uint32_t unsettled;           // 0x1D0: 1 while a commit may or may not have happened
  char history_path[256];            // 0x1D4: for people
  std::uint8_t zero[kRingHeaderBytes - 0x2D4];
};
static_assert(std::is_trivially_copyable_v<RingHeader> && sizeof(RingHeader) == kRingHeaderBytes);
static_assert(offsetof(RingHeader, retired) == 0x80 && offsetof(RingHeader, sleeping) == 0xC0);
static_assert(offsetof(RingHeader, free_epoch) == 0x100);
static_assert(offsetof(RingHeader, unattached) == 0x140);
static_assert(offsetof(RingHeader, consumer_pid) == 0x180 && offsetof(RingHeader, cut) == 0x1A8);
static_assert(offsetof(RingHeader, history) == 0x1C0 && offsetof(RingHeader, unsettled) == 0x1D0);
static_assert(offsetof(RingHeader, history_path) == 0x1D4);

/// A durable stream of records. It outlives its holders: the next one goes on where the last ended.
struct LaneWords {
  // First line: written by the holder of the lane's lock only.
  std::uint64_t sequence;  // attempts so far, and so the last sequence number handed out
  std::uint64_t drop_full;
  std::uint64_t drop_big;
  std::uint64_t aborted;
  std::uint64_t holders;  // times the lane was taken
  std::uint64_t pid;      // 0: left in order
  std::uint64_t start_time;
  std::uint64_t pid_namespace;
  // Second line: written by the consumer only, copies of what the database holds.
  std::uint64_t delivered;
  std::uint64_t last_sequence;
  std::uint64_t zero[6];
};
static_assert(std::is_trivially_copyable_v<LaneWords> && sizeof(LaneWords) == kLaneStride);
static_assert(offsetof(LaneWords, drop_full) == 8 && offsetof(LaneWords, pid) == 40);
static_assert(offsetof(LaneWords, delivered) == 64);

/// Stands before each payload. `crc` is CRC32C over ring_id, chunk (u32), generation (u64), the
/// bytes from `sequence` to the end of the payload, `length`, and the record's offset (u32).
struct RecordHeader {
  std::uint32_t length;  // of the payload; zero bytes fill it up to a multiple of 8
  std::uint32_t crc;
  std::uint64_t sequence;
  std::uint16_t type;
  std::uint16_t lane;
  std::uint32_t tag;  // low half of the generation
};
static_assert(std::is_trivially_copyable_v<RecordHeader> && sizeof(RecordHeader) == 24);
static_assert(offsetof(RecordHeader, sequence) == 8 && offsetof(RecordHeader, tag) == 20);
inline constexpr std::uint32_t kRecordHeaderBytes = sizeof(RecordHeader);
inline constexpr std::uint16_t kRecordInvocation = 1;  // payload: record/codec.hpp

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}

/// Bytes in a chunk for a record with this payload.
constexpr std::uint64_t record_span(std::uint64_t payload_bytes) noexcept {
  return round_up(kRecordHeaderBytes + payload_bytes, 8);
}

enum class ChunkState : std::uint8_t { kFree = 0, kOwned = 1, kFull = 2, kInvalid = 3 };

/// The control word: the whole state of one chunk, changed by compare-and-swap only.
///   63..62 state   61..50 lane (0 when free)   49..16 generation   15..0 used (units of 8 bytes)
struct Ctl {
  ChunkState state = ChunkState::kFree;
  std::uint32_t lane = 0;
  std::uint64_t generation = 0;
  std::uint32_t used = 0;
};
inline constexpr std::uint64_t kGenerationMask = (1ull << 34) - 1;

constexpr std::uint64_t pack(const Ctl& ctl) noexcept {
  return (static_cast<std::uint64_t>(ctl.state) << 62) |
         (static_cast<std::uint64_t>(ctl.lane & 0xFFFu) << 50) |
         ((ctl.generation & kGenerationMask) << 16) | (ctl.used & 0xFFFFu);
}

constexpr Ctl unpack(std::uint64_t word) noexcept {
  return {static_cast<ChunkState>(word >> 62), static_cast<std::uint32_t>((word >> 50) & 0xFFFu),
          (word >> 16) & kGenerationMask, static_cast<std::uint32_t>(word & 0xFFFFu)};
}

/// The free word that follows a use in generation `generation`.
constexpr std::uint64_t free_word_after(std::uint64_t generation) noexcept {
  return pack({ChunkState::kFree, 0, generation + 1, 0});
}

/// Whether a word can stand in a ring of this geometry at all.
constexpr bool plausible(const Ctl& ctl, std::uint32_t lanes, std::uint32_t chunk_bytes) noexcept {
  switch (ctl.state) {
    case ChunkState::kFree: return ctl.lane == 0 && ctl.used == 0;
    case ChunkState::kOwned:
    case ChunkState::kFull: return ctl.lane < lanes && ctl.used * 8u <= chunk_bytes;
    case ChunkState::kInvalid: break;
  }
  return false;
}

/// Byte-range locks, past the end of any file.
inline constexpr std::int64_t kLockInit = std::int64_t{1} << 40;
inline constexpr std::int64_t kLockConsumer = kLockInit + 1;
constexpr std::int64_t lane_lock(std::uint32_t lane) noexcept { return kLockInit + 16 + lane; }

}  // namespace phlower
