// What every source is made from.
#pragma once

#include "agent/host/agent_options.hpp"
#include "agent/host/plugin_engine.hpp"
#include "agent/source/counters.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"

namespace phlower::agent {

/// The references outlive the source.
struct SourceParts {
  const AgentOptions& options;
  PluginEngine& engine;
  Counters& counters;
  Clock& clock;
  const Log& log;  // of this source
};

}  // namespace phlower::agent
