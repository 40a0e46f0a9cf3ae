// Envoy's side, as the module's sources use it: text, the log, and what may be absent.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "envoy_abi.h"
#include "phlower/plugin.h"

namespace phlower::envoy {

inline std::string_view view(phlower_envoy_text text) {
  return text.ptr == nullptr ? std::string_view() : std::string_view(text.ptr, text.length);
}

inline phlower_envoy_text text(std::string_view view) { return {view.data(), view.size()}; }

inline phlower_text record_text(std::string_view view) { return {view.data(), view.size()}; }

inline bool log_enabled(uint32_t level) {
  return envoy_dynamic_module_callback_log != nullptr &&
         (envoy_dynamic_module_callback_log_enabled == nullptr ||
          envoy_dynamic_module_callback_log_enabled(level));
}

/// A line in Envoy's log, under its id dynamic_modules. Thread safety: any thread.
__attribute__((format(printf, 2, 3))) inline void log(uint32_t level, const char* format, ...) {
  if (!log_enabled(level)) return;
  char line[1024];
  va_list words;
  va_start(words, format);
  const int size = std::vsnprintf(line, sizeof line, format, words);
  va_end(words);
  if (size < 0) return;
  const auto length =
      static_cast<size_t>(size) < sizeof line ? static_cast<size_t>(size) : sizeof line - 1;
  envoy_dynamic_module_callback_log(level, {line, length});
}

/// The services of Envoy that every engine here gets. Levels are the same numbers on both sides.
inline phlower_host engine_host() {
  phlower_host host{};
  host.struct_size = sizeof host;
  host.log = [](void*, uint32_t level, const char* message, size_t size) {
    log(level, "phlower: %.*s", static_cast<int>(size < 1000 ? size : 1000), message);
  };
  host.log_enabled = [](void*, uint32_t level) -> int32_t { return log_enabled(level) ? 1 : 0; };
  return host;
}

}  // namespace phlower::envoy
