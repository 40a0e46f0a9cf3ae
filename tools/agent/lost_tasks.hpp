// Tasks whose events never came, as far as that can be told: a worker's heartbeats say how many
// tasks it has begun, and for each of them it sends a task-started.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "counters.hpp"
#include "phlower/celery/event.hpp"

namespace phlower::agent {

/// Compares what a worker said one heartbeat ago with the events that came until this one: events
/// are under way for up to a second. While a worker is busy this can hide a loss; when it pauses
/// the number is exact. It never says more than was lost.
class LostTasks {
 public:
  LostTasks(Counters& counters, const std::string& source)
      : lost_(counters.make("phlower_agent_tasks_missed_total",
                            "Tasks that a worker began by its own count and of which no "
                            "task-started came; too few while it is busy.",
                            source)),
        workers_count_(counters.make("phlower_agent_workers", "Workers that were heard of.", source,
                                     CountKind::kGauge)) {}

  void see(const Event& event) {
    if (event.kind == EventKind::kStarted) {
      const auto found = workers_.find(event.hostname);
      if (found != workers_.end()) ++found->second.started;
    } else if (event.kind == EventKind::kWorker) {
      if (event.type == "worker-online") workers_.erase(event.hostname);
      if (event.type == "worker-heartbeat") heartbeat(event.hostname, event.processed);
      workers_count_.set(workers_.size());
    }
  }

  /// The connection was away: what was missed meanwhile is known, and is not counted here.
  void forget() { workers_.clear(); }

 private:
  static constexpr std::size_t kWorkersMax = 10'000;

  struct Worker {
    std::uint64_t base = 0;  // its count when it was first heard of
    std::uint64_t last = 0;
    std::uint64_t started = 0;  // events since then
    std::uint64_t reported = 0;
  };

  void heartbeat(const std::string& name, std::uint64_t processed) {
    if (workers_.size() >= kWorkersMax && !workers_.contains(name)) return;
    Worker& worker = workers_.try_emplace(name, Worker{processed, processed, 0, 0}).first->second;
    if (processed < worker.last) worker = {processed, processed, 0, 0};  // it began anew
    const std::uint64_t due = worker.last - worker.base;
    const std::uint64_t missing = due > worker.started ? due - worker.started : 0;
    if (missing > worker.reported) {
      lost_.add(missing - worker.reported);
      worker.reported = missing;
    }
    worker.last = processed;
  }

  std::unordered_map<std::string, Worker> workers_;
  Count& lost_;
  Count& workers_count_;
};

}  // namespace phlower::agent
