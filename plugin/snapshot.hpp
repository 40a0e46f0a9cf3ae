// What a host can ask at any moment from any thread: a copy of the engine's figures as of a tick.
#pragma once

#include <sys/statvfs.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>

#include "phlower/engine/engine.hpp"

namespace phlower::plugin {

struct Snapshot {
  RingStats ring;
  EngineStats engine;
  StoreFigures store;
  HealthReport health;
  Histogram submit;
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t disk_total_bytes = 0;
  std::uint64_t ticks = 0;
  std::uint64_t over_budget_max_ns = 0;
  MonoTime taken{};
  MonoTime last_commit{};  // of the clock's begin: none yet
  bool running = false;
  bool draining = false;
  std::uint64_t refused_here = 0;  // records refused before they came to the ring
};

inline std::uint64_t since_ns(MonoTime then, MonoTime now) {
  if (then == MonoTime()) return ~0ull;
  return now > then ? static_cast<std::uint64_t>((now - then).count()) : 0;
}

// clang-format off
/// What a host sees beside its ring, engine and store.
struct SnapshotLines {
  using S = const Snapshot&;
  using L = Lines<Snapshot>;
  static constexpr auto kAll = std::to_array<Figure<Snapshot>>({
    L::count(0, "phlower_offered_total", "records", "Records that producers handed over.", "",
             [](S s) { return s.ring.offered + s.refused_here; }),
    L::count(7, "phlower_refused_total", "records", "Records that were not taken.",
             "reason=draining", [](S s) { return s.refused_here; }),
    L::gauge(39, "phlower_health", "state", "0 ok, 1 degraded, 2 failed.", "",
             [](S s) { return static_cast<std::uint64_t>(s.health.health); }),
    L::gauge(40, "phlower_since_commit_nanoseconds", "nanoseconds",
             "Since the last commit, as of the last tick; 2^64-1: none yet.", "",
             [](S s) { return since_ns(s.last_commit, s.taken); }),
    L::gauge(41, "phlower_disk_free_bytes", "bytes", "Room on the file system of the history.", "",
             [](S s) { return s.disk_free_bytes; }),
    L::gauge(42, "phlower_disk_total_bytes", "bytes", "Size of that file system.", "",
             [](S s) { return s.disk_total_bytes; }),
    L::count(43, "phlower_ticks_total", "ticks", "Ticks of the engine.", "",
             [](S s) { return s.ticks; }),
    L::gauge(44, "phlower_tick_over_budget_nanoseconds_max", "nanoseconds",
             "The most by which a tick was longer than its budget.", "",
             [](S s) { return s.over_budget_max_ns; }),
    L::times(60, "phlower_submit_nanoseconds", "Submits in this process, one in 64 of them.",
             [](S s) { return &s.submit; }),
  });
};
// clang-format on

/// Thread safety: `read` and `change` any thread. Blocks: for a copy of some 60 KiB.
class SharedSnapshot {
 public:
  template <class Visit>
  auto read(Visit&& visit) {
    const std::lock_guard guard(mutex_);
    return visit(static_cast<const Snapshot&>(value_));
  }
  template <class Visit>
  void change(Visit&& visit) {
    const std::lock_guard guard(mutex_);
    visit(value_);
  }

 private:
  std::mutex mutex_;
  Snapshot value_;
};

/// Decides when figures are taken anew: some cost a walk over the ring or a look at the disk.
/// Thread safety: that of the engine.
class Publisher {
 public:
  Publisher(SharedSnapshot& shared, const std::string& data_path)
      : shared_(shared), data_path_(data_path) {}

  /// After a tick; cheap. True: it is time to publish, which is so ten times a second.
  bool after_tick(MonoTime now, Nanoseconds over_budget, const Engine& engine) {
    ++ticks_;
    over_budget_max_ = std::max(over_budget_max_, over_budget);
    if (engine.stats().committed != committed_) {
      committed_ = engine.stats().committed;
      last_commit_ = now;
    }
    return now >= next_;
  }

  void publish(Engine& engine, const Histogram& submit, MonoTime now) {
    next_ = now + Milliseconds(100);
    if (now >= next_slow_) {
      next_slow_ = now + Seconds(1);
      look_at_disk();
    }
    const RingStats ring = engine.ring_stats();
    const StoreFigures store = engine.figures();
    HealthReport health = engine.health();
    shared_.change([&](Snapshot& value) {
      value.ring = ring;
      value.engine = engine.stats();
      value.store = store;
      value.health = std::move(health);
      value.submit = submit;
      value.disk_free_bytes = disk_free_;
      value.disk_total_bytes = disk_total_;
      value.ticks = ticks_;
      value.over_budget_max_ns = static_cast<std::uint64_t>(over_budget_max_.count());
      value.taken = now;
      value.last_commit = last_commit_;
    });
  }

 private:
  void look_at_disk() {
    std::error_code error;
    const std::filesystem::path path(data_path_);
    const bool folder = std::filesystem::is_directory(path, error);
    const std::string where = folder || !path.has_parent_path() ? "." : path.parent_path().string();
    struct statvfs disk {};
    if (::statvfs(folder ? data_path_.c_str() : where.c_str(), &disk) != 0) return;
    disk_free_ = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    disk_total_ = std::uint64_t{disk.f_blocks} * disk.f_frsize;
  }

  SharedSnapshot& shared_;
  std::string data_path_;
  MonoTime next_{};
  MonoTime next_slow_{};
  MonoTime last_commit_{};
  Nanoseconds over_budget_max_{0};
  std::uint64_t ticks_ = 0;
  std::uint64_t committed_ = 0;
  std::uint64_t disk_free_ = 0;
  std::uint64_t disk_total_ = 0;
};

}  // namespace phlower::plugin
