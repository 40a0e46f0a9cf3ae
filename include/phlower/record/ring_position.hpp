// How far a ring has been read. Positions are part of the data: the store writes them in the same
// transaction as the rows they cover, and hands them back when the engine starts again.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace phlower {

/// Random identity of one ring file (header field `ring_id`).
using RingId = std::array<std::uint8_t, 16>;

/// Random identity of a history (history/history_id.hpp); zeros: none.
using HistoryId = std::array<std::uint8_t, 16>;

/// Everything of `chunk` in its use number `generation` below `used` (units of 8 bytes) is stored.
struct ChunkPosition {
  std::uint32_t chunk = 0;
  std::uint64_t generation = 0;
  std::uint32_t used = 0;
};

/// Totals of one lane: records delivered to the store, and the sequence number of the last.
struct LanePosition {
  std::uint32_t lane = 0;
  std::uint64_t delivered = 0;
  std::uint64_t last_sequence = 0;
};

/// What one transaction changes, or all that the store knows of one ring.
struct RingPositions {
  RingId ring{};
  std::vector<ChunkPosition> chunks;
  std::vector<LanePosition> lanes;
};

}  // namespace phlower
