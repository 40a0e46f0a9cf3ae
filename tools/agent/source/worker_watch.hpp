// Which workers are heard of, and which of them run tasks without a word about it: workers publish
// heartbeats, with the number of tasks that they have begun, but events of tasks only with -E.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "phlower/celery/event.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// Not thread safe. Memory: bounded by kWorkersMax names.
class WorkerWatch {
 public:
  void see(const Event& event, MonoTime now) {
    if (event.kind == EventKind::kSent || event.hostname.empty()) return;  // a client's
    if (event.kind != EventKind::kWorker) {
      const auto found = workers_.find(event.hostname);
      if (found != workers_.end()) found->second.tells = true;
    } else if (event.type == "worker-heartbeat") {
      heartbeat(event, now);
    } else {
      workers_.erase(event.hostname);  // online: it counts anew; offline
    }
  }

  /// Drops those of which nothing was heard for long.
  void expire(MonoTime now) {
    std::erase_if(workers_, [now](const auto& one) { return now - one.second.heard > kGone; });
  }
  /// Events were missed: who told of tasks meanwhile is not known.
  void forget() { workers_.clear(); }

  std::size_t count() const { return workers_.size(); }

  /// Those that have begun tasks since they were first heard of and sent no event of any, sorted.
  std::vector<std::string> mute() const {
    std::vector<std::string> names;
    for (const auto& [name, worker] : workers_) {
      if (worker.mute) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  static constexpr std::size_t kWorkersMax = 10'000;
  static constexpr Nanoseconds kGone = Seconds(120);  // Celery's own measure of a dead worker

  struct Worker {
    std::uint64_t base = 0;  // its first count
    std::optional<std::uint64_t> last;
    bool tells = false;  // events of tasks came since then
    bool mute = false;
    MonoTime heard{};
  };

  // Events are under way for up to a second, heartbeats come every two: what a worker said in one
  // is judged at the next.
  void heartbeat(const Event& event, MonoTime now) {
    if (workers_.size() >= kWorkersMax && !workers_.contains(event.hostname)) return;
    Worker& worker = workers_[event.hostname];
    worker.heard = now;
    if (!event.processed) return;  // not every heartbeat has it
    const std::uint64_t processed = *event.processed;
    if (!worker.last || processed < *worker.last)
      worker = {processed, processed, false, false, now};
    worker.mute = !worker.tells && *worker.last > worker.base;
    worker.last = processed;
  }

  std::unordered_map<std::string, Worker> workers_;
};

}  // namespace phlower::agent
