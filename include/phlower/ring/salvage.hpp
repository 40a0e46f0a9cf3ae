// Reads a ring file that was set aside. After a reboot any page of it may be of any age: only what
// carries the right checksum is believed. A file retired in this same boot (its ring was made with
// another geometry) may still have producers on it: there the control words are true, and reading
// goes on until the last of them has left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ring/consumer.hpp"

namespace phlower {

/// Use as RingConsumer: next until false, store with pending, commit. Not in the order of lanes:
/// chunk after chunk. Thread safety: one thread. Blocks: for reads of a local file.
class RingSalvage {
 public:
  /// Errors: kBusy (another process salvages it), kNotFound, kNotOurs, kVersion, kCorrupt (a
  /// damaged header: without the ring's id no checksum can be checked), kWrongState (it waits for
  /// another history, whose positions alone tell what is stored), kPermission, kIo, and those of
  /// `home.load`.
  static Result<std::unique_ptr<RingSalvage>> open(const std::string& path, const RingHome& home) {
    try {
      auto file = LockFile::open(path, O_RDWR);
      if (!file.ok()) return file.status();
      const auto identity = read_identity(**file, path);
      if (!identity.ok()) return identity.status();
      const Status locked = (*file)->try_lock(kLockConsumer);
      if (!locked.ok()) return locked.with_context(path + " is in use");
      if (const RingOwner owner = read_owner(**file); !home.owns(owner.history)) {
        return Status(Code::kWrongState,
                      "it waits for the history " + owner.path +
                          ", which alone knows which of its records are stored; start an engine of "
                          "that history with this ring.path once, or remove the file if that "
                          "history is gone");
      }
      const auto boot = current_boot_id();
      if (!boot.ok()) return boot.status();
      auto ring = map_ring(std::move(file).value(), *identity, path);
      if (!ring.ok()) return ring.status();
      const auto stored = home.load(identity->ring_id);
      if (!stored.ok()) return stored.status();
      return std::unique_ptr<RingSalvage>(new RingSalvage(
          std::move(ring).value(), path, of_boot(*identity, *boot), stored.value()));
    } catch (const std::exception& error) {
      return Status(Code::kInternal, "salvage " + path + ": " + error.what());
    }
  }

  /// The next record that is not stored yet. False: none now. Then, with all committed, `done`
  /// says whether there can be more; if there can, call again in a second.
  bool next(RingRecord& out);

  /// As RingConsumer::pending.
  const RingPositions& pending();
  void commit();
  void rollback();

  /// All was read and committed, and nobody can add to the file.
  bool done() const { return done_ && given_ == 0; }

  const RingId& id() const { return view_.identity().ring_id; }
  /// Records committed through this object.
  std::uint64_t recovered() const { return recovered_; }
  /// Chunks whose control word promises more than the checksums confirm.
  std::uint64_t bad_chunks() const { return bad_chunks_; }

  /// Deletes the file. Errors: kBusy while not `done`, kIo, kPermission. Remove it before the
  /// stored positions of this ring are deleted, not after: the records would come twice.
  Status remove();

 private:
  /// A place in the life of a chunk: everything before it is stored.
  struct Place {
    std::uint64_t generation = 0;
    std::uint64_t bytes = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct Chunk {
    Place stored, read;
    bool touched = false;
  };
  struct Lane {
    std::uint64_t delivered = 0, last_sequence = 0;
  };
  struct Found {
    Place at;
    std::uint64_t end = 0;
  };

  RingSalvage(OpenRing ring, std::string path, bool same_boot, const RingPositions& stored);

  bool all_lanes_left();
  void index_chunk(std::uint32_t chunk);
  void index_range(std::uint32_t chunk, std::uint64_t end, std::uint64_t high_bits);
  bool take(const Found& found, RingRecord& out);
  ChunkUse use_of(std::uint32_t chunk, std::uint64_t generation) const {
    return {view_.chunk(chunk), generation, record_seed(id(), chunk, generation)};
  }

  std::unique_ptr<LockFile> file_;
  std::shared_ptr<Mapping> mapping_;
  RingView view_;
  const std::string path_;
  const bool same_boot_;
  std::vector<Chunk> chunks_;
  std::vector<Lane> lanes_, lanes_before_;
  std::vector<std::uint32_t> touched_chunks_, touched_lanes_;

  std::uint32_t chunk_ = 0;  // whose records are in found_
  bool in_pass_ = false;     // between the first chunk and the last
  bool quiet_ = false;       // nobody could write since the pass began
  bool first_pass_ = true;
  bool done_ = false;
  std::vector<Found> found_;
  std::size_t cursor_ = 0;

  std::uint64_t given_ = 0, recovered_ = 0, bad_chunks_ = 0;
  RingPositions pending_;
  RecordArena arena_, scratch_;
};

}  // namespace phlower

#include "phlower/ring/salvage_read.hpp"  // IWYU pragma: keep
