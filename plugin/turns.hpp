// Who may touch the engine now: one caller at a time, and the engine's own thread when no caller
// wants to.
#pragma once

#include <condition_variable>
#include <mutex>

namespace phlower::plugin {

/// Thread safety: safe. A caller waits for at most one turn of the thread: a tick, or a wait of at
/// most kFutexWaitCap.
class Turns {
 public:
  /// A turn as long as it lives.
  class Turn {
   public:
    explicit Turn(Turns& turns, bool as_thread = false) : turns_(turns) {
      std::unique_lock guard(turns_.mutex_);
      if (!as_thread) ++turns_.callers_;
      turns_.changed_.wait(guard,
                           [&] { return !turns_.busy_ && (!as_thread || turns_.callers_ == 0); });
      if (!as_thread) --turns_.callers_;
      turns_.busy_ = true;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      {
        const std::lock_guard guard(turns_.mutex_);
        turns_.busy_ = false;
      }
      turns_.changed_.notify_all();
    }

   private:
    Turns& turns_;
  };

  /// Whether a caller waits: the thread then does not sleep within its turn.
  bool wanted() {
    const std::lock_guard guard(mutex_);
    return callers_ > 0;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int callers_ = 0;
  bool busy_ = false;
};

}  // namespace phlower::plugin
