// Work on files that nobody writes any more, or not yet: sealing, removing (remove_job.hpp), making
// the next ones.
// One helper thread does it, because an fsync, an unlink of a large file and a checksum cannot be
// cut into slices. It touches no file that the writer writes, and not the catalog. A host that
// wants no threads has the same steps done in slices of the engine, some of them as long as the
// disk takes.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "phlower/segment/seal.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

/// One thing to do for one segment. `step` is called until it says true or fails.
struct KeeperJob {
  enum class Kind : std::uint8_t { kMake, kSeal, kRemove, kFree };

  KeeperJob(Kind what, std::int64_t number) : kind(what), seq(number) {}
  virtual ~KeeperJob() = default;
  virtual Result<bool> step() = 0;

  const Kind kind;
  const std::int64_t seq;
  Status status;  // once it is done
};

struct MakeJob final : KeeperJob {
  MakeJob(std::int64_t number, SegmentFamily of, std::string file, std::int64_t base)
      : KeeperJob(Kind::kMake, number), family(of), path(std::move(file)), base_us(base) {}
  Result<bool> step() override {
    Status made = segment_file::create(path, family, base_us);
    if (!made.ok()) return made;
    return true;
  }
  const SegmentFamily family;
  const std::string path;
  const std::int64_t base_us;
};

struct SealJob final : KeeperJob {
  SealJob(std::int64_t number, SegmentFamily family, std::string path, const StoreOptions& options)
      : KeeperJob(Kind::kSeal, number), sealing(std::move(path), family, options) {}
  Result<bool> step() override { return sealing.step(); }
  Sealing sealing;
};

/// Thread safety: `post`, `step` and `take_done` from one thread; jobs run on the helper.
class Keeper {
 public:
  explicit Keeper(bool own_thread) : own_thread_(own_thread) {}
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Waits for the step that runs, not for jobs to end.
  ~Keeper() {
    {
      const std::lock_guard guard(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void post(std::unique_ptr<KeeperJob> job) {
    {
      const std::lock_guard guard(mutex_);
      done_.reserve(open_ + 1);  // the thread must not need memory to say that it is done
      waiting_.push_back(std::move(job));
      ++open_;
    }
    if (!own_thread_) return;
    if (!thread_.joinable()) start();
    wake_.notify_one();
  }

  /// Without a thread: one step of the first job. False: nothing to do.
  bool step() {
    if (own_thread_ || waiting_.empty()) return false;
    if (!step_of(*waiting_.front())) return true;
    done_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    return true;
  }

  std::vector<std::unique_ptr<KeeperJob>> take_done() {
    const std::lock_guard guard(mutex_);
    std::vector<std::unique_ptr<KeeperJob>> taken;
    taken.reserve(done_.size());
    std::move(done_.begin(), done_.end(), std::back_inserter(taken));
    done_.clear();  // its room stays
    open_ -= taken.size();
    return taken;
  }

  bool has_done() {
    const std::lock_guard guard(mutex_);
    return !done_.empty();
  }
  /// Whether `step` has anything to do.
  bool needs_steps() const { return !own_thread_ && !waiting_.empty(); }
  /// Jobs posted and not taken back.
  std::size_t open() {
    const std::lock_guard guard(mutex_);
    return open_;
  }

 private:
  // True: done, well or not.
  static bool step_of(KeeperJob& job) noexcept {
    try {
      const auto done = job.step();
      job.status = done.status();
      return !done.ok() || *done;
    } catch (...) {  // out of memory: tried again like any other failure
      job.status = exception_status();
      return true;
    }
  }

  // The host's signals are for the host's threads.
  void start() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void run() {
    std::unique_lock guard(mutex_);
    while (!stop_) {
      if (waiting_.empty()) {
        wake_.wait(guard);
        continue;
      }
      std::unique_ptr<KeeperJob> job = std::move(waiting_.front());
      waiting_.pop_front();
      bool done = false;
      while (!done && !stop_) {
        guard.unlock();
        done = step_of(*job);
        guard.lock();
      }
      if (done) done_.push_back(std::move(job));
    }
  }

  const bool own_thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<KeeperJob>> waiting_;
  std::vector<std::unique_ptr<KeeperJob>> done_;
  std::size_t open_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace phlower
