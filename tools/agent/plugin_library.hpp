// libphlower.so, loaded with dlopen: the functions of plugin.h, each looked up by its name.
#pragma once

#include <dlfcn.h>

#include <memory>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/plugin.h"

namespace phlower::agent {

/// The functions of the ABI that the agent calls, under their names without phlower_.
struct PluginCalls {
  decltype(&phlower_abi_version) abi_version;
  decltype(&phlower_plugin_query) plugin_query;
  decltype(&phlower_plugin_facts) plugin_facts;
  decltype(&phlower_plugin_quiesced) plugin_quiesced;
  decltype(&phlower_strerror) strerror;
  decltype(&phlower_metrics_describe) metrics_describe;
  decltype(&phlower_config_key) config_key;
  decltype(&phlower_config_check) config_check;
  decltype(&phlower_engine_new) engine_new;
  decltype(&phlower_engine_start) engine_start;
  decltype(&phlower_engine_tick) engine_tick;
  decltype(&phlower_engine_event_fd) engine_event_fd;
  decltype(&phlower_engine_submit) engine_submit;
  decltype(&phlower_engine_submit_whole) engine_submit_whole;
  decltype(&phlower_engine_reload) engine_reload;
  decltype(&phlower_engine_stats) engine_stats;
  decltype(&phlower_engine_health) engine_health;
  decltype(&phlower_engine_metrics_read) engine_metrics_read;
  decltype(&phlower_engine_histogram_read) engine_histogram_read;
  decltype(&phlower_engine_get) engine_get;
  decltype(&phlower_engine_list) engine_list;
  decltype(&phlower_engine_drain) engine_drain;
  decltype(&phlower_engine_stop) engine_stop;
  decltype(&phlower_engine_destroy) engine_destroy;
};

/// A loaded plugin. Unloaded at the end, if nothing of it lives any more.
class PluginLibrary {
 public:
  /// Errors: kNotFound (no such file, or no library), kVersion (another ABI).
  static Result<std::unique_ptr<PluginLibrary>> load(const std::string& path) {
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return Status(Code::kNotFound, last_error(path));
    std::unique_ptr<PluginLibrary> library(new PluginLibrary(handle));
    if (Status status = library->resolve(path); !status.ok()) return status;
    const std::uint32_t version = library->calls_.abi_version();
    if (version >> 16 != PHLOWER_ABI_MAJOR) {
      return Status(Code::kVersion, path + ": has ABI " + std::to_string(version >> 16) + "." +
                                        std::to_string(version & 0xffff) + "; this agent speaks " +
                                        std::to_string(PHLOWER_ABI_MAJOR));
    }
    return library;
  }
  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;
  ~PluginLibrary() {
    // With a thread of its own still in its text the library has to stay.
    if (calls_.plugin_quiesced == nullptr || calls_.plugin_quiesced() == 0) ::dlclose(handle_);
  }

  const PluginCalls& calls() const { return calls_; }

  std::string version() const {
    phlower_plugin_info info{};
    info.struct_size = sizeof info;
    if (calls_.plugin_query(&info) != PHLOWER_OK) return "unknown";
    return std::string(info.version, ::strnlen(info.version, sizeof info.version));
  }

 private:
  explicit PluginLibrary(void* handle) : handle_(handle) {}

  static std::string last_error(const std::string& path) {
    const char* text = ::dlerror();
    return text == nullptr ? path + ": cannot be loaded" : std::string(text);
  }

  template <class Call>
  bool find(const char* name, Call& call) {
    call = reinterpret_cast<Call>(::dlsym(handle_, name));
    return call != nullptr;
  }

  Status resolve(const std::string& path) {
    PluginCalls& c = calls_;
    const char* missing = nullptr;
    const auto need = [&](const char* name, auto& call) {
      if (!find(name, call) && missing == nullptr) missing = name;
    };
    need("phlower_abi_version", c.abi_version);
    need("phlower_plugin_query", c.plugin_query);
    need("phlower_plugin_facts", c.plugin_facts);
    need("phlower_plugin_quiesced", c.plugin_quiesced);
    need("phlower_strerror", c.strerror);
    need("phlower_metrics_describe", c.metrics_describe);
    need("phlower_config_key", c.config_key);
    need("phlower_config_check", c.config_check);
    need("phlower_engine_new", c.engine_new);
    need("phlower_engine_start", c.engine_start);
    need("phlower_engine_tick", c.engine_tick);
    need("phlower_engine_event_fd", c.engine_event_fd);
    need("phlower_engine_submit", c.engine_submit);
    need("phlower_engine_submit_whole", c.engine_submit_whole);
    need("phlower_engine_reload", c.engine_reload);
    need("phlower_engine_stats", c.engine_stats);
    need("phlower_engine_health", c.engine_health);
    need("phlower_engine_metrics_read", c.engine_metrics_read);
    need("phlower_engine_histogram_read", c.engine_histogram_read);
    need("phlower_engine_get", c.engine_get);
    need("phlower_engine_list", c.engine_list);
    need("phlower_engine_drain", c.engine_drain);
    need("phlower_engine_stop", c.engine_stop);
    need("phlower_engine_destroy", c.engine_destroy);
    if (missing == nullptr) return {};
    return {Code::kVersion,
            path + ": is no plugin of Phlower, or an older one: it has no " + missing};
  }

  void* handle_;
  PluginCalls calls_{};
};

}  // namespace phlower::agent
