// The access logger: one record for each request, from the thread that served it. Nothing here
// waits, allocates or touches SQLite: a record goes into the ring of the engine that the bootstrap
// extension owns. logger_config is the path that the extension has, as a StringValue.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <new>
#include <string_view>

#include "host.hpp"
#include "shared_engine.hpp"

namespace phlower::envoy {
namespace {

constexpr size_t kIdMax = 128;    // a longer request id is no id
constexpr size_t kPathMax = 512;  // of "GET /path"
constexpr uint32_t kNoLane = UINT32_MAX;

int64_t wall_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct LoggerConfig {
  SharedEngine* engine = nullptr;
  int64_t made_at_ns = 0;  // with the process, the thread and a number: a request id for those
                           // that have none
};

// One for each worker thread, and one for the main thread.
struct Logger {
  const LoggerConfig* config = nullptr;
  uint32_t lane = kNoLane;
  uint64_t requests = 0;
};

using GetText = bool (*)(void* host, phlower_envoy_text* out);

std::string_view attribute(uint32_t id, void* host) {
  phlower_envoy_text out{};
  return envoy_dynamic_module_callback_access_logger_get_attribute_string != nullptr &&
                 envoy_dynamic_module_callback_access_logger_get_attribute_string(host, id, &out)
             ? view(out)
             : std::string_view();
}

std::string_view get(GetText function, void* host) {
  phlower_envoy_text out{};
  return function != nullptr && function(host, &out) ? view(out) : std::string_view();
}

// By the function for it where this Envoy has it (1.40 calls them deprecated), else as attribute.
std::string_view get(GetText function, uint32_t id, void* host) {
  return function != nullptr ? get(function, host) : attribute(id, host);
}

std::string_view request_header(void* host, std::string_view name) {
  phlower_envoy_text out{};
  if (envoy_dynamic_module_callback_access_logger_get_header_value == nullptr) return {};
  return envoy_dynamic_module_callback_access_logger_get_header_value(host, kEnvoyRequestHeader,
                                                                      text(name), &out, 0, nullptr)
             ? view(out)
             : std::string_view();
}

uint64_t response_code(void* host) {
  uint64_t code = 0;
  if (envoy_dynamic_module_callback_access_logger_get_response_code != nullptr) {
    code = envoy_dynamic_module_callback_access_logger_get_response_code(host);
  } else if (envoy_dynamic_module_callback_access_logger_get_attribute_int != nullptr &&
             !envoy_dynamic_module_callback_access_logger_get_attribute_int(
                 host, kEnvoyAttributeResponseCode, &code)) {
    code = 0;
  }
  return code;
}

constexpr uint64_t bit(uint32_t flag) { return uint64_t{1} << flag; }

// The client went away: what a queue calls revoked.
constexpr uint64_t kRevoked =
    bit(kEnvoyFlagDownstreamConnectionTermination) | bit(kEnvoyFlagDownstreamRemoteReset);
// A response that began well and did not end so.
constexpr uint64_t kBroken =
    bit(kEnvoyFlagUpstreamRequestTimeout) | bit(kEnvoyFlagLocalReset) |
    bit(kEnvoyFlagUpstreamRemoteReset) | bit(kEnvoyFlagUpstreamConnectionFailure) |
    bit(kEnvoyFlagUpstreamConnectionTermination) | bit(kEnvoyFlagStreamIdleTimeout) |
    bit(kEnvoyFlagUpstreamProtocolError);

// In the words of a task queue. 4xx is the client's fault, not the task's: REJECTED.
std::string_view state_of(uint64_t code, uint64_t flags) {
  if ((flags & kRevoked) != 0) return "REVOKED";
  if ((flags & kBroken) != 0 || code >= 500) return "FAILURE";
  if (code >= 400) return "REJECTED";
  return code == 0 ? "FAILURE" : "SUCCESS";
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// "GET /path" without the query, which may hold what nobody should keep.
std::string_view request_line(void* host, char (&buffer)[kPathMax]) {
  const std::string_view method = request_header(host, ":method");
  std::string_view path = request_header(host, ":path");
  path = path.substr(0, std::min(path.find('?'), path.find('#')));
  if (method.empty() || method.size() + 2 > kPathMax) return {};
  char* end = std::copy(method.begin(), method.end(), buffer);
  *end++ = ' ';
  path = path.substr(0, static_cast<size_t>(buffer + kPathMax - end));
  end = std::transform(path.begin(), path.end(), end,
                       [](char c) { return c >= ' ' && c <= '~' ? c : '?'; });
  return {buffer, static_cast<size_t>(end - buffer)};
}

void set_times(void* host, phlower_record& record) {
  phlower_envoy_timing timing{};
  timing.request_complete_ns = -1;
  if (envoy_dynamic_module_callback_access_logger_get_timing_info != nullptr) {
    envoy_dynamic_module_callback_access_logger_get_timing_info(host, &timing);
  }
  record.finished_at_ns = wall_ns();
  if (timing.start_at_ns <= 0) return;
  record.received_at_ns = record.started_at_ns = timing.start_at_ns;
  if (timing.request_complete_ns < 0) return;
  record.runtime_ns = timing.request_complete_ns;
  record.finished_at_ns = timing.start_at_ns + timing.request_complete_ns;
}

// The request's own id, or one that no other request has.
std::string_view request_id(void* host, const Logger& logger, char (&buffer)[kIdMax]) {
  std::string_view id = get(envoy_dynamic_module_callback_access_logger_get_request_id,
                            kEnvoyAttributeRequestId, host);
  if (id.empty()) id = request_header(host, "x-request-id");
  if (!id.empty() && id.size() <= kIdMax && is_printable(id)) return id;
  const int size = std::snprintf(buffer, sizeof buffer, "envoy-%llx-%x-%x-%llx",
                                 static_cast<unsigned long long>(logger.config->made_at_ns),
                                 static_cast<unsigned>(::getpid()), logger.lane,
                                 static_cast<unsigned long long>(logger.requests));
  return {buffer, static_cast<size_t>(size)};
}

void log_request(void* host, Logger& logger) {
  if (logger.lane == kNoLane) {
    logger.lane = envoy_dynamic_module_callback_access_logger_get_worker_index != nullptr
                      ? envoy_dynamic_module_callback_access_logger_get_worker_index(host)
                      : static_cast<uint32_t>(::gettid());
  }
  ++logger.requests;
  char id[kIdMax];
  char line[kPathMax];
  phlower_record record = PHLOWER_RECORD_INIT;
  record.task_id = record_text(request_id(host, logger, id));
  const std::string_view cluster =
      get(envoy_dynamic_module_callback_access_logger_get_upstream_cluster, host);
  std::string_view name = get(envoy_dynamic_module_callback_access_logger_get_route_name,
                              kEnvoyAttributeRouteName, host);
  if (name.empty()) name = cluster.empty() ? std::string_view("unnamed") : cluster;
  record.task_name = record_text(name);
  record.queue = record_text(cluster);
  std::string_view upstream = attribute(kEnvoyAttributeUpstreamAddress, host);
  if (upstream.empty()) {
    upstream = get(envoy_dynamic_module_callback_access_logger_get_upstream_host, host);
  }
  record.worker = record_text(upstream);
  const uint64_t flags = envoy_dynamic_module_callback_access_logger_get_response_flags != nullptr
                             ? envoy_dynamic_module_callback_access_logger_get_response_flags(host)
                             : 0;
  const std::string_view state = state_of(response_code(host), flags);
  record.state = record_text(state);
  if (state != "SUCCESS") {
    record.exception_type =
        record_text(get(envoy_dynamic_module_callback_access_logger_get_response_code_details,
                        kEnvoyAttributeResponseCodeDetails, host));
  }
  record.args = record_text(request_line(host, line));
  set_times(host, record);
  logger.config->engine->submit(logger.lane, record);  // refusals are counted where they happen
}

bool is_an_end(uint32_t event) {
  return event == kEnvoyLogNotSet || event == kEnvoyLogDownstreamEnd ||
         event == kEnvoyLogTcpConnectionEnd || event == kEnvoyLogUdpSessionEnd;
}

const void* new_config(std::string_view path) {
  SharedEngine* const engine = SharedEngine::acquire(path, false);
  if (engine == nullptr || !engine->claimed()) {
    log(kEnvoyLogError,
        "phlower: the access logger's logger_config is \"%.*s\": it must be the path that the "
        "bootstrap extension has as its extension_config",
        static_cast<int>(path.size()), path.data());
    if (engine != nullptr) engine->release();
    return nullptr;
  }
  auto* const config = new (std::nothrow) LoggerConfig{engine, wall_ns()};
  if (config == nullptr) engine->release();
  return config;
}

}  // namespace
}  // namespace phlower::envoy

using phlower::envoy::Logger;
using phlower::envoy::LoggerConfig;

extern "C" {

const void* envoy_dynamic_module_on_access_logger_config_new(void*, phlower_envoy_text,
                                                             phlower_envoy_text config) {
  return phlower::envoy::new_config(phlower::envoy::view(config));
}

// On any thread, also on a worker: it frees and waits for nothing.
void envoy_dynamic_module_on_access_logger_config_destroy(const void* config) {
  auto* const ours = static_cast<const LoggerConfig*>(config);
  ours->engine->release();
  delete ours;
}

const void* envoy_dynamic_module_on_access_logger_new(const void* config, void*) {
  return new (std::nothrow) Logger{static_cast<const LoggerConfig*>(config)};
}

void envoy_dynamic_module_on_access_logger_log(void* host, const void* logger, uint32_t event) {
  if (!phlower::envoy::is_an_end(event)) return;
  // Envoy hands our own pointer back as const; the logger is this thread's alone.
  phlower::envoy::log_request(host, *static_cast<Logger*>(const_cast<void*>(logger)));
}

// Nothing is held back here: what was logged is in the ring.
void envoy_dynamic_module_on_access_logger_flush(const void*) {}

void envoy_dynamic_module_on_access_logger_destroy(const void* logger) {
  delete static_cast<const Logger*>(logger);
}

}  // extern "C"
