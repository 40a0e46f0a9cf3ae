// The producer processes of phlower-replay: each attaches to the ring by itself and submits at its
// share of the rate. They are forked before anything else is opened, as a producer is no child of
// the engine.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/histogram.hpp"
#include "phlower/ring/producer.hpp"
#include "replay/records.hpp"

namespace phlower::tools {

/// What the producers are to do.
struct Production {
  std::string ring_path;
  RecordOptions limits;
  std::uint32_t high_water_percent = 75;
  int producers = 1;
  bool once = false;          // the templates as they are, once, waiting for room
  bool unlimited = false;     // as fast as it goes, waiting for room
  double rate = 0;            // records a second of all producers together
  std::uint64_t records = 0;  // of all producers together; 0: no bound
  Nanoseconds duration{0};    // 0: no bound
  std::uint64_t seed = 1;
  std::string acked_path;  // empty: acknowledged ids are not written down
};

/// What one producer has done, in memory that all processes share. Each field has one writer; the
/// reader only shows it, or reads it after the writer has ended, so relaxed order is enough.
struct ProducerReport {
  std::atomic<std::uint64_t> offered{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> shed{0};
  std::atomic<bool> failed{false};
  char failure[256] = {};  // written before `failed`
  Histogram submit_ns;     // read after the process has ended
};

/// Runs in a producer's process.
class ProducerLoop {
 public:
  ProducerLoop(const Production& plan, const std::vector<Record>& templates, int index,
               ProducerReport& report, const std::atomic<bool>& go, const std::atomic<bool>& stop)
      : plan_(plan), templates_(templates), index_(index), report_(report), go_(go), stop_(stop) {}

  void run() {
    if (!plan_.acked_path.empty()) {
      acked_ = ::open(plan_.acked_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (acked_ < 0) return fail(Status::from_errno(plan_.acked_path));
    }
    if (!attach()) return;
    plan_.once ? submit_once() : submit_at_rate();
    producer_.reset();
  }

 private:
  static constexpr Nanoseconds kRoomPoll = Microseconds(200);

  bool attach() {
    const MonoTime give_up = clock_.mono() + Seconds(30);
    // A ring of an earlier run may be there, which the engine may yet replace.
    while (!stopped() && !go_.load()) pause(Milliseconds(1));  // seq_cst
    while (!stopped()) {
      auto producer =
          Producer::attach(plan_.ring_path, plan_.limits, plan_.high_water_percent, clock_);
      if (producer.ok()) {
        producer_ = *std::move(producer);
        return true;
      }
      if (is_final(producer.status().code()) || clock_.mono() > give_up) {
        fail(producer.status());
        return false;
      }
      pause(Milliseconds(5));  // the engine has not made it yet
    }
    return false;
  }

  // No engine replaces such a file.
  static bool is_final(Code code) {
    return code == Code::kVersion || code == Code::kNotOurs || code == Code::kPermission;
  }

  void submit_once() {
    for (std::size_t i = 0; i < templates_.size() && !stopped(); ++i) {
      if (static_cast<int>(i % static_cast<std::size_t>(plan_.producers)) == index_) {
        submit(templates_[i], true);
      }
    }
  }

  void submit_at_rate() {
    FreshRecords records(templates_, plan_.seed * 1'000'003 + static_cast<std::uint64_t>(index_),
                         clock_);
    const auto producers = static_cast<std::uint64_t>(plan_.producers);
    const std::uint64_t bound =
        plan_.records / producers +
        (static_cast<std::uint64_t>(index_) < plan_.records % producers ? 1 : 0);
    const double interval_ns = plan_.unlimited ? 0 : 1e9 * plan_.producers / plan_.rate;
    const MonoTime begin = clock_.mono();
    for (std::uint64_t i = 0; plan_.records == 0 || i < bound; ++i) {
      const Nanoseconds due(static_cast<std::int64_t>(static_cast<double>(i) * interval_ns));
      const Nanoseconds elapsed = clock_.mono() - begin;
      if (stopped() || (plan_.duration.count() > 0 && elapsed >= plan_.duration)) return;
      if (due > elapsed) pause(due - elapsed);
      submit(records.next(), plan_.unlimited);
    }
  }

  void submit(const Record& record, bool wait_for_room) {
    add(report_.offered);
    while (!stopped()) {
      const MonoTime begin = clock_.mono();
      const Status status =
          wait_for_room ? producer_->submit_whole(record.view()) : producer_->submit(record.view());
      report_.submit_ns.record(clock_.mono() - begin);
      if (status.ok()) {
        add(report_.accepted);
        if (!wait_for_room && producer_->shedding()) add(report_.shed);
        acknowledge(record.task_id);
        return;
      }
      if (!wait_for_room || status.code() != Code::kRefused) break;
      pause(kRoomPoll);
    }
    add(report_.refused);
  }

  // One write a line, so that a line is there whole or not at all, whoever is killed.
  void acknowledge(const std::string& task_id) {
    if (acked_ < 0) return;
    const std::string line = task_id + "\n";
    if (::write(acked_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      fail(Status::from_errno(plan_.acked_path));
    }
  }

  static void add(std::atomic<std::uint64_t>& counter) {
    // Relaxed: one writer, see ProducerReport.
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  void fail(const Status& status) {
    const std::string_view text = status.message();
    text.copy(report_.failure, sizeof report_.failure - 1);
    report_.failed.store(true);  // after the text: seq_cst, paired with the reader's load
  }

  // Relaxed: a hint to end, nothing is read behind it.
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  static void pause(Nanoseconds by) {
    const timespec time{by.count() / 1'000'000'000, by.count() % 1'000'000'000};
    ::nanosleep(&time, nullptr);
  }

  const Production& plan_;
  const std::vector<Record>& templates_;
  int index_;
  ProducerReport& report_;
  const std::atomic<bool>& go_;
  const std::atomic<bool>& stop_;
  SystemClock clock_;
  std::unique_ptr<Producer> producer_;
  int acked_ = -1;
};

/// The processes and their reports. Ends them when it goes.
class Producers {
 public:
  Producers() = default;
  Producers(const Producers&) = delete;
  Producers& operator=(const Producers&) = delete;
  ~Producers() {
    stop();
    wait();
    if (shared_ != nullptr) ::munmap(shared_, sizeof(Shared));
  }

  /// Forks them. Call before any thread, ring or database exists in this process.
  Status start(const Production& plan, const std::vector<Record>& templates) {
    void* memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Status::from_errno("memory for the producers' reports");
    shared_ = new (memory) Shared;
    count_ = std::min(plan.producers, kMostProducers);
    const pid_t parent = ::getpid();
    for (int i = 0; i < count_; ++i) {
      const pid_t child = ::fork();
      if (child < 0) return Status::from_errno("fork");
      if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        ::signal(SIGINT, SIG_IGN);  // the parent decides
        ::signal(SIGTERM, SIG_DFL);
        ProducerLoop(plan, templates, i, shared_->reports[i], shared_->go, shared_->stop).run();
        ::_exit(0);
      }
      children_.push_back(child);
    }
    return Status();
  }

  /// From here on they attach: the ring is there.
  void go() {
    if (shared_ != nullptr) shared_->go.store(true);  // seq_cst
  }

  void stop() {
    if (shared_ != nullptr) shared_->stop.store(true);  // seq_cst; the loops' load may lag
  }

  /// True while one of them runs. Collects those that have ended.
  bool running() {
    std::erase_if(children_,
                  [](pid_t child) { return ::waitpid(child, nullptr, WNOHANG) == child; });
    return !children_.empty();
  }

  void wait() {
    for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
    children_.clear();
  }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (int i = 0; i < count_; ++i) visit(shared_->reports[i]);
  }

  static constexpr int kMostProducers = 64;

 private:
  struct Shared {
    std::atomic<bool> go{false};
    std::atomic<bool> stop{false};
    ProducerReport reports[kMostProducers];
  };
  Shared* shared_ = nullptr;
  int count_ = 0;
  std::vector<pid_t> children_;
};

}  // namespace phlower::tools
