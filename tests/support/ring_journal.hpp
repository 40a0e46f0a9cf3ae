// What the database is to the ring, in a few lines of shared memory: rows and positions that become
// visible in one store. It outlives the processes that write it, so it can be killed at any point.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "phlower/record/ring_position.hpp"
#include "phlower/ring/consumer.hpp"
#include "ring_content.hpp"

namespace phlower::testing {

inline constexpr std::uint32_t kJournalChunks = 64;
inline constexpr std::uint32_t kJournalLanes = 64;
inline constexpr std::uint64_t kJournalRows = 4'000'000;

struct JournalRow {
  ContentId id;
  std::uint32_t lane;
  std::uint64_t sequence;
};

/// Zero bytes are an empty journal. One writer at a time; readers of `rows` after the writer ended.
class RingJournal {
 public:
  /// Adds rows of a batch. They count only after `commit`.
  bool append(const JournalRow& row) {
    if (tail_ >= kJournalRows) return false;
    rows_[tail_++] = row;
    return true;
  }

  /// Forgets the rows since the last commit, as a new transaction or a new process does.
  void begin() { tail_ = current().rows; }

  /// The batch and its positions become visible together, by one store.
  void commit(const RingPositions& pending) {
    const std::uint32_t now = active_.load(std::memory_order_relaxed);
    State& next = states_[now ^ 1];
    next = states_[now];
    next.ring = pending.ring;
    for (const ChunkPosition& at : pending.chunks) {
      next.chunks[at.chunk] = at;
      next.has_chunk[at.chunk] = true;
    }
    for (const LanePosition& at : pending.lanes) {
      next.lanes[at.lane] = at;
      next.has_lane[at.lane] = true;
    }
    next.rows = tail_;
    active_.store(now ^ 1, std::memory_order_seq_cst);
  }

  RingPositions load(const RingId& ring) const {
    const State& state = current();
    RingPositions out;
    out.ring = ring;
    if (state.ring != ring) return out;
    for (std::uint32_t i = 0; i < kJournalChunks; ++i) {
      if (state.has_chunk[i]) out.chunks.push_back(state.chunks[i]);
    }
    for (std::uint32_t i = 0; i < kJournalLanes; ++i) {
      if (state.has_lane[i]) out.lanes.push_back(state.lanes[i]);
    }
    return out;
  }

  LoadPositions loader() const {
    return [this](const RingId& ring) -> Result<RingPositions> { return load(ring); };
  }

  /// Which of the two states counts: changes at each commit.
  std::uint32_t active() const { return active_.load(std::memory_order_seq_cst) & 1; }
  std::uint64_t row_count() const { return current().rows; }
  const JournalRow& row(std::uint64_t index) const { return rows_[index]; }

  /// Becomes a copy of what `other` has committed.
  void copy_from(const RingJournal& other) {
    states_[0] = other.current();
    active_.store(0, std::memory_order_relaxed);
    tail_ = states_[0].rows;
    for (std::uint64_t i = 0; i < tail_; ++i) rows_[i] = other.rows_[i];
  }

 private:
  struct State {
    std::uint64_t rows;
    RingId ring;
    bool has_chunk[kJournalChunks];
    bool has_lane[kJournalLanes];
    ChunkPosition chunks[kJournalChunks];
    LanePosition lanes[kJournalLanes];
  };
  const State& current() const { return states_[active()]; }

  std::atomic<std::uint32_t> active_;
  std::uint64_t tail_;
  State states_[2];
  JournalRow rows_[kJournalRows];
};

/// Whether `drain` compares every byte with what was offered, or only reads who a record is.
enum class Check { kContent, kIdOnly };

/// Moves everything readable from the ring into the journal, `batch` records a transaction.
/// Empty when all content was right, else the first thing that was not.
inline std::string drain(RingConsumer& consumer, RingJournal& journal, std::uint64_t batch = 256,
                         Check check = Check::kContent) {
  for (std::uint64_t taken = 1; taken > 0;) {
    journal.begin();
    consumer.scan();
    taken = 0;
    RingRecord got;
    while (taken < batch && consumer.next(got)) {
      ContentId id;
      if (check == Check::kContent) {
        if (std::string wrong = check_content(got.record, id); !wrong.empty()) return wrong;
      } else {
        id = parse_content_id(got.record.task_id).value_or(ContentId{});
      }
      if (!journal.append({id, got.lane, got.sequence})) return "the journal is full";
      ++taken;
    }
    // Also without a record: positions move over bytes that were skipped.
    journal.commit(consumer.pending());
    consumer.commit();
  }
  return "";
}

}  // namespace phlower::testing
