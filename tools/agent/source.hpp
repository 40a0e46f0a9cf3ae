// What a source of records looks like to the event loop.
#pragma once

#include <poll.h>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

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
  /// The agent ends: hand over what is kept, stop listening.
  virtual void close() = 0;
};

}  // namespace phlower::agent
