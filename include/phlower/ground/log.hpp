// Log: messages to whoever runs Phlower. The only header that includes spdlog. The library itself
// never prints: the host gives a sink, and without one every message is dropped unformatted.
#pragma once

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kOff };

/// The names of LogLevel in its order, as they stand in the configuration and in output.
inline constexpr std::array<std::string_view, 6> kLogLevelNames = {"trace",   "debug", "info",
                                                                   "warning", "error", "off"};

constexpr std::string_view log_level_name(LogLevel level) noexcept {
  return kLogLevelNames[static_cast<std::size_t>(level)];
}

/// Errors: kInvalidArgument, naming the levels there are.
inline Result<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLogLevelNames.size(); ++i) {
    if (kLogLevelNames[i] == text) return static_cast<LogLevel>(i);
  }
  return Status(Code::kInvalidArgument,
                "'" + std::string(text) +
                    "' is no log level; one of trace, debug, info, warning, error, off");
}

/// Where messages go: level and one line of text without its newline. Called by one thread at a
/// time. What it throws is swallowed. Must not log to the same Log (it would wait for itself).
using LogSink = std::function<void(LogLevel, std::string_view)>;

/// A handle to one logger; copies write to the same sink. A default Log is silent.
/// Messages use fmt's syntax, checked when compiled: log.info("opened {}", path).
/// Thread safety: safe. Blocks: as long as the sink does. Never throws, whatever fails inside.
class Log {
 public:
  Log() noexcept = default;

  /// Requires: `clock` outlives every copy; it paces `warn_limited`.
  Log(LogSink sink, Clock& clock, LogLevel level = LogLevel::kInfo,
      Nanoseconds limit_interval = Seconds(10))
      : core_(std::make_shared<Core>(std::move(sink), clock, limit_interval)) {
    set_level(level);
  }

  void set_level(LogLevel level) const {
    if (core_) core_->logger.set_level(to_spdlog(level));
  }
  /// True if a message of this level would reach the sink; ask before costly preparations.
  bool enabled(LogLevel level) const noexcept {
    return core_ && level != LogLevel::kOff && core_->logger.should_log(to_spdlog(level));
  }

  template <class... Args>
  void trace(spdlog::format_string_t<Args...> format, Args&&... args) const noexcept {
    write(LogLevel::kTrace, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void debug(spdlog::format_string_t<Args...> format, Args&&... args) const noexcept {
    write(LogLevel::kDebug, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void info(spdlog::format_string_t<Args...> format, Args&&... args) const noexcept {
    write(LogLevel::kInfo, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void warn(spdlog::format_string_t<Args...> format, Args&&... args) const noexcept {
    write(LogLevel::kWarning, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void error(spdlog::format_string_t<Args...> format, Args&&... args) const noexcept {
    write(LogLevel::kError, format, std::forward<Args>(args)...);
  }

  /// A warning that may come often: at most one per `key` and interval reaches the sink, and the
  /// next one says how many were left out. At most 64 keys are told apart; more share one.
  template <class... Args>
  void warn_limited(std::string_view key, spdlog::format_string_t<Args...> format,
                    Args&&... args) const noexcept {
    if (!enabled(LogLevel::kWarning)) return;
    std::uint64_t left_out = 0;
    if (!core_->admit(key, left_out)) return;
    write(LogLevel::kWarning, format, std::forward<Args>(args)...);
    if (left_out > 0) {
      write(LogLevel::kWarning, "({} warnings of '{}' were left out before)", left_out, key);
    }
  }

 private:
  // Hands the bare text on; time and level are the host's to print.
  class HostSink final : public spdlog::sinks::base_sink<std::mutex> {
   public:
    explicit HostSink(LogSink host) : sink_(std::move(host)) {}

   private:
    void sink_it_(const spdlog::details::log_msg& message) override {
      if (!sink_) return;
      try {
        sink_(from_spdlog(message.level), {message.payload.data(), message.payload.size()});
      } catch (...) {  // a host's sink must not break the engine that only wanted to warn
      }
    }
    void flush_() override {}
    LogSink sink_;
  };

  struct Core {
    Core(LogSink sink, Clock& its_clock, Nanoseconds its_interval)
        : logger("phlower", std::make_shared<HostSink>(std::move(sink))),
          clock(its_clock),
          interval(its_interval) {
      // spdlog's own handler would print to stderr.
      logger.set_error_handler([](const std::string&) {});
    }

    bool admit(std::string_view key, std::uint64_t& left_out) noexcept {
      try {
        const MonoTime now = clock.mono();
        const std::lock_guard<std::mutex> lock(mutex);
        auto found = limits.find(key);
        if (found == limits.end()) {
          const bool full = limits.size() >= kMaxKeys;
          found = limits.try_emplace(std::string(full ? "other" : key)).first;
        }
        Limit& limit = found->second;
        if (limit.begun && now - limit.last < interval) {
          ++limit.left_out;
          return false;
        }
        left_out = limit.left_out;
        limit = {true, now, 0};
        return true;
      } catch (...) {  // no memory for a key: better one warning too many
        return true;
      }
    }

    struct Limit {
      bool begun = false;
      MonoTime last{};
      std::uint64_t left_out = 0;
    };
    static constexpr std::size_t kMaxKeys = 63;  // and "other"
    spdlog::logger logger;  // private: never in spdlog's registry, which the host may use itself
    Clock& clock;
    const Nanoseconds interval;
    std::mutex mutex;
    std::map<std::string, Limit, std::less<>> limits;
  };

  template <class... Args>
  void write(LogLevel level, spdlog::format_string_t<Args...> format,
             Args&&... args) const noexcept {
    if (!core_) return;
    try {
      core_->logger.log(to_spdlog(level), format, std::forward<Args>(args)...);
    } catch (...) {  // formatting ran out of memory: the message is lost, the caller is not
    }
  }

  static constexpr spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
    constexpr std::array<spdlog::level::level_enum, 6> kLevels = {
        spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
        spdlog::level::warn,  spdlog::level::err,   spdlog::level::off};
    return kLevels[static_cast<std::size_t>(level)];
  }
  static constexpr LogLevel from_spdlog(spdlog::level::level_enum level) noexcept {
    switch (level) {
      case spdlog::level::trace: return LogLevel::kTrace;
      case spdlog::level::debug: return LogLevel::kDebug;
      case spdlog::level::info: return LogLevel::kInfo;
      case spdlog::level::warn: return LogLevel::kWarning;
      default: return LogLevel::kError;
    }
  }

  std::shared_ptr<Core> core_;
};

}  // namespace phlower
