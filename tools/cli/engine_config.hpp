// The engine's configuration from whichever file a user has at hand: phlower.yaml, or agent.yaml,
// which names it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host/agent_options.hpp"
#include "phlower/config/options_yaml.hpp"

namespace phlower::tools {

/// The engine's options and the file that they stand in.
struct EngineConfig {
  Options options;
  std::string file;  // empty: no file, the defaults
};

/// Whether a section of `text` is the agent's alone: brokers, HTTP and the like.
inline bool is_agent_config(std::string_view text) {
  const auto sections = [](const auto& options) {
    std::vector<std::string_view> names;
    visit_options(options, [&](std::string_view key, const auto&, auto) {
      names.push_back(key.substr(0, key.find('.')));
    });
    return names;
  };
  const auto is_in = [](const std::vector<std::string_view>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto engine = sections(Options());
  const auto agent = sections(agent::AgentOptions());
  for (const std::string& name : config_sections(text)) {
    if (is_in(agent, name) && !is_in(engine, name)) return true;
  }
  return false;
}

/// Errors: those of load_options, of either file.
inline Result<EngineConfig> load_engine_config(const std::string& path) {
  const auto text = read_config_text(path);
  if (!text.ok()) return text.status();
  const auto own = parse_options(*text, path);
  if (own.ok()) return EngineConfig{*own, path};
  const auto agents = parse_options<agent::AgentOptions>(*text, path);
  if (!agents.ok()) return is_agent_config(*text) ? agents.status() : own.status();
  const std::string& named = agents->plugin.config;
  if (named.empty()) return EngineConfig{};
  const auto options = load_options(named);
  if (!options.ok()) return options.status().with_context(path + ": plugin.config");
  return EngineConfig{*options, named};
}

}  // namespace phlower::tools
