// The history as the calls of a host read it: one reader, one look at a time.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "phlower/ground/log.hpp"
#include "phlower/segment/history_reader.hpp"

namespace phlower::plugin {

/// Thread safety: safe.
class Reads {
 public:
  Reads(Clock& clock, Log& log) : clock_(clock), log_(log) {}

  /// From now on there is a history at `path` to be read.
  void open(std::string path, const RetentionOptions& retention) {
    const std::lock_guard guard(mutex_);
    path_ = std::move(path);
    retention_ = retention;
  }
  void set_retention(const RetentionOptions& retention) {
    const std::lock_guard guard(mutex_);
    retention_ = retention;
    if (reader_) reader_->set_retention(retention);
  }
  /// Waits for the look that runs.
  void close() {
    const std::lock_guard guard(mutex_);
    path_.clear();
    reader_.reset();
  }

  /// Calls visit(history) with a view of the history. Blocks: on the disk, and for other looks.
  /// Errors: kStopped by `check` before the view was there; kWrongState: not open.
  template <class Visit>
  Status look(StopCheck& check, Visit&& visit) {
    const auto guard = wait(check);
    if (!guard.ok()) return guard.status();
    if (path_.empty()) return Status(Code::kWrongState, "the engine is not started");
    if (!reader_) {
      auto opened =
          HistoryReader::open(path_, retention_, [this](std::int64_t seq, const Status& why) {
            log_.warn_limited("read", "segment {} is left out: {}", seq, why.message());
          });
      if (!opened.ok()) return opened.status();
      reader_ = *std::move(opened);
    }
    auto history = reader_->view(clock_.wall(), check);
    if (!history.ok()) return history.status();
    const Release release{*reader_};  // also when a visitor throws
    return visit(*history);
  }

 private:
  using Guard = std::unique_lock<std::timed_mutex>;

  struct Release {
    HistoryReader& reader;
    ~Release() { reader.release(); }
  };

  Result<Guard> wait(StopCheck& check) {
    constexpr std::chrono::milliseconds kPatience(20);  // until the rule is looked at again
    Guard guard(mutex_, std::defer_lock);
    while (!guard.try_lock_for(kPatience)) {
      if (check.now()) return check.status();
    }
    return guard;
  }

  Clock& clock_;
  Log& log_;
  std::timed_mutex mutex_;
  std::string path_;  // empty: not open
  RetentionOptions retention_;
  std::unique_ptr<HistoryReader> reader_;
};

}  // namespace phlower::plugin
