// Every figure that is exported, in the order of its number: indexes are part of the ABI. A new one
// is a line beside the struct it is counted in, with the next number, and nothing here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "phlower/plugin.h"
#include "snapshot.hpp"

namespace phlower::plugin {

struct Metric {
  std::uint32_t kind = 0;
  const char* name = nullptr;
  const char* unit = nullptr;
  const char* help = nullptr;
  const char* label = nullptr;
  std::uint64_t (*value)(const Snapshot&) = nullptr;
  const Histogram* (*histogram)(const Snapshot&) = nullptr;
};

namespace catalogue {

static_assert(PHLOWER_METRIC_COUNTER == static_cast<unsigned>(FigureKind::kCounter));
static_assert(PHLOWER_METRIC_GAUGE == static_cast<unsigned>(FigureKind::kGauge));
static_assert(PHLOWER_METRIC_HISTOGRAM == static_cast<unsigned>(FigureKind::kHistogram));

/// The part of a snapshot that a table of lines tells of; no part: all of it.
template <auto kPart>
constexpr const auto& part_of(const Snapshot& snapshot) {
  if constexpr (std::is_null_pointer_v<decltype(kPart)>) {
    return snapshot;
  } else {
    return snapshot.*kPart;
  }
}

template <class Table, auto kPart, std::size_t kAt>
constexpr Metric metric() {
  constexpr const auto& line = Table::kAll[kAt];
  Metric metric{static_cast<std::uint32_t>(line.kind), line.name, line.unit, line.help, line.label};
  // By its kind: g++ holds a function's address beside nullptr for no constant under UBSan.
  if constexpr (line.kind != FigureKind::kHistogram) {
    metric.value = [](const Snapshot& s) { return Table::kAll[kAt].value(part_of<kPart>(s)); };
  } else {
    metric.histogram = [](const Snapshot& s) {
      return Table::kAll[kAt].histogram(part_of<kPart>(s));
    };
  }
  return metric;
}

template <class Table, auto kPart, std::size_t kSize>
constexpr void place(std::array<Metric, kSize>& all) {
  const auto place_one = [&]<std::size_t kAt>() {
    if (Table::kAll[kAt].number < kSize) all[Table::kAll[kAt].number] = metric<Table, kPart, kAt>();
  };
  [&]<std::size_t... kAt>(std::index_sequence<kAt...>) {
    (place_one.template operator()<kAt>(), ...);
  }
  (std::make_index_sequence<Table::kAll.size()>());
}

inline constexpr std::size_t kSize = RingLines::kAll.size() + StoreLines::kAll.size() +
                                     EngineLines::kAll.size() + SnapshotLines::kAll.size();

constexpr std::array<Metric, kSize> in_order() {
  std::array<Metric, kSize> all{};
  place<RingLines, &Snapshot::ring>(all);
  place<StoreLines, &Snapshot::store>(all);
  place<EngineLines, &Snapshot::engine>(all);
  place<SnapshotLines, nullptr>(all);
  return all;
}
inline constexpr std::array<Metric, kSize> kAll = in_order();

// So many lines as places: none is empty, so no number stands twice or is too high.
constexpr bool is_whole() {
  for (const Metric& metric : kAll) {
    if (metric.name == nullptr) return false;
  }
  return true;
}
static_assert(is_whole(), "figures are numbered from 0 without a gap, each number once");

}  // namespace catalogue

inline constexpr std::span<const Metric> kMetrics(catalogue::kAll);

inline std::uint64_t value_of(const Metric& metric, const Snapshot& snapshot) {
  if (metric.histogram != nullptr) return metric.histogram(snapshot)->count();
  return metric.value(snapshot);
}

}  // namespace phlower::plugin
