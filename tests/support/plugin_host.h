/* What a C host needs to use libphlower.so: its functions by dlsym, a folder for one test, and
 * checks that are told as TAP. */
#pragma once

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "phlower/plugin.h"

/* Every function of plugin.h: f.engine_new is phlower_engine_new. */
#define DECLARE_FUNCTION(name) __typeof__(&phlower_##name) name;
typedef struct Functions {
  PHLOWER_FUNCTIONS(DECLARE_FUNCTION)
} Functions;

static Functions f;
static int failures = 0; /* of the case that runs */
static int cases = 0;
static int failed_cases = 0;

#define CHECK(condition)                                                 \
  do {                                                                   \
    if (!(condition)) {                                                  \
      ++failures;                                                        \
      printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                    \
  } while (0)
#define CHECK_CODE(is, wanted)                                                                \
  do {                                                                                        \
    const int32_t code_ = (is);                                                               \
    if (code_ != (wanted)) {                                                                  \
      ++failures;                                                                             \
      printf("# %s:%d: %s gives %d, not %s\n", __FILE__, __LINE__, #is, (int)code_, #wanted); \
    }                                                                                         \
  } while (0)

static inline void run_case(const char* name, void (*body)(void)) {
  failures = 0;
  body();
  ++cases;
  failed_cases += failures != 0;
  printf("%s %d - %s\n", failures == 0 ? "ok" : "not ok", cases, name);
  fflush(stdout);
}
#define RUN(name) run_case(#name, name)

/* Loads the shared object; NULL and a message when it cannot be. */
static inline void* load_plugin(const char* path, int flags) {
  void* const library = dlopen(path, flags);
  if (library == NULL) {
    printf("Bail out! %s\n", dlerror());
    return NULL;
  }
#define LOAD_FUNCTION(name) *(void**)(&f.name) = dlsym(library, "phlower_" #name);
  PHLOWER_FUNCTIONS(LOAD_FUNCTION)
  return library;
}

typedef struct Place {
  char folder[64];
  char yaml[1024];
} Place;

/* A folder of its own and a configuration that keeps everything in it. `more` goes on in the
 * section store. */
static inline Place new_place(const char* more) {
  Place place;
  snprintf(place.folder, sizeof place.folder, "/dev/shm/phlower-host-XXXXXX");
  if (mkdtemp(place.folder) == NULL) {
    snprintf(place.folder, sizeof place.folder, "/tmp/phlower-host-XXXXXX");
    CHECK(mkdtemp(place.folder) != NULL);
  }
  snprintf(place.yaml, sizeof place.yaml,
           "ring:\n  path: %s/ring\n  size: 1MiB\nstore:\n  path: %s/data\n%s", place.folder,
           place.folder, more);
  return place;
}

static inline void remove_place(const Place* place) {
  const pid_t child = fork();
  if (child == 0) {
    execlp("rm", "rm", "-rf", place->folder, (char*)NULL);
    _exit(127);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static inline phlower_text to_text(const char* text) {
  phlower_text out;
  out.data = text;
  out.size = strlen(text);
  return out;
}

/* A task that ended a minute ago. */
static inline phlower_record make_record(const char* id) {
  phlower_record record = PHLOWER_RECORD_INIT;
  record.task_id = to_text(id);
  record.task_name = to_text("shop.tasks.pack");
  record.state = to_text("SUCCESS");
  record.worker = to_text("celery@one");
  record.args = to_text("(1, 'two')");
  record.finished_at_ns = ((int64_t)time(NULL) - 60) * 1000000000;
  record.runtime_ns = 12500000;
  return record;
}

static inline phlower_stats read_stats(phlower_engine* engine) {
  phlower_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  CHECK_CODE(f.engine_stats(engine, &stats), PHLOWER_OK);
  return stats;
}

static const uint64_t kSecond = 1000000000u;

static inline phlower_engine* make_engine(const Place* place, const phlower_host* host) {
  phlower_engine* engine = NULL;
  phlower_err err;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  const int32_t code = f.engine_new(place->yaml, strlen(place->yaml), host, &engine, &err);
  if (code != PHLOWER_OK) printf("# new: %s\n", err.message);
  CHECK_CODE(code, PHLOWER_OK);
  return engine;
}

static inline phlower_engine* started_engine(const Place* place, const phlower_host* host) {
  phlower_engine* const engine = make_engine(place, host);
  phlower_err err;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  const int32_t code = f.engine_start(engine, &err);
  if (code != PHLOWER_OK) printf("# start: %s\n", err.message);
  CHECK_CODE(code, PHLOWER_OK);
  return engine;
}
