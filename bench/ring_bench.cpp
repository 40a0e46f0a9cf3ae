// What `submit` costs, in one run beside its peers: the bare work of it (memcpy, CRC32C and one
// compare-and-swap of the same bytes) and Boost.Interprocess's message_queue, with one and with
// four producer processes while a consumer process empties the queue.
//
//   ring_bench [--records N] [--rounds N] [--json FILE]
//
// Times are of calls that took the record, less what reading the clock costs. Who finds the ring
// full gives up its time slice and tries again; that shows in the throughput, which is records
// taken by the consumer over the time from the start to the last of them. The queue is used as its
// own examples do, and once more by try_send and try_receive, so that nothing waits. Ring and queue
// hold the same bytes and lie on tmpfs; the consumer decodes each record and does not store it. The
// ring's comes back after a millisecond when few wait, as the engine gives them up to 50 ms. CPU is
// that of all processes: what is left to compare when other programs use the machine.
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <boost/date_time/posix_time/posix_time.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "../tests/support/shared_memory.hpp"
#include "../tests/support/temp_dir.hpp"
#include "phlower/ground/crc32c.hpp"
#include "phlower/ring/consumer.hpp"
#include "phlower/ring/producer.hpp"

namespace {

using phlower::testing::ended_with;
using phlower::testing::fork_child;
using phlower::testing::Shared;
using phlower::testing::wait_for_end;

constexpr std::size_t kPayload = 600;  // encoded
constexpr std::uint32_t kMostProducers = 4;
constexpr std::uint32_t kMostRecords = 2'000'000;

/// A clock that costs little: the cycle counter where there is one.
std::uint64_t ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(phlower::SystemClock().mono().time_since_epoch().count());
#endif
}

double seconds_now() {
  return std::chrono::duration<double>(phlower::SystemClock().mono().time_since_epoch()).count();
}

/// CPU seconds of all children that ended.
double children_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double nanoseconds_per_tick() {
  const double start = seconds_now();
  const std::uint64_t from = ticks();
  while (seconds_now() - start < 0.05) {
  }
  return (seconds_now() - start) * 1e9 / static_cast<double>(ticks() - from);
}

/// A record of a successful task with `kPayload` bytes.
struct Sample {
  std::string id = std::string(36, 'i');
  std::string args;
  phlower::RecordView view;

  Sample() {
    view.task_id = id;
    view.task_name = "shop.tasks.send_receipt";
    view.state = "SUCCESS";
    view.received_at = view.started_at = view.finished_at = 1.7e9;
    view.runtime_ms = 12.5;
    view.worker = "celery@worker-7f9c";
    view.queue = "default";
    args.assign(kPayload - phlower::encoded_bytes(view), 'a');
    view.args = args;
  }
};

/// Between the processes of one measurement.
struct Board {
  std::atomic<std::uint32_t> ready;
  std::atomic<bool> go, stop;
  std::atomic<std::uint64_t> consumed;
  std::uint32_t times[kMostProducers][kMostRecords];
};

struct Figures {
  std::string name;
  std::uint32_t producers = 1;
  double median = 0, p99 = 0, p999 = 0, max = 0;  // ns, of all producers
  double worst_median = 0;                        // of the slowest producer
  double per_second = 0;
  double cpu = 0;  // ns of CPU for each record, producers and consumer
};

double at_quantile(const std::vector<std::uint32_t>& sorted, double quantile) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(quantile * last)];
}

/// Times `records` calls of `send` (true: taken) into `times`.
void produce(Board& board, std::uint32_t* times, std::uint32_t records,
             const std::function<bool()>& send) {
  board.ready.fetch_add(1);
  while (!board.go) ::sched_yield();
  for (std::uint32_t done = 0; done < records;) {
    const std::uint64_t before = ticks();
    if (send()) {
      times[done++] = static_cast<std::uint32_t>(std::min<std::uint64_t>(ticks() - before, ~0u));
    } else {
      ::sched_yield();
    }
  }
}

class Bench {
 public:
  explicit Bench(std::uint32_t records) : records_(records), tick_(nanoseconds_per_tick()) {
    std::vector<std::uint32_t> empty(records);
    for (std::uint32_t& time : empty) {
      const std::uint64_t before = ticks();
      time = static_cast<std::uint32_t>(ticks() - before);
    }
    std::sort(empty.begin(), empty.end());
    overhead_ = at_quantile(empty, 0.5);
  }

  /// Runs `producers` processes of `producer` (which makes its `send`) beside one `consumer`.
  Figures run(const std::string& name, std::uint32_t producers,
              const std::function<int(Board&, std::uint32_t*)>& producer,
              const std::function<int(Board&)>& consumer) {
    board_->ready = 0;
    board_->go = board_->stop = false;
    board_->consumed = 0;
    pid_t consuming = 0;
    if (consumer) consuming = fork_child([&] { return consumer(*board_); });
    std::vector<pid_t> producing;
    for (std::uint32_t i = 0; i < producers; ++i) {
      producing.push_back(fork_child([&] { return producer(*board_, board_->times[i]); }));
    }
    while (board_->ready < producers) ::usleep(200);
    const double cpu = children_cpu();
    const double start = seconds_now();
    board_->go = true;
    bool well = true;
    for (pid_t pid : producing) well = ended_with(wait_for_end(pid), 0) && well;
    const std::uint64_t all = std::uint64_t{producers} * records_;
    while (well && consumer && board_->consumed < all) ::usleep(200);
    const double took = seconds_now() - start;
    board_->stop = true;
    if (consumer) well = ended_with(wait_for_end(consuming), 0) && well;
    if (!well) {
      std::fprintf(stderr, "ring_bench: a process of %s failed\n", name.c_str());
      std::exit(1);
    }
    Figures out = figures(name, producers);
    out.per_second = static_cast<double>(all) / took;
    out.cpu = (children_cpu() - cpu) * 1e9 / static_cast<double>(all);
    return out;
  }

  std::uint32_t records() const { return records_; }

 private:
  Figures figures(const std::string& name, std::uint32_t producers) const {
    Figures out;
    out.name = name;
    out.producers = producers;
    const auto ns = [&](double value) { return std::max(0.0, value - overhead_) * tick_; };
    std::vector<std::uint32_t> all;
    for (std::uint32_t i = 0; i < producers; ++i) {
      std::vector<std::uint32_t> one(board_->times[i], board_->times[i] + records_);
      std::sort(one.begin(), one.end());
      out.worst_median = std::max(out.worst_median, ns(at_quantile(one, 0.5)));
      all.insert(all.end(), one.begin(), one.end());
    }
    std::sort(all.begin(), all.end());
    out.median = ns(at_quantile(all, 0.5));
    out.p99 = ns(at_quantile(all, 0.99));
    out.p999 = ns(at_quantile(all, 0.999));
    out.max = ns(all.back());
    return out;
  }

  Shared<Board> board_;
  const std::uint32_t records_;
  const double tick_;
  double overhead_ = 0;
};

/// The least that a record needs: copied, summed, published. Into one chunk, which stays in cache.
Figures bench_bare(Bench& bench) {
  const auto producer = [&](Board& board, std::uint32_t* times) {
    const std::vector<std::byte> from(kPayload, std::byte{7});
    std::vector<std::byte> chunk(64u << 10);
    alignas(64) std::uint64_t word = 0;
    std::size_t at = 0;
    produce(board, times, bench.records(), [&] {
      std::memcpy(&chunk[at], from.data(), kPayload);
      const std::uint32_t crc = phlower::crc32c({&chunk[at], kPayload});
      std::uint64_t expected = word;
      const std::uint64_t next = expected + crc % 2 + 1;
      at = at + 2 * kPayload <= chunk.size() ? at + kPayload : 0;
      return std::atomic_ref(word).compare_exchange_strong(expected, next);
    });
    return 0;
  };
  return bench.run("bare", 1, producer, nullptr);
}

int consume_ring(Board& board, const phlower::RingOptions& ring) {
  phlower::SystemClock clock;
  const auto nothing = [](const phlower::RingId&) -> phlower::Result<phlower::RingPositions> {
    return phlower::RingPositions{};
  };
  auto opened = phlower::RingConsumer::open(ring, phlower::Durability::kProcess, clock, nothing);
  if (!opened.ok()) return 1;
  phlower::RingConsumer& consumer = **opened;
  while (!board.stop) {
    consumer.scan();
    std::uint64_t taken = 0;
    phlower::RingRecord got;
    while (taken < 2000 && consumer.next(got)) {
      if (got.record.task_id.size() != 36) return 2;
      ++taken;
    }
    consumer.commit();
    board.consumed.fetch_add(taken);
    if (taken == 0) consumer.wait(phlower::Milliseconds(5));
    if (taken > 0 && taken < 500) ::usleep(1000);  // for company
  }
  return 0;
}

Figures bench_ring(Bench& bench, std::uint32_t producers) {
  const phlower::testing::TempDir dir("/dev/shm");
  phlower::RingOptions ring;  // as configured by default
  ring.path = dir / "bench.ring";
  ring.high_water_percent = 100;  // every record as it is, no shedding
  phlower::SystemClock clock;
  const auto producer = [&](Board& board, std::uint32_t* times) {
    auto made = phlower::Producer::attach(ring.path, {}, ring.high_water_percent, clock);
    for (int i = 0; i < 1000 && !made.ok(); ++i) {  // until the consumer made the file
      ::usleep(2000);
      made = phlower::Producer::attach(ring.path, {}, ring.high_water_percent, clock);
    }
    if (!made.ok()) return 1;
    const Sample sample;
    produce(board, times, bench.records(), [&] { return (*made)->submit(sample.view).ok(); });
    return 0;
  };
  return bench.run("ring", producers, producer,
                   [&](Board& board) { return consume_ring(board, ring); });
}

/// Takes one message; false when there was none.
bool receive(boost::interprocess::message_queue& queue, std::vector<std::byte>& bytes,
             std::size_t& size, bool waits) {
  unsigned priority = 0;
  if (!waits) return queue.try_receive(bytes.data(), bytes.size(), size, priority);
  const auto end = boost::posix_time::microsec_clock::universal_time();
  return queue.timed_receive(bytes.data(), bytes.size(), size, priority,
                             end + boost::posix_time::milliseconds(50));
}

Figures bench_queue(Bench& bench, std::uint32_t producers, bool waits) {
  namespace ipc = boost::interprocess;
  const std::string name = "phlower-bench-" + std::to_string(::getpid());
  ipc::message_queue::remove(name.c_str());
  const std::size_t room = phlower::RingOptions().size_bytes / kPayload;
  ipc::message_queue queue(ipc::create_only, name.c_str(), room, kPayload);
  const auto producer = [&](Board& board, std::uint32_t* times) {
    ipc::message_queue mine(ipc::open_only, name.c_str());
    const Sample sample;
    std::vector<std::byte> bytes(kPayload);
    produce(board, times, bench.records(), [&] {
      phlower::encode_record(sample.view, 1, bytes);
      if (!waits) return mine.try_send(bytes.data(), bytes.size(), 0);
      mine.send(bytes.data(), bytes.size(), 0);
      return true;
    });
    return 0;
  };
  const auto consumer = [&](Board& board) {
    ipc::message_queue mine(ipc::open_only, name.c_str());
    std::vector<std::byte> bytes(kPayload);
    std::size_t size = 0;
    while (!board.stop) {
      if (!receive(mine, bytes, size, waits)) {
        ::sched_yield();
      } else if (phlower::decode_record({bytes.data(), size}).ok()) {
        board.consumed.fetch_add(1);
      } else {
        return 2;
      }
    }
    return 0;
  };
  const Figures figures =
      bench.run(waits ? "message_queue" : "queue, try_send", producers, producer, consumer);
  ipc::message_queue::remove(name.c_str());
  return figures;
}

struct Ratio {
  const char* name;
  double value;
  double target;
  bool at_least;
  bool met() const { return at_least ? value >= target : value <= target; }
};

std::vector<Ratio> ratios(const std::vector<Figures>& all) {
  const Figures& bare = all[0];
  const Figures &one = all[1], &four = all[2];
  const Figures& queue = all[4];
  return {
      {"submit_median_over_bare", one.median / bare.median, 3, false},
      {"p999_four_queue_over_ring", queue.p999 / four.p999, 20, true},
      {"throughput_four_ring_over_queue", four.per_second / queue.per_second, 5, true},
      {"median_four_over_alone", four.worst_median / one.median, 2, false},
  };
}

void print_table(const std::vector<Figures>& all) {
  std::printf("%-15s %9s %9s %8s %9s %10s %9s %7s\n", "600 bytes", "producers", "median ns",
              "p99 ns", "p99.9 ns", "max ns", "million/s", "CPU ns");
  for (const Figures& f : all) {
    std::printf("%-15s %9u %9.0f %8.0f %9.0f %10.0f %9.2f %7.0f\n", f.name.c_str(), f.producers,
                f.median, f.p99, f.p999, f.max, f.per_second / 1e6, f.cpu);
  }
  for (const Ratio& r : ratios(all)) {
    std::printf("%-33s %8.2f  (%s %.0f: %s)\n", r.name, r.value,
                r.at_least ? "at least" : "at most", r.target, r.met() ? "met" : "missed");
  }
  std::printf("\n");
}

void write_json(const std::string& path, const std::vector<Figures>& all) {
  std::ofstream out(path);
  out << "{\"payload_bytes\":" << kPayload << ",\"cases\":[";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Figures& f = all[i];
    out << (i == 0 ? "" : ",") << "{\"name\":\"" << f.name << "\",\"producers\":" << f.producers
        << ",\"median_ns\":" << f.median << ",\"worst_producer_median_ns\":" << f.worst_median
        << ",\"p99_ns\":" << f.p99 << ",\"p999_ns\":" << f.p999 << ",\"max_ns\":" << f.max
        << ",\"per_second\":" << f.per_second << ",\"cpu_ns\":" << f.cpu << "}";
  }
  out << "],\"ratios\":{";
  bool first = true;
  for (const Ratio& r : ratios(all)) {
    out << (first ? "" : ",") << "\"" << r.name << "\":" << r.value;
    first = false;
  }
  out << "}}\n";
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t records = 400'000;
  int rounds = 1;
  std::string json;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--records") records = static_cast<std::uint32_t>(std::atol(argv[i + 1]));
    if (option == "--rounds") rounds = std::atoi(argv[i + 1]);
    if (option == "--json") json = argv[i + 1];
  }
  records = std::clamp(records, 1000u, kMostRecords);
  Bench bench(records);
  for (int round = 0; round < rounds; ++round) {
    const std::vector<Figures> all = {bench_bare(bench),           bench_ring(bench, 1),
                                      bench_ring(bench, 4),        bench_queue(bench, 1, true),
                                      bench_queue(bench, 4, true), bench_queue(bench, 1, false),
                                      bench_queue(bench, 4, false)};
    print_table(all);
    if (!json.empty()) write_json(json, all);
  }
  return 0;
}
