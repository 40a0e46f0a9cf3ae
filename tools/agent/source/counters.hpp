// The counts that sources keep and the metrics show: written by the loop, read by any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace phlower::agent {

/// One number. Written by one thread.
class Count {
 public:
  void add(std::uint64_t by = 1) { set(get() + by); }  // nobody else writes between the two
  void set(std::uint64_t to) { value_.store(to, std::memory_order_relaxed); }
  /// Relaxed is enough, above and here: each number stands for itself.
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

enum class CountKind : std::uint8_t { kCounter, kGauge };

struct CountEntry {
  std::string name;  // with its unit at the end, as Prometheus wants it
  std::string help;
  std::string source;  // a label; empty: none
  CountKind kind = CountKind::kCounter;
  Count count;
};

/// All counts of the agent. `make` before other threads read; entries never move or go.
class Counters {
 public:
  Count& make(std::string name, std::string help, std::string source,
              CountKind kind = CountKind::kCounter) {
    CountEntry& entry = entries_.emplace_back();
    entry.name = std::move(name);
    entry.help = std::move(help);
    entry.source = std::move(source);
    entry.kind = kind;
    return entry.count;
  }

  const std::deque<CountEntry>& entries() const { return entries_; }

 private:
  std::deque<CountEntry> entries_;
};

}  // namespace phlower::agent
