// Many processes on one small ring, killed, stopped, forked and started again at random. What each
// producer was told is held against what the consumers stored: exactly once, in order, nothing
// else. PHLOWER_FUZZ_SECONDS sets how long (8), PHLOWER_SEED repeats the choices of a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "support/ring_swarm.hpp"

namespace phlower::testing {
namespace {

std::uint64_t env_number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Disturbs a run for `seconds` and reads the rest of the ring. The consumer's last figures.
RingStats run_swarm(const RingOptions& ring, Board& board, Swarm& swarm, double seconds) {
  SystemClock clock;
  const MonoTime end = clock.mono() + Milliseconds(static_cast<int>(seconds * 1000));
  while (clock.mono() < end && !board.failed && board.next_stream < kStreams - 64 &&
         board.journal.row_count() < kJournalRows / 4 * 3) {
    swarm.disturb();
  }
  EXPECT_TRUE(swarm.end_well());
  EXPECT_FALSE(board.failed) << board.error;
  auto consumer = open_consumer(ring, board.journal, clock);
  EXPECT_EQ(drain(*consumer, board.journal), "");
  return consumer->stats();
}

/// How often each record is stored; fails at rows that nobody offered.
std::vector<std::vector<std::uint8_t>> count_rows(const Board& board, bool in_order) {
  std::vector<std::vector<std::uint8_t>> times(kStreams);
  std::vector<std::int64_t> last(kStreams, -1);
  std::vector<std::uint64_t> last_sequence(kLanes, 0);
  for (std::uint32_t s = 0; s < kStreams; ++s) times[s].resize(board.started[s]);
  for (std::uint64_t i = 0; i < board.journal.row_count(); ++i) {
    const JournalRow& row = board.journal.row(i);
    if (row.id.stream >= kStreams || row.id.number >= times[row.id.stream].size()) {
      ADD_FAILURE() << row.id.stream << "-" << row.id.number << " was never offered";
      return times;
    }
    ++times[row.id.stream][row.id.number];
    if (in_order &&
        (row.id.number <= last[row.id.stream] || row.sequence <= last_sequence[row.lane])) {
      ADD_FAILURE() << row.id.stream << "-" << row.id.number << " is out of order";
      return times;
    }
    last[row.id.stream] = row.id.number;
    last_sequence[row.lane] = row.sequence;
  }
  return times;
}

std::uint64_t run_length() { return env_number("PHLOWER_FUZZ_SECONDS", 8); }

/// Runs of at most ten seconds, each with a ring and a seed of its own.
template <class Run>
void repeat(const char* name, Run&& run) {
  std::uint64_t seed = env_number("PHLOWER_SEED", static_cast<std::uint64_t>(std::time(nullptr)));
  for (double left = static_cast<double>(run_length()); left > 0; left -= 10, ++seed) {
    std::printf("[          ] %s: PHLOWER_SEED=%lu\n", name, static_cast<unsigned long>(seed));
    std::fflush(stdout);
    run(seed, std::min(left, 10.0));
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(RingKill, AcceptedRecordsAreStoredExactlyOnceWhateverIsKilledStoppedOrForked) {
  repeat("kill, stop, fork", [](std::uint64_t seed, double seconds) {
    const TempDir dir(ring_parent());
    const RingOptions ring = small_ring(dir / "fuzz.ring", kChunks, kLanes);
    const Shared<Board> board;
    Swarm swarm(ring, *board, seed, true, false);
    const RingStats stats = run_swarm(ring, *board, swarm, seconds);
    const auto times = count_rows(*board, true);
    std::uint64_t stored = 0;
    for (std::uint32_t s = 0; s < kStreams; ++s) {
      const std::uint32_t acked = board->acked[s];
      const auto once = static_cast<std::uint32_t>(std::count(times[s].begin(), times[s].end(), 1));
      // The accepted ones are the first; one more may be in whose producer died before it knew.
      const bool first = std::all_of(times[s].begin(), times[s].begin() + once,
                                     [](std::uint8_t n) { return n == 1; });
      ASSERT_TRUE(first && once >= acked && once <= acked + 1)
          << "stream " << s << ": accepted " << acked << ", stored " << once;
      stored += once;
    }
    EXPECT_EQ(stored, board->journal.row_count());
    EXPECT_EQ(stats.delivered, stored);
    EXPECT_EQ(stats.accepted, stored);
    EXPECT_EQ(stats.unread, 0u);
    EXPECT_EQ(stats.corrupt_records, 0u);
    EXPECT_EQ(stats.offered, stats.accepted + stats.refused());
    EXPECT_LE(stats.torn, swarm.producer_kills);
    EXPECT_LE(board->refused, stats.refused_full + stats.unattached + swarm.producer_kills);
    // Work was done, and each kind of trouble happened.
    EXPECT_GT(stored, 500 * seconds);
    EXPECT_GT(swarm.producer_kills, 4 * seconds);
    EXPECT_GT(swarm.consumer_kills, 2 * seconds);
    EXPECT_GT(swarm.stops, seconds);
    EXPECT_GT(board->turned_away, 0u);
    if (seconds >= 8) {
      EXPECT_GT(board->forks, 0u);
    }
    std::printf(
        "[          ] %lu stored, %u producers and %u consumers killed, %u stopped, "
        "%u forked, %u refused, %lu torn\n",
        static_cast<unsigned long>(stored), swarm.producer_kills, swarm.consumer_kills, swarm.stops,
        board->forks.load(), board->refused.load(), static_cast<unsigned long>(stats.torn));
  });
}

// Whoever closes descriptors that are not his gives up his lane without knowing it. Two writers may
// then meet in one chunk: the control word lets only one of them publish, but bytes may be written
// over. That may cost records, and each such place is counted; none is wrong and none is doubled.
TEST(RingKill, ClosedDescriptorsNeverMakeARecordWrongOrDoubled) {
  repeat("close", [](std::uint64_t seed, double seconds) {
    seconds = std::min(seconds, 3.0);
    const TempDir dir(ring_parent());
    const RingOptions ring = small_ring(dir / "fuzz.ring", kChunks, kLanes);
    const Shared<Board> board;
    Swarm swarm(ring, *board, seed, false, true);
    const RingStats stats = run_swarm(ring, *board, swarm, seconds);
    const auto times = count_rows(*board, false);
    std::uint64_t lost = 0;
    for (std::uint32_t s = 0; s < kStreams; ++s) {
      for (std::uint32_t i = 0; i < times[s].size(); ++i) {
        ASSERT_LE(times[s][i], 1) << s << "-" << i << " is stored twice";
        if (times[s][i] == 0 && i < board->acked[s]) ++lost;
      }
    }
    if (lost > 0) {
      EXPECT_GT(stats.corrupt_records, 0u);
    }
    EXPECT_LE(lost, board->closings) << "records accepted and not stored";
    EXPECT_GT(board->closings, 0u);
    EXPECT_GT(board->journal.row_count(), 200 * seconds);
    std::printf(
        "[          ] %lu stored, %u closings, %u detached, %lu lost, %lu counted corrupt\n",
        static_cast<unsigned long>(board->journal.row_count()), board->closings.load(),
        board->detached.load(), static_cast<unsigned long>(lost),
        static_cast<unsigned long>(stats.corrupt_records));
  });
}

}  // namespace
}  // namespace phlower::testing
