/* The C ABI from many threads and across fork, on a host's ticks and on a thread of its own. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "support/plugin_host.h"

enum { kThreads = 4, kRecords = 2000 };

/* A disk that hangs: in front of the C library's, for the calls of SQLite too. */
static pthread_mutex_t disk_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t disk_changed = PTHREAD_COND_INITIALIZER;
static int disk_hangs = 0;
static int disk_waiters = 0;

static int hanging_sync(int fd) {
  pthread_mutex_lock(&disk_mutex);
  ++disk_waiters;
  while (disk_hangs) pthread_cond_wait(&disk_changed, &disk_mutex);
  --disk_waiters;
  pthread_mutex_unlock(&disk_mutex);
  return (int)syscall(SYS_fsync, fd);
}
int fsync(int fd) { return hanging_sync(fd); }
int fdatasync(int fd) { return hanging_sync(fd); }
static void set_disk(int hangs) {
  pthread_mutex_lock(&disk_mutex);
  disk_hangs = hangs;
  pthread_cond_broadcast(&disk_changed);
  pthread_mutex_unlock(&disk_mutex);
}
static int waiting_for_disk(void) {
  pthread_mutex_lock(&disk_mutex);
  const int waiters = disk_waiters;
  pthread_mutex_unlock(&disk_mutex);
  return waiters;
}

typedef struct Work {
  phlower_engine* engine;
  int number;
  uint64_t accepted;
  uint64_t refused;
} Work;

static void* submit_many(void* arg) {
  Work* const work = (Work*)arg;
  char id[32];
  for (int i = 0; i < kRecords; ++i) {
    snprintf(id, sizeof id, "task-%d-%d", work->number, i);
    const phlower_record record = make_record(id);
    /* Two threads to a lane: they must not disturb each other. */
    const int32_t code = f.engine_submit(work->engine, (uint32_t)work->number / 2, &record);
    if (code == PHLOWER_OK) ++work->accepted;
    if (code == PHLOWER_E_REFUSED) ++work->refused;
    if (code != PHLOWER_OK && code != PHLOWER_E_REFUSED) {
      printf("# submit: %d\n", (int)code);
      break;
    }
  }
  return NULL;
}

static int32_t see(void* ctx, const phlower_record* record) {
  *(uint64_t*)ctx += record->task_id.size;
  return 0;
}

static int asking = 0; /* atomic */

static void* ask_everything(void* arg) {
  phlower_engine* const engine = (phlower_engine*)arg;
  uint64_t values[8];
  uint64_t bytes = 0;
  phlower_query query;
  memset(&query, 0, sizeof query);
  query.struct_size = sizeof query;
  query.limit = 20;
  while (__atomic_load_n(&asking, __ATOMIC_SEQ_CST)) {
    phlower_health health;
    memset(&health, 0, sizeof health);
    health.struct_size = sizeof health;
    CHECK_CODE(f.engine_health(engine, &health), PHLOWER_OK);
    CHECK_CODE(f.engine_metrics_read(engine, values, 8), PHLOWER_OK);
    CHECK_CODE(f.engine_wake(engine), PHLOWER_OK);
    CHECK_CODE(f.engine_list(engine, &query, see, &bytes, NULL, NULL), PHLOWER_OK);
    const struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
  }
  return NULL;
}

static void flow(const char* more, int host_ticks) {
  const Place place = new_place(more);
  phlower_engine* const engine = started_engine(&place, NULL);
  pthread_t threads[kThreads];
  pthread_t asker;
  Work work[kThreads];
  __atomic_store_n(&asking, 1, __ATOMIC_SEQ_CST);
  pthread_create(&asker, NULL, ask_everything, engine);
  for (int i = 0; i < kThreads; ++i) {
    work[i] = (Work){engine, i, 0, 0};
    pthread_create(&threads[i], NULL, submit_many, &work[i]);
  }
  for (int i = 0; host_ticks && i < 50; ++i) {
    CHECK_CODE(f.engine_tick(engine, 5000000, NULL), PHLOWER_OK);
  }
  if (!host_ticks) CHECK_CODE(f.engine_tick(engine, 5000000, NULL), PHLOWER_E_STATE);
  phlower_reload_report report;
  memset(&report, 0, sizeof report);
  report.struct_size = sizeof report;
  char yaml[1200];
  for (int i = 0; i < 20; ++i) {
    snprintf(yaml, sizeof yaml, "%sschedule:\n  slice: %dms\n", place.yaml, 2 + i % 3);
    CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), &report, NULL), PHLOWER_OK);
    CHECK_CODE(f.engine_reload(engine, "ring: 7", 7, NULL, NULL), PHLOWER_E_CONFIG);
  }
  uint64_t accepted = 0;
  uint64_t refused = 0;
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
    accepted += work[i].accepted;
    refused += work[i].refused;
  }
  CHECK(accepted + refused == (uint64_t)kThreads * kRecords && accepted > 0);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  __atomic_store_n(&asking, 0, __ATOMIC_SEQ_CST);
  pthread_join(asker, NULL);
  const phlower_stats stats = read_stats(engine);
  CHECK(stats.offered == accepted + refused && stats.accepted == accepted);
  CHECK(stats.committed == accepted && stats.invocations == accepted);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK(f.plugin_quiesced() == 0);
  remove_place(&place);
}

static void Threads_LoseNothingOnTheHostsTicks(void) { flow("", 1); }
static void Threads_LoseNothingWithoutAHelper(void) { flow("  helper_thread: false\n", 1); }
static void Threads_LoseNothingOnAThreadOfTheEngine(void) {
  flow("plugin:\n  own_thread: true\n", 0);
}

static void* submit_until_refused(void* arg) {
  Work* const work = (Work*)arg;
  const phlower_record record = make_record("again");
  int32_t code = PHLOWER_OK;
  while (code == PHLOWER_OK || code == PHLOWER_E_REFUSED) {
    code = f.engine_submit(work->engine, (uint32_t)work->number, &record);
    work->accepted += code == PHLOWER_OK;
  }
  CHECK_CODE(code, PHLOWER_E_STATE);
  return NULL;
}

static void Stop_EndsSubmitsThatAreUnderWay(void) {
  const Place place = new_place("plugin:\n  own_thread: true\n");
  phlower_engine* const engine = started_engine(&place, NULL);
  pthread_t threads[kThreads];
  Work work[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    work[i] = (Work){engine, i, 0, 0};
    pthread_create(&threads[i], NULL, submit_until_refused, &work[i]);
  }
  while (read_stats(engine).committed == 0) sched_yield();
  CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
  uint64_t accepted = 0;
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
    accepted += work[i].accepted;
  }
  /* What was accepted and not committed is in the ring, for the next one. */
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  CHECK(read_stats(engine).committed == accepted);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static uint64_t submit_bulk(phlower_engine* engine, int count) {
  static int number = 0;
  char args[1500];
  memset(args, 'a', sizeof args - 1);
  args[sizeof args - 1] = '\0';
  char id[32];
  uint64_t accepted = 0;
  for (int i = 0; i < count; ++i) {
    snprintf(id, sizeof id, "bulk-%d", number++);
    phlower_record record = make_record(id);
    record.args = to_text(args);
    accepted += f.engine_submit(engine, 0, &record) == PHLOWER_OK;
  }
  return accepted;
}

static void Tick_ReturnsWhileTheDiskHangs(void) {
  const Place place = new_place("  layout: single\n  wal_soft: 1MiB\n  wal_hard: 4MiB\n");
  phlower_engine* const engine = started_engine(&place, NULL);
  set_disk(1);
  uint64_t accepted = 0;
  /* Until a checkpoint waits for the disk; each of these ticks returns. */
  for (int i = 0; i < 20000 && waiting_for_disk() == 0; ++i) {
    if (i % 10 == 0) accepted += submit_bulk(engine, 40);
    CHECK_CODE(f.engine_tick(engine, 2000000, NULL), PHLOWER_OK);
  }
  CHECK(waiting_for_disk() == 1);
  phlower_tick_out out;
  memset(&out, 0, sizeof out);
  out.struct_size = sizeof out;
  for (int i = 0; i < 5; ++i) {
    CHECK_CODE(f.engine_tick(engine, 2000000, &out), PHLOWER_OK);
    CHECK(out.more_work == 0 && out.wait_ns > 0);
    accepted += submit_bulk(engine, 10);
  }
  read_stats(engine); /* answers, as of the last tick that ended */
  set_disk(0);
  struct pollfd event = {f.engine_event_fd(engine), POLLIN, 0};
  CHECK(poll(&event, 1, 60000) == 1); /* it tells that the work has ended */
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  CHECK(read_stats(engine).committed == accepted);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Tick_OfNoBudgetWorksBesideTheHost(void) {
  for (int helper = 0; helper < 2; ++helper) {
    const Place place = new_place(helper ? "" : "  helper_thread: false\n");
    phlower_engine* const engine = started_engine(&place, NULL);
    const uint64_t accepted = submit_bulk(engine, 40);
    for (int i = 0; i < 6000 && read_stats(engine).committed < accepted; ++i) {
      struct pollfd event = {f.engine_event_fd(engine), POLLIN, 0};
      poll(&event, 1, 10);
      CHECK_CODE(f.engine_tick(engine, 0, NULL), PHLOWER_OK);
    }
    CHECK(read_stats(engine).committed == accepted);
    CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
    remove_place(&place);
  }
}

#define CHILD_CHECK(condition)                   \
  do {                                           \
    if (!(condition)) _exit(__LINE__ % 250 + 1); \
  } while (0)

static int exit_of(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

static void Fork_LeavesTheChildAHandleThatSaysSo(void) {
  const Place place = new_place("plugin:\n  own_thread: true\n");
  phlower_engine* const engine = started_engine(&place, NULL);
  const phlower_record record = make_record("parent");
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  const pid_t child = fork();
  if (child == 0) {
    phlower_stats stats;
    stats.struct_size = sizeof stats;
    CHILD_CHECK(f.engine_submit(engine, 0, &record) == PHLOWER_E_FORKED);
    CHILD_CHECK(f.engine_flush(engine, 0, NULL) == PHLOWER_E_FORKED);
    CHILD_CHECK(f.engine_stats(engine, &stats) == PHLOWER_E_FORKED);
    CHILD_CHECK(f.engine_stop(engine) == PHLOWER_E_FORKED);
    CHILD_CHECK(f.engine_event_fd(engine) == -1);
    CHILD_CHECK(f.engine_destroy(engine) == PHLOWER_OK);
    CHILD_CHECK(f.engine_destroy(engine) == PHLOWER_E_HANDLE);
    /* The parent's ring is open to the child as to any process. */
    phlower_producer* producer = NULL;
    CHILD_CHECK(f.producer_open(place.yaml, strlen(place.yaml), &producer, NULL) == PHLOWER_OK);
    const phlower_record mine = make_record("child");
    CHILD_CHECK(f.producer_submit(producer, &mine) == PHLOWER_OK);
    CHILD_CHECK(f.producer_close(producer) == PHLOWER_OK);
    _exit(0);
  }
  const int result = exit_of(child);
  if (result != 0) printf("# the child ended with %d\n", result);
  CHECK(result == 0);
  CHECK_CODE(f.engine_flush(engine, 30 * kSecond, NULL), PHLOWER_OK);
  CHECK(read_stats(engine).committed == 2);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Fork_BetweenNewAndStartIsWhatHostsDo(void) {
  const Place place = new_place("");
  phlower_engine* const engine = make_engine(&place, NULL);
  const pid_t child = fork();
  if (child == 0) {
    const phlower_record record = make_record("a");
    CHILD_CHECK(f.engine_start(engine, NULL) == PHLOWER_OK);
    CHILD_CHECK(f.engine_submit(engine, 0, &record) == PHLOWER_OK);
    CHILD_CHECK(f.engine_flush(engine, 30 * kSecond, NULL) == PHLOWER_OK);
    CHILD_CHECK(f.engine_destroy(engine) == PHLOWER_OK);
    _exit(0);
  }
  const int result = exit_of(child);
  if (result != 0) printf("# the child ended with %d\n", result);
  CHECK(result == 0);
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  CHECK(read_stats(engine).committed == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Fork_TakesAProducerAlong(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  phlower_producer* producer = NULL;
  CHECK_CODE(f.producer_open(place.yaml, strlen(place.yaml), &producer, NULL), PHLOWER_OK);
  const phlower_record parent = make_record("parent");
  CHECK_CODE(f.producer_submit(producer, &parent), PHLOWER_OK);
  const pid_t child = fork();
  if (child == 0) {
    const phlower_record record = make_record("child");
    CHILD_CHECK(f.producer_submit(producer, &record) == PHLOWER_OK);
    CHILD_CHECK(f.producer_close(producer) == PHLOWER_OK);
    _exit(0);
  }
  CHECK(exit_of(child) == 0);
  CHECK_CODE(f.producer_submit(producer, &parent), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 30 * kSecond, NULL), PHLOWER_OK);
  const phlower_stats stats = read_stats(engine);
  CHECK(stats.committed == 3 && stats.invocations == 2);
  CHECK_CODE(f.producer_close(producer), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Threads_LoseNothingOnTheHostsTicks);
  RUN(Threads_LoseNothingWithoutAHelper);
  RUN(Threads_LoseNothingOnAThreadOfTheEngine);
  RUN(Tick_ReturnsWhileTheDiskHangs);
  RUN(Tick_OfNoBudgetWorksBesideTheHost);
  RUN(Stop_EndsSubmitsThatAreUnderWay);
  RUN(Fork_LeavesTheChildAHandleThatSaysSo);
  RUN(Fork_BetweenNewAndStartIsWhatHostsDo);
  RUN(Fork_TakesAProducerAlong);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
