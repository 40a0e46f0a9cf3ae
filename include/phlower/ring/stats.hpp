// What a ring has seen, counted in shared memory by those who know: each lane by its holder, what
// was read by the consumer. The two sums of the promise follow from these figures.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "phlower/ground/figure.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ring/mapping.hpp"
#include "phlower/ring/record_reader.hpp"
#include "phlower/ring/ring_identity.hpp"

namespace phlower {

/// Counters of one ring file since its creation. They obey
///
///     offered  = accepted + refused()
///     accepted = delivered + unread + corrupt_records
///
/// the second as long as no control word was damaged (repaired_words): what such a chunk held
/// cannot be counted and shows up as torn.
///
/// `torn` is what is left of `offered` when all else is subtracted: attempts that ended neither in
/// the ring nor in a counter, because their process died in the middle or lost its lane. Exact
/// while nobody writes; while producers run, a record between two of its steps shows up as torn.
/// `delivered` is what the store committed.
struct RingStats {
  std::uint64_t offered = 0;       // calls of submit
  std::uint64_t accepted = 0;      // calls whose record went into the ring
  std::uint64_t refused_full = 0;  // no chunk was free
  std::uint64_t refused_big = 0;   // over the record limit
  std::uint64_t aborted = 0;       // invalid argument
  std::uint64_t torn = 0;          // the process died, or lost its lane, before the commit
  std::uint64_t unattached = 0;    // submitted by producers that had no lane
  std::uint64_t delivered = 0;
  std::uint64_t unread = 0;
  std::uint64_t corrupt_records = 0;  // stretches of bytes that failed their checks, skipped
  std::uint64_t corrupt_bytes = 0;
  std::uint64_t repaired_words =
      0;                   // control words that could not be true; their chunks were freed
  std::uint64_t shed = 0;  // delivered without details because the ring was filling
  std::uint64_t cut = 0;   // delivered with details cut to their limits
  std::uint32_t chunks = 0;
  std::uint32_t chunks_in_use = 0;
  double fill = 0;  // chunks_in_use / chunks

  std::uint64_t refused() const noexcept {
    return refused_full + refused_big + aborted + torn + unattached;
  }
};

// clang-format off
/// What is told of a ring.
struct RingLines {
  using S = const RingStats&;
  using L = Lines<RingStats>;
  static constexpr auto kAll = std::to_array<Figure<RingStats>>({
    L::count(1, "phlower_accepted_total", "records", "Records that went into the ring.", "",
             [](S s) { return s.accepted; }),
    L::count(2, "phlower_refused_total", "records", "Records that were not taken.", "reason=full",
             [](S s) { return s.refused_full; }),
    L::count(3, "phlower_refused_total", "records", "Records that were not taken.",
             "reason=too_big", [](S s) { return s.refused_big; }),
    L::count(4, "phlower_refused_total", "records", "Records that were not taken.",
             "reason=invalid", [](S s) { return s.aborted; }),
    L::count(5, "phlower_refused_total", "records", "Records that were not taken.", "reason=torn",
             [](S s) { return s.torn; }),
    L::count(6, "phlower_refused_total", "records", "Records that were not taken.",
             "reason=detached", [](S s) { return s.unattached; }),
    L::count(8, "phlower_committed_total", "records",
             "Records of this ring that the store committed.", "", [](S s) { return s.delivered; }),
    L::gauge(9, "phlower_ring_unread_records", "records", "Records that wait in the ring.", "",
             [](S s) { return s.unread; }),
    L::gauge(10, "phlower_ring_fill_ppm", "millionths",
             "Share of the ring's chunks that are in use.", "",
             [](S s) { return millionths(s.fill); }),
    L::gauge(11, "phlower_ring_chunks", "chunks", "Chunks of the ring.", "",
             [](S s) { return std::uint64_t{s.chunks}; }),
    L::count(12, "phlower_shed_total", "records",
             "Committed without details: the ring was filling.", "", [](S s) { return s.shed; }),
    L::count(13, "phlower_cut_total", "records", "Committed with details cut to their limits.", "",
             [](S s) { return s.cut; }),
    L::count(14, "phlower_corrupt_records_total", "stretches",
             "Stretches of bytes in the ring that failed their checks.", "",
             [](S s) { return s.corrupt_records; }),
    L::count(15, "phlower_corrupt_bytes_total", "bytes", "And their bytes.", "",
             [](S s) { return s.corrupt_bytes; }),
    L::count(16, "phlower_repaired_words_total", "words",
             "Control words of the ring that could not be true.", "",
             [](S s) { return s.repaired_words; }),
  });
};
// clang-format on

/// Adds up a ring. `unread_in(chunk, ctl)` says how many records of a chunk are not stored yet.
template <class UnreadIn>
RingStats collect_stats(const RingView& view, UnreadIn unread_in) {
  RingStats stats;
  RingHeader& header = view.header();
  // What is subtracted is read before what it is subtracted from, so `torn` is never below 0.
  stats.corrupt_records = load_counter(header.corrupt_records);
  stats.corrupt_bytes = load_counter(header.corrupt_bytes);
  stats.shed = load_counter(header.shed);
  stats.cut = load_counter(header.cut);
  stats.repaired_words = load_counter(header.repaired_words);
  stats.unattached = load_counter(header.unattached);
  for (std::uint32_t lane = 0; lane < view.lanes(); ++lane) {
    stats.delivered += load_counter(view.lane(lane).delivered);
  }
  stats.chunks = view.chunks();
  for (std::uint32_t chunk = 0; chunk < view.chunks(); ++chunk) {
    // Acquire pairs with T2: the records below `used` can be counted.
    const Ctl ctl = unpack(view.ctl(chunk).load(std::memory_order_acquire));
    if (ctl.state == ChunkState::kFree) continue;
    ++stats.chunks_in_use;
    if (plausible(ctl, view.lanes(), view.chunk_bytes())) stats.unread += unread_in(chunk, ctl);
  }
  std::uint64_t attempts = 0;
  for (std::uint32_t lane = 0; lane < view.lanes(); ++lane) {
    LaneWords& words = view.lane(lane);
    stats.refused_full += load_counter(words.drop_full);
    stats.refused_big += load_counter(words.drop_big);
    stats.aborted += load_counter(words.aborted);
    attempts += load_counter(words.sequence);
  }
  const std::uint64_t refused = stats.refused_full + stats.refused_big + stats.aborted;
  const std::uint64_t known = stats.delivered + stats.unread + stats.corrupt_records + refused;
  stats.torn = attempts > known ? attempts - known : 0;
  stats.offered = attempts + stats.unattached;
  stats.accepted = attempts - std::min(attempts, refused + stats.torn);
  stats.fill = static_cast<double>(stats.chunks_in_use) / stats.chunks;
  return stats;
}

/// Counts the records in bytes [from, end) of a chunk whose sequence is above `after`, by their
/// headers, until one makes no sense.
inline std::uint64_t count_records(const std::byte* chunk, std::uint64_t from, std::uint64_t end,
                                   std::uint64_t after) {
  std::uint64_t records = 0;
  while (from + kRecordHeaderBytes < end) {
    const RecordHeader header = peek_header(chunk, from);
    if (header.length == 0 || header.length > end - from) break;
    if (header.sequence > after) ++records;
    from += record_span(header.length);
  }
  return records;
}

/// The figures of the ring at `path`, for a process that neither produces nor consumes. Takes no
/// lock and writes nothing. What is read while the ring works is a moment's picture. Errors:
/// kNotFound, kCorrupt, kNotOurs, kVersion, kPermission, kIo.
/// Blocks: for the time of a walk over the unread records.
inline Result<RingStats> read_ring_stats(const std::string& path) {
  const auto opened = LockFile::open(path, O_RDONLY);
  if (!opened.ok()) return opened.status();
  const auto identity = read_identity(**opened, path);
  if (!identity.ok()) return identity.status();
  const auto mapping =
      Mapping::map(**opened, identity->file_bytes, path, Mapping::Access::kReadOnly);
  if (!mapping.ok()) return mapping.status();
  const RingView view((*mapping)->data(), *identity);
  return collect_stats(view, [&](std::uint32_t chunk, const Ctl& ctl) -> std::uint64_t {
    const std::uint64_t stored = load_counter(view.lane(ctl.lane).last_sequence);
    const auto records = count_records(view.chunk(chunk), 0, std::uint64_t{ctl.used} * 8, stored);
    // Acquire: if the word is still of this use, the bytes that were counted were, too.
    const Ctl now = unpack(view.ctl(chunk).load(std::memory_order_acquire));
    return now.generation == ctl.generation ? records : 0;
  });
}

}  // namespace phlower
