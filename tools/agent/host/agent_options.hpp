// Every knob of phlower-agent with its default and range; config/agent.yaml shows the same knobs.
// The engine's own are in another file, which the agent hands to the plugin unread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "agent/broker/broker_url.hpp"
#include "agent/http/http_address.hpp"
#include "phlower/config/options.hpp"
#include "phlower/config/options_fields.hpp"

namespace phlower::agent {

struct PluginOptions {
  std::string library = "libphlower.so.1";
  std::string config;  // the engine's configuration; empty: its defaults
};

struct LoopOptions {
  Milliseconds tick_budget{0};  // 0: the engine's own measure, and no waiting for it
  Milliseconds drain_deadline{10'000};
};

struct RedisOptions {
  std::string url;            // empty: no such source
  std::string password_file;  // instead of a password in the URL
  std::string ca_file = "/etc/ssl/certs/ca-certificates.crt";
  std::string pattern;  // empty: made from the URL
  Milliseconds connect_timeout{5'000};
  Milliseconds silence{10'000};
  Milliseconds heard_within{60'000};
  Milliseconds retry_first{200};
  Milliseconds retry_longest{30'000};
};

struct RabbitmqOptions {
  std::string url;
  std::string password_file;
  std::string ca_file = "/etc/ssl/certs/ca-certificates.crt";
  std::string exchange = "celeryev";
  std::string routing_key = "#";
  Milliseconds connect_timeout{5'000};
  Milliseconds heartbeat{20'000};
  Milliseconds heard_within{60'000};
  Milliseconds retry_first{200};
  Milliseconds retry_longest{30'000};
};

enum class AtEnd : std::uint8_t { kGoOn, kEnd };
enum class Access : std::uint8_t { kOwner, kGroup, kAll };

struct CaptureOptions {
  std::string path;
  AtEnd at_end = AtEnd::kGoOn;
};

struct StdinOptions {
  bool enabled = false;
  AtEnd at_end = AtEnd::kEnd;
  std::uint64_t line_max_bytes = 256 << 10;
};

struct SocketOptions {
  std::string path;
  Access access = Access::kOwner;
  std::uint32_t clients_max = 64;
  std::uint64_t line_max_bytes = 256 << 10;
};

struct HttpOptions {
  std::string listen = "127.0.0.1:9808";
  std::string token_file;
  std::uint32_t threads = 3;
  std::uint32_t waiting_max = 64;
  Milliseconds question_timeout{5'000};
  std::uint32_t connections_max = 128;
  Milliseconds timeout{2'000};
  std::uint32_t page_max = 1000;
};

enum class LogFormat : std::uint8_t { kText, kJson };

struct AgentLogOptions {
  std::string level = "info";
  LogFormat format = LogFormat::kText;
  Milliseconds repeat{10'000};
};

struct AgentOptions {
  PluginOptions plugin;
  LoopOptions loop;
  RedisOptions redis;
  RabbitmqOptions rabbitmq;
  CaptureOptions capture;
  StdinOptions standard_input;
  SocketOptions socket;
  CeleryOptions celery;
  HttpOptions http;
  AgentLogOptions log;
};

inline constexpr std::string_view kAtEnds[] = {"go_on", "end"};
inline constexpr std::string_view kAccesses[] = {"owner", "group", "all"};
inline constexpr std::string_view kFormats[] = {"text", "json"};

/// Calls visit(key, value, kind) for every knob, in the order of the file.
template <class OptionsT, class Visitor>
requires std::is_same_v<std::remove_const_t<OptionsT>, AgentOptions>
void visit_options(OptionsT& o, Visitor&& visit) {
  using namespace field;
  constexpr Span kPause{Milliseconds(10), Milliseconds(600'000)};
  constexpr Bytes kLine{kKiB, 16 * kMiB};
  visit("plugin.library", o.plugin.library, Text{});
  visit("plugin.config", o.plugin.config, Text{true});
  visit("loop.tick_budget", o.loop.tick_budget, Span{Milliseconds(0), Seconds(1)});
  visit("loop.drain_deadline", o.loop.drain_deadline, Span{Milliseconds(100), Seconds(600)});
  visit("redis.url", o.redis.url, Text{true});
  visit("redis.password_file", o.redis.password_file, Text{true});
  visit("redis.ca_file", o.redis.ca_file, Text{});
  visit("redis.pattern", o.redis.pattern, Text{true});
  visit("redis.connect_timeout", o.redis.connect_timeout, Span{Milliseconds(100), Seconds(60)});
  visit("redis.silence", o.redis.silence, Span{Milliseconds(100), Seconds(600)});
  visit("redis.heard_within", o.redis.heard_within, Span{Seconds(1), Hours(8760)});
  visit("redis.retry_first", o.redis.retry_first, kPause);
  visit("redis.retry_longest", o.redis.retry_longest, kPause);
  visit("rabbitmq.url", o.rabbitmq.url, Text{true});
  visit("rabbitmq.password_file", o.rabbitmq.password_file, Text{true});
  visit("rabbitmq.ca_file", o.rabbitmq.ca_file, Text{});
  visit("rabbitmq.exchange", o.rabbitmq.exchange, Text{});
  visit("rabbitmq.routing_key", o.rabbitmq.routing_key, Text{});
  visit("rabbitmq.connect_timeout", o.rabbitmq.connect_timeout,
        Span{Milliseconds(100), Seconds(60)});
  visit("rabbitmq.heartbeat", o.rabbitmq.heartbeat, Span{Seconds(2), Seconds(600)});
  visit("rabbitmq.heard_within", o.rabbitmq.heard_within, Span{Seconds(1), Hours(8760)});
  visit("rabbitmq.retry_first", o.rabbitmq.retry_first, kPause);
  visit("rabbitmq.retry_longest", o.rabbitmq.retry_longest, kPause);
  visit("capture.path", o.capture.path, Text{true});
  visit("capture.at_end", o.capture.at_end, Choice{kAtEnds});
  visit("stdin.enabled", o.standard_input.enabled, Switch{});
  visit("stdin.at_end", o.standard_input.at_end, Choice{kAtEnds});
  visit("stdin.line_max", o.standard_input.line_max_bytes, kLine);
  visit("socket.path", o.socket.path, Text{true});
  visit("socket.access", o.socket.access, Choice{kAccesses});
  visit("socket.clients_max", o.socket.clients_max, Count{1, 1000});
  visit("socket.line_max", o.socket.line_max_bytes, kLine);
  visit("celery.in_flight_max", o.celery.in_flight_max, Count{1, 10'000'000});
  visit("celery.in_flight_memory", o.celery.in_flight_bytes, Bytes{kMiB, 64 * kGiB});
  visit("celery.in_flight_age", o.celery.in_flight_age, Span{Hours(1), Hours(8760)});
  visit("http.listen", o.http.listen, Text{true});
  visit("http.token_file", o.http.token_file, Text{true});
  visit("http.threads", o.http.threads, Count{2, 64});
  visit("http.waiting_max", o.http.waiting_max, Count{1, 10'000});
  visit("http.question_timeout", o.http.question_timeout, Span{Milliseconds(100), Seconds(600)});
  visit("http.connections_max", o.http.connections_max, Count{4, 10'000});
  visit("http.timeout", o.http.timeout, Span{Milliseconds(100), Seconds(60)});
  visit("http.page_max", o.http.page_max, Count{1, 10'000});
  visit("log.level", o.log.level, Choice{kLevels});
  visit("log.format", o.log.format, Choice{kFormats});
  visit("log.repeat", o.log.repeat, Span{Milliseconds(0), Seconds(3600)});
}

namespace options_detail {

inline void check_urls(const AgentOptions& o, std::vector<OptionProblem>& problems) {
  const auto check = [&](const char* key, const std::string& url, BrokerKind kind) {
    if (url.empty()) return;
    const auto parsed = parse_broker_urls(url, kind);
    if (!parsed.ok()) problems.push_back({key, std::string(parsed.status().message())});
  };
  check("redis.url", o.redis.url, BrokerKind::kRedis);
  check("rabbitmq.url", o.rabbitmq.url, BrokerKind::kAmqp);
}

inline void check_http(const AgentOptions& o, std::vector<OptionProblem>& problems) {
  if (o.http.listen.empty()) return;
  const Result<HttpAddress> address = parse_http_address(o.http.listen);
  if (!address.ok()) {
    problems.push_back({"http.listen", std::string(address.status().message())});
  } else if (!address->loopback && o.http.token_file.empty()) {
    problems.push_back({"http.listen",
                        shown_text(o.http.listen) +
                            " can be reached by others; write http.token_file, or listen on "
                            "127.0.0.1, [::1] or unix:/PATH",
                        "http.token_file"});
  }
}

}  // namespace options_detail

/// What is wrong with the values and between them. Empty: valid.
inline std::vector<OptionProblem> check_options(const AgentOptions& o) {
  std::vector<OptionProblem> problems;
  options_detail::check_urls(o, problems);
  options_detail::check_http(o, problems);
  const auto pauses = [&](const char* key, const char* other, Milliseconds first,
                          Milliseconds longest) {
    if (first <= longest) return;
    problems.push_back({key,
                        exact_duration(first) + " is longer than " + other + "; write at most " +
                            exact_duration(longest),
                        other});
  };
  pauses("redis.retry_first", "redis.retry_longest", o.redis.retry_first, o.redis.retry_longest);
  pauses("rabbitmq.retry_first", "rabbitmq.retry_longest", o.rabbitmq.retry_first,
         o.rabbitmq.retry_longest);
  return problems;
}

}  // namespace phlower::agent
