// Ring positions and small facts in the database, written in the transaction of the rows.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/record/ring_position.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. Requires the own tables. `db` outlives this.
class PositionTables {
 public:
  explicit PositionTables(sqlite::Connection& db) : db_(db) {}

  Result<RingPositions> load(const RingId& ring) {
    RingPositions found;
    found.ring = ring;
    out_of_range_ = false;
    Status status = each("SELECT chunk, generation, used FROM ring_chunk WHERE ring = ?1", ring,
                         [&](const sqlite::Statement& row) {
                           found.chunks.push_back({narrow(row.integer(0)), wide(row.integer(1)),
                                                   narrow(row.integer(2))});
                         });
    if (!status.ok()) return status;
    status = each("SELECT lane, delivered, last_sequence FROM ring_lane WHERE ring = ?1", ring,
                  [&](const sqlite::Statement& row) {
                    found.lanes.push_back(
                        {narrow(row.integer(0)), wide(row.integer(1)), wide(row.integer(2))});
                  });
    if (!status.ok()) return status;
    if (out_of_range_) {
      return Status(Code::kCorrupt, db_.path() + ": a ring position that no ring can have");
    }
    return found;
  }

  Status save(const RingPositions& positions) {
    Status ready = db_.prepare_once(
        save_chunk_,
        "INSERT INTO ring_chunk (ring, chunk, generation, used) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (ring, chunk) DO UPDATE SET generation = ?3, used = ?4");
    if (!ready.ok()) return ready;
    ready = db_.prepare_once(
        save_lane_,
        "INSERT INTO ring_lane (ring, lane, delivered, last_sequence) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (ring, lane) DO UPDATE SET delivered = ?3, last_sequence = ?4");
    if (!ready.ok()) return ready;
    for (const ChunkPosition& chunk : positions.chunks) {
      const Status saved = put(save_chunk_, positions.ring, chunk.chunk,
                               std::bit_cast<std::int64_t>(chunk.generation), chunk.used);
      if (!saved.ok()) return saved;
    }
    for (const LanePosition& lane : positions.lanes) {
      const Status saved =
          put(save_lane_, positions.ring, lane.lane, std::bit_cast<std::int64_t>(lane.delivered),
              std::bit_cast<std::int64_t>(lane.last_sequence));
      if (!saved.ok()) return saved;
    }
    return Status();
  }

  /// Requires an open transaction, so that both tables change or none.
  Status forget(const RingId& ring) {
    for (const char* sql :
         {"DELETE FROM ring_chunk WHERE ring = ?1", "DELETE FROM ring_lane WHERE ring = ?1"}) {
      Status status = each(sql, ring, [](const sqlite::Statement&) {});
      if (!status.ok()) return status;
    }
    return Status();
  }

 private:
  // Stored as SQLite's signed 64 bits; the bits are the same.
  static std::uint64_t wide(std::int64_t value) { return std::bit_cast<std::uint64_t>(value); }
  std::uint32_t narrow(std::int64_t value) {
    if (value < 0 || value > std::numeric_limits<std::uint32_t>::max()) out_of_range_ = true;
    return static_cast<std::uint32_t>(value);
  }

  template <class Take>
  Status each(const char* sql, const RingId& ring, Take take) {
    auto statement = db_.prepare(sql);
    if (!statement.ok()) return statement.status();
    statement->bind_blob(1, ring.data(), ring.size());
    for (;;) {
      const auto row = statement->step();
      if (!row.ok()) return row.status();
      if (!*row) return Status();
      take(*statement);
    }
  }

  static Status put(sqlite::Statement& statement, const RingId& ring, std::int64_t key,
                    std::int64_t first, std::int64_t second) {
    statement.bind_blob(1, ring.data(), ring.size());
    statement.bind(2, key);
    statement.bind(3, first);
    statement.bind(4, second);
    return statement.run();
  }

  sqlite::Connection& db_;
  sqlite::Statement save_chunk_, save_lane_;
  bool out_of_range_ = false;  // seen by the load that runs
};

}  // namespace phlower
