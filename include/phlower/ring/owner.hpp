// Whose ring it is: the history that takes its records. The positions of that history count.
// Another one that opens the ring has none, or old ones, and goes by what the ring itself says of
// how far it is stored: the lanes' `last_sequence`, true unless the engine was killed in the middle
// of a commit.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "phlower/ground/lock_file.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ring/record_reader.hpp"
#include "phlower/ring/view.hpp"

namespace phlower {

/// Gives what the store knows of a ring (nothing: empty positions).
using LoadPositions = std::function<Result<RingPositions>(const RingId&)>;

/// The history for which a ring is opened.
struct RingHome {
  /// For who keeps no history: no ring is another's, and `load` decides.
  template <std::convertible_to<LoadPositions> Load>
  RingHome(Load loader)  // NOLINT(google-explicit-constructor): a loader is home enough
      : load(std::move(loader)) {}
  RingHome(HistoryId id, std::string where, LoadPositions loader)
      : history(id), path(std::move(where)), load(std::move(loader)) {}

  HistoryId history{};  // zeros: none
  std::string path;     // of the history, for people
  LoadPositions load;
  /// Stores positions in a transaction of their own. Required with a history.
  std::function<Status(const RingPositions&)> save;
  /// Whether another history has become part of this one, positions included. May be empty.
  std::function<bool(const HistoryId&)> has_taken_in;

  bool owns(const HistoryId& owner) const {
    return history == HistoryId{} || owner == HistoryId{} || owner == history ||
           (has_taken_in && has_taken_in(owner));
  }
};

/// What the header says of it.
struct RingOwner {
  HistoryId history{};     // zeros: nobody yet, or an engine that did not write it
  bool unsettled = false;  // killed in a commit: the last records may be stored or not
  std::string path;        // where that history was; text that anybody may have written
};

/// Requires: the header's checksum is right, and the lock CONSUMER is held.
inline RingOwner read_owner(const LockFile& file) {
  constexpr std::size_t kFrom = offsetof(RingHeader, history);
  std::byte bytes[kRingHeaderBytes - kFrom] = {};
  if (::pread(file.fd(), bytes, sizeof(bytes), kFrom) != static_cast<ssize_t>(sizeof(bytes))) {
    return {};
  }
  RingOwner owner;
  std::memcpy(owner.history.data(), bytes, owner.history.size());
  std::uint32_t unsettled = 0;
  std::memcpy(&unsettled, bytes + offsetof(RingHeader, unsettled) - kFrom, sizeof(unsettled));
  owner.unsettled = unsettled != 0;
  const auto* text =
      reinterpret_cast<const char*>(bytes + offsetof(RingHeader, history_path) - kFrom);
  owner.path.assign(text, ::strnlen(text, sizeof(RingHeader::history_path)));
  for (char& c : owner.path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return owner;
}

/// Killed between the two halves, the ring is of a history that does not exist: of another one for
/// everybody, which is right.
inline void write_owner(const RingView& view, const RingHome& home) {
  RingHeader& header = view.header();
  char path[sizeof(header.history_path)] = {};
  std::copy_n(home.path.data(), std::min(home.path.size(), sizeof(path) - 1), path);
  std::memcpy(header.history_path, path, sizeof(path));
  std::uint64_t halves[2];
  std::memcpy(halves, home.history.data(), sizeof(halves));
  store_counter(header.history[0], halves[0]);
  store_counter(header.history[1], halves[1]);
}

/// How far one chunk is stored by what its lanes say, in units of 8 bytes: behind the last record
/// that was delivered.
inline std::uint32_t stored_by_ring(const RingView& view, std::uint32_t chunk, const Ctl& ctl,
                                    RecordArena& arena) {
  const ChunkUse use{view.chunk(chunk), ctl.generation,
                     record_seed(view.identity().ring_id, chunk, ctl.generation)};
  const std::uint64_t end = std::uint64_t{ctl.used} * 8;
  std::uint64_t stored = 0;
  for (std::uint64_t at = 0; at < end;) {
    RawRecord raw;
    arena.reset();
    if (!read_record(use, at, end, arena, raw)) {
      at = find_record(use, at, end, arena);
      continue;
    }
    at += record_span(raw.header.length);
    if (raw.header.lane >= view.lanes()) continue;
    if (raw.header.sequence > load_counter(view.lane(raw.header.lane).last_sequence)) break;
    stored = at;
  }
  return static_cast<std::uint32_t>(stored / 8);
}

/// The positions that follow from the ring alone. Every chunk in use is named, so that they replace
/// whatever was known of it.
inline RingPositions positions_by_ring(const RingView& view) {
  RingPositions found;
  found.ring = view.identity().ring_id;
  for (std::uint32_t lane = 0; lane < view.lanes(); ++lane) {
    const std::uint64_t delivered = load_counter(view.lane(lane).delivered);
    const std::uint64_t last = load_counter(view.lane(lane).last_sequence);
    if (delivered != 0 || last != 0) found.lanes.push_back({lane, delivered, last});
  }
  RecordArena arena;
  for (std::uint32_t chunk = 0; chunk < view.chunks(); ++chunk) {
    // Acquire pairs with T1 to T3: the records below `used` are whole.
    const Ctl ctl = unpack(view.ctl(chunk).load(std::memory_order_acquire));
    if (ctl.state == ChunkState::kFree || !plausible(ctl, view.lanes(), view.chunk_bytes())) {
      continue;
    }
    found.chunks.push_back({chunk, ctl.generation, stored_by_ring(view, chunk, ctl, arena)});
  }
  return found;
}

/// Makes the ring the home's own and says from where it goes on. The positions are in the store
/// before the ring is: killed in between, the next one does the same again. Requires: the lock
/// CONSUMER, and for a ring of another history that it is settled. Errors: of load and save.
inline Result<RingPositions> claim_ring(const RingView& view, const RingOwner& owner,
                                        const RingHome& home) {
  auto stored = home.load(view.identity().ring_id);
  if (!stored.ok() || home.history == HistoryId{} || owner.history == home.history) return stored;
  const bool known = !stored->chunks.empty() || !stored->lanes.empty();
  const bool nobodys = owner.history == HistoryId{};
  RingPositions from = home.owns(owner.history) && (known || !nobodys) ? *std::move(stored)
                                                                       : positions_by_ring(view);
  if (!from.chunks.empty() || !from.lanes.empty()) {
    if (Status saved = home.save(from); !saved.ok()) return saved;
  }
  write_owner(view, home);
  return from;
}

}  // namespace phlower
