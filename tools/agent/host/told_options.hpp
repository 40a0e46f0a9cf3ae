// Options in words: what a start begins with, and what has changed in a file.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/config/options_yaml.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/plugin.h"

namespace phlower::agent {

/// The value of each key, as the file has it.
template <class OptionsT>
std::vector<std::pair<std::string_view, std::string>> option_texts(const OptionsT& options) {
  std::vector<std::pair<std::string_view, std::string>> all;
  visit_options(options, [&](std::string_view key, const auto& value, auto kind) {
    all.emplace_back(key, field::write(value, kind));
  });
  return all;
}

/// The keys that differ, with commas between. Empty: none.
template <class OptionsT>
std::string changed_keys(const OptionsT& now, const OptionsT& wanted) {
  const auto before = option_texts(now);
  const auto after = option_texts(wanted);
  std::string keys;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].second == after[i].second) continue;
    keys.append(keys.empty() ? "" : ", ").append(before[i].first);
  }
  return keys;
}

/// Where the history is, what is in it and how long it stays there: for the log of a start.
inline std::string told_history(const Options& options, const phlower_stats& stats) {
  std::string retention;
  std::string details;
  std::string forever;
  for (auto& [key, value] : option_texts(options)) {
    if (key == "retention.invocations") retention = value;
    if (key == "retention.details") details = value;
    if (key == "retention.keep_forever") forever = value;
  }
  return "history in " + options.store.path + ": " + format_count(stats.invocations) +
         (stats.counts_exact != 0 ? " rows" : " rows or so") +
         (forever == "true" ? ", kept for ever"
                            : ", kept for " + retention + ", their details for " + details) +
         "; ring " + options.ring.path + " of " + exact_bytes(options.ring.size_bytes) + " with " +
         format_count(stats.in_ring) + " records in it";
}

}  // namespace phlower::agent
