// What maintenance is told: which history, what has expired, how much others are to notice of it,
// when to stop, and whom to tell.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower {

/// What its owner should know before or while it happens.
enum class MaintenanceNews : std::uint8_t {
  kUnlinks,  // an adopted file, of somebody's name and in their place, is about to be unlinked
  kDamage,   // a segment is damaged
  kPaused,   // nothing is done at the moment, because of somebody who is named
};

/// How far a long run has got.
struct MaintenanceProgress {
  enum class Unit : std::uint8_t { kDeletedRows, kFreedBytes, kRowsLookedAt };
  Unit unit = Unit::kDeletedRows;
  std::uint64_t done = 0;
  std::uint64_t left = 0;  // an estimate
  Nanoseconds elapsed{0};
  Nanoseconds hold{0};  // the last hold of the write lock
  std::string trouble;  // why it stands still; empty when it does not
};

/// Larger bounds than an engine's: nobody waits for these checkpoints, and a page that is changed
/// several times between two of them is moved once.
inline StoreOptions maintenance_store_options() {
  StoreOptions store;
  store.wal_soft_bytes = 48u << 20;
  store.cache_bytes = 128u << 20;
  return store;
}

/// The functions must not throw; they are called between slices, by the thread that does the work.
struct MaintenanceOptions {
  /// A data folder or a database file. Others may have it open.
  std::string path;
  /// Rows and their details are kept for so long. Where nothing is said: of a folder as its engine
  /// was told, of a file 120 h and 60 h. Details never outlive their row.
  std::optional<Hours> invocations;
  std::optional<Hours> details;
  /// Of these the bounds of the log and the cache count; `store.path` does not.
  StoreOptions store = maintenance_store_options();
  /// One hold of the write lock, and the share of time for all of them, while another process has
  /// the file open. While none has, slices are longer and there are no pauses.
  Nanoseconds slice = Milliseconds(8);
  std::uint32_t duty_percent = 90;
  /// Gives the free pages of a file back to the file system, too.
  bool reclaim = false;

  /// Stops after this long; never without one.
  std::optional<Nanoseconds> max_time;
  /// Asked every few milliseconds; false: stop after the slice that runs.
  std::function<bool()> wanted;
  /// At most four times a second.
  std::function<void(const MaintenanceProgress&)> on_progress;
  std::function<void(MaintenanceNews, const std::string&)> on_news;
  /// How to wait; at most 50 ms at a time. Without one the thread sleeps.
  std::function<void(Nanoseconds)> rest;
};

}  // namespace phlower
