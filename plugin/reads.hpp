// The history as the calls of a host read it: a few readers, of which one is always left for what
// is found at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "phlower/door/history_reader.hpp"
#include "phlower/ground/log.hpp"

namespace phlower::plugin {

/// How much a look may have to read: a task and the newest rows have an index that leads to them,
/// of a task's name, too; for anything else rows are looked at one by one.
enum class Look : std::uint8_t { kQuick, kScan };

inline Look look_of(const Query& query) {
  const bool indexed =
      query.state.empty() && query.worker.empty() && query.queue.empty() && query.text.empty();
  return indexed ? Look::kQuick : Look::kScan;
}

/// Thread safety: safe. A reader has connections, caches and descriptors of its own: there are as
/// many as looks came together, and one that nobody needed for a while goes.
class Reads {
 public:
  static constexpr int kReaders = 3;
  static constexpr int kScans = 2;

  /// `machine` tells how long a reader has been idle, whatever the host's `clock` says.
  Reads(Clock& clock, Clock& machine, Log& log) : clock_(clock), machine_(machine), log_(log) {}

  /// From now on there is a history at `path` to be read.
  void open(std::string path, const RetentionOptions& retention) {
    const std::lock_guard guard(mutex_);
    path_ = std::move(path);
    retention_ = retention;
  }
  void set_retention(const RetentionOptions& retention) {
    const std::lock_guard guard(mutex_);
    retention_ = retention;
  }
  /// Waits for the looks that run; those that wait get none.
  void close() {
    std::unique_lock guard(mutex_);
    path_.clear();
    changed_.notify_all();
    changed_.wait(guard, [this] { return looks_ == 0; });
    idle_.clear();
  }

  /// Calls visit(history) with a view of the history. Blocks: on the disk, and for other looks,
  /// kQuick for kQuick alone. Errors: kStopped by `check` before the view was there; kWrongState:
  /// not open.
  template <class Visit>
  Status look(Look kind, StopCheck& check, Visit&& visit) {
    Taken taken(*this, kind);
    if (Status status = taken.take(check); !status.ok()) return status;
    auto history = taken.reader->view(clock_.wall(), check);
    if (!history.ok()) return history.status();
    const Release release{*taken.reader};  // also when a visitor throws
    return visit(*history);
  }

 private:
  static constexpr std::chrono::milliseconds kPatience{20};  // until a rule is looked at again
  static constexpr Seconds kIdle{30};

  using Reader = std::unique_ptr<HistoryReader>;
  struct Idle {
    Reader reader;
    MonoTime since;
  };
  struct Release {
    HistoryReader& reader;
    ~Release() { reader.release(); }
  };

  /// A reader as long as it lives.
  struct Taken {
    Taken(Reads& from, Look as) : reads(from), kind(as) {}
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    ~Taken() {
      if (counted) reads.give_back(*this);
    }

    Status take(StopCheck& check) {
      RetentionOptions retention;
      std::string path;
      {
        std::unique_lock guard(reads.mutex_);
        if (Status status = reads.wait(guard, kind, check); !status.ok()) return status;
        reads.count(kind, 1);
        counted = true;
        path = reads.path_;
        retention = reads.retention_;
        if (!reads.idle_.empty()) {
          reader = std::move(reads.idle_.back().reader);
          reads.idle_.pop_back();
        }
      }
      if (reader) {
        reader->set_retention(retention);
        return Status();
      }
      auto opened = HistoryReader::open(
          path, retention, [&log = reads.log_](std::int64_t seq, const Status& why) {
            log.warn_limited("read", "segment {} is left out: {}", seq, why.message());
          });
      if (!opened.ok()) return opened.status();
      reader = *std::move(opened);
      return Status();
    }

    Reads& reads;
    const Look kind;
    bool counted = false;
    Reader reader;
  };

  void count(Look kind, int by) {
    looks_ += by;
    if (kind == Look::kScan) scans_ += by;
  }
  bool is_free(Look kind) const {
    return looks_ < kReaders && (kind == Look::kQuick || scans_ < kScans);
  }

  Status wait(std::unique_lock<std::mutex>& guard, Look kind, StopCheck& check) {
    for (;;) {
      if (path_.empty()) return Status(Code::kWrongState, "the engine is not started");
      if (is_free(kind)) return Status();
      changed_.wait_for(guard, kPatience);
      guard.unlock();  // the rule may ask the host
      const bool stops = check.now();
      guard.lock();
      if (stops) return check.status();
    }
  }

  void give_back(Taken& taken) {
    std::vector<Idle> old;  // closed without the lock
    {
      const std::lock_guard guard(mutex_);
      const MonoTime now = machine_.mono();
      while (!idle_.empty() && now - idle_.front().since > kIdle) {
        old.push_back(std::move(idle_.front()));
        idle_.erase(idle_.begin());
      }
      if (taken.reader) idle_.push_back({std::move(taken.reader), now});
      count(taken.kind, -1);
    }
    changed_.notify_all();
  }

  Clock& clock_;
  Clock& machine_;
  Log& log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string path_;  // empty: not open
  RetentionOptions retention_;
  std::vector<Idle> idle_;  // the one used last is the last
  int looks_ = 0;
  int scans_ = 0;
};

}  // namespace phlower::plugin
