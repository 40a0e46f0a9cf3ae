// One engine of this process, known by the path of its configuration. The bootstrap extension opens
// and closes it; access loggers on the worker threads submit to it for as long as it is open.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "phlower/plugin.h"

namespace phlower::envoy {

class SharedEngine {
 public:
  /// The engine of this path with one more owner. nullptr: there is none, and `make` is false.
  /// Thread safety: any thread, as all functions here.
  static SharedEngine* acquire(std::string_view path, bool make) {
    const std::lock_guard hold(mutex_);
    for (SharedEngine* one = first_; one != nullptr; one = one->next_) {
      if (one->path_ == path) {
        ++one->owners_;
        return one;
      }
    }
    if (!make) return nullptr;
    first_ = new SharedEngine(path, first_);
    return first_;
  }

  void release() {
    const std::lock_guard hold(mutex_);
    if (--owners_ != 0) return;
    SharedEngine** link = &first_;
    while (*link != this) link = &(*link)->next_;
    *link = next_;
    delete this;
  }

  /// Whether a bootstrap extension has this path; only one may.
  bool claim() { return !claimed_.exchange(true); }
  void unclaim() { claimed_.store(false); }
  bool claimed() const { return claimed_.load(); }

  void open(phlower_engine* engine) { engine_.store(engine); }

  /// No submit is in the engine when this returns, and none will be.
  void close() {
    engine_.store(nullptr);
    while (users_.load() != 0) std::this_thread::yield();
  }

  /// On the path of a request. Blocks: no.
  int32_t submit(uint32_t lane, const phlower_record& record) {
    users_.fetch_add(1);  // before the engine is looked at: `close` does it the other way round
    phlower_engine* const engine = engine_.load();
    const int32_t code =
        engine == nullptr ? PHLOWER_E_STATE : phlower_engine_submit(engine, lane, &record);
    users_.fetch_sub(1);
    if (engine == nullptr) missed_.fetch_add(1);
    return code;
  }

  /// Records that came while no engine was open: before its start, after its end.
  uint64_t missed() const { return missed_.load(); }

 private:
  SharedEngine(std::string_view path, SharedEngine* next) : path_(path), next_(next) {}

  // Neither has a destructor that would run when the module is unloaded.
  static inline constinit std::mutex mutex_;
  static inline constinit SharedEngine* first_ = nullptr;

  const std::string path_;
  SharedEngine* next_;
  uint32_t owners_ = 1;
  std::atomic<bool> claimed_{false};
  std::atomic<phlower_engine*> engine_{nullptr};
  std::atomic<uint64_t> users_{0};
  std::atomic<uint64_t> missed_{0};
};

}  // namespace phlower::envoy
