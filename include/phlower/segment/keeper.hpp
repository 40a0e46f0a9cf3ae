// Work on files that nobody writes any more, or not yet: sealing, removing, making the next ones.
// One helper thread does it, because an fsync, an unlink of a large file and a checksum cannot be
// cut into slices. It touches no file that the writer writes, and not the catalog. A host that
// wants no threads has the same steps done in slices of the engine, some of them as long as the
// disk takes.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "phlower/ring/locks.hpp"
#include "phlower/segment/seal.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

/// One thing to do for one segment. `step` is called until it says true or fails.
struct KeeperJob {
  enum class Kind : std::uint8_t { kMake, kSeal, kRemove };

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

/// Removes database files with what stands beside them, a file a step, and then makes sure of all
/// of them at once. Unlinking hurts nobody who has the file open; truncating would.
struct RemoveJob final : KeeperJob {
  struct File {
    std::int64_t seq;
    std::string path;
    bool force;  // though a reader has pinned it
  };
  /// Requires: `files` is not empty.
  RemoveJob(std::vector<File> what, std::string pin_file)
      : KeeperJob(Kind::kRemove, what.front().seq),
        files(std::move(what)),
        pins(std::move(pin_file)) {}

  Result<bool> step() override {
    if (results.size() < files.size()) {
      results.push_back(remove(files[results.size()]));
      return false;
    }
    std::set<std::string> folders;
    for (const File& file : files) {
      folders.insert(std::filesystem::path(file.path).parent_path().string());
    }
    for (const std::string& folder : folders) {
      if (Status synced = segment_file::sync_path(folder, true); !synced.ok()) return synced;
    }
    return true;
  }

  /// How it went with a file; kBusy: it is being read.
  Status result(std::size_t file) const {
    if (!status.ok()) return status;
    return file < results.size() ? results[file] : Status(Code::kBusy, "not tried");
  }

  const std::vector<File> files;
  const std::string pins;
  std::vector<Status> results;

 private:
  Status remove(const File& what) {
    auto lock = LockFile::open(pins, O_RDWR | O_CREAT, 0666);
    if (!lock.ok()) return lock.status();
    const Status alone = (*lock)->try_lock(what.seq);
    if (alone.code() == Code::kBusy && !what.force) {
      return Status(Code::kBusy, what.path + ": is being read");
    }
    // The main file first: a log without it is nothing, but not the other way round.
    for (const char* side : {"", "-wal", "-shm", "-journal"}) {
      const std::string file = what.path + side;
      if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
        return Status::from_errno("unlink " + file);
      }
    }
    return Status();
  }
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
    taken.swap(done_);
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
  static bool step_of(KeeperJob& job) {
    const auto done = job.step();
    job.status = done.status();
    return !done.ok() || *done;
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
