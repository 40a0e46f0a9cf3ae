// Typed access to a mapped ring: where each word, lane and chunk is. Sizes come from a copy of the
// checked header, never from the mapping, which anybody may scribble on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "phlower/ground/checksum.hpp"
#include "phlower/ground/crc32c.hpp"
#include "phlower/ring/layout.hpp"

namespace phlower {

class RingView {
 public:
  RingView() = default;
  /// Requires: `identity` passed check_identity and the mapping holds identity.file_bytes.
  RingView(std::byte* base, const RingIdentity& identity) : base_(base), identity_(identity) {}

  const RingIdentity& identity() const { return identity_; }
  std::uint32_t lanes() const { return identity_.lanes; }
  std::uint32_t chunks() const { return identity_.chunks; }
  std::uint32_t chunk_bytes() const { return identity_.chunk_bytes; }

  RingHeader& header() const { return *reinterpret_cast<RingHeader*>(base_); }
  LaneWords& lane(std::uint32_t lane) const {
    return *reinterpret_cast<LaneWords*>(base_ + identity_.lane_off + lane * kLaneStride);
  }
  std::atomic_ref<std::uint64_t> ctl(std::uint32_t chunk) const {
    auto* word = base_ + identity_.ctl_off + chunk * kCtlStride;
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(word));
  }
  std::byte* chunk(std::uint32_t chunk) const {
    return base_ + identity_.data_off + std::uint64_t{chunk} * identity_.chunk_bytes;
  }

 private:
  std::byte* base_ = nullptr;
  RingIdentity identity_{};
};

/// Counters. Relaxed is enough for them: each has one writer, and nothing else is read because of
/// their value; sums over them are exact only while nobody writes.
inline std::uint64_t load_counter(std::uint64_t& word) noexcept {
  return std::atomic_ref<std::uint64_t>(word).load(std::memory_order_relaxed);
}
inline void store_counter(std::uint64_t& word, std::uint64_t value) noexcept {
  std::atomic_ref<std::uint64_t>(word).store(value, std::memory_order_relaxed);
}
/// For the one writer. Release keeps it behind the attempt's `sequence`: whoever sees the refusal
/// counted (a process may be killed between the two) sees the attempt counted too.
inline void bump_counter(std::uint64_t& word, std::uint64_t by = 1) noexcept {
  std::atomic_ref<std::uint64_t> counter(word);
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

/// The part of a record's checksum that is the same for one use of a chunk.
inline std::uint32_t record_seed(const RingId& ring, std::uint32_t chunk,
                                 std::uint64_t generation) noexcept {
  std::byte bytes[28];
  std::memcpy(bytes, ring.data(), 16);
  std::memcpy(bytes + 16, &chunk, 4);
  std::memcpy(bytes + 20, &generation, 8);
  return crc32c(bytes);
}

/// Checksum of the record that stands `offset` bytes into its chunk: its bytes from `sequence` on,
/// then its length and its place, so that a record moved or copied within its chunk is none.
inline std::uint32_t record_crc(std::uint32_t seed, const std::byte* record, std::uint32_t length,
                                std::uint64_t offset) noexcept {
  constexpr std::size_t kFrom = offsetof(RecordHeader, sequence);
  const auto crc = crc32c(std::span(record + kFrom, kRecordHeaderBytes - kFrom + length), seed);
  const std::uint64_t length_and_place = length | (offset << 32);
  return crc32c(std::as_bytes(std::span(&length_and_place, 1)), crc);
}

}  // namespace phlower
