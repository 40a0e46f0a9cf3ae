// The agent's messages: one line each on stderr, as text or as JSON, by way of Log alone.
#pragma once

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "agent/host/agent_options.hpp"
#include "cli/json_out.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"

namespace phlower::agent {

/// Makes the logs of the agent's parts; each has its own limit for messages that come often.
class AgentLog {
 public:
  AgentLog(const AgentLogOptions& options, Clock& clock) : options_(options), clock_(clock) {}

  Log part(std::string_view name) const {
    const auto level = parse_log_level(options_.level);
    return Log(
        [name = std::string(name), json = options_.format == LogFormat::kJson, &clock = clock_](
            LogLevel at, std::string_view text) {
          put(json ? as_json(clock.wall(), at, name, text) : as_text(clock.wall(), at, name, text));
        },
        clock_, level.ok() ? *level : LogLevel::kInfo, options_.repeat);
  }

  static std::string as_text(WallTime at, LogLevel level, std::string_view part,
                             std::string_view text) {
    std::string line = fmt::format("{} {:<7} {}: ", shown(at), log_level_name(level), part);
    // What comes from a file or a broker must neither begin a line nor move a cursor.
    for (const char c : text) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    return line;
  }

  static std::string as_json(WallTime at, LogLevel level, std::string_view part,
                             std::string_view text) {
    const nlohmann::ordered_json json = {
        {"time", shown(at)}, {"level", log_level_name(level)}, {"part", part}, {"message", text}};
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }

 private:
  static constexpr std::size_t kLineMax = 4000;  // below PIPE_BUF: a line is whole, or not there

  static std::string shown(WallTime at) {
    const auto ms = std::chrono::duration_cast<Milliseconds>(at.time_since_epoch()).count();
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                       fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
  }

  // A reader of stderr that has stopped must not stop the agent: the line is dropped instead.
  static void put(std::string line) {
    pollfd out{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0) return;
    if (line.size() > kLineMax) line.resize(kLineMax);
    line += '\n';
    [[maybe_unused]] const ssize_t put = ::write(STDERR_FILENO, line.data(), line.size());
  }

  AgentLogOptions options_;
  Clock& clock_;
};

}  // namespace phlower::agent
