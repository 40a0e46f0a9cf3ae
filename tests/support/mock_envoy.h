/* A mock of Envoy for contract tests of a dynamic module: it loads and calls one as Envoy's sources
 * say that Envoy does, and is not Envoy (`./dev envoy` runs that). It has one bootstrap extension,
 * a dispatcher on the thread of the test, and defines the callbacks of plugin/envoy/envoy_abi.h.
 * With MOCK_BARE it defines as few as it can, as a very different version of Envoy might. */
#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PHLOWER_ENVOY_HOST
#include "../../plugin/envoy/envoy_abi.h"
#include "plugin_host.h"

/* -- Loading --------------------------------------------------------------------------------------
 */

#define DECLARE_HOOK(result, name, parameters) result(*name) parameters;
typedef struct Module {
  void* library;
  const char* version;
  int missing; /* hooks that an extension point requires */
  PHLOWER_ENVOY_HOOKS(DECLARE_HOOK)
} Module;

/* Probe, lazy and local load, version, hooks. */
static inline Module load_module(const char* path) {
  Module module;
  memset(&module, 0, sizeof module);
  module.library = dlopen(path, RTLD_NOLOAD | RTLD_LAZY);
  if (module.library == NULL) {
    module.library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (module.library == NULL) {
      printf("# %s\n", dlerror());
      ++failures;
      return module;
    }
    *(void**)&module.program_init = dlsym(module.library, "envoy_dynamic_module_on_program_init");
    module.version = module.program_init == NULL ? NULL : module.program_init();
    CHECK(module.version != NULL);
  }
#define LOAD_HOOK(result, name, parameters)                                        \
  *(void**)&module.name = dlsym(module.library, "envoy_dynamic_module_on_" #name); \
  if (module.name == NULL) {                                                       \
    printf("# the module has no hook " #name "\n");                                \
    ++module.missing;                                                              \
  }
  PHLOWER_ENVOY_HOOKS(LOAD_HOOK)
  CHECK(module.missing == 0);
  return module;
}

/* -- The host objects -----------------------------------------------------------------------------
 */

enum { kMetrics = 256, kEvents = 64 };

typedef struct Bootstrap {
  Module* module;
  const void* config;    /* the module's */
  const void* extension; /* the module's */
  int init_signals;
  int frozen; /* no new metrics */
  size_t metrics;
  uint64_t values[kMetrics];
  char names[kMetrics][64];
  pthread_mutex_t mutex; /* of the events: scheduler_commit comes from any thread */
  uint64_t events[kEvents];
  int posted;
  int taken;
  int schedulers; /* that live */
  int timers;     /* that live */
  int armed;
  int admin;   /* handlers */
  int watches; /* of files */
  char page[8192];
  int completions; /* of the shutdown */
} Bootstrap;

/* What a worker has of one request; filled with rubbish as soon as the logger has returned. */
typedef struct Request {
  char id[32];
  char path[64];
  uint32_t code;
  uint64_t flags;
} Request;

typedef struct LocalLogger {
  uint32_t worker;
  Request* request; /* while it is logged */
  const void* logger;
} LocalLogger;

static char log_[16384]; /* all lines */
static pthread_mutex_t log_mutex_ = PTHREAD_MUTEX_INITIALIZER;

static inline int was_logged(const char* text) {
  pthread_mutex_lock(&log_mutex_);
  const int found = strstr(log_, text) != NULL;
  if (!found) printf("# not in the log: %s\n# the log: %s\n", text, log_);
  pthread_mutex_unlock(&log_mutex_);
  return found;
}

/* -- Callbacks every module needs -----------------------------------------------------------------
 */

void envoy_dynamic_module_callback_log(uint32_t level, phlower_envoy_text line) {
  (void)level;
  pthread_mutex_lock(&log_mutex_);
  const size_t size = strlen(log_);
  if (size + line.length + 2 < sizeof log_) {
    memcpy(log_ + size, line.ptr, line.length);
    memcpy(log_ + size + line.length, "\n", 2);
  }
  pthread_mutex_unlock(&log_mutex_);
}

void envoy_dynamic_module_callback_bootstrap_extension_config_signal_init_complete(void* host) {
  ++((Bootstrap*)host)->init_signals;
}

#ifndef MOCK_BARE

static int validating_ = 0;

void envoy_dynamic_module_callback_log_v2(void); /* the sign of ABI v0.2 */
void envoy_dynamic_module_callback_log_v2(void) {}

bool envoy_dynamic_module_callback_log_enabled(uint32_t level) { return level >= kEnvoyLogInfo; }

bool envoy_dynamic_module_callback_is_validation_mode(void) { return validating_ != 0; }

/* -- Callbacks of an access logger: only while it logs --------------------------------------------
 */

static Request* request_of(void* host) {
  Request* const request = ((LocalLogger*)host)->request;
  if (request == NULL) abort(); /* as Envoy would crash */
  return request;
}

static bool give(phlower_envoy_text* out, const char* text) {
  out->ptr = text;
  out->length = strlen(text);
  return out->length != 0;
}

bool envoy_dynamic_module_callback_access_logger_get_request_id(void* host,
                                                                phlower_envoy_text* out) {
  return give(out, request_of(host)->id);
}

bool envoy_dynamic_module_callback_access_logger_get_route_name(void* host,
                                                                phlower_envoy_text* out) {
  return request_of(host) != NULL && give(out, "mock.route");
}

bool envoy_dynamic_module_callback_access_logger_get_upstream_cluster(void* host,
                                                                      phlower_envoy_text* out) {
  return request_of(host) != NULL && give(out, "mock_cluster");
}

bool envoy_dynamic_module_callback_access_logger_get_response_code_details(
    void* host, phlower_envoy_text* out) {
  return request_of(host) != NULL && give(out, "mock_details");
}

bool envoy_dynamic_module_callback_access_logger_get_attribute_string(void* host,
                                                                      uint32_t attribute,
                                                                      phlower_envoy_text* out) {
  return request_of(host) != NULL && attribute == kEnvoyAttributeUpstreamAddress &&
         give(out, "127.0.0.1:1");
}

uint32_t envoy_dynamic_module_callback_access_logger_get_response_code(void* host) {
  return request_of(host)->code;
}

uint64_t envoy_dynamic_module_callback_access_logger_get_response_flags(void* host) {
  return request_of(host)->flags;
}

void envoy_dynamic_module_callback_access_logger_get_timing_info(void* host,
                                                                 phlower_envoy_timing* out) {
  (void)request_of(host);
  memset(out, -1, sizeof *out);
  out->start_at_ns = ((int64_t)time(NULL) - 60) * 1000000000;
  out->request_complete_ns = 1500000;
}

bool envoy_dynamic_module_callback_access_logger_get_header_value(void* host, uint32_t kind,
                                                                  phlower_envoy_text key,
                                                                  phlower_envoy_text* out,
                                                                  size_t nth, size_t* count) {
  (void)nth;
  (void)count;
  if (kind != kEnvoyRequestHeader) return false;
  if (key.length == 7 && memcmp(key.ptr, ":method", 7) == 0) return give(out, "GET");
  if (key.length == 5 && memcmp(key.ptr, ":path", 5) == 0) return give(out, request_of(host)->path);
  return false;
}

uint32_t envoy_dynamic_module_callback_access_logger_get_worker_index(void* host) {
  return ((LocalLogger*)host)->worker;
}

/* -- Callbacks of a bootstrap extension -----------------------------------------------------------
 */

void* envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_new(void* host) {
  ++((Bootstrap*)host)->schedulers;
  return host;
}

void envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_delete(void* scheduler) {
  --((Bootstrap*)scheduler)->schedulers;
}

void envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_commit(void* scheduler,
                                                                               uint64_t event) {
  Bootstrap* const host = (Bootstrap*)scheduler;
  pthread_mutex_lock(&host->mutex);
  if (host->posted < kEvents) host->events[host->posted++] = event;
  pthread_mutex_unlock(&host->mutex);
}

void* envoy_dynamic_module_callback_bootstrap_extension_timer_new(void* host) {
  ++((Bootstrap*)host)->timers;
  return host;
}

void envoy_dynamic_module_callback_bootstrap_extension_timer_enable(void* timer, uint64_t delay) {
  (void)delay;
  ((Bootstrap*)timer)->armed = 1;
}

void envoy_dynamic_module_callback_bootstrap_extension_timer_delete(void* timer) {
  --((Bootstrap*)timer)->timers;
  ((Bootstrap*)timer)->armed = 0;
}

bool envoy_dynamic_module_callback_bootstrap_extension_file_watcher_add_watch(
    void* host, phlower_envoy_text path, uint32_t events) {
  (void)path;
  ((Bootstrap*)host)->watches += events == (kEnvoyFileMovedTo | kEnvoyFileModified);
  return true;
}

bool envoy_dynamic_module_callback_bootstrap_extension_register_admin_handler(
    void* host, phlower_envoy_text prefix, phlower_envoy_text help, bool removable, bool mutates) {
  (void)help;
  ((Bootstrap*)host)->admin += prefix.length == 8 && removable && !mutates;
  return true;
}

void envoy_dynamic_module_callback_bootstrap_extension_admin_set_response(void* host,
                                                                          phlower_envoy_text body) {
  snprintf(((Bootstrap*)host)->page, sizeof((Bootstrap*)host)->page, "%.*s", (int)body.length,
           body.ptr);
}

static uint32_t define_metric(Bootstrap* host, phlower_envoy_text name, size_t* id) {
  if (host->frozen || host->metrics == kMetrics) return 3;
  *id = host->metrics++;
  snprintf(host->names[*id], sizeof host->names[*id], "%.*s", (int)name.length, name.ptr);
  return kEnvoyMetricsSuccess;
}

uint32_t envoy_dynamic_module_callback_bootstrap_extension_config_define_counter(
    void* host, phlower_envoy_text name, phlower_envoy_text* labels, size_t n, size_t* id) {
  CHECK((labels == NULL) == (n == 0));
  return define_metric((Bootstrap*)host, name, id);
}

uint32_t envoy_dynamic_module_callback_bootstrap_extension_config_define_gauge(
    void* host, phlower_envoy_text name, phlower_envoy_text* labels, size_t n, size_t* id) {
  CHECK((labels == NULL) == (n == 0));
  return define_metric((Bootstrap*)host, name, id);
}

uint32_t envoy_dynamic_module_callback_bootstrap_extension_config_increment_counter(
    void* host, size_t id, phlower_envoy_text* values, size_t n, uint64_t by) {
  CHECK((values == NULL) == (n == 0) && id < ((Bootstrap*)host)->metrics);
  ((Bootstrap*)host)->values[id] += by;
  return kEnvoyMetricsSuccess;
}

uint32_t envoy_dynamic_module_callback_bootstrap_extension_config_set_gauge(
    void* host, size_t id, phlower_envoy_text* values, size_t n, uint64_t to) {
  CHECK((values == NULL) == (n == 0) && id < ((Bootstrap*)host)->metrics);
  ((Bootstrap*)host)->values[id] = to;
  return kEnvoyMetricsSuccess;
}

#endif /* MOCK_BARE */

/* -- What Envoy does with a bootstrap extension ---------------------------------------------------
 */

static inline phlower_envoy_text borrowed(const char* text) {
  phlower_envoy_text out;
  out.ptr = text;
  out.length = strlen(text);
  return out;
}

/* False: refused. */
static inline int make_bootstrap(Bootstrap* host, Module* module, const char* path) {
  memset(host, 0, sizeof *host);
  host->module = module;
  pthread_mutex_init(&host->mutex, NULL);
  host->config = module->bootstrap_extension_config_new(host, borrowed("phlower"), borrowed(path));
  host->frozen = 1;
  if (host->config == NULL) return 0;
  host->extension = module->bootstrap_extension_new(host->config, host);
  return host->extension != NULL;
}

/* One round of the main thread's dispatcher: what was posted, then the timer. */
static inline void dispatch(Bootstrap* host) {
  pthread_mutex_lock(&host->mutex);
  const int posted = host->posted;
  pthread_mutex_unlock(&host->mutex);
  while (host->taken < posted) {
    const uint64_t event = host->events[host->taken++];
    host->module->bootstrap_extension_config_scheduled(host, host->config, event);
  }
  if (host->armed) {
    host->armed = 0;
    host->module->bootstrap_extension_timer_fired(host, host->config, host);
  }
  const struct timespec pause = {0, 2000000};
  nanosleep(&pause, NULL);
}

static inline void completed(void* context) { ++((Bootstrap*)context)->completions; }

/* The stage ShutdownExit, with a watchdog: completed once, and not again. As often as a signal says
 * so, also in the middle. */
static inline void shut_down(Bootstrap* host, int signals) {
  for (int i = 0; i < signals; ++i) {
    host->module->bootstrap_extension_shutdown(host, host->extension, completed, host);
  }
  for (int i = 0; host->completions < signals && i < 15000; ++i) dispatch(host);
  dispatch(host);
  CHECK(host->completions == signals);
  host->module->bootstrap_extension_shutdown(host, host->extension, completed, host);
  CHECK(host->completions == signals + 1);
}

static inline void destroy_bootstrap(Bootstrap* host) {
  if (host->extension != NULL) host->module->bootstrap_extension_destroy(host->extension);
  if (host->config != NULL) host->module->bootstrap_extension_config_destroy(host->config);
  CHECK(host->schedulers == 0);
  CHECK(host->timers == 0);
  pthread_mutex_destroy(&host->mutex);
}

static inline uint64_t metric(const Bootstrap* host, const char* name) {
  for (size_t i = 0; i < host->metrics; ++i) {
    if (strcmp(host->names[i], name) == 0) return host->values[i];
  }
  return UINT64_MAX;
}
