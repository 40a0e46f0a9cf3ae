// Producer and consumer processes on one small ring, and what can be done to them at random.
#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "ring_fixture.hpp"
#include "shared_memory.hpp"

namespace phlower::testing {

inline constexpr std::uint32_t kStreams = 20'000;
inline constexpr std::uint32_t kProducers = 8;
inline constexpr std::uint32_t kChunks = 24;
inline constexpr std::uint32_t kLanes = 16;

/// Between the processes of a run. `started` and `acked` count records of a stream; a refused
/// record is offered again, so the accepted ones are always the first so many.
struct Board {
  std::atomic<std::uint32_t> next_stream;
  std::atomic<std::uint32_t> started[kStreams];
  std::atomic<std::uint32_t> acked[kStreams];
  std::atomic<std::uint32_t> refused, detached, forks, turned_away, closings;
  std::atomic<bool> producers_stop, consumers_stop;
  char error[400];
  std::atomic<bool> failed;
  RingJournal journal;
};

inline void complain(Board& board, const std::string& what) {
  if (board.failed.exchange(true)) return;
  std::snprintf(board.error, sizeof(board.error), "%s", what.c_str());
}

/// Offers records of `stream` until `count` were accepted or the run is over.
inline void produce(Producer& producer, Board& board, std::uint32_t stream, std::uint32_t count,
                    Random& random, bool may_fork, bool may_close);

inline void fork_in_the_middle(Producer& producer, Board& board) {
  const std::uint32_t stream = board.next_stream.fetch_add(1);
  if (stream >= kStreams) return;
  const pid_t child = ::fork();
  if (child == 0) {
    // The same object, another process: it must not write through its parent's lane.
    Random random(stream);
    produce(producer, board, stream, 20, random, false, false);
    board.forks.fetch_add(1);
    ::_exit(0);
  }
  // Not waited for: it may outlive its parent, and then becomes a child of the test itself.
}

inline void produce(Producer& producer, Board& board, std::uint32_t stream, std::uint32_t count,
                    Random& random, bool may_fork, bool may_close) {
  for (std::uint32_t number = 0; number < count && !board.producers_stop;) {
    const Record record = make_content({stream, number});
    board.started[stream] = number + 1;
    const Status status = producer.submit(record.view());
    if (status.ok()) {
      board.acked[stream] = ++number;
    } else if (status.code() == Code::kRefused) {
      board.refused.fetch_add(1);
      ::usleep(static_cast<useconds_t>(random.below(500)));
    } else if (status.code() == Code::kDetached) {
      board.detached.fetch_add(1);
      ::usleep(1000);
    } else {
      complain(board, "submit: " + std::string(status.message()));
      return;
    }
    if (may_fork && random.one_in(3000)) fork_in_the_middle(producer, board);
    if (may_close && random.one_in(400)) {
      ::close_range(3, ~0u, 0);  // as a daemon does that knows nothing of us
      board.closings.fetch_add(1);
    }
  }
}

inline int producer_process(const RingOptions& ring, Board& board, std::uint32_t stream,
                            bool may_fork, bool may_close) {
  SystemClock clock;
  Random random(stream);
  while (!board.producers_stop) {
    auto producer = attach_small(ring, clock);
    if (producer.ok()) {
      produce(**producer, board, stream, ~0u, random, may_fork, may_close);
      return 0;
    }
    // No file yet, or every lane held by forks.
    if (producer.status().code() != Code::kNotFound && producer.status().code() != Code::kBusy) {
      complain(board, "attach: " + std::string(producer.status().message()));
      return 1;
    }
    ::usleep(1000);
  }
  return 0;
}

/// Reads and stores until told to stop; where another consumer lives, waits for its death.
inline int consumer_process(const RingOptions& ring, Board& board, std::uint64_t seed) {
  SystemClock clock;
  Random random(seed);
  while (!board.consumers_stop) {
    auto opened = RingConsumer::open(ring, Durability::kProcess, clock, board.journal.loader());
    if (opened.status().code() == Code::kBusy) {
      board.turned_away.fetch_add(1);
      ::usleep(2000);
      continue;
    }
    if (!opened.ok() || !(*opened)->set_aside().empty()) {
      complain(board, "consumer: " + std::string(opened.status().message()));
      return 1;
    }
    while (!board.consumers_stop) {
      const std::string wrong = drain(**opened, board.journal, 1 + random.below(400));
      if (!wrong.empty()) {
        complain(board, wrong);
        return 1;
      }
      if (random.one_in(4)) (*opened)->reap();
      (*opened)->wait(Milliseconds(2));
    }
  }
  return 0;
}

/// The processes of a run, and what is done to them.
class Swarm {
 public:
  Swarm(const RingOptions& ring, Board& board, std::uint64_t seed, bool may_fork, bool may_close)
      : ring_(ring), board_(board), random_(seed), may_fork_(may_fork), may_close_(may_close) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // orphaned forks come to us, to be waited for
    for (pid_t& pid : consumers_) pid = start_consumer();
    for (pid_t& pid : producers_) pid = start_producer();
  }
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;
  ~Swarm() {
    for (pid_t pid : consumers_) kill_child(pid);
    for (pid_t pid : producers_) kill_child(pid);
  }

  /// One thing goes wrong somewhere.
  void disturb() {
    pid_t& producer = producers_[random_.below(kProducers)];
    pid_t& consumer = consumers_[random_.below(2)];
    switch (random_.below(8)) {
      case 0:
      case 1:
      case 2:
      case 3:
        kill_child(producer);
        producer = start_producer();
        ++producer_kills;
        break;
      case 4:
      case 5:
        kill_child(consumer);
        consumer = start_consumer();
        ++consumer_kills;
        break;
      case 6:
        ::kill(producer, SIGSTOP);
        ++stops;
        break;
      default:
        for (pid_t pid : producers_) ::kill(pid, SIGCONT);
        for (pid_t pid : consumers_) ::kill(pid, random_.one_in(4) ? SIGSTOP : SIGCONT);
    }
    ::usleep(static_cast<useconds_t>(random_.below(12'000)));
  }

  /// Lets everybody come to an end by himself; producers first.
  bool end_well() {
    for (pid_t pid : producers_) ::kill(pid, SIGCONT);
    for (pid_t pid : consumers_) ::kill(pid, SIGCONT);
    board_.producers_stop = true;
    bool well = true;
    for (pid_t& pid : producers_) well = ended_with(wait_for_end(pid), 0) && well;
    producers_.clear();
    board_.consumers_stop = true;
    for (pid_t& pid : consumers_) well = ended_with(wait_for_end(pid), 0) && well;
    consumers_.clear();
    while (::wait(nullptr) > 0) {
    }  // the forks, which end by themselves now
    return well;
  }

  std::uint32_t producer_kills = 0;
  std::uint32_t consumer_kills = 0;
  std::uint32_t stops = 0;

 private:
  pid_t start_producer() {
    const std::uint32_t stream = std::min(board_.next_stream.fetch_add(1), kStreams - 1);
    return fork_child(
        [&] { return producer_process(ring_, board_, stream, may_fork_, may_close_); });
  }
  pid_t start_consumer() {
    const std::uint64_t seed = random_.next();
    return fork_child([&] { return consumer_process(ring_, board_, seed); });
  }

  const RingOptions& ring_;
  Board& board_;
  Random random_;
  bool may_fork_;
  bool may_close_;
  std::vector<pid_t> consumers_{0, 0};
  std::vector<pid_t> producers_ = std::vector<pid_t>(kProducers, 0);
};

}  // namespace phlower::testing
