// Tasks whose events never came, as far as that can be told.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/source/counters.hpp"
#include "phlower/celery/event.hpp"
#include "phlower/record/record.hpp"

namespace phlower::agent {

/// Two numbers, for nobody but the worker knows the true one.
///
/// *Missed*, which is certain and too small: a worker told that a task succeeded, its task-started
/// never came, and by the task's runtime it began after this worker had been heard of. A worker
/// that tells the one event tells the other.
///
/// *Unaccounted*, which is too large where tasks are told to send no events (send_events=False):
/// heartbeats say how many tasks the worker has begun, and for the others it sends a task-started.
/// What it said one heartbeat ago is compared with the events that came until this one: events are
/// under way for up to a second. While a worker is busy this can hide a loss; when it pauses all
/// are there. Not counted are: workers that have sent no task-started at all (they were not started
/// with -E); heartbeats without a count (answers to a broadcast, which Flower sends); and workers
/// whose count goes back though they did not begin anew, since two of them share one name.
class LostTasks {
 public:
  LostTasks(Counters& counters, const std::string& source)
      : missed_(counters.make("phlower_agent_tasks_missed_total",
                              "Tasks that succeeded and whose task-started was lost: certainly "
                              "not too many.",
                              source)),
        unaccounted_(counters.make("phlower_agent_tasks_unaccounted_total",
                                   "Tasks that a worker began by its own count and of which no "
                                   "task-started came: it was lost, or they send no events.",
                                   source)),
        workers_count_(counters.make("phlower_agent_workers", "Workers that were heard of.", source,
                                     CountKind::kGauge)) {}

  void see(const Event& event) {
    if (event.kind == EventKind::kStarted) {
      const auto found = workers_.find(event.hostname);
      if (found != workers_.end()) ++found->second.started;
    } else if (event.kind == EventKind::kWorker) {
      if (event.type == "worker-online") workers_.erase(event.hostname);
      if (event.type == "worker-heartbeat") heartbeat(event);
      workers_count_.set(workers_.size());
    }
  }

  /// A record that the assembler gives out.
  void see(const RecordView& record) {
    if (!(record.finished_at > 0)) {
      // It may be forgotten, and its end then looks as if it had no start.
      forgotten_start_ = std::max(forgotten_start_, record.started_at);
      return;
    }
    if (record.state != "SUCCESS" || record.started_at > 0 || record.runtime_ms < 0) return;
    const auto found = workers_.find(std::string(record.worker));
    if (found == workers_.end()) return;
    const UnixSeconds start = record.finished_at - record.runtime_ms / 1000;
    const UnixSeconds heard = std::max(found->second.heard_since, forgotten_start_);
    if (found->second.heard_since > 0 && start > heard + kSlackSeconds) missed_.add();
  }

  /// The connection was away: what was missed meanwhile is known, and is not counted here.
  void forget() { workers_.clear(); }

 private:
  static constexpr std::size_t kWorkersMax = 10'000;
  // The runtime is without what the worker does before and after, and events wait for a second.
  static constexpr UnixSeconds kSlackSeconds = 2;

  struct Worker {
    UnixSeconds heard_since = 0;  // by its own clock; 0: it told no time
    bool counts = false;          // it has said a number
    bool shared = false;          // several workers of one name: their numbers mean nothing
    std::uint64_t base = 0;       // its number when it was first heard of
    std::uint64_t last = 0;
    std::uint64_t started = 0;  // events since then
    std::uint64_t reported = 0;
  };

  void heartbeat(const Event& event) {
    if (workers_.size() >= kWorkersMax && !workers_.contains(event.hostname)) return;
    const auto [at, fresh] = workers_.try_emplace(event.hostname);
    if (fresh) at->second.heard_since = event.timestamp;
    if (event.processed) count(at->second, *event.processed);
  }

  void count(Worker& worker, std::uint64_t processed) {
    worker.shared = worker.shared || (worker.counts && processed < worker.last);
    if (worker.shared) return;
    // What it began before its first task-started says nothing of any loss.
    if (!worker.counts || worker.started == 0) worker.base = worker.last = processed;
    worker.counts = true;
    const std::uint64_t due = worker.last - worker.base;
    const std::uint64_t missing = due > worker.started ? due - worker.started : 0;
    if (missing > worker.reported) {
      unaccounted_.add(missing - worker.reported);
      worker.reported = missing;
    }
    worker.last = processed;
  }

  std::unordered_map<std::string, Worker> workers_;
  UnixSeconds forgotten_start_ = 0;
  Count& missed_;
  Count& unaccounted_;
  Count& workers_count_;
};

}  // namespace phlower::agent
