// phlower-agent: loads the plugin, feeds it from brokers, sockets and files, and answers questions
// about the history by HTTP. The reference for whoever writes a host of libphlower.so.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>

#include "../exit_codes.hpp"
#include "agent.hpp"
#include "phlower/version.hpp"

namespace phlower::agent {
namespace {

using tools::kExitDone;
using tools::kExitProblem;
using tools::kExitUsage;

constexpr const char* kExamples = R"(Examples:
  phlower-agent --config /etc/phlower/agent.yaml
  phlower-agent --check-config /etc/phlower/agent.yaml
  kill -HUP $(pidof phlower-agent)        reads the engine's configuration again
  curl http://127.0.0.1:9808/healthz      and /readyz, /metrics, /search?state=FAILURE&limit=10
  echo '{"task_id":"1","state":"SUCCESS"}' | socat - UNIX-CONNECT:/run/phlower/records.sock

Every key of the configuration is explained in config/agent.yaml. Exit codes: 0 ended in order,
1 a problem, 2 wrong usage or wrong configuration.)";

int complain(const Status& status) {
  tools::complain("phlower-agent", status);
  return status.code() == Code::kInvalidConfig ? kExitUsage : kExitProblem;
}

int check(const AgentOptions& options, const PluginLibrary& library, const std::string& path) {
  const Result<std::string> yaml = engine_config_text(options);
  if (!yaml.ok()) return complain(yaml.status());
  const Status status = check_engine_config(library, *yaml, options.plugin.config);
  if (!status.ok()) return complain(status);
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
                              "check it, and the engine's that it names; exit 0 or 2");
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
  const auto library = PluginLibrary::load(options->plugin.library);
  if (!library.ok()) return complain(library.status());
  if (!to_check.empty()) return check(*options, **library, path);
  SystemClock clock;
  const Status status = Agent(*options, clock, **library).run();
  return status.ok() ? kExitDone : complain(status);
}

}  // namespace
}  // namespace phlower::agent

int main(int argc, char** argv) { return phlower::agent::main_of(argc, argv); }
