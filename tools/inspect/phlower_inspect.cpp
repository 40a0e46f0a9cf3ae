// phlower-inspect: loads a build of the plugin as a host would and tells what it is, and why a host
// should refuse it; or shows what a configuration comes to, and the figures of a ring.
#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/cli.hpp"
#include "cli/json_out.hpp"
#include "phlower/config/options_yaml.hpp"
#include "phlower/plugin.h"
#include "phlower/ring/stats.hpp"

namespace phlower::tools {
namespace {

constexpr const char* kExamples = R"(examples:
  phlower-inspect /usr/lib/libphlower.so
  phlower-inspect --config phlower.yaml build/plugin/libphlower.so   # would it take this file?
  phlower-inspect --json build/plugin/libphlower.so
  phlower-inspect --effective phlower.yaml                  # every key with the value in force
  phlower-inspect --ring /dev/shm/phlower.ring              # who is right about what was lost)";

#define PHLOWER_NAME(name) "phlower_" #name,
constexpr const char* kFunctions[] = {PHLOWER_FUNCTIONS(PHLOWER_NAME)};
#undef PHLOWER_NAME

struct Loaded {
  explicit Loaded(const std::string& path) : library(::dlopen(path.c_str(), RTLD_NOW)) {
    if (library == nullptr) error = ::dlerror();
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  ~Loaded() {
    if (library != nullptr) ::dlclose(library);
  }
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(library, name));
  }

  void* library;
  std::string error;
};

struct Findings {
  phlower_plugin_info info{};
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<std::string> keys;
  std::vector<phlower_metric_desc> metrics;
  std::vector<std::string> refusals;  // why a host should not use it
};

std::string fact(const Findings& found, std::string_view key) {
  for (const auto& [name, value] : found.facts) {
    if (name == key) return value;
  }
  return "";
}

void read_catalogues(const Loaded& plugin, Findings& found) {
  found.info.struct_size = sizeof found.info;
  plugin.find<decltype(phlower_plugin_query)>("phlower_plugin_query")(&found.info);
  const auto facts = plugin.find<decltype(phlower_plugin_facts)>("phlower_plugin_facts");
  facts([](void* ctx, const char* key,
           const char* value) { static_cast<Findings*>(ctx)->facts.emplace_back(key, value); },
        &found);
  const auto key = plugin.find<decltype(phlower_config_key)>("phlower_config_key");
  for (std::uint32_t i = 0; key(i) != nullptr; ++i) found.keys.emplace_back(key(i));
  const auto describe = plugin.find<decltype(phlower_metrics_describe)>("phlower_metrics_describe");
  phlower_metric_desc metric{};
  metric.struct_size = sizeof metric;
  for (std::uint32_t i = 0; describe(i, &metric) == PHLOWER_OK; ++i) {
    found.metrics.push_back(metric);
  }
}

void judge(const Loaded& plugin, Findings& found) {
  const auto no = [&](std::string why) { found.refusals.push_back(std::move(why)); };
  const std::uint32_t major = found.info.abi_version >> 16;
  const std::uint32_t minor = found.info.abi_version & 0xffff;
  if (major != PHLOWER_ABI_MAJOR) {
    no(fmt::format("its ABI is {}.{}, hosts of today want {}", major, minor, PHLOWER_ABI_MAJOR));
  }
  if (fact(found, "sqlite.threadsafe") == "0") {
    no("its SQLite is built without mutexes (SQLITE_THREADSAFE=0): reads and the engine would "
       "meet");
  }
  if (found.info.sqlite_version < 3035000) no("its SQLite is older than 3.35");
  for (const auto& [key, value] : found.facts) {
    if (key == "sqlite.option" && value == "OMIT_WAL") no("its SQLite is built without WAL");
  }
  const auto quiesced = plugin.find<decltype(phlower_plugin_quiesced)>("phlower_plugin_quiesced");
  if (quiesced() != 0) no("it has engines or threads before any was made");
}

// Whether this build takes a configuration that another may have been written for.
void try_config(const Loaded& plugin, const std::string& path, Findings& found) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) {
    found.refusals.push_back(path + " cannot be read");
    return;
  }
  phlower_err err{};
  err.struct_size = sizeof err;
  const auto check = plugin.find<decltype(phlower_config_check)>("phlower_config_check");
  if (check(text.data(), text.size(), &err) == PHLOWER_OK) return;
  found.refusals.push_back(fmt::format("{} is refused: {}", path, err.message));
}

std::string kind_name(std::uint32_t kind) {
  constexpr const char* kNames[] = {"counter", "gauge", "histogram"};
  return kind < 3 ? kNames[kind] : "unknown";
}

void print(const std::string& path, const Findings& found) {
  fmt::print("{}\n  Phlower {}, ABI {}.{}, {}\n", path, found.info.version,
             found.info.abi_version >> 16, found.info.abi_version & 0xffff,
             fact(found, "phlower.compiler"));
  fmt::print("  SQLite {} (built against {}, threadsafe {})\n", fact(found, "sqlite.version"),
             fact(found, "sqlite.header_version"), fact(found, "sqlite.threadsafe"));
  std::string options;
  for (const auto& [key, value] : found.facts) {
    if (key == "sqlite.option") options += "\n    " + value;
  }
  fmt::print("  SQLite's options:{}\n  configuration keys:\n", options);
  for (const std::string& key : found.keys) fmt::print("    {}\n", key);
  fmt::print("  metrics:\n");
  for (std::size_t i = 0; i < found.metrics.size(); ++i) {
    const phlower_metric_desc& metric = found.metrics[i];
    fmt::print("    {:>3} {:<9} {}{}{}{}  {}\n", i, kind_name(metric.kind), metric.name,
               *metric.label != 0 ? "{" : "", metric.label, *metric.label != 0 ? "}" : "",
               metric.help);
  }
  if (found.refusals.empty()) fmt::print("  a host has no reason to refuse it\n");
  for (const std::string& why : found.refusals) fmt::print("  refuse it: {}\n", why);
}

nlohmann::ordered_json to_json(const std::string& path, const Findings& found) {
  nlohmann::ordered_json json = {
      {"path", path},
      {"version", found.info.version},
      {"abi", {found.info.abi_version >> 16, found.info.abi_version & 0xffff}},
      {"lanes", found.info.lanes}};
  auto& sqlite = json["sqlite"] = {{"version", fact(found, "sqlite.version")},
                                   {"header_version", fact(found, "sqlite.header_version")},
                                   {"threadsafe", fact(found, "sqlite.threadsafe")},
                                   {"options", nlohmann::ordered_json::array()}};
  for (const auto& [key, value] : found.facts) {
    if (key == "sqlite.option") sqlite["options"].push_back(value);
  }
  json["config_keys"] = found.keys;
  json["metrics"] = nlohmann::ordered_json::array();
  for (const phlower_metric_desc& metric : found.metrics) {
    json["metrics"].push_back({{"name", metric.name},
                               {"label", metric.label},
                               {"kind", kind_name(metric.kind)},
                               {"unit", metric.unit},
                               {"help", metric.help}});
  }
  json["refuse"] = found.refusals;
  return json;
}

int problem(const Status& status) {
  fmt::print(stderr, "phlower-inspect: {}\n", status.message());
  return kExitProblem;
}

// What a configuration comes to, as a file that could take its place.
int show_effective(const std::string& path) {
  const auto options = load_options(path);
  if (!options.ok()) return problem(options.status());
  fmt::print("{}", dump_effective(*options));
  return kExitDone;
}

int show_ring(const std::string& path, const CommonOptions& common) {
  const auto stats = read_ring_stats(path);
  if (!stats.ok()) return problem(stats.status());
  const std::pair<const char*, std::uint64_t> figures[] = {
      {"offered", stats->offered},
      {"accepted", stats->accepted},
      {"refused_full", stats->refused_full},
      {"refused_too_big", stats->refused_big},
      {"refused_invalid", stats->aborted},
      {"refused_torn", stats->torn},
      {"refused_detached", stats->unattached},
      {"committed", stats->delivered},
      {"in_ring", stats->unread},
      {"shed", stats->shed},
      {"cut", stats->cut},
      {"corrupt_records", stats->corrupt_records},
      {"corrupt_bytes", stats->corrupt_bytes},
      {"repaired_words", stats->repaired_words},
      {"chunks", stats->chunks},
      {"chunks_in_use", stats->chunks_in_use}};
  nlohmann::ordered_json json = {{"path", path}};
  for (const auto& [name, value] : figures) {
    json[name] = value;
    if (!common.json && !common.quiet) fmt::print("{:<16} {:>14}\n", name, value);
  }
  if (common.json) fmt::print("{}\n", json.dump());
  return kExitDone;
}

int inspect(int argc, char** argv) {
  CommonOptions common;
  std::string path, config, effective, ring;
  CLI::App app(
      "Loads a build of the plugin and tells what it is; or shows a configuration, a ring.",
      "phlower-inspect");
  auto* const file = app.add_option("FILE", path, "the shared object")->type_name(" ");
  app.add_option("--config", config, "a configuration file that it should take")->type_name("FILE");
  auto* const dump = app.add_option("--effective", effective,
                                    "print every key of this configuration with the value in force")
                         ->type_name("FILE");
  auto* const look =
      app.add_option("--ring", ring, "the figures of this ring since it was made; takes no lock")
          ->type_name("FILE");
  dump->excludes(file)->excludes(look);
  look->excludes(file);
  if (const auto exit = parse_command_line(app, argc, argv, common, kExamples)) return *exit;
  if (!effective.empty()) return show_effective(effective);
  if (!ring.empty()) return show_ring(ring, common);
  if (path.empty()) {
    return usage_error("phlower-inspect",
                       Status(Code::kInvalidArgument, "name a FILE, --effective or --ring"));
  }
  // Without a slash dlopen would look in the system's folders, not here.
  const std::string place = path.find('/') == std::string::npos ? "./" + path : path;
  const Loaded plugin(place);
  if (plugin.library == nullptr) {
    fmt::print(stderr, "phlower-inspect: {}\n", plugin.error);
    return kExitProblem;
  }
  Findings found;
  if (plugin.find<void>("phlower_abi_version") == nullptr) {
    fmt::print(stderr, "phlower-inspect: {}: is no build of Phlower's plugin\n", path);
    return kExitProblem;
  }
  for (const char* name : kFunctions) {
    if (plugin.find<void>(name) == nullptr)
      found.refusals.push_back(std::string(name) + " is missing");
  }
  if (!found.refusals.empty()) {
    for (const std::string& why : found.refusals) {
      fmt::print(stderr, "phlower-inspect: {}: {}\n", path, why);
    }
    return kExitProblem;
  }
  read_catalogues(plugin, found);
  judge(plugin, found);
  if (!config.empty()) try_config(plugin, config, found);
  if (!common.quiet && !common.json) print(path, found);
  if (common.json) fmt::print("{}\n", to_json(path, found).dump());
  return found.refusals.empty() ? kExitDone : kExitProblem;
}

}  // namespace
}  // namespace phlower::tools

int main(int argc, char** argv) { return phlower::tools::inspect(argc, argv); }
