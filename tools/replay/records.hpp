// The records that phlower-replay hands over: those of a capture as they happened, or those of a
// capture again and again with new task ids and times of now.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/random.hpp"
#include "phlower/record/record.hpp"

namespace phlower::tools {

/// Gives the records of one producer, endlessly. The same seed gives the same ids.
class FreshRecords {
 public:
  /// Requires: `templates` is not empty and outlives this.
  FreshRecords(const std::vector<Record>& templates, std::uint64_t seed, Clock& clock)
      : templates_(templates), random_(seed), clock_(clock), next_(seed % templates.size()) {}

  /// The next record: a task of the capture that ends now. Valid until the next call.
  const Record& next() {
    current_ = templates_[next_];
    next_ = (next_ + 1) % templates_.size();
    renew_id();
    move_to(to_unix_seconds(clock_.wall()));
    return current_;
  }

 private:
  // A version 4 UUID, as Celery makes them.
  void renew_id() {
    const std::uint64_t high = random_();
    const std::uint64_t low = random_();
    current_.task_id =
        fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                    high & 0xfff, 0x8000 | ((low >> 48) & 0x3fff), low & 0xffff'ffff'ffff);
  }

  void move_to(UnixSeconds now) {
    const UnixSeconds by = now - current_.view().version_time();
    for (UnixSeconds* time : {&current_.received_at, &current_.started_at, &current_.finished_at}) {
      if (*time > 0) *time += by;
    }
  }

  const std::vector<Record>& templates_;
  Random random_;
  Clock& clock_;
  std::size_t next_;
  Record current_;
};

}  // namespace phlower::tools
