// What the store is to the ring, in memory: rows and positions that change together, kept as the
// history of all commits, so that a test can go back to any of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "phlower/ring/consumer.hpp"

namespace phlower::testing {

class RingStore {
 public:
  struct Row {
    std::string task_id;
    std::uint32_t lane = 0;
    std::uint64_t sequence = 0;
    std::uint16_t flags = 0;
  };

  void commit(const std::vector<Row>& batch, const RingPositions& positions) {
    rows.insert(rows.end(), batch.begin(), batch.end());
    for (const ChunkPosition& at : positions.chunks) chunks_[at.chunk] = at;
    for (const LanePosition& at : positions.lanes) lanes_[at.lane] = at;
  }

  RingPositions positions(const RingId& ring) const {
    RingPositions all;
    all.ring = ring;
    for (const auto& [chunk, at] : chunks_) all.chunks.push_back(at);
    for (const auto& [lane, at] : lanes_) all.lanes.push_back(at);
    return all;
  }

  LoadPositions loader() const {
    return [this](const RingId& ring) -> Result<RingPositions> { return positions(ring); };
  }

  std::vector<Row> rows;

 private:
  std::map<std::uint32_t, ChunkPosition> chunks_;
  std::map<std::uint32_t, LanePosition> lanes_;
};

/// Reads at most `limit` records into a batch without storing it.
template <class Reader>
std::vector<RingStore::Row> read_batch(Reader& reader, std::size_t limit) {
  std::vector<RingStore::Row> batch;
  RingRecord got;
  while (batch.size() < limit && reader.next(got)) {
    batch.push_back({std::string(got.record.task_id), got.lane, got.sequence, got.record.flags});
  }
  return batch;
}

/// Moves up to `limit` records of a RingConsumer into the store; returns how many.
inline std::size_t move_batch(RingConsumer& consumer, RingStore& store, std::size_t limit) {
  consumer.scan();
  const auto batch = read_batch(consumer, limit);
  store.commit(batch, consumer.pending());
  consumer.commit();
  return batch.size();
}

/// Moves everything; returns how many.
inline std::size_t move_all(RingConsumer& consumer, RingStore& store, std::size_t batch = 64) {
  std::size_t total = 0;
  while (const std::size_t moved = move_batch(consumer, store, batch)) total += moved;
  return total;
}

}  // namespace phlower::testing
