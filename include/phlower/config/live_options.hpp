// Which knobs may change while records flow, and taking them over. The others need a restart.
#pragma once

#include <string_view>

#include "phlower/config/options.hpp"

namespace phlower {

/// Whether `take_live_options` takes the knob `key` ("retention.details").
constexpr bool is_live_option(std::string_view key) noexcept {
  for (const std::string_view live : {"retention.", "disk.", "schedule.", "log."}) {
    if (key.starts_with(live)) return true;
  }
  return key == "store.wal_soft" || key == "store.wal_hard" || key == "store.reclaim";
}

inline void take_live_options(Options& into, const Options& from) {
  into.retention = from.retention;
  into.disk = from.disk;
  into.schedule = from.schedule;
  into.log = from.log;
  into.store.wal_soft_bytes = from.store.wal_soft_bytes;
  into.store.wal_hard_bytes = from.store.wal_hard_bytes;
  into.store.reclaim = from.store.reclaim;
}

}  // namespace phlower
