// Every kind of source, one line each: a new one is a header and a line here.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/broker/rabbitmq_source.hpp"
#include "agent/broker/redis_source.hpp"
#include "agent/host/agent_log.hpp"
#include "agent/host/agent_options.hpp"
#include "agent/source/capture_source.hpp"
#include "agent/source/socket_source.hpp"
#include "agent/source/source.hpp"
#include "agent/source/source_parts.hpp"
#include "agent/source/stdin_source.hpp"

namespace phlower::agent {

struct SourceKind {
  std::string_view name;  // of its section in the file, and in the log
  bool (*wanted)(const AgentOptions&);
  Result<std::unique_ptr<Source>> (*open)(const SourceParts&);
};

template <class SourceT>
Result<std::unique_ptr<Source>> open_source(const SourceParts& parts) {
  auto source = SourceT::open(parts);
  if (!source.ok()) return source.status();
  return std::unique_ptr<Source>(*std::move(source));
}

inline constexpr SourceKind kSourceKinds[] = {
    {"redis", [](const AgentOptions& o) { return !o.redis.url.empty(); }, open_source<RedisSource>},
    {"rabbitmq", [](const AgentOptions& o) { return !o.rabbitmq.url.empty(); },
     open_source<RabbitmqSource>},
    {"socket", [](const AgentOptions& o) { return !o.socket.path.empty(); },
     open_source<SocketSource>},
    {"capture", [](const AgentOptions& o) { return !o.capture.path.empty(); },
     open_source<CaptureSource>},
    {"stdin", [](const AgentOptions& o) { return o.standard_input.enabled; },
     open_source<StdinSource>},
};

/// Those that the options ask for. Errors: of the first that cannot be opened.
inline Result<std::vector<std::unique_ptr<Source>>> open_sources(const AgentOptions& options,
                                                                 PluginEngine& engine,
                                                                 Counters& counters, Clock& clock,
                                                                 const AgentLog& logs) {
  std::vector<std::unique_ptr<Source>> sources;
  for (const SourceKind& kind : kSourceKinds) {
    if (!kind.wanted(options)) continue;
    const Log log = logs.part(kind.name);
    auto source = kind.open({options, engine, counters, clock, log});
    if (!source.ok()) return source.status().with_context(kind.name);
    sources.push_back(*std::move(source));
  }
  return sources;
}

}  // namespace phlower::agent
