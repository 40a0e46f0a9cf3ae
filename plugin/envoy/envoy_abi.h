/* The part of Envoy's ABI for dynamic modules that Phlower uses, in our own words: nothing of
 * Envoy is included. C99 and C++.
 *
 * Facts of source/extensions/dynamic_modules/abi/abi.h as of July 2026, between Envoy 1.39 and
 * 1.40; abi_check.cpp holds them against a real one. The ABI called itself v0.1.0 then, and v0.2.0
 * in 1.40, where nothing of this changed. Envoy only warns when the version of a module is another
 * than its own; a module returns v0.2.0 where the host has what came with it (log_v2).
 *
 * Hooks are what the module exports, as envoy_dynamic_module_on_NAME; Envoy refuses a module that
 * lacks one of those that an extension point requires. Callbacks are what Envoy exports, as
 * envoy_dynamic_module_callback_NAME: declared weak here, so that one which another version of
 * Envoy lacks is NULL instead of the end of the process at the first call.
 *
 * Before the include: PHLOWER_ENVOY_TYPES_ONLY declares no function, PHLOWER_ENVOY_HOST declares
 * the callbacks as those of a host that defines them. */
#pragma once

/* NOLINTBEGIN(modernize-deprecated-headers): this is C */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* NOLINTEND(modernize-deprecated-headers) */

#define PHLOWER_ENVOY_ABI_V1 "v0.1.0"
#define PHLOWER_ENVOY_ABI_V2 "v0.2.0"
#define PHLOWER_ENVOY_ABI_V2_SIGN "envoy_dynamic_module_callback_log_v2"

/* Text with a size and without a NUL: of Envoy, or of the module. */
typedef struct phlower_envoy_text {
  const char* ptr;
  size_t length;
} phlower_envoy_text;

/* Nanoseconds since the start of the request, but the first: since 1970. -1: not known. */
typedef struct phlower_envoy_timing {
  int64_t start_at_ns;
  int64_t request_complete_ns;
  int64_t first_upstream_tx_ns;
  int64_t last_upstream_tx_ns;
  int64_t first_upstream_rx_ns;
  int64_t last_upstream_rx_ns;
  int64_t first_downstream_tx_ns;
  int64_t last_downstream_tx_ns;
} phlower_envoy_timing;

/* Enumerations cross as unsigned numbers of 32 bits. */
enum {
  kEnvoyLogInfo = 2,
  kEnvoyLogWarn = 3,
  kEnvoyLogError = 4,

  kEnvoyRequestHeader = 0,

  kEnvoyLogNotSet = 0, /* of access logs: which event is logged */
  kEnvoyLogTcpConnectionEnd = 3,
  kEnvoyLogDownstreamEnd = 6,
  kEnvoyLogUdpSessionEnd = 13,

  kEnvoyFlagUpstreamRequestTimeout = 2, /* numbers of bits in the response flags */
  kEnvoyFlagLocalReset = 3,
  kEnvoyFlagUpstreamRemoteReset = 4,
  kEnvoyFlagUpstreamConnectionFailure = 5,
  kEnvoyFlagUpstreamConnectionTermination = 6,
  kEnvoyFlagDownstreamConnectionTermination = 14,
  kEnvoyFlagStreamIdleTimeout = 16,
  kEnvoyFlagUpstreamProtocolError = 23,
  kEnvoyFlagDownstreamRemoteReset = 28,

  kEnvoyAttributeRequestId = 9,
  kEnvoyAttributeResponseCode = 15,
  kEnvoyAttributeResponseCodeDetails = 16,
  kEnvoyAttributeUpstreamAddress = 41,
  kEnvoyAttributeRouteName = 61,

  kEnvoyMetricsSuccess = 0,

  kEnvoyFileMovedTo = 1, /* bits */
  kEnvoyFileModified = 2
};

typedef void (*phlower_envoy_done)(void* context);

/* X(result, name, parameters). `host` is Envoy's object, `config`, `logger` and `extension` are
 * ours: what the hooks ..._new returned. */

/* Required of every module; the version of the ABI, NULL refuses to be loaded. */
#define PHLOWER_ENVOY_COMMON_HOOKS(X) X(const char*, program_init, (void))

/* All but `flush` are required of an access logger. */
#define PHLOWER_ENVOY_LOGGER_HOOKS(X)                                      \
  X(const void*, access_logger_config_new,                                 \
    (void* host, phlower_envoy_text name, phlower_envoy_text config))      \
  X(void, access_logger_config_destroy, (const void* config))              \
  X(const void*, access_logger_new, (const void* config, void* host))      \
  X(void, access_logger_log, (void* host, const void* logger, uint32_t t)) \
  X(void, access_logger_flush, (const void* logger))                       \
  X(void, access_logger_destroy, (const void* logger))

/* All are required of a bootstrap extension. */
#define PHLOWER_ENVOY_BOOTSTRAP_HOOKS(X)                                                          \
  X(const void*, bootstrap_extension_config_new,                                                  \
    (void* host, phlower_envoy_text name, phlower_envoy_text config))                             \
  X(void, bootstrap_extension_config_destroy, (const void* config))                               \
  X(const void*, bootstrap_extension_new, (const void* config, void* host))                       \
  X(void, bootstrap_extension_destroy, (const void* extension))                                   \
  X(void, bootstrap_extension_server_initialized, (void* host, const void* extension))            \
  X(void, bootstrap_extension_worker_thread_initialized, (void* host, const void* extension))     \
  X(void, bootstrap_extension_drain_started, (void* host, const void* extension))                 \
  X(void, bootstrap_extension_shutdown,                                                           \
    (void* host, const void* extension, phlower_envoy_done done, void* context))                  \
  X(void, bootstrap_extension_config_scheduled, (void* host, const void* config, uint64_t event)) \
  X(void, bootstrap_extension_timer_fired, (void* host, const void* config, void* timer))         \
  X(void, bootstrap_extension_file_changed,                                                       \
    (void* host, const void* config, phlower_envoy_text path, uint32_t events))                   \
  X(uint32_t, bootstrap_extension_admin_request,                                                  \
    (void* host, const void* config, phlower_envoy_text method, phlower_envoy_text path,          \
     phlower_envoy_text body))                                                                    \
  X(void, bootstrap_extension_http_callout_done,                                                  \
    (void* host, const void* config, uint64_t id, uint32_t result, void* headers,                 \
     size_t headers_count, phlower_envoy_text* chunks, size_t chunks_count))                      \
  X(void, bootstrap_extension_cluster_add_or_update,                                              \
    (void* host, const void* config, phlower_envoy_text name))                                    \
  X(void, bootstrap_extension_cluster_removal,                                                    \
    (void* host, const void* config, phlower_envoy_text name))                                    \
  X(void, bootstrap_extension_listener_add_or_update,                                             \
    (void* host, const void* config, phlower_envoy_text name))                                    \
  X(void, bootstrap_extension_listener_removal,                                                   \
    (void* host, const void* config, phlower_envoy_text name))

#define PHLOWER_ENVOY_HOOKS(X)  \
  PHLOWER_ENVOY_COMMON_HOOKS(X) \
  PHLOWER_ENVOY_LOGGER_HOOKS(X) \
  PHLOWER_ENVOY_BOOTSTRAP_HOOKS(X)

#define PHLOWER_ENVOY_COMMON_CALLBACKS(X)                 \
  X(void, log, (uint32_t level, phlower_envoy_text line)) \
  X(bool, log_enabled, (uint32_t level))                  \
  X(bool, is_validation_mode, (void))

/* `host` is what access_logger_log was given, valid until it returns. */
#define PHLOWER_ENVOY_LOGGER_CALLBACKS(X)                                                    \
  X(bool, access_logger_get_request_id, (void* host, phlower_envoy_text* out))               \
  X(bool, access_logger_get_route_name, (void* host, phlower_envoy_text* out))               \
  X(bool, access_logger_get_upstream_cluster, (void* host, phlower_envoy_text* out))         \
  X(bool, access_logger_get_upstream_host, (void* host, phlower_envoy_text* out))            \
  X(bool, access_logger_get_response_code_details, (void* host, phlower_envoy_text* out))    \
  X(uint32_t, access_logger_get_response_code, (void* host))                                 \
  X(uint64_t, access_logger_get_response_flags, (void* host))                                \
  X(void, access_logger_get_timing_info, (void* host, phlower_envoy_timing* out))            \
  X(bool, access_logger_get_header_value,                                                    \
    (void* host, uint32_t kind, phlower_envoy_text key, phlower_envoy_text* out, size_t nth, \
     size_t* count))                                                                         \
  X(bool, access_logger_get_attribute_string,                                                \
    (void* host, uint32_t attribute, phlower_envoy_text* out))                               \
  X(bool, access_logger_get_attribute_int, (void* host, uint32_t attribute, uint64_t* out))  \
  X(uint32_t, access_logger_get_worker_index, (void* host))

/* All on the main thread, but scheduler_commit: on any. `host` is the configuration's. */
#define PHLOWER_ENVOY_BOOTSTRAP_CALLBACKS(X)                                                 \
  X(void, bootstrap_extension_config_signal_init_complete, (void* host))                     \
  X(void*, bootstrap_extension_config_scheduler_new, (void* host))                           \
  X(void, bootstrap_extension_config_scheduler_delete, (void* scheduler))                    \
  X(void, bootstrap_extension_config_scheduler_commit, (void* scheduler, uint64_t event))    \
  X(void*, bootstrap_extension_timer_new, (void* host))                                      \
  X(void, bootstrap_extension_timer_enable, (void* timer, uint64_t delay_ms))                \
  X(void, bootstrap_extension_timer_disable, (void* timer))                                  \
  X(void, bootstrap_extension_timer_delete, (void* timer))                                   \
  X(bool, bootstrap_extension_file_watcher_add_watch,                                        \
    (void* host, phlower_envoy_text path, uint32_t events))                                  \
  X(bool, bootstrap_extension_register_admin_handler,                                        \
    (void* host, phlower_envoy_text prefix, phlower_envoy_text help, bool removable,         \
     bool mutates))                                                                          \
  X(void, bootstrap_extension_admin_set_response, (void* host, phlower_envoy_text body))     \
  X(uint32_t, bootstrap_extension_config_define_counter,                                     \
    (void* host, phlower_envoy_text name, phlower_envoy_text* labels, size_t n, size_t* id)) \
  X(uint32_t, bootstrap_extension_config_define_gauge,                                       \
    (void* host, phlower_envoy_text name, phlower_envoy_text* labels, size_t n, size_t* id)) \
  X(uint32_t, bootstrap_extension_config_increment_counter,                                  \
    (void* host, size_t id, phlower_envoy_text* values, size_t n, uint64_t by))              \
  X(uint32_t, bootstrap_extension_config_set_gauge,                                          \
    (void* host, size_t id, phlower_envoy_text* values, size_t n, uint64_t to))

#define PHLOWER_ENVOY_CALLBACKS(X)  \
  PHLOWER_ENVOY_COMMON_CALLBACKS(X) \
  PHLOWER_ENVOY_LOGGER_CALLBACKS(X) \
  PHLOWER_ENVOY_BOOTSTRAP_CALLBACKS(X)

#ifndef PHLOWER_ENVOY_TYPES_ONLY

#ifdef PHLOWER_ENVOY_HOST
#define PHLOWER_ENVOY_OTHERS
#else
#define PHLOWER_ENVOY_OTHERS __attribute__((weak))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define PHLOWER_ENVOY_HOOK(result, name, parameters) \
  __attribute__((visibility("default"))) result envoy_dynamic_module_on_##name parameters;
#define PHLOWER_ENVOY_CALLBACK(result, name, parameters)      \
  PHLOWER_ENVOY_OTHERS __attribute__((visibility("default"))) \
  result envoy_dynamic_module_callback_##name parameters;

PHLOWER_ENVOY_HOOKS(PHLOWER_ENVOY_HOOK)
PHLOWER_ENVOY_CALLBACKS(PHLOWER_ENVOY_CALLBACK)

#undef PHLOWER_ENVOY_HOOK
#undef PHLOWER_ENVOY_CALLBACK
#undef PHLOWER_ENVOY_OTHERS

#ifdef __cplusplus
}
#endif

#endif /* PHLOWER_ENVOY_TYPES_ONLY */
