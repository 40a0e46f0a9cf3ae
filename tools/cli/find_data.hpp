// Where the history lies, when a command line does not say so: one rule for all tools.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cli/engine_config.hpp"
#include "phlower/config/options.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::tools {

/// What a tool finds around it.
struct Surroundings {
  std::function<std::string(const char*)> variable;  // of the environment; empty where not set
  std::string root;                                  // in front of /etc; empty but in tests
};

inline Surroundings surroundings() {
  return {[](const char* name) {
            const char* const value = std::getenv(name);
            return std::string(value == nullptr ? "" : value);
          },
          ""};
}

/// --data and --config as they were given; empty: not.
struct DataWords {
  std::string data;
  std::string config;
};

struct FoundData {
  std::string path;
  std::string from;   // what named it, to stand behind an error; empty: the command line itself
  bool named = true;  // false: nothing names it, it is the default
  /// Of --config; of the file in /etc only where the history is one file, which does not know it.
  std::optional<RetentionOptions> retention;
};

inline constexpr const char* kDataVariable = "PHLOWER_DATA";
inline constexpr const char* kSystemConfig = "/etc/phlower/phlower.yaml";

namespace find_detail {

inline std::string named_by(const std::string& file, const std::string& path) {
  const bool relative = !path.starts_with('/');
  return "store.path of " + file +
         (relative ? ", from the folder that its engine was started in" : "");
}

}  // namespace find_detail

/// --data, else PHLOWER_DATA, else store.path of --config, else that of /etc/phlower/phlower.yaml
/// where it exists, else ./phlower-data. PHLOWER_DATA and --config that name two places are an
/// error. Errors: kInvalidArgument; those of the configuration. Blocks: for small files.
inline Result<FoundData> find_data(const DataWords& given, const Surroundings& around) {
  FoundData found;
  EngineConfig config;
  if (!given.config.empty()) {
    auto loaded = load_engine_config(given.config);
    if (!loaded.ok()) return loaded.status();
    config = *std::move(loaded);
    found.retention = config.options.retention;
  }
  const std::string variable = around.variable(kDataVariable);
  const std::string& path = config.options.store.path;
  if (!given.data.empty()) {
    found.path = given.data;
  } else if (!variable.empty()) {
    if (!given.config.empty() && variable != path) {
      return Status(Code::kInvalidArgument, std::string(kDataVariable) + " says " + variable +
                                                ", " + given.config + " says " + path +
                                                "; say with --data which one is meant");
    }
    found.path = variable;
    found.from = kDataVariable;
  } else if (!given.config.empty()) {
    found.path = path;
    found.from = find_detail::named_by(config.file.empty() ? "the defaults" : config.file, path);
  } else if (const std::string file = around.root + kSystemConfig;
             ::access(file.c_str(), F_OK) == 0) {
    auto loaded = load_engine_config(file);
    if (!loaded.ok()) {
      return loaded.status().with_context("there is neither --data nor " +
                                          std::string(kDataVariable));
    }
    found.path = loaded->options.store.path;
    found.from = find_detail::named_by(file, found.path);
    std::error_code error;
    if (!std::filesystem::is_directory(found.path, error)) {
      found.retention = loaded->options.retention;
    }
  } else {
    found.named = false;
    found.path = Options().store.path;
    found.from = "the default: there is no --data, no " + std::string(kDataVariable) +
                 ", no --config, no " + kSystemConfig;
  }
  return found;
}

}  // namespace phlower::tools
