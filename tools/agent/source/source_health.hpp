// What can be told of a source to whoever asks the agent whether all is well.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/clock.hpp"

namespace phlower::agent {

struct SourceHealth {
  std::string name;
  bool connected = false;                // subscribed, listening, or not at its end yet
  std::optional<MonoTime> last_event;    // when a broker's last message came
  std::optional<std::uint64_t> workers;  // that were heard of in the last two minutes
  std::string trouble;                   // what it does not hear, and the remedy; empty: nothing
};

/// Written by the loop, read by any thread; neither waits for more than a copy.
class SourceBoard {
 public:
  void set(std::vector<SourceHealth> sources) {
    const std::lock_guard<std::mutex> lock(mutex_);
    sources_ = std::move(sources);
  }
  std::vector<SourceHealth> all() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return sources_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<SourceHealth> sources_;
};

}  // namespace phlower::agent
