// What a source of records looks like to the event loop.
#pragma once

#include <poll.h>

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "agent/source/source_health.hpp"
#include "phlower/celery/assembler.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// One source. All calls come from the loop's thread; none blocks.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::string_view name() const = 0;

  /// Appends what to wait for: descriptors and the events wanted of each.
  virtual void watches(std::vector<pollfd>& out) = 0;
  /// Takes a turn: `found` are its watches with what happened to them. Returns true if there is
  /// more to do at once, without waiting for anything.
  virtual bool turn(std::span<const pollfd> found, MonoTime now) = 0;
  /// When `turn` is wanted even if nothing happens.
  virtual std::optional<MonoTime> due() const { return std::nullopt; }
  /// True when its end is to be the agent's end.
  virtual bool ends_agent() const { return false; }
  /// How it is, for others to be told.
  virtual SourceHealth health() const = 0;
  /// Calls visit(task) for each task that has begun and not ended, the longest silent first, as
  /// long as it returns true.
  virtual void each_in_flight(const std::function<bool(const InFlightTask&)>&) const {}
  virtual std::optional<InFlightTask> find_in_flight(std::string_view) const { return {}; }
  /// The agent ends: stop listening; what is kept goes to the ring, or waits for room there.
  virtual void close() = 0;
  /// After `close`: offers what waits. True: nothing waits any more.
  virtual bool hand_over(MonoTime now) = 0;
  /// After `close`: there will be no more room.
  virtual void give_up() = 0;
};

}  // namespace phlower::agent
