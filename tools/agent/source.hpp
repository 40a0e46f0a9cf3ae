// What a source of records looks like to the event loop, and the way records go from it.
#pragma once

#include <poll.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "counters.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/record/record.hpp"
#include "plugin_engine.hpp"

namespace phlower::agent {

/// A source's door to the engine: counts what becomes of each record.
class Outlet {
 public:
  Outlet(PluginEngine& engine, Counters& counters, const std::string& source, Log log)
      : engine_(engine),
        log_(std::move(log)),
        accepted_(counters.make("phlower_agent_records_accepted_total",
                                "Records that the ring took.", source)),
        refused_(counters.make("phlower_agent_records_refused_total",
                               "Records that the ring refused because it was full, and that are "
                               "lost: their source cannot wait.",
                               source)),
        waits_(counters.make("phlower_agent_waits_total",
                             "Times that reading was held back until the ring had room.", source)),
        bad_(counters.make("phlower_agent_records_bad_total",
                           "Records that can never be taken: too big, or not of their form.",
                           source)) {}

  /// For sources that cannot wait any more: what is refused is lost, and counted.
  void push(const RecordView& record) {
    if (offer(record) == PHLOWER_E_REFUSED) {
      refused_.add();
      log_.warn_limited("refused", "the ring is full: records are lost");
    }
  }

  /// For sources that can: REFUSED means try this record again later.
  std::int32_t offer(const RecordView& record) {
    const std::int32_t code = engine_.submit(record);
    if (code == PHLOWER_OK) {
      accepted_.add();
    } else if (code != PHLOWER_E_REFUSED) {
      bad_.add();
      log_.warn_limited("bad record", "task '{}' is not taken: {}", record.task_id.substr(0, 60),
                        engine_.calls().strerror(code));
    }
    return code;
  }
  void waits() { waits_.add(); }
  void bad() { bad_.add(); }

 private:
  PluginEngine& engine_;
  Log log_;
  Count& accepted_;
  Count& refused_;
  Count& waits_;
  Count& bad_;
};

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
