// Producer and consumer are stepped through, one machine instruction at a time, and killed after
// each: what is in the file then must be all that is needed to go on, with nothing lost or doubled.
//
// A killed process leaves the bytes of the file and no locks. So one walk over all instructions
// visits each state that a kill can leave: where the bytes changed, they are copied to a new file
// and the survivors go on with the copy. The tests named "...IsKilled..." kill for real.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "support/ring_step.hpp"

namespace phlower::testing {
namespace {

class RingStep : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer does not run under a stepping parent";
  }

  /// Walks a producer through its life and checks each state that it leaves behind.
  void walk_producer(const RingOptions& ring, std::uint32_t tries, std::uint64_t offered_before) {
    const Shared<Told> told;
    Stepper child([&] { return producer_life(ring, tries, *told); });
    if (child.not_permitted()) GTEST_SKIP() << "ptrace is not permitted here";
    ASSERT_TRUE(child.ready());
    const FileBytes file(ring.path);
    RingOptions copy = ring;
    copy.path = dir_ / "copy.ring";
    std::vector<std::byte> last;
    std::uint64_t steps = 0;
    std::uint64_t states = 0;
    do {
      ++steps;
      if (file.same_as(last)) continue;
      last = file.copy();
      ++states;
      write_file(copy.path, as_if_dead(last, child.pid()));
      const std::string wrong = check_after_producer(copy, *told, offered_before);
      ASSERT_EQ(wrong, "") << "after instruction " << steps << ", record " << told->started;
    } while (child.step());
    ASSERT_TRUE(ended_with(child.finish(), 0));
    EXPECT_EQ(told->started, tries);
    EXPECT_GT(steps, 500u * tries);  // it was stepped through, not run
    EXPECT_GT(states, 6u * tries);
    std::printf("[          ] %lu instructions, %lu different states\n",
                static_cast<unsigned long>(steps), static_cast<unsigned long>(states));
  }

  TempDir dir_{ring_parent()};
  SystemClock clock_;
};

TEST_F(RingStep, ProducerMayDieAnywhereFromAttachOverChunkSwitchToAFullRing) {
  const RingOptions ring = small_ring(dir_ / "a.ring", 2, 3);
  const Shared<RingJournal> journal;
  { auto consumer = open_consumer(ring, *journal, clock_); }
  walk_producer(ring, 44, 0);  // two chunks hold about thirty
}

TEST_F(RingStep, NextHolderOfADeadProducersLaneMayDieAnywhereToo) {
  const RingOptions ring = small_ring(dir_ / "a.ring", 4, 2);
  const Shared<RingJournal> journal;
  { auto consumer = open_consumer(ring, *journal, clock_); }
  const pid_t dead = fork_child([&] {
    auto producer = must(attach_small(ring, clock_));
    for (std::uint32_t i = 0; i < 5; ++i) {
      if (!producer->submit(make_content({3, i}).view()).ok()) return 1;
    }
    ::kill(::getpid(), SIGKILL);  // no detach
    return 2;
  });
  ASSERT_TRUE(WIFSIGNALED(wait_for_end(dead)));
  walk_producer(ring, 24, 5);
}

/// Two streams are in the ring: one over several chunks, one in a chunk that its holder still owns.
void fill_two_lanes(const RingOptions& ring, Clock& clock) {
  auto first = must(attach_small(ring, clock));
  auto second = must(attach_small(ring, clock));
  for (std::uint32_t i = 0; i < 36; ++i) {
    if (!first->submit(make_content({1, i}).view()).ok()) throw std::runtime_error("refused");
  }
  for (std::uint32_t i = 0; i < 6; ++i) {
    if (!second->submit(make_content({4, i}).view()).ok()) throw std::runtime_error("refused");
  }
}

/// The stepped consumer's life: open, read, commit in three batches, free, reap.
int consumer_life(const RingOptions& ring, RingJournal& journal) {
  ManualClock clock;
  step_mark();
  {
    auto opened = RingConsumer::open(ring, Durability::kProcess, clock, journal.loader());
    if (!opened.ok()) return 1;
    // Their content is checked in other tests; here it would be most of the instructions.
    if (!drain(*opened.value(), journal, 16, Check::kIdOnly).empty()) return 2;
    for (int round = 0; round < 3; ++round) {
      clock.advance(Seconds(2));
      opened.value()->reap();
    }
  }
  step_mark();
  return 0;
}

/// Everything of the two streams exactly once, whatever the dead consumer had done.
std::string check_after_consumer(const RingOptions& ring, const RingJournal& committed) {
  SystemClock clock;
  const Shared<RingJournal> journal;
  journal->copy_from(committed);
  auto opened = RingConsumer::open(ring, Durability::kProcess, clock, journal->loader());
  if (!opened.ok()) return "consumer: " + std::string(opened.status().message());
  RingConsumer& consumer = *opened.value();
  if (std::string wrong = drain(consumer, *journal); !wrong.empty()) return wrong;
  std::map<std::uint32_t, std::uint32_t> next;
  for (std::uint64_t i = 0; i < journal->row_count(); ++i) {
    const ContentId id = journal->row(i).id;
    if (id.number != next[id.stream]++) {
      return "record " + std::to_string(id.number) + " of stream " + std::to_string(id.stream) +
             " in the place of " + std::to_string(next[id.stream] - 1);
    }
  }
  if (next[1] != 36 || next[4] != 6) return "records are missing";
  if (std::string wrong = check_sums(consumer.stats(), 42, 42, 0); !wrong.empty()) return wrong;
  return check_ring_works(ring, consumer, *journal, clock);
}

TEST_F(RingStep, ConsumerMayDieAnywhereFromOpenOverCommitToReap) {
  const RingOptions ring = small_ring(dir_ / "a.ring", 6, 3);
  const Shared<RingJournal> journal;
  { auto consumer = open_consumer(ring, *journal, clock_); }
  fill_two_lanes(ring, clock_);
  Stepper child([&] { return consumer_life(ring, *journal); });
  if (child.not_permitted()) GTEST_SKIP() << "ptrace is not permitted here";
  ASSERT_TRUE(child.ready());
  const FileBytes file(ring.path);
  RingOptions copy = ring;
  copy.path = dir_ / "copy.ring";
  std::vector<std::byte> last;
  std::uint32_t last_active = 2;
  std::uint64_t steps = 0;
  std::uint64_t states = 0;
  do {
    ++steps;
    if (journal->active() == last_active && file.same_as(last)) continue;
    last = file.copy();
    last_active = journal->active();
    ++states;
    write_file(copy.path, last);
    ASSERT_EQ(check_after_consumer(copy, *journal), "") << "after instruction " << steps;
  } while (child.step());
  ASSERT_TRUE(ended_with(child.finish(), 0));
  EXPECT_EQ(journal->row_count(), 42u);
  EXPECT_GT(states, 12u);  // commits, frees, epochs, lane counters
  // The reaped chunks went back: nothing is in use any more.
  auto consumer = open_consumer(ring, *journal, clock_);
  EXPECT_EQ(consumer->stats().chunks_in_use, 0u);
  std::printf("[          ] %lu instructions, %lu different states\n",
              static_cast<unsigned long>(steps), static_cast<unsigned long>(states));
}

/// One more producer life on the same ring: attaches, marks, submits one record, marks.
int one_submit(const RingOptions& ring, std::uint32_t number, Told& told) {
  SystemClock clock;
  auto producer = must(attach_small(ring, clock));
  Record record = make_content({1, number});
  step_mark();
  const Status status = producer->submit(record.view());
  told.answer[0] = status.ok() ? kTaken : kNotTaken;
  step_mark();
  return 0;
}

std::uint64_t stride() {
  const char* text = std::getenv("PHLOWER_STEP_STRIDE");
  const std::uint64_t asked = text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  if (asked > 0) return asked;
#ifdef __OPTIMIZE__
  return kAddressSanitizer ? 61 : 1;
#else
  return 31;
#endif
}

TEST_F(RingStep, ProducerThatIsKilledAfterEachInstructionOfSubmitLosesNothing) {
  const RingOptions ring = small_ring(dir_ / "a.ring", 4, 2);
  const Shared<RingJournal> journal;
  const Shared<Told> told;
  auto consumer = open_consumer(ring, *journal, clock_);
  std::uint32_t number = 0;
  std::uint32_t taken = 0;
  std::uint32_t doubtful = 0;
  for (bool finished = false; !finished; ++number) {
    told->answer[0] = kNone;
    Stepper child([&] { return one_submit(ring, number, *told); });
    if (child.not_permitted()) GTEST_SKIP() << "ptrace is not permitted here";
    ASSERT_TRUE(child.ready());
    std::uint64_t left = number * stride();
    while (left > 0 && child.step()) --left;
    finished = left > 0;
    child.kill_now();
    const std::uint64_t rows = journal->row_count();
    ASSERT_EQ(drain(*consumer, *journal), "") << "after instruction " << number * stride();
    const std::uint64_t more = journal->row_count() - rows;
    ASSERT_LE(more, 1u);
    if (more == 1) {
      ASSERT_EQ(journal->row(rows).id, (ContentId{1, number}));
    }
    if (told->answer[0] == kTaken) {
      ASSERT_EQ(more, 1u) << "accepted and lost, after instruction " << number * stride();
    }
    taken += told->answer[0] == kTaken ? 1 : 0;
    doubtful += told->answer[0] == kNone && more == 1 ? 1 : 0;
  }
  EXPECT_GT(number * stride(), 500u);
  EXPECT_GT(taken, 0u);
  const RingStats stats = consumer->stats();
  EXPECT_EQ(check_sums(stats, taken + doubtful, number, number), "");
  EXPECT_EQ(stats.delivered, taken + doubtful);
  EXPECT_EQ(stats.refused_full, 0u);
  EXPECT_EQ(check_ring_works(ring, *consumer, *journal, clock_), "");
}

TEST_F(RingStep, ProducerThatStandsStillAnywhereInSubmitHoldsUpNobody) {
  const RingOptions ring = small_ring(dir_ / "a.ring", 6, 2);
  const Shared<RingJournal> journal;
  const Shared<Told> told;
  auto consumer = open_consumer(ring, *journal, clock_);
  const FileBytes file(ring.path);
  auto other = must(attach_small(ring, clock_));
  std::uint32_t offered = 0;
  std::uint64_t stop_at = 0;  // instructions until the next different state
  for (std::uint32_t number = 0;; ++number) {
    told->answer[0] = kNone;
    Stepper child([&] { return one_submit(ring, number, *told); });
    if (child.not_permitted()) GTEST_SKIP() << "ptrace is not permitted here";
    ASSERT_TRUE(child.ready());
    std::uint64_t steps = 0;
    bool running = true;
    std::vector<std::byte> before;
    while (running && (steps <= stop_at || file.same_as(before))) {
      if (steps++ == stop_at) before = file.copy();
      running = child.step();
    }
    stop_at = steps;
    for (int round = 0; round < 3; ++round, ++offered) {
      ASSERT_TRUE(other->submit(make_content({2, offered}).view()).ok());
      ASSERT_EQ(drain(*consumer, *journal), "");
      consumer->reap();
    }
    ASSERT_TRUE(ended_with(child.finish(), 0));
    ASSERT_EQ(told->answer[0], kTaken) << "after instruction " << stop_at;
    ASSERT_EQ(drain(*consumer, *journal), "");
    ASSERT_EQ(journal->row_count(), number + 1 + offered);
    if (!running) break;
  }
  EXPECT_GT(offered, 3u * 6);
  EXPECT_EQ(consumer->stats().torn, 0u);
}

}  // namespace
}  // namespace phlower::testing
