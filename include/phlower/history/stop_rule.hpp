// When a question stops before its end, and how far it got: an answer that was cut short says so.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Why an answer ends where it does.
enum class Ended : std::uint8_t {
  kEnd = 0,        // every row in the question's times was looked at
  kLimit = 1,      // as many rows as were asked for
  kScanLimit = 2,  // as many rows were looked at as were allowed
  kDeadline = 3,   // the time was up
  kUnwanted = 4,   // whoever asked does not want the answer any more
};

/// "end", "limit" and so on, as it stands in JSON.
constexpr std::string_view ended_name(Ended ended) noexcept {
  switch (ended) {
    case Ended::kEnd: return "end";
    case Ended::kLimit: return "limit";
    case Ended::kScanLimit: return "scan_limit";
    case Ended::kDeadline: return "deadline";
    case Ended::kUnwanted: return "unwanted";
  }
  return "unknown";
}

/// When to stop. By default never.
struct StopRule {
  Clock* clock = nullptr;  // that the deadline is on; without one there is no deadline
  MonoTime deadline = MonoTime::max();
  std::function<bool()> wanted;  // asked every few milliseconds; false: stop. Must not throw.
};

/// How far a question got.
struct Reach {
  Ended ended = Ended::kEnd;
  std::uint64_t scanned = 0;  // rows looked at
  /// Every row later than this was looked at; of this microsecond perhaps not all. Of an answer
  /// that got to its end: where its times begin. The highest number: nothing can be said.
  std::int64_t looked_back_to_us = std::numeric_limits<std::int64_t>::max();

  /// False: there may be more rows in the question's times than these.
  bool whole() const noexcept { return ended == Ended::kEnd; }
};

/// Follows one question by its rule. Once it says stop it goes on saying so. Not thread safe. The
/// rule outlives this.
class StopCheck {
 public:
  /// Never stops.
  StopCheck() = default;
  explicit StopCheck(const StopRule& rule)
      : rule_(&rule),
        timed_(rule.clock != nullptr && rule.deadline != MonoTime::max()),
        asked_(timed_ || static_cast<bool>(rule.wanted)) {}

  /// For each small piece of work, a row or a look-up: looks at the rule once in a while.
  bool step() {
    if (!asked_ || ++steps_ % kSteps != 0) return stopped();
    return now();
  }
  /// For a piece of work that takes a disk's time.
  bool now() {
    if (!asked_ || stopped()) return stopped();
    if (rule_->wanted && !rule_->wanted()) {
      ended_ = Ended::kUnwanted;
    } else if (timed_ && rule_->clock->mono() >= rule_->deadline) {
      ended_ = Ended::kDeadline;
    }
    return stopped();
  }

  bool stopped() const noexcept { return ended_ != Ended::kEnd; }
  Ended ended() const noexcept { return ended_; }

  /// For a call that has nothing to give where it stopped. Requires: stopped.
  Status status() const {
    return Status(Code::kStopped, ended_ == Ended::kDeadline
                                      ? "the time for this answer was up before it was found"
                                      : "the answer is not wanted any more");
  }

 private:
  static constexpr std::uint32_t kSteps = 64;  // of a few microseconds, or of one block of details

  const StopRule* rule_ = nullptr;
  bool timed_ = false;
  bool asked_ = false;
  std::uint32_t steps_ = 0;
  Ended ended_ = Ended::kEnd;
};

}  // namespace phlower
