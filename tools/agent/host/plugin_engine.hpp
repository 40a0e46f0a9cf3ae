// The one engine of the agent, behind the C ABI: life, ticks, submit, reload.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "agent/host/agent_log.hpp"
#include "agent/host/plugin_library.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower::agent {

/// The code of a call of the plugin; one of a younger plugin that is not known here is kInternal.
inline Code to_code(std::int32_t code) {
  const auto name = [](std::int32_t of) { return code_name(static_cast<Code>(of)); };
  return name(code) != name(-1) ? static_cast<Code>(code) : Code::kInternal;
}

/// What a call of the plugin gave, as a Status.
inline Status to_status(const PluginLibrary& library, std::int32_t code, const phlower_err& err) {
  if (code == PHLOWER_OK) return {};
  std::string text(err.message, ::strnlen(err.message, sizeof err.message));
  if (text.empty()) text = library.calls().strerror(code);
  return {to_code(code), std::move(text), err.sys_errno, err.sqlite_code};
}

inline phlower_err empty_err() {
  phlower_err err{};
  err.struct_size = sizeof err;
  return err;
}

/// An error in a configuration whose name the plugin does not know: puts `name` where it has
/// "yaml:" at the beginning of a line, or before the whole of it.
inline Status named_config_error(const Status& status, const std::string& name) {
  constexpr std::string_view kTheirs = "yaml:";
  const std::string ours = name.empty() ? "(the engine's defaults)" : name;
  std::string text("\n");
  text += status.message();
  bool found = false;
  const std::string theirs = "\n" + std::string(kTheirs);
  for (std::size_t at = text.find(theirs); at != std::string::npos;
       at = text.find(theirs, at + 1)) {
    text.replace(at + 1, kTheirs.size() - 1, ours);
    found = true;
  }
  if (!found) return status.with_context(ours);
  return {status.code(), text.substr(1), status.sys_errno(), status.sqlite_code()};
}

/// Checks an engine's configuration as the plugin sees it; `name` stands before each error.
inline Status check_engine_config(const PluginLibrary& library, const std::string& yaml,
                                  const std::string& name) {
  phlower_err err = empty_err();
  const std::int32_t code = library.calls().config_check(yaml.data(), yaml.size(), &err);
  if (code == PHLOWER_OK) return {};
  return named_config_error(to_status(library, code, err), name);
}

/// Not thread safe, but for the calls that plugin.h marks ANY THREAD, which `handle` serves.
class PluginEngine {
 public:
  /// Requires: `library` outlives this.
  PluginEngine(const PluginLibrary& library, Log log)
      : library_(library), calls_(library.calls()), log_(std::move(log)) {
    host_.struct_size = sizeof host_;
    host_.ctx = this;
    host_.log = [](void* ctx, std::uint32_t level, const char* text, std::size_t size) {
      static_cast<PluginEngine*>(ctx)->say(level, {text, size});
    };
    host_.log_enabled = [](void* ctx, std::uint32_t level) -> std::int32_t {
      return static_cast<PluginEngine*>(ctx)->log_.enabled(to_level(level)) ? 1 : 0;
    };
  }
  PluginEngine(const PluginEngine&) = delete;
  PluginEngine& operator=(const PluginEngine&) = delete;
  ~PluginEngine() { calls_.engine_destroy(engine_); }

  Status start(const std::string& yaml) {
    phlower_err err = empty_err();
    std::int32_t code = calls_.engine_new(yaml.data(), yaml.size(), &host_, &engine_, &err);
    if (code == PHLOWER_OK) code = calls_.engine_start(engine_, &err);
    return to_status(library_, code, err);
  }

  /// One turn of the engine. STATE: it has a thread of its own and needs no ticks.
  std::int32_t tick(Nanoseconds budget, phlower_tick_out& out) {
    out = {};
    out.struct_size = sizeof out;
    return calls_.engine_tick(engine_, static_cast<std::uint64_t>(budget.count()), &out);
  }

  int event_fd() const { return calls_.engine_event_fd(engine_); }

  /// Shows the text of `record`, which must outlive it.
  [[gnu::flatten]] static phlower_record to_struct(const RecordView& record) {
    const auto at = [](UnixSeconds seconds) -> std::int64_t {
      if (!(seconds > 0 && seconds < 9e9)) return 0;
      // Apart: a double has no room for both at once. Above 0 a cast is floor, without a call.
      const auto whole = static_cast<std::int64_t>(seconds);
      const double rest = (seconds - static_cast<double>(whole)) * 1e9;
      return whole * 1'000'000'000 + std::llround(rest);
    };
    phlower_record out = PHLOWER_RECORD_INIT;
    out.flags = record.flags;
    visit_fields(
        [&at](const Field& field, auto& to, const auto& member) {
          if constexpr (std::is_same_v<decltype(to), phlower_text&>) {
            to = {member.data(), member.size()};
          } else if (field.kind == FieldKind::kTime) {
            to = at(member);
          } else {
            to = member < 0 ? -1 : std::llround(std::min(member, 9e12) * 1e6);
          }
        },
        out, record);
    return out;
  }

  /// What the calls of plugin.h give; `submit_whole` is for sources that can wait.
  std::int32_t submit(const RecordView& record) {
    const phlower_record out = to_struct(record);
    return calls_.engine_submit(engine_, 0, &out);
  }
  std::int32_t submit_whole(const RecordView& record) {
    const phlower_record out = to_struct(record);
    return calls_.engine_submit_whole(engine_, 0, &out);
  }

  /// The names of what changed and of what would need a restart, in `applied` and `waiting`.
  Status reload(const std::string& yaml, std::string& applied, std::string& waiting) {
    phlower_err err = empty_err();
    phlower_reload_report report{};
    report.struct_size = sizeof report;
    const std::int32_t code =
        calls_.engine_reload(engine_, yaml.data(), yaml.size(), &report, &err);
    if (code != PHLOWER_OK) return to_status(library_, code, err);
    applied = key_names(report.applied);
    waiting = key_names(report.needs_restart);
    return {};
  }

  std::int32_t drain(Nanoseconds deadline, phlower_drain_out& out) {
    out = {};
    out.struct_size = sizeof out;
    return calls_.engine_drain(engine_, static_cast<std::uint64_t>(deadline.count()), &out);
  }
  void stop() { calls_.engine_stop(engine_); }

  /// ANY THREAD.
  phlower_stats stats() const {
    phlower_stats stats{};
    stats.struct_size = sizeof stats;
    calls_.engine_stats(engine_, &stats);
    return stats;
  }
  /// ANY THREAD.
  phlower_health health() const {
    phlower_health health{};
    health.struct_size = sizeof health;
    health.state = PHLOWER_HEALTH_FAILED;
    calls_.engine_health(engine_, &health);
    return health;
  }

  const PluginLibrary& library() const { return library_; }
  const PluginCalls& calls() const { return calls_; }
  phlower_engine* handle() const { return engine_; }

 private:
  static LogLevel to_level(std::uint32_t level) {
    return level >= PHLOWER_LOG_ERROR ? LogLevel::kError : static_cast<LogLevel>(level);
  }

  void say(std::uint32_t level, std::string_view text) {
    switch (to_level(level)) {
      case LogLevel::kTrace: log_.trace("{}", text); break;
      case LogLevel::kDebug: log_.debug("{}", text); break;
      case LogLevel::kInfo: log_.info("{}", text); break;
      case LogLevel::kWarning: log_.warn("{}", text); break;
      default: log_.error("{}", text); break;
    }
  }

  std::string key_names(std::uint64_t bits) const {
    std::string names;
    for (std::uint32_t i = 0; i < 64; ++i) {
      const char* key = (bits >> i & 1) == 0 ? nullptr : calls_.config_key(i);
      if (key != nullptr) names.append(names.empty() ? "" : ", ").append(key);
    }
    return names;
  }

  const PluginLibrary& library_;
  const PluginCalls& calls_;
  Log log_;
  phlower_host host_{};
  phlower_engine* engine_ = nullptr;
};

}  // namespace phlower::agent
