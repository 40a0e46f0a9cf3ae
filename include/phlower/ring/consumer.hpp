// The reading side of the ring: one RingConsumer a ring file. It gives records in the order of
// each lane, says which positions cover them, and frees chunks after they are stored.
//
//   scan(); while (batch has room && next(record)) add(record);
//   BEGIN; write the batch and pending(); COMMIT; commit();      // on an error: rollback()
//
// next() may give no record and pending() still name chunks: damaged bytes were skipped. The next
// scan() then commits them by itself; there is nothing to store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/codec.hpp"
#include "phlower/record/record.hpp"
#include "phlower/record/ring_position.hpp"
#include "phlower/ring/futex.hpp"
#include "phlower/ring/lane.hpp"
#include "phlower/ring/owner.hpp"
#include "phlower/ring/record_reader.hpp"
#include "phlower/ring/stats.hpp"
#include "phlower/ring/takeover.hpp"
#include "phlower/ring/worklist.hpp"

namespace phlower {

/// One record out of a ring. `record` is valid until the reader's `commit` or `rollback`.
struct RingRecord {
  RecordView record;
  std::uint64_t submitted_ns = 0;  // CLOCK_MONOTONIC of the producer, a few ms coarse
  std::uint32_t lane = 0;
  std::uint64_t sequence = 0;
};

/// Thread safety: one thread. Blocks: `open` while it makes a file, and `wait`; nothing else.
/// In a child of fork the object does nothing any more.
class RingConsumer {
 public:
  /// Opens or makes the ring and takes it over; see take_over_ring for what happens to files found
  /// and for the errors. What another history took out of it is not given again, what waits in it
  /// is. `clock` must outlive the consumer. Memory: about 40 bytes for each chunk
  /// and lane, and the records of one batch.
  static Result<std::unique_ptr<RingConsumer>> open(const RingOptions& options,
                                                    Durability durability, Clock& clock,
                                                    const RingHome& home);

  RingConsumer(const RingConsumer&) = delete;
  RingConsumer& operator=(const RingConsumer&) = delete;
  ~RingConsumer();

  const RingId& id() const { return view_.identity().ring_id; }

  /// Whose the ring was before: with another history than the home's, that one's last path.
  std::optional<std::string> taken_from() const { return taken_from_; }

  /// Files beside the ring that wait for RingSalvage, as found by `open`.
  std::vector<std::string> set_aside() const { return set_aside_; }

  /// Looks for unread records and makes the list that `next` goes through. Frees chunks that are
  /// stored and full, repairs control words that cannot be. Cheap: two loads for each chunk in use.
  void scan();

  /// The next record of the list: in order within a lane, chunk after chunk, the one whose first
  /// record waits longest first. False: the list is at its end, scan again. Bytes that fail their
  /// checks are counted and skipped.
  bool next(RingRecord& out);

  /// What the records since the last commit move, to be stored in their transaction. Valid until
  /// the next call of any other member. From here until `commit` the ring says that they may be
  /// stored or not.
  const RingPositions& pending();

  /// After the transaction committed: moves on, frees chunks.
  void commit();

  /// The transaction failed: forgets what was read since the last commit, and scans again.
  void rollback();

  /// Once a second: frees chunks of producers that died, looks whether the file was replaced.
  void reap();

  /// Sleeps until records wait or `at_most` is over. True: records wait.
  bool wait(Nanoseconds at_most);

  /// Whether `scan` would find something to do.
  bool has_unread() const;

  /// `submitted_ns` of the oldest unread record that the last scan saw, never of the future; 0:
  /// none, or damaged.
  std::uint64_t oldest_pending_ns() const { return oldest_ns_; }

  /// Chunks in use, as a share of all, as of the last scan.
  double fill() const { return static_cast<double>(in_use_) / view_.chunks(); }

  RingStats stats() const;

  /// Whether the path named another file, or none, at the last `reap`: producers will not come
  /// here any more. Read what is left, then close and open again.
  bool replaced() const { return replaced_; }

 private:
  /// What the consumer knows of one chunk. `generation` is exact: nobody else changes it.
  struct Chunk {
    std::uint64_t generation = 0;
    std::uint32_t stored = 0;  // committed up to here, in units of 8 bytes
    std::uint32_t read = 0;    // given out up to here
    std::uint32_t seen = 0;    // whole up to here when the control word was last read
    bool touched = false;      // read since the last commit
    std::uint64_t reap_word = 0;
  };
  // How many records a chunk had between two of its places.
  struct Counted {
    std::uint64_t generation = 0;
    std::uint32_t stored = 0;
    std::uint32_t used = 0;
    std::uint64_t records = 0;
  };
  struct Lane {
    std::uint64_t delivered = 0;
    std::uint64_t last_sequence = 0;
  };
  struct LaneChange {
    std::uint32_t lane;
    Lane before;
  };
  struct Tally {
    std::uint64_t corrupt_records = 0, corrupt_bytes = 0, shed = 0, cut = 0;
  };

  RingConsumer(OpenRing ring, Clock& clock)
      : file_(std::move(ring.file)),
        mapping_(std::move(ring.mapping)),
        view_(ring.view),
        clock_(clock),
        chunks_(view_.chunks()),
        counted_(view_.chunks()),
        lanes_(view_.lanes()),
        lane_touched_(view_.lanes()),
        limits_(view_.lanes()) {}

  void start_from(const RingPositions& stored);
  void count_again(const std::vector<Lane>& said);
  bool fits(std::uint32_t chunk, const Ctl& ctl) const;
  bool in_scope(std::uint32_t chunk, std::uint64_t word) const;
  void collect(std::vector<ScanEntry>& into);
  bool free_if_stored(std::uint32_t chunk, std::uint64_t word);
  void repair(std::uint32_t chunk, std::uint64_t word, std::uint64_t after);
  bool take(const ScanEntry& entry, RingRecord& out);
  void advance(std::uint32_t chunk, std::uint64_t to_bytes);
  ChunkUse use_of(std::uint32_t chunk);
  void announce_freed();
  void add(const Tally& tally);

  std::unique_ptr<LockFile> file_;
  std::shared_ptr<Mapping> mapping_;
  RingView view_;
  Clock& clock_;
  std::string path_;
  std::vector<std::string> set_aside_;
  std::optional<std::string> taken_from_;
  std::vector<Chunk> chunks_;
  mutable std::vector<Counted> counted_;  // what `stats` remembers
  std::vector<Lane> lanes_;
  std::uint32_t highest_ = 0;  // no chunk above it was ever seen in use
  std::uint32_t in_use_ = 0;   // chunks, at the last scan
  bool freed_ = false;
  bool replaced_ = false;

  std::vector<ScanEntry> first_scan_, worklist_;
  std::size_t cursor_ = 0;
  std::uint64_t oldest_ns_ = 0;

  std::vector<std::uint32_t> touched_chunks_;
  std::vector<LaneChange> touched_lanes_;
  std::vector<bool> lane_touched_;
  std::vector<std::uint64_t> limits_;  // scratch of the two-scan rule
  std::uint64_t given_ = 0;            // records since the last commit
  Tally tally_;
  RingPositions pending_;
  RecordArena arena_;
  std::optional<std::pair<std::uint32_t, std::uint64_t>> seed_of_;
  std::uint32_t seed_ = 0;
};

}  // namespace phlower

#include "phlower/ring/consumer_read.hpp"   // IWYU pragma: keep
#include "phlower/ring/consumer_write.hpp"  // IWYU pragma: keep
