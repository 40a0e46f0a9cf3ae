// The writing side of the ring: one Producer a thread. `submit` encodes the record straight into
// the chunk the producer owns and publishes it with one compare-and-swap.
//
// The order of steps is the protocol (doc/ring_format.md): (a) count the attempt, (b) write bytes
// that nobody else may look at, (c) move `used` over them, (d) wake the consumer if it sleeps. A
// process killed between any two of them leaves nothing to repair.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "phlower/config/options.hpp"
#include "phlower/config/options_fields.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/codec.hpp"
#include "phlower/record/limits.hpp"
#include "phlower/record/record.hpp"
#include "phlower/ring/futex.hpp"
#include "phlower/ring/lane.hpp"
#include "phlower/ring/ring_file.hpp"

namespace phlower {

/// Thread safety: one thread at a time for each Producer; any number of Producers in a process.
/// After fork the child's copy attaches by itself, to a lane of its own.
class Producer {
 public:
  /// Attaches to the ring file that the engine made at `ring_path`. Errors: kNotFound (no file yet,
  /// or one of an earlier boot), kBusy (every lane is taken), kCorrupt, kNotOurs, kVersion,
  /// kPermission, kUnsupported. `clock` must outlive the Producer. Blocks: for system calls on a
  /// local file.
  static Result<std::unique_ptr<Producer>> attach(const std::string& ring_path,
                                                  const RecordOptions& limits,
                                                  std::uint32_t high_water_percent, Clock& clock) {
    try {
      std::string path = std::filesystem::absolute(ring_path).string();
      std::unique_ptr<Producer> producer(
          new Producer(std::move(path), limits, high_water_percent, clock));
      Status status = producer->attach_now();
      if (!status.ok()) return status;
      return producer;
    } catch (const std::exception& error) {
      return Status(Code::kInternal, std::string("attach to the ring: ") + error.what());
    }
  }

  /// The same for the options of the engine: its ring, its limits. Errors besides: kInvalidConfig,
  /// all that `validate` refuses.
  static Result<std::unique_ptr<Producer>> attach(const Options& options, Clock& clock) {
    if (Status status = validate(options); !status.ok()) return status;
    return attach(options.ring.path, options.record, options.ring.high_water_percent, clock);
  }

  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  /// Leaves the lane. Its chunk stays in the ring for the next holder or for the consumer.
  ~Producer() { leave(); }

  /// Puts one record into the ring. OK: accepted. Errors: kRefused (no room, or called again from
  /// a signal handler), kTooBig (an id over kTaskIdBytesMax, or names that alone are more than
  /// record.max: all other text is cut to fit), kInvalidArgument (no task_id, a time that is not
  /// finite), kDetached (the lane was lost; a later call attaches again), kIo (power durability:
  /// the record is in the ring but the disk did not confirm it). Blocks: never, except for the disk
  /// with power durability. Does not allocate, except when it attaches again or fails with kIo.
  Status submit(const RecordView& record) { return submit(record, false); }

  /// As `submit`, for who can wait and tries again: details are never left out. kRefused, which
  /// counts neither as offered nor as refused, while the ring is above its high-water mark: what is
  /// above is for those that cannot wait.
  Status submit_whole(const RecordView& record) { return submit(record, true); }

  /// The lane this producer holds; the last one while detached.
  std::uint32_t lane() const { return hold_.lane; }
  /// True while `submit` leaves details out because the ring was above its high-water mark.
  bool shedding() const { return shedding_; }

 private:
  Producer(std::string path, const RecordOptions& limits, std::uint32_t high_water_percent,
           Clock& clock)
      : path_(std::move(path)),
        limits_(limits),
        high_water_percent_(high_water_percent),
        clock_(clock) {}

  Status attach_now();
  void leave();
  bool ready();
  bool still_there() const;
  Status submit(const RecordView& record, bool whole);
  Status put(const RecordView& record, bool whole);
  bool takes_whole(const RecordView& record);
  Status next_chunk();
  bool claim_chunk();
  void use_chunk(std::uint32_t chunk, std::uint64_t word);
  Status write(const RecordView& record, std::size_t payload_bytes);
  Status lose_lane();
  Status sync(std::uint64_t from, std::uint64_t bytes);
  void count_unattached();

  /// So many chunks are free while the ring is below its high-water mark.
  std::uint64_t free_below_mark() const {
    const std::uint64_t keep = high_water_percent_ < 100 ? 100 - high_water_percent_ : 0;
    return (std::uint64_t{view_.chunks()} * keep + 99) / 100;
  }
  /// That a record may take in the ring.
  std::uint64_t most_bytes() const {
    return std::min<std::uint64_t>(limits_.max_bytes, view_.chunk_bytes());
  }
  /// The record as it goes into the ring: cut where it is too long.
  RecordView fit(const RecordView& record) const {
    RecordView fitted = record;
    cut_texts(fitted, limits_);
    cut_to_size(fitted, most_bytes() / 8 * 8 - kRecordHeaderBytes);
    return fitted;
  }
  bool has_room(std::uint64_t span) const {
    return chunk_ != kNoChunk && used_bytes_ + span <= view_.chunk_bytes();
  }

  static constexpr Nanoseconds kAttachAgain = Milliseconds(100);

  const std::string path_;
  const RecordOptions limits_;
  const std::uint32_t high_water_percent_;
  Clock& clock_;

  std::unique_ptr<LockFile> file_;    // nullptr while detached
  std::shared_ptr<Mapping> mapping_;  // stays while detached: refusals are counted there
  RingView view_;
  LaneHold hold_;
  bool lost_ = false;  // the lane was not left in order: it may be taken up again
  MonoTime attach_again_{};

  std::uint64_t sequence_ = 0;
  std::uint32_t chunk_ = kNoChunk;
  std::uint64_t word_ = 0;        // the control word as we left it
  std::uint64_t used_bytes_ = 0;  // 8 * used of it
  std::uint64_t generation_ = 0;
  std::uint32_t seed_ = 0;
  std::optional<std::uint64_t> failed_epoch_;  // free_epoch before a scan that found nothing
  std::optional<std::uint64_t> above_epoch_;   // the same for one that found too little
  std::uint32_t refusals_ = 0;
  bool shedding_ = false;
  volatile bool in_submit_ = false;  // volatile: a signal handler of this thread looks at it
};

}  // namespace phlower

#include "phlower/ring/producer_attach.hpp"  // IWYU pragma: keep
#include "phlower/ring/producer_submit.hpp"  // IWYU pragma: keep
