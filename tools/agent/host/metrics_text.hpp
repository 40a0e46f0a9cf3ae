// The metrics of engine and agent as Prometheus reads them. The only includer of prometheus-cpp.
#pragma once

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host/plugin_engine.hpp"
#include "agent/source/counters.hpp"

namespace phlower::agent {

namespace metrics_detail {

/// 1, 2, 5 of each power of ten: from a microsecond to 100 seconds, in nanoseconds.
inline std::vector<std::uint64_t> bounds() {
  std::vector<std::uint64_t> all;
  for (std::uint64_t power = 100; power <= 100'000'000'000; power *= 10) {
    for (const std::uint64_t step : {1, 2, 5}) {
      if (power * step <= 100'000'000'000) all.push_back(power * step);
    }
  }
  return all;
}

class Families {
 public:
  prometheus::ClientMetric& add(const std::string& name, const std::string& help,
                                prometheus::MetricType type) {
    const auto [at, is_new] = index_.try_emplace(name, all_.size());
    if (is_new) all_.push_back({name, help, type, {}});
    return all_[at->second].metric.emplace_back();
  }
  const std::vector<prometheus::MetricFamily>& all() const { return all_; }

 private:
  std::vector<prometheus::MetricFamily> all_;
  std::map<std::string, std::size_t> index_;
};

inline void add_histogram(const PluginEngine& engine, std::uint32_t index,
                          prometheus::ClientMetric& metric) {
  const std::vector<std::uint64_t> limits = bounds();
  std::vector<std::uint64_t> counts(limits.size());
  phlower_histogram sums{};
  sums.struct_size = sizeof sums;
  engine.calls().engine_histogram_read(engine.handle(), index, limits.data(), counts.data(),
                                       static_cast<std::uint32_t>(limits.size()), &sums);
  metric.histogram.sample_count = sums.count;
  metric.histogram.sample_sum = static_cast<double>(sums.sum);
  for (std::size_t i = 0; i < limits.size(); ++i) {
    metric.histogram.bucket.push_back({counts[i], static_cast<double>(limits[i])});
  }
}

inline void add_engine(const PluginEngine& engine, Families& families) {
  phlower_metric_desc desc{};
  std::vector<phlower_metric_desc> catalogue;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    desc = {};
    desc.struct_size = sizeof desc;
    if (engine.calls().metrics_describe(i, &desc) != PHLOWER_OK) break;
    catalogue.push_back(desc);
  }
  std::vector<std::uint64_t> values(catalogue.size());
  engine.calls().engine_metrics_read(engine.handle(), values.data(),
                                     static_cast<std::uint32_t>(values.size()));
  using prometheus::MetricType;
  for (std::uint32_t i = 0; i < catalogue.size(); ++i) {
    const phlower_metric_desc& one = catalogue[i];
    const bool histogram = one.kind == PHLOWER_METRIC_HISTOGRAM;
    const bool gauge = one.kind == PHLOWER_METRIC_GAUGE;
    const auto type = histogram ? MetricType::Histogram
                      : gauge   ? MetricType::Gauge
                                : MetricType::Counter;
    prometheus::ClientMetric& metric = families.add(one.name, one.help, type);
    const std::string_view label = one.label == nullptr ? "" : one.label;
    if (const std::size_t equals = label.find('='); equals != std::string_view::npos) {
      metric.label.push_back(
          {std::string(label.substr(0, equals)), std::string(label.substr(equals + 1))});
    }
    if (histogram) {
      add_histogram(engine, i, metric);
    } else {
      (gauge ? metric.gauge.value : metric.counter.value) = static_cast<double>(values[i]);
    }
  }
}

}  // namespace metrics_detail

/// Thread safety: safe.
inline std::string metrics_text(const PluginEngine& engine, const Counters& counters) {
  metrics_detail::Families families;
  metrics_detail::add_engine(engine, families);
  for (const CountEntry& entry : counters.entries()) {
    const bool gauge = entry.kind == CountKind::kGauge;
    prometheus::ClientMetric& metric =
        families.add(entry.name, entry.help,
                     gauge ? prometheus::MetricType::Gauge : prometheus::MetricType::Counter);
    if (!entry.source.empty()) metric.label.push_back({"source", entry.source});
    (gauge ? metric.gauge.value : metric.counter.value) = static_cast<double>(entry.count.get());
  }
  return prometheus::TextSerializer().Serialize(families.all());
}

}  // namespace phlower::agent
