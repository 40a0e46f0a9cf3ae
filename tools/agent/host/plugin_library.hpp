// libphlower.so, loaded with dlopen: the functions of plugin.h, each looked up by its name.
#pragma once

#include <dlfcn.h>

#include <memory>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/plugin.h"

namespace phlower::agent {

/// The functions of the ABI under their names without phlower_.
struct PluginCalls {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares
#define PHLOWER_DECLARE(name) decltype(&phlower_##name) name = nullptr;
  PHLOWER_FUNCTIONS(PHLOWER_DECLARE)
#undef PHLOWER_DECLARE
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
    const char* missing = nullptr;
    const auto need = [&](const char* name, auto& call) {
      if (!find(name, call) && missing == nullptr) missing = name;
    };
#define PHLOWER_FIND(name) need("phlower_" #name, calls_.name);
    PHLOWER_FUNCTIONS(PHLOWER_FIND)
#undef PHLOWER_FIND
    if (missing == nullptr) return {};
    return {Code::kVersion,
            path + ": is no plugin of Phlower, or an older one: it has no " + missing};
  }

  void* handle_;
  PluginCalls calls_{};
};

}  // namespace phlower::agent
