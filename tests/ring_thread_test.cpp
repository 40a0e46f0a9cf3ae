// Producers and the consumer as threads of one process, over one mapping: what ThreadSanitizer can
// see. The same oracle runs without threads first.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "phlower/ring/stats.hpp"
#include "support/ring_fixture.hpp"
#include "support/shared_memory.hpp"

namespace phlower::testing {
namespace {

constexpr std::uint32_t kThreads = 6;

/// What the threads were told, by stream; and the rows, checked when they arrive.
struct Outcome {
  std::uint32_t accepted[kThreads] = {};
  std::uint32_t stored[kThreads] = {};
  std::atomic<std::uint32_t> refused{0};
  std::string wrong;
};

/// Offers until `count` records were accepted, or each once if `once`.
void offer(Producer& producer, std::uint32_t stream, std::uint32_t count, Outcome& outcome) {
  for (std::uint32_t number = 0; number < count;) {
    const Status status = producer.submit(make_content({stream, number}).view());
    if (status.ok()) {
      outcome.accepted[stream] = ++number;
    } else if (status.code() == Code::kRefused) {
      outcome.refused.fetch_add(1);
      std::this_thread::yield();
    } else {
      break;  // the sums at the end will not fit
    }
  }
}

/// Reads one batch, checks it, commits or, now and then, rolls back and reads again.
std::uint64_t take_batch(RingConsumer& consumer, Random& random, Outcome& outcome) {
  consumer.scan();
  const bool keep = !random.one_in(8);
  const std::uint64_t most = 1 + random.below(200);
  std::uint32_t next[kThreads];
  std::copy(std::begin(outcome.stored), std::end(outcome.stored), next);
  std::uint64_t taken = 0;
  for (RingRecord got; taken < most && consumer.next(got); ++taken) {
    ContentId id;
    if (std::string wrong = check_content(got.record, id); !wrong.empty()) outcome.wrong = wrong;
    if (id.stream >= kThreads || id.number != next[id.stream]++) {
      outcome.wrong = std::string(got.record.task_id) + " is out of order";
    }
  }
  if (!keep) {
    consumer.rollback();
    return 0;
  }
  if (consumer.pending().chunks.empty() != (taken == 0)) outcome.wrong = "position without rows";
  consumer.commit();
  std::copy(std::begin(next), std::end(next), outcome.stored);
  return taken;
}

void expect_all_stored(const RingConsumer& consumer, const Outcome& outcome, std::uint32_t each) {
  EXPECT_EQ(outcome.wrong, "");
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    EXPECT_EQ(outcome.accepted[i], each);
    EXPECT_EQ(outcome.stored[i], each);
  }
  const RingStats stats = consumer.stats();
  EXPECT_EQ(stats.accepted, std::uint64_t{kThreads} * each);
  EXPECT_EQ(stats.offered, stats.accepted + stats.refused());
  EXPECT_EQ(stats.refused_full, outcome.refused.load());
  EXPECT_EQ(stats.delivered, stats.accepted);
  EXPECT_EQ(stats.torn + stats.unread + stats.corrupt_records + stats.unattached, 0u);
}

TEST(RingThread, OneThreadOverTheWholePathAgreesWithTheOracle) {
  const TempDir dir(ring_parent());
  SystemClock clock;
  const RingOptions ring = small_ring(dir / "one.ring", 10, kThreads);
  const Shared<RingJournal> empty;
  auto consumer = open_consumer(ring, *empty, clock);
  std::vector<std::unique_ptr<Producer>> producers;
  for (std::uint32_t i = 0; i < kThreads; ++i) producers.push_back(must(attach_small(ring, clock)));
  Outcome outcome;
  Random random(1);
  std::uint32_t done = 0;
  while (done < kThreads * 300) {
    const auto stream = static_cast<std::uint32_t>(random.below(kThreads));
    std::uint32_t& number = outcome.accepted[stream];
    if (number < 300) {
      const Status status = producers[stream]->submit(make_content({stream, number}).view());
      if (status.ok()) {
        ++number, ++done;
      } else {
        outcome.refused.fetch_add(1);
        take_batch(*consumer, random, outcome);
      }
    }
  }
  for (int i = 0; i < 1000; ++i) take_batch(*consumer, random, outcome);
  EXPECT_GT(outcome.refused.load(), 0u);
  expect_all_stored(*consumer, outcome, 300);
}

/// All threads against one consumer; returns when every record is stored.
void run_threads(const RingOptions& ring, std::uint32_t each, bool lazy_consumer) {
  SystemClock clock;
  const Shared<RingJournal> empty;
  auto consumer = open_consumer(ring, *empty, clock);
  Outcome outcome;
  std::atomic<std::uint32_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      SystemClock own_clock;
      // Several lives a thread, so that attach and detach run beside everything else.
      auto producer = attach_small(ring, own_clock);
      if (producer.ok()) offer(**producer, i, each, outcome);
      running.fetch_sub(1);
    });
  }
  std::thread watcher([&] {
    while (running > 0) {
      const auto stats = read_ring_stats(ring.path);
      if (stats.ok() && stats->offered < stats->accepted) outcome.refused = ~0u;
      std::this_thread::sleep_for(Milliseconds(3));
    }
  });
  Random random(2);
  while (running > 0 || consumer->has_unread()) {
    // A lazy consumer leaves the ring full for most of the time.
    if (lazy_consumer) std::this_thread::sleep_for(Milliseconds(2));
    if (take_batch(*consumer, random, outcome) == 0) consumer->wait(Milliseconds(5));
    if (random.one_in(16)) consumer->reap();
  }
  for (std::thread& thread : threads) thread.join();
  watcher.join();
  for (int i = 0; i < 100; ++i) take_batch(*consumer, random, outcome);
  if (lazy_consumer) {
    EXPECT_GT(outcome.refused.load(), 0u);
  }
  expect_all_stored(*consumer, outcome, each);
}

constexpr std::uint32_t kEach = kThreadSanitizer ? 2'000 : 10'000;

TEST(RingThread, ThreadsOnOneMappingLoseNothing) {
  const TempDir dir(ring_parent());
  run_threads(small_ring(dir / "threads.ring", 40, kThreads + 2), kEach, false);
}

TEST(RingThread, ThreadsOnAFullRingLoseNothing) {
  const TempDir dir(ring_parent());
  run_threads(small_ring(dir / "full.ring", kThreads + 1, kThreads + 2), kEach / 4, true);
}

}  // namespace
}  // namespace phlower::testing
