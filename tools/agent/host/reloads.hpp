// What became of the last reading of the configuration, for the metrics.
#pragma once

#include <cstdint>

#include "agent/source/counters.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// The names are those that Prometheus' own programs have for it.
class Reloads {
 public:
  /// `now`: when the configuration was read at the start.
  Reloads(Counters& counters, WallTime now)
      : good_(counters.make("phlower_agent_config_last_reload_successful",
                            "1 if the last reading of the configuration was taken: that of the "
                            "start, or of a SIGHUP.",
                            "", CountKind::kGauge)),
        good_at_(counters.make("phlower_agent_config_last_reload_success_timestamp_seconds",
                               "When the configuration was last read and taken.", "",
                               CountKind::kGauge)) {
    done(true, now);
  }

  void done(bool good, WallTime now) {
    good_.set(good ? 1 : 0);
    if (good) good_at_.set(static_cast<std::uint64_t>(now.time_since_epoch() / Seconds(1)));
  }

 private:
  Count& good_;
  Count& good_at_;
};

}  // namespace phlower::agent
