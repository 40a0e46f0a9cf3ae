// What a host gives, as the engine wants it: a clock, and a place for messages.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/plugin.h"

namespace phlower::plugin {

/// The host's clocks where it gives some. Thread safety: that of the host's callbacks.
class HostClock final : public Clock {
 public:
  explicit HostClock(const phlower_host& host) : host_(host) {}

  MonoTime mono() override {
    if (host_.mono_ns == nullptr) return system_.mono();
    return MonoTime(Nanoseconds(static_cast<std::int64_t>(host_.mono_ns(host_.ctx))));
  }
  MonoTime mono_coarse() override {
    return host_.mono_ns == nullptr ? system_.mono_coarse() : mono();
  }
  WallTime wall() override {
    if (host_.wall_ns == nullptr) return system_.wall();
    return WallTime(Nanoseconds(static_cast<std::int64_t>(host_.wall_ns(host_.ctx))));
  }

 private:
  const phlower_host& host_;
  SystemClock system_;
};

constexpr std::uint32_t host_level(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kTrace: return PHLOWER_LOG_TRACE;
    case LogLevel::kDebug: return PHLOWER_LOG_DEBUG;
    case LogLevel::kInfo: return PHLOWER_LOG_INFO;
    case LogLevel::kWarning: return PHLOWER_LOG_WARN;
    case LogLevel::kError: return PHLOWER_LOG_ERROR;
    case LogLevel::kOff: break;
  }
  return PHLOWER_LOG_OFF;
}

/// Hands messages to the host; without its callback to stderr, from warnings on. `host` must
/// outlive the sink.
inline LogSink host_sink(const phlower_host& host) {
  return [&host](LogLevel level, std::string_view text) {
    if (host.log != nullptr) {
      const std::uint32_t number = host_level(level);
      if (host.log_enabled != nullptr && host.log_enabled(host.ctx, number) == 0) return;
      host.log(host.ctx, number, text.data(), text.size());
    } else if (level >= LogLevel::kWarning) {
      std::fprintf(stderr, "phlower: %.*s\n", static_cast<int>(text.size()), text.data());
    }
  };
}

}  // namespace phlower::plugin
