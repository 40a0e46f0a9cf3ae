// Phlower's catalogue of metrics as Envoy's: defined while the configuration is made (Envoy takes
// no new ones later), set from a timer. Histograms appear as the count of their values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host.hpp"

namespace phlower::envoy {

class PublishedMetrics {
 public:
  /// Requires: the main thread, inside bootstrap_extension_config_new.
  void define(void* host) {
    phlower_metric_desc metric{};
    for (uint32_t i = 0;; ++i) {
      metric.struct_size = sizeof metric;
      if (phlower_metrics_describe(i, &metric) != PHLOWER_OK) break;
      const std::string_view label = metric.label == nullptr ? "" : metric.label;
      metrics_.push_back(defined(host, metric.name, metric.kind, label));
    }
    values_.resize(metrics_.size());
    missed_ = defined(host, "phlower_missed_total", PHLOWER_METRIC_COUNTER, "");
  }

  /// `missed`: records that came while no engine was open. Requires: the main thread.
  void publish(void* host, phlower_engine* engine, uint64_t missed) {
    set(host, missed_, missed);
    const auto count = static_cast<uint32_t>(values_.size());
    if (phlower_engine_metrics_read(engine, values_.data(), count) != PHLOWER_OK) return;
    for (uint32_t i = 0; i < count; ++i) set(host, metrics_[i], values_[i]);
  }

 private:
  struct Metric {
    bool defined = false;
    bool is_gauge = false;
    size_t id = 0;
    std::string value;  // of its label
    uint64_t last = 0;
  };

  static Metric defined(void* host, std::string_view name, uint32_t kind, std::string_view label) {
    Metric metric;
    metric.is_gauge = kind == PHLOWER_METRIC_GAUGE;
    auto* const define =
        metric.is_gauge ? envoy_dynamic_module_callback_bootstrap_extension_config_define_gauge
                        : envoy_dynamic_module_callback_bootstrap_extension_config_define_counter;
    if (define == nullptr) return metric;
    // Envoy puts metrics_namespace before the name: phlower.committed_total.
    constexpr std::string_view kPrefix = "phlower_";
    std::string stat(name.substr(0, kPrefix.size()) == kPrefix ? name.substr(kPrefix.size())
                                                               : name);
    if (kind == PHLOWER_METRIC_HISTOGRAM) stat += "_count";
    const size_t middle = label.find('=');
    phlower_envoy_text key = text(label.substr(0, middle));
    if (middle != std::string_view::npos) metric.value = label.substr(middle + 1);
    metric.defined = define(host, text(stat), metric.value.empty() ? nullptr : &key,
                            metric.value.empty() ? 0 : 1, &metric.id) == kEnvoyMetricsSuccess;
    return metric;
  }

  static void set(void* host, Metric& metric, uint64_t value) {
    if (!metric.defined) return;
    phlower_envoy_text label = text(metric.value);
    phlower_envoy_text* const labels = metric.value.empty() ? nullptr : &label;
    const size_t count = metric.value.empty() ? 0 : 1;
    if (metric.is_gauge) {
      if (envoy_dynamic_module_callback_bootstrap_extension_config_set_gauge != nullptr) {
        envoy_dynamic_module_callback_bootstrap_extension_config_set_gauge(host, metric.id, labels,
                                                                           count, value);
      }
    } else if (envoy_dynamic_module_callback_bootstrap_extension_config_increment_counter !=
                   nullptr &&
               value > metric.last) {
      envoy_dynamic_module_callback_bootstrap_extension_config_increment_counter(
          host, metric.id, labels, count, value - metric.last);
      metric.last = value;
    }
  }

  std::vector<Metric> metrics_;
  std::vector<uint64_t> values_;
  Metric missed_;
};

}  // namespace phlower::envoy
