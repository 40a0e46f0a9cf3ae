/* Reads of the C ABI at the same time: what is found at once goes on beside what looks at rows one
 * by one, and nobody is forgotten when the engine ends. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>

#include "support/plugin_host.h"

/* A gate in which visitors stand, each with a reader in its hands. */
static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static int gate_is_open = 0;
static int gate_waiters = 0;

static void set_gate(int is_open) {
  pthread_mutex_lock(&gate_mutex);
  gate_is_open = is_open;
  pthread_cond_broadcast(&gate_changed);
  pthread_mutex_unlock(&gate_mutex);
}
static void wait_for_waiters(int count) {
  pthread_mutex_lock(&gate_mutex);
  while (gate_waiters < count) pthread_cond_wait(&gate_changed, &gate_mutex);
  pthread_mutex_unlock(&gate_mutex);
}
static int32_t stand_in_gate(void* ctx, const phlower_record* record) {
  (void)ctx;
  (void)record;
  pthread_mutex_lock(&gate_mutex);
  ++gate_waiters;
  pthread_cond_broadcast(&gate_changed);
  while (!gate_is_open) pthread_cond_wait(&gate_changed, &gate_mutex);
  --gate_waiters;
  pthread_mutex_unlock(&gate_mutex);
  return 0;
}
static int32_t see(void* ctx, const phlower_record* record) {
  *(uint64_t*)ctx += record->task_id.size;
  return 0;
}
static int32_t not_wanted(void* ctx) {
  (void)ctx;
  return 0;
}

static phlower_query query_of(const char* state) {
  phlower_query query;
  memset(&query, 0, sizeof query);
  query.struct_size = sizeof query;
  query.limit = 1;
  query.state = to_text(state);
  return query;
}

typedef struct Asker {
  phlower_engine* engine;
  const char* state; /* "": a list that an index leads to */
  int32_t code;
  pthread_t thread;
} Asker;

static void* list_in_gate(void* arg) {
  Asker* const asker = (Asker*)arg;
  const phlower_query query = query_of(asker->state);
  asker->code = f.engine_list(asker->engine, &query, stand_in_gate, NULL, NULL, NULL);
  return NULL;
}
static void* get_one(void* arg) {
  Asker* const asker = (Asker*)arg;
  uint64_t bytes = 0;
  asker->code = f.engine_get(asker->engine, "a", 1, see, &bytes, NULL);
  return NULL;
}
static void* stop_engine(void* arg) {
  Asker* const asker = (Asker*)arg;
  asker->code = f.engine_stop(asker->engine);
  return NULL;
}
static void begin(Asker* asker, phlower_engine* engine, const char* state, void* (*call)(void*)) {
  asker->engine = engine;
  asker->state = state;
  asker->code = -1;
  pthread_create(&asker->thread, NULL, call, asker);
}

static phlower_engine* engine_with_rows(const Place* place) {
  phlower_engine* const engine = started_engine(place, NULL);
  const char* const ids[] = {"a", "b", "c"};
  for (int i = 0; i < 3; ++i) {
    const phlower_record record = make_record(ids[i]);
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  return engine;
}

static void Reads_ThatAnIndexLeadsToGoOnBesideThoseThatLookAtRows(void) {
  const Place place = new_place("");
  phlower_engine* const engine = engine_with_rows(&place);
  set_gate(0);
  Asker scans[2];
  for (int i = 0; i < 2; ++i) begin(&scans[i], engine, "SUCCESS", list_in_gate);
  wait_for_waiters(2);
  uint64_t bytes = 0;
  CHECK_CODE(f.engine_get(engine, "a", 1, see, &bytes, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_get(engine, "z", 1, see, &bytes, NULL), PHLOWER_E_NOT_FOUND);
  phlower_query query = query_of("");
  CHECK_CODE(f.engine_list(engine, &query, see, &bytes, NULL, NULL), PHLOWER_OK);
  CHECK(bytes == 2);
  CHECK_CODE(f.engine_reload(engine, place.yaml, strlen(place.yaml), NULL, NULL), PHLOWER_OK);
  /* A third one of those waits, for as long as it is told to. */
  phlower_page page;
  memset(&page, 0, sizeof page);
  page.struct_size = sizeof page;
  query = query_of("SUCCESS");
  query.deadline_ns = 1000000;
  CHECK_CODE(f.engine_list(engine, &query, see, &bytes, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_DEADLINE && page.records == 0 && page.next_size > 0);
  query.deadline_ns = 0;
  query.wanted = not_wanted;
  CHECK_CODE(f.engine_list(engine, &query, see, &bytes, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_UNWANTED && page.records == 0);
  set_gate(1);
  for (int i = 0; i < 2; ++i) {
    pthread_join(scans[i].thread, NULL);
    CHECK_CODE(scans[i].code, PHLOWER_OK);
  }
  query.wanted = NULL;
  CHECK_CODE(f.engine_list(engine, &query, see, &bytes, &page, NULL), PHLOWER_OK);
  CHECK(page.records == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Stop_WaitsForReadsThatRunAndRefusesThoseThatWait(void) {
  const Place place = new_place("");
  phlower_engine* const engine = engine_with_rows(&place);
  set_gate(0);
  Asker held[3];
  begin(&held[0], engine, "SUCCESS", list_in_gate);
  begin(&held[1], engine, "SUCCESS", list_in_gate);
  begin(&held[2], engine, "", list_in_gate);
  wait_for_waiters(3); /* every reader is in somebody's hands */
  Asker waits;
  Asker stops;
  begin(&waits, engine, "", get_one);
  begin(&stops, engine, "", stop_engine);
  pthread_join(waits.thread, NULL);
  CHECK_CODE(waits.code, PHLOWER_E_STATE);
  set_gate(1);
  for (int i = 0; i < 3; ++i) {
    pthread_join(held[i].thread, NULL);
    CHECK_CODE(held[i].code, PHLOWER_OK);
  }
  pthread_join(stops.thread, NULL);
  CHECK_CODE(stops.code, PHLOWER_OK);
  uint64_t bytes = 0;
  CHECK_CODE(f.engine_get(engine, "a", 1, see, &bytes, NULL), PHLOWER_E_STATE);
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_get(engine, "a", 1, see, &bytes, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK(f.plugin_quiesced() == 0);
  remove_place(&place);
}

/* Files of this process in a folder. */
static int open_files_in(const char* folder) {
  int found = 0;
  DIR* const files = opendir("/proc/self/fd");
  CHECK(files != NULL);
  for (const struct dirent* file = readdir(files); file != NULL; file = readdir(files)) {
    char path[512] = "";
    if (readlinkat(dirfd(files), file->d_name, path, sizeof path - 1) < 0) continue;
    found += strncmp(path, folder, strlen(folder)) == 0;
  }
  closedir(files);
  return found;
}

static void Stop_LeavesNoFileOpenThatWasRead(void) {
  const Place place = new_place("");
  phlower_engine* const engine = engine_with_rows(&place);
  uint64_t bytes = 0;
  CHECK_CODE(f.engine_get(engine, "a", 1, see, &bytes, NULL), PHLOWER_OK);
  CHECK(open_files_in(place.folder) > 0);
  CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
  CHECK(open_files_in(place.folder) == 0); /* they can be moved, and their disk be unmounted */
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Reads_ThatAnIndexLeadsToGoOnBesideThoseThatLookAtRows);
  RUN(Stop_WaitsForReadsThatRunAndRefusesThoseThatWait);
  RUN(Stop_LeavesNoFileOpenThatWasRead);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
