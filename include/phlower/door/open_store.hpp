// The store that a configuration names, opened for an engine: the one place that knows all layouts.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/history/store.hpp"
#include "phlower/segment/segmented_store.hpp"
#include "phlower/single/single_store.hpp"

namespace phlower {

/// Opens or makes it. `clock` outlives it. Errors: of the layouts. Blocks: on the disk.
inline Result<std::unique_ptr<Store>> open_store(const Options& options, Clock& clock,
                                                 const Log& log) {
  if (options.store.layout == Layout::kSingle) {
    auto single = SingleStore::open(options.store, options.retention, OpenMode::kEngine, &clock);
    if (!single.ok()) return single.status();
    if (const std::string& was = (*single)->journal_was(); !was.empty()) {
      log.warn("{}: journal_mode was {} and is WAL from now on", options.store.path, was);
    }
    return std::unique_ptr<Store>(*std::move(single));
  }
  auto segmented =
      SegmentedStore::open({options.store, options.retention, options.disk}, clock, log);
  if (!segmented.ok()) return segmented.status();
  // Readers in other processes go by it.
  if (Status told = (*segmented)->segments().remember_retention(); !told.ok()) return told;
  return std::unique_ptr<Store>(*std::move(segmented));
}

}  // namespace phlower
