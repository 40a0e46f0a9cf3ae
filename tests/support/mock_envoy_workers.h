/* The worker threads of the mock of Envoy: a configuration of an access logger that they share, one
 * logger for each of them, and a load of requests. */
#pragma once

#include "mock_envoy.h"

enum { kWorkers = 4, kRequests = 3000 };

/* -- Access loggers: a configuration that the workers share, and one logger for each -------------
 */

typedef struct LoggerConfig {
  Module* module;
  const void* config;
  int users; /* atomic: the last one destroys it, on its own thread */
} LoggerConfig;

static inline int make_logger_config(LoggerConfig* config, Module* module, const char* path) {
  config->module = module;
  config->users = kWorkers;
  config->config = module->access_logger_config_new(config, borrowed(""), borrowed(path));
  return config->config != NULL;
}

static inline LocalLogger new_logger(LoggerConfig* config, uint32_t worker) {
  LocalLogger local;
  local.worker = worker;
  local.request = NULL;
  local.logger = config->module->access_logger_new(config->config, &local);
  CHECK(local.logger != NULL);
  return local;
}

static inline void drop_logger(LoggerConfig* config, LocalLogger* local) {
  config->module->access_logger_flush(local->logger);
  config->module->access_logger_destroy(local->logger);
  if (__atomic_sub_fetch(&config->users, 1, __ATOMIC_ACQ_REL) == 0) {
    config->module->access_logger_config_destroy(config->config);
  }
}

/* As a worker does at the end of a request; the beginning is an event too, and no record. */
static inline void log_request(const Module* module, LocalLogger* local, uint64_t number) {
  Request request;
  snprintf(request.id, sizeof request.id, "mock-%u-%llu", local->worker,
           (unsigned long long)number);
  snprintf(request.path, sizeof request.path, "/page/%llu?q=secret", (unsigned long long)number);
  request.code = number % 10 == 0 ? 503 : 200;
  request.flags = 0;
  local->request = &request;
  module->access_logger_log(local, local->logger, 4 /* DownstreamStart */);
  module->access_logger_log(local, local->logger, kEnvoyLogDownstreamEnd);
  local->request = NULL;
  memset(&request, 0x5a, sizeof request);
}

typedef struct Worker {
  Module* module;
  LoggerConfig* first;
  LoggerConfig* second; /* replaces it in the middle */
  uint32_t number;
  uint64_t logged;
} Worker;

static int stopping_ = 0;  /* atomic */
static uint64_t busy_ = 0; /* atomic: workers that have logged all and go on slowly */

static inline void* serve(void* arg) {
  Worker* const worker = (Worker*)arg;
  LocalLogger local = new_logger(worker->first, worker->number);
  for (int i = 0; i < kRequests; ++i) {
    if (i == kRequests / 2) {
      LocalLogger next = new_logger(worker->second, worker->number);
      drop_logger(worker->first, &local);
      local = next;
    }
    log_request(worker->module, &local, worker->logged++);
  }
  __atomic_add_fetch(&busy_, 1, __ATOMIC_SEQ_CST);
  while (!__atomic_load_n(&stopping_, __ATOMIC_SEQ_CST)) {
    log_request(worker->module, &local, worker->logged++);
    const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
  }
  drop_logger(worker->second, &local);
  return NULL;
}
