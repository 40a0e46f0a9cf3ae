// What a store wants to have done between flushes: chores of its own, in words that any layout can
// say. The scheduler weighs and runs them and knows none of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/schedule/work.hpp"

namespace phlower {

/// What may be written at the moment.
enum class Leave : std::uint8_t {
  kNone,    // nothing: the last try failed, and it is too early for the next
  kNoLock,  // nothing that takes the write lock: it is left to others for a while
  kAll,
};

/// How things stand just before a decision, for all jobs alike.
struct Pressure {
  Leave leave = Leave::kAll;
  double ring_fill = 0;        // chunks in use, 0..1
  Nanoseconds pending_age{0};  // of the oldest record that waits
  bool records_wait = false;   // in the ring, or in one of an earlier boot
  bool disk_full = false;      // the last write found no room
};

/// What a chore wants now.
struct Urgency {
  enum class Kind : std::uint8_t {
    kSteps,    // short steps that keep order or make room: never held back
    kRoom,     // empties what grows with every commit, up to a bound
    kExpired,  // removes what is past its time
    kTidy,     // has time until it is quiet
  };
  Kind kind = Kind::kTidy;
  bool due = false;
  double fill = 0;             // kRoom, due or not: share of the bound; above 1 is over it
  double seconds = 0;          // kExpired: what is due, in seconds of this machine's time
  Nanoseconds starved_for{0};  // kExpired: since its last slice, while it was due
  bool grows_log = false;      // kTidy: adds to what a chore of kRoom empties
};

/// Not thread safe; of the thread that the store has. Ends with its store.
class Chore {
 public:
  virtual ~Chore() = default;

  /// "purge", for the log and the figures. A literal.
  virtual std::string_view name() const noexcept = 0;
  /// Before each decision. Microseconds.
  virtual Urgency look(MonoTime now, const Pressure& pressure) = 0;
  /// One step of about `target`, outside a transaction. On an error nothing of it is kept. Errors:
  /// of the store. Blocks: on disk.
  virtual Result<SliceReport> run(Nanoseconds target) = 0;
  /// Whether there is more to do that waits for the write lock alone.
  virtual bool has_more() const { return false; }
  /// One step of what is to be done before a close. True: there is no more of it, or what is left
  /// is in somebody's way.
  virtual Result<bool> finish() { return true; }
  /// What it cannot get done at the moment while records are stored all the same; empty: nothing.
  virtual std::string problem() const { return {}; }
  /// What the owner of the data should know although all goes well; empty: nothing.
  virtual std::string notice() const { return {}; }
};

}  // namespace phlower
