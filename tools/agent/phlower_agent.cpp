// phlower-agent: loads the plugin, feeds it from brokers, sockets and files, and answers questions
// about the history by HTTP. The reference for whoever writes a host of libphlower.so.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "agent/host/agent.hpp"
#include "agent/host/start_check.hpp"
#include "cli/exit_codes.hpp"
#include "phlower/version.hpp"

namespace phlower::agent {
namespace {

using tools::kExitDone;
using tools::kExitProblem;
using tools::kExitUsage;

constexpr const char* kExamples = R"(Examples:
  phlower-agent --config /etc/phlower/agent.yaml
  phlower-agent --check-config /etc/phlower/agent.yaml
  kill -HUP $(pidof phlower-agent)        reads both configurations again
  curl http://127.0.0.1:9808/healthz      and /readyz, /metrics, /search?state=FAILURE&limit=10
  echo '{"task_id":"1","state":"SUCCESS"}' | socat - UNIX-CONNECT:/run/phlower/records.sock

Every key of the configuration is explained in config/agent.yaml. Exit codes: 0 ended in order,
1 a problem, 2 wrong usage or wrong configuration.)";

Result<std::unique_ptr<PluginLibrary>> load_library(const AgentOptions& options) {
  const std::string& path = options.plugin.library;
  auto library = PluginLibrary::load(path);
  if (library.ok()) return library;
  const bool bare = path.find('/') == std::string::npos;
  return Status(library.status().code(),
                "plugin.library: " + std::string(library.status().message()) +
                    (bare ? "; a name without a slash is looked for where ldconfig finds "
                            "libraries: write the path of libphlower.so"
                          : ""));
}

int complain(const Status& status) {
  tools::complain("phlower-agent", status);
  return status.code() == Code::kInvalidConfig ? kExitUsage : kExitProblem;
}

// All that is wrong, not only the first of it: each costs whoever mends it another try.
int check(const AgentOptions& options, const std::string& path) {
  StartFindings found = check_start(options);
  const auto library = load_library(options);
  const Result<std::string> yaml = engine_config_text(options);
  Status status = library.status();
  if (status.ok()) status = yaml.status();
  if (status.ok()) status = check_engine_config(**library, *yaml, options.plugin.config);
  if (!status.ok()) found.problems.emplace_back(status.message());
  for (const std::string& note : found.notes) {
    std::fprintf(stderr, "phlower-agent: note: %s\n", note.c_str());
  }
  for (const std::string& problem : found.problems) {
    std::fprintf(stderr, "phlower-agent: %s\n", problem.c_str());
  }
  if (!found.problems.empty()) return kExitUsage;
  std::printf(
      "%s: good\n%s: good\n", path.c_str(),
      options.plugin.config.empty() ? "(the engine's defaults)" : options.plugin.config.c_str());
  return kExitDone;
}

int main_of(int argc, char** argv) {
  std::string config;
  std::string to_check;
  CLI::App app("The host of Phlower's plugin: feeds it from brokers and answers by HTTP.",
               "phlower-agent");
  auto* run = app.add_option("--config", config, "the agent's configuration: run with it");
  auto* only = app.add_option("--check-config", to_check,
                              "check it, the engine's that it names, and what both need on this "
                              "machine: plugin, files, tokens, addresses; exit 0 or 2");
  run->excludes(only);
  app.set_version_flag("--version", "Phlower " PHLOWER_VERSION);
  app.footer(kExamples);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::fprintf(stderr, "phlower-agent: %s\n", error.what());
    return kExitUsage;
  }
  if (config.empty() && to_check.empty()) {
    std::fprintf(stderr, "phlower-agent: --config FILE is missing; --help has examples\n");
    return kExitUsage;
  }
  const std::string& path = config.empty() ? to_check : config;
  const Result<AgentOptions> options = load_options<AgentOptions>(path);
  if (!options.ok()) {
    complain(options.status());
    return kExitUsage;
  }
  if (!to_check.empty()) return check(*options, path);
  const auto library = load_library(*options);
  if (!library.ok()) return complain(library.status());
  SystemClock clock;
  const Status status = Agent(*options, path, clock, **library).run();
  return status.ok() ? kExitDone : complain(status);
}

}  // namespace
}  // namespace phlower::agent

int main(int argc, char** argv) { return phlower::agent::main_of(argc, argv); }
