/* Memory that runs out within the plugin, at one allocation after the other, on its threads and on
 * the host's: the host lives, is told, and nothing that was accepted is lost. */
#define _GNU_SOURCE
#include "support/plugin_host.h"

/* plugin_failing_new.cpp */
void fail_new(long k, int of_main);
int new_has_failed(void);
void break_clock(int broken);
int clock_has_thrown(void);
uint64_t breaking_clock(void* ctx);
uint64_t wall_clock(void* ctx);

enum { kRecords = 300 };

static int32_t health_of(phlower_engine* engine) {
  phlower_health health;
  memset(&health, 0, sizeof health);
  health.struct_size = sizeof health;
  const int32_t code = f.engine_health(engine, &health);
  if (code == PHLOWER_OK) CHECK(health.state == PHLOWER_HEALTH_OK || health.reason[0] != '\0');
  return code == PHLOWER_OK ? (int32_t)health.state : -1;
}

static uint64_t submit_many(phlower_engine* engine) {
  uint64_t accepted = 0;
  for (int i = 0; i < kRecords; ++i) {
    char id[32];
    char worker[48];
    snprintf(id, sizeof id, "task-%d", i);
    snprintf(worker, sizeof worker, "celery@a-worker-with-a-name-%d", i / 20);
    phlower_record record = make_record(id);
    record.worker = to_text(worker);
    accepted += f.engine_submit(engine, 0, &record) == PHLOWER_OK;
  }
  return accepted;
}

static void pause_ms(long ms) {
  const struct timespec pause = {0, ms * 1000000};
  nanosleep(&pause, NULL);
}

/* Until all is committed or the engine says that it has failed. */
static int work_to_an_end(phlower_engine* engine, int host_ticks, uint64_t accepted) {
  for (int i = 0; i < 20000; ++i) {
    const int32_t code = host_ticks ? f.engine_tick(engine, 5000000, NULL) : PHLOWER_OK;
    if (code != PHLOWER_OK) {
      CHECK_CODE(code, PHLOWER_E_INTERNAL);
      CHECK_CODE(f.engine_tick(engine, 5000000, NULL), PHLOWER_E_INTERNAL); /* and it stays so */
      return 1;
    }
    if (health_of(engine) == PHLOWER_HEALTH_FAILED) return 1;
    /* Committed figures are as of the last publication, ten a second. */
    if (read_stats(engine).committed >= accepted) return 1;
    if (!host_ticks || i > 20) pause_ms(1);
  }
  return 0;
}

static void restart_and_count(const Place* place, uint64_t accepted) {
  phlower_engine* const engine = started_engine(place, NULL);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  CHECK(health_of(engine) == PHLOWER_HEALTH_OK);
  CHECK(read_stats(engine).invocations == accepted);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
}

/* Whether the k-th allocation came. */
static int fail_at(long k, const char* more, int host_ticks, int of_main) {
  const Place place = new_place(more);
  phlower_engine* const engine = started_engine(&place, NULL);
  fail_new(k, of_main);
  uint64_t accepted = submit_many(engine);
  CHECK(work_to_an_end(engine, host_ticks, accepted));
  /* A producer needs no engine that works. */
  const phlower_record late = make_record("late");
  accepted += f.engine_submit(engine, 0, &late) == PHLOWER_OK;
  const int came = new_has_failed();
  fail_new(0, of_main);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  restart_and_count(&place, accepted);
  remove_place(&place);
  return came;
}

static void fail_at_all(const char* more, int host_ticks, int of_main) {
  long k = 1;
  int tried = 0;
  while (failures == 0 && fail_at(k, more, host_ticks, of_main)) {
    ++tried;
    k += k / 8 + 1;
  }
  if (failures != 0) printf("# at allocation %ld\n", k);
  printf("# %d points, up to allocation %ld\n", tried, k);
  CHECK(tried > 10);
}

static void Memory_RunsOutOnTheHelper(void) { fail_at_all("", 1, 0); }
static void Memory_RunsOutOnTheEnginesThread(void) {
  fail_at_all("plugin:\n  own_thread: true\n", 0, 0);
}
static void Memory_RunsOutOnTheHostsThread(void) { fail_at_all("  helper_thread: false\n", 1, 1); }

static void clock_breaks(const char* more, int host_ticks) {
  const Place place = new_place(more);
  phlower_host host;
  memset(&host, 0, sizeof host);
  host.struct_size = sizeof host;
  host.mono_ns = breaking_clock;
  host.wall_ns = wall_clock;
  phlower_engine* const engine = started_engine(&place, &host);
  break_clock(1);
  const uint64_t accepted = submit_many(engine);
  if (host_ticks) {
    int32_t code = PHLOWER_OK;
    for (int i = 0; i < 1000 && code == PHLOWER_OK; ++i) {
      code = f.engine_tick(engine, 5000000, NULL);
    }
    CHECK_CODE(code, PHLOWER_E_INTERNAL);
  } else {
    /* The third time at the latest it was within a tick, and not between two. */
    for (int i = 0; i < 60000 && clock_has_thrown() < 3; ++i) pause_ms(1);
  }
  break_clock(0);
  CHECK_CODE(f.engine_flush(engine, kSecond, NULL), PHLOWER_E_INTERNAL);
  CHECK(health_of(engine) == PHLOWER_HEALTH_FAILED);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  restart_and_count(&place, accepted);
  remove_place(&place);
}

static void Clock_ThatThrowsEndsTheEngineAndNotTheHost(void) {
  clock_breaks("", 1);
  clock_breaks("plugin:\n  own_thread: true\n", 0);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Memory_RunsOutOnTheHelper);
  RUN(Memory_RunsOutOnTheEnginesThread);
  RUN(Memory_RunsOutOnTheHostsThread);
  RUN(Clock_ThatThrowsEndsTheEngineAndNotTheHost);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
