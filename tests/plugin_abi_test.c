/* The C ABI as a C99 host meets it: sizes, handles, order of calls, configuration. Records are in
 * plugin_records_test.c, lists in plugin_lists_test.c, threads and forks in plugin_threads_test.c,
 * unloading in plugin_unload_test.c. */
#define _GNU_SOURCE
#include <poll.h>

#include "support/plugin_host.h"

static int32_t count_visitor(void* ctx, const phlower_record* record) {
  CHECK(record->struct_size == sizeof *record);
  ++*(int*)ctx;
  return 0;
}

static void Plugin_TellsItsVersionAndCatalogues(void) {
  phlower_plugin_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  CHECK(f.abi_version() >> 16 == PHLOWER_ABI_MAJOR);
  CHECK_CODE(f.plugin_query(&info), PHLOWER_OK);
  CHECK(info.abi_version == f.abi_version() && info.struct_size == sizeof info);
  CHECK(info.sqlite_version >= 3035000 && info.version[0] != '\0');
  phlower_metric_desc desc;
  memset(&desc, 0, sizeof desc);
  desc.struct_size = sizeof desc;
  for (uint32_t i = 0; i < info.metrics; ++i) {
    CHECK_CODE(f.metrics_describe(i, &desc), PHLOWER_OK);
    CHECK(strncmp(desc.name, "phlower_", 8) == 0 && desc.help[0] != '\0');
    for (uint32_t j = 0; j < i; ++j) {
      phlower_metric_desc other = desc;
      CHECK_CODE(f.metrics_describe(j, &other), PHLOWER_OK);
      CHECK(strcmp(other.name, desc.name) != 0 || strcmp(other.label, desc.label) != 0);
    }
  }
  CHECK_CODE(f.metrics_describe(info.metrics, &desc), PHLOWER_E_NOT_FOUND);
  CHECK(strcmp(f.config_key(0), "store.layout") == 0);
  CHECK(info.config_keys <= 64 && f.config_key(info.config_keys - 1) != NULL);
  CHECK(f.config_key(info.config_keys) == NULL);
  CHECK(strcmp(f.strerror(PHLOWER_E_FORKED), "forked") == 0);
  CHECK(strcmp(f.strerror(12345), "unknown") == 0);
}

static void Structs_AreTakenFromYoungerCallersAndRefusedFromTooOldOnes(void) {
  struct {
    phlower_record record;
    char tail[16];
  } young;
  memset(&young, 0, sizeof young);
  young.record = make_record("young");
  young.record.struct_size = sizeof young;
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  CHECK_CODE(f.engine_submit(engine, 0, &young.record), PHLOWER_OK);
  young.tail[3] = 1;
  CHECK_CODE(f.engine_submit(engine, 0, &young.record), PHLOWER_E_ABI);
  young.record.struct_size = sizeof young.record - 1;
  CHECK_CODE(f.engine_submit(engine, 0, &young.record), PHLOWER_E_ABI);
  young.record.struct_size = 0;
  CHECK_CODE(f.engine_submit(engine, 0, &young.record), PHLOWER_E_ABI);
  young.record.struct_size = UINT32_MAX;
  CHECK_CODE(f.engine_submit(engine, 0, &young.record), PHLOWER_E_ABI);
  CHECK_CODE(f.engine_submit(engine, 0, NULL), PHLOWER_E_ARGUMENT);
  /* No struct grows so far: it is something else, of which nothing is read. */
  phlower_record* const far = (phlower_record*)calloc(32, sizeof *far);
  *far = make_record("far");
  far->struct_size = 31 * sizeof *far;
  CHECK_CODE(f.engine_submit(engine, 0, far), PHLOWER_E_ABI);
  free(far);

  /* Of an output no byte beyond the caller's size is written, and a short one is refused. */
  union {
    phlower_stats stats;
    unsigned char bytes[sizeof(phlower_stats) + 64];
  } out;
  memset(&out, 0xee, sizeof out);
  out.stats.struct_size = sizeof out.stats + 64;
  CHECK_CODE(f.engine_stats(engine, &out.stats), PHLOWER_OK);
  CHECK(out.stats.struct_size == sizeof out.stats + 64);
  for (size_t i = sizeof out.stats; i < sizeof out.bytes; ++i) CHECK(out.bytes[i] == 0xee);
  memset(&out, 0xee, sizeof out);
  out.stats.struct_size = 160; /* as in version 1.0 */
  CHECK_CODE(f.engine_stats(engine, &out.stats), PHLOWER_OK);
  for (size_t i = 160; i < sizeof out.bytes; ++i) CHECK(out.bytes[i] == 0xee);
  out.stats.struct_size = 8;
  CHECK_CODE(f.engine_stats(engine, &out.stats), PHLOWER_E_ABI);
  CHECK_CODE(f.engine_stats(engine, NULL), PHLOWER_E_ARGUMENT);
  phlower_tick_out tick;
  tick.struct_size = 4;
  CHECK_CODE(f.engine_tick(engine, 0, &tick), PHLOWER_E_ABI);
  CHECK_CODE(f.engine_tick(engine, 0, NULL), PHLOWER_OK);
  phlower_host host;
  memset(&host, 0, sizeof host);
  phlower_engine* other = NULL;
  CHECK_CODE(f.engine_new("", 0, &host, &other, NULL), PHLOWER_E_ABI);
  CHECK(other == NULL);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Configuration_IsRefusedWithItsLineAndColumn(void) {
  const char yaml[] = "store:\n  path: here\n  cash: 1MiB\n";
  phlower_err err;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  CHECK_CODE(f.config_check(yaml, strlen(yaml), &err), PHLOWER_E_CONFIG);
  CHECK(err.code == PHLOWER_E_CONFIG && err.line == 3 && err.column == 3);
  CHECK(strstr(err.message, "cash") != NULL && strstr(err.message, "cache") != NULL);
  CHECK_CODE(f.config_check(yaml, strlen(yaml), NULL), PHLOWER_E_CONFIG);
  CHECK_CODE(f.config_check("", 0, &err), PHLOWER_OK);
  CHECK_CODE(f.config_check(NULL, 0, &err), PHLOWER_OK);
  CHECK_CODE(f.config_check(NULL, 7, &err), PHLOWER_E_ARGUMENT);
  phlower_engine* engine = (phlower_engine*)&err;
  CHECK_CODE(f.engine_new(yaml, strlen(yaml), NULL, &engine, &err), PHLOWER_E_CONFIG);
  CHECK(engine == NULL && err.line == 3);
}

static void Handles_ThatAreNoneAreToldApart(void) {
  char nothing[256];
  memset(nothing, 0, sizeof nothing);
  phlower_engine* const wild = (phlower_engine*)(void*)nothing;
  CHECK_CODE(f.engine_tick(wild, 0, NULL), PHLOWER_E_HANDLE);
  CHECK_CODE(f.engine_tick(NULL, 0, NULL), PHLOWER_E_HANDLE);
  CHECK_CODE(f.engine_wake(wild), PHLOWER_E_HANDLE);
  CHECK_CODE(f.engine_destroy(wild), PHLOWER_E_HANDLE);
  CHECK_CODE(f.engine_destroy(NULL), PHLOWER_OK);
  CHECK(f.engine_event_fd(wild) == -1);
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  const phlower_record record = make_record("a");
  CHECK_CODE(f.producer_submit((phlower_producer*)engine, &record), PHLOWER_E_HANDLE);
  phlower_producer* producer = NULL;
  CHECK_CODE(f.producer_open(place.yaml, strlen(place.yaml), &producer, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_stop((phlower_engine*)producer), PHLOWER_E_HANDLE);
  CHECK(f.plugin_quiesced() == 2);
  CHECK_CODE(f.producer_close(producer), PHLOWER_OK);
  CHECK_CODE(f.producer_close(producer), PHLOWER_E_HANDLE);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_E_HANDLE);
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_E_HANDLE);
  CHECK(f.plugin_quiesced() == 0);
  remove_place(&place);
}

static void Calls_InTheWrongOrderAreRefused(void) {
  const Place place = new_place("");
  phlower_engine* const engine = make_engine(&place, NULL);
  const phlower_record record = make_record("a");
  int seen = 0;
  CHECK(access(place.folder, F_OK) == 0);
  CHECK_CODE(f.engine_tick(engine, 1000, NULL), PHLOWER_E_STATE);
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_E_STATE);
  CHECK_CODE(f.engine_flush(engine, 1000, NULL), PHLOWER_E_STATE);
  CHECK_CODE(f.engine_drain(engine, 1000, NULL), PHLOWER_E_STATE);
  CHECK_CODE(f.engine_get(engine, "a", 1, count_visitor, &seen, NULL), PHLOWER_E_STATE);
  CHECK_CODE(f.engine_wake(engine), PHLOWER_E_STATE);
  CHECK(f.engine_event_fd(engine) == -1);
  char data[128];
  snprintf(data, sizeof data, "%s/data", place.folder);
  CHECK(access(data, F_OK) != 0); /* `new` opened nothing */
  for (int round = 0; round < 3; ++round) {
    CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
    CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_E_STATE);
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
    CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
    CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_E_STATE);
  }
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_get(engine, "a", 1, count_visitor, &seen, NULL), PHLOWER_OK);
  CHECK(seen == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Reload_AppliesWhatCanChangeAndNamesTheRest(void) {
  const Place place = new_place("retention:\n  details: 10h\n");
  phlower_engine* const engine = started_engine(&place, NULL);
  phlower_reload_report report;
  memset(&report, 0, sizeof report);
  report.struct_size = sizeof report;
  phlower_err err;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  char yaml[1200];
  snprintf(yaml, sizeof yaml, "%s  invocations: 20h\nlog:\n  level: error\n", place.yaml);
  CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), &report, &err), PHLOWER_OK);
  CHECK(report.needs_restart == 0);
  for (uint32_t i = 0; f.config_key(i) != NULL; ++i) {
    const int changed = strcmp(f.config_key(i), "retention.invocations") == 0 ||
                        strcmp(f.config_key(i), "log.level") == 0;
    CHECK((report.applied >> i & 1) == (uint64_t)changed);
  }
  /* What was in force goes on after a bad one. */
  snprintf(yaml, sizeof yaml, "retention:\n  invocations: 5\n");
  CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), &report, &err), PHLOWER_E_CONFIG);
  CHECK(err.line == 2 && err.column == 16);
  phlower_record old = make_record("old");
  old.finished_at_ns -= 21 * 3600 * (int64_t)kSecond; /* past the 20 h of the good one */
  CHECK_CODE(f.engine_submit(engine, 0, &old), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  int seen = 0;
  CHECK_CODE(f.engine_get(engine, "old", 3, count_visitor, &seen, NULL), PHLOWER_E_NOT_FOUND);
  snprintf(yaml, sizeof yaml, "ring:\n  path: /elsewhere/ring\n");
  CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), &report, &err), PHLOWER_OK);
  CHECK(report.needs_restart != 0);
  CHECK_CODE(f.engine_submit(engine, 0, &old), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Reload_OfTheRetentionHoldsForTheNextRead(void) {
  const Place place = new_place("retention:\n  details: 10h\n");
  phlower_engine* const engine = started_engine(&place, NULL);
  phlower_record old = make_record("old");
  old.finished_at_ns -= 21 * 3600 * (int64_t)kSecond;
  CHECK_CODE(f.engine_submit(engine, 0, &old), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  int seen = 0;
  CHECK_CODE(f.engine_get(engine, "old", 3, count_visitor, &seen, NULL), PHLOWER_OK);
  char yaml[1200];
  snprintf(yaml, sizeof yaml, "%s  invocations: 20h\n", place.yaml);
  CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), NULL, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_get(engine, "old", 3, count_visitor, &seen, NULL), PHLOWER_E_NOT_FOUND);
  CHECK(seen == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

typedef struct Told {
  int messages;
  int wakes;
} Told;
static void on_log(void* ctx, uint32_t level, const char* message, size_t size) {
  CHECK(level <= PHLOWER_LOG_ERROR && message != NULL && size > 0);
  ++((Told*)ctx)->messages;
}
static void on_wake(void* ctx) { ++((Told*)ctx)->wakes; }
static uint64_t frozen_mono(void* ctx) { return ctx == NULL ? 0 : 5 * 1000000000ull; }
static uint64_t frozen_wall(void* ctx) { return ctx == NULL ? 0 : 1700000000ull * 1000000000ull; }

static void Host_IsLoggedToWokenAndAskedForTheTime(void) {
  const Place place = new_place("");
  Told told = {0, 0};
  phlower_host host;
  memset(&host, 0, sizeof host);
  host.struct_size = sizeof host;
  host.ctx = &told;
  host.log = on_log;
  host.wake = on_wake;
  host.mono_ns = frozen_mono;
  phlower_engine* engine = NULL;
  CHECK_CODE(f.engine_new("", 0, &host, &engine, NULL), PHLOWER_E_ARGUMENT); /* one clock */
  host.wall_ns = frozen_wall;
  engine = started_engine(&place, &host);
  struct pollfd event = {f.engine_event_fd(engine), POLLIN, 0};
  CHECK(event.fd >= 0 && poll(&event, 1, 0) == 0);
  CHECK_CODE(f.engine_wake(engine), PHLOWER_OK);
  CHECK(told.wakes == 1 && poll(&event, 1, 0) == 1);
  CHECK_CODE(f.engine_tick(engine, 1000000, NULL), PHLOWER_OK);
  CHECK(poll(&event, 1, 0) == 0);
  /* In this host's time a record of today is of the future, and one of 2023 is new. */
  phlower_record record = make_record("then");
  record.finished_at_ns = 1699999999ll * 1000000000;
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  CHECK_CODE(f.engine_tick(engine, 1000000, NULL), PHLOWER_OK);
  phlower_engine* const second = make_engine(&place, NULL);
  CHECK_CODE(f.engine_start(second, NULL), PHLOWER_E_BUSY);
  CHECK_CODE(f.engine_destroy(second), PHLOWER_OK);
  CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
  const Told before = told;
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK(before.messages == told.messages && before.wakes == told.wakes);
  remove_place(&place);
}

static int32_t errors_alone(void* ctx, uint32_t level) {
  return ctx != NULL && level >= PHLOWER_LOG_ERROR;
}

/* How many messages the host gets while a record is taken over from a ring of another size. */
static int messages_of_a_takeover(int32_t (*log_enabled)(void*, uint32_t), const char* reload) {
  Place place = new_place("");
  phlower_engine* engine = started_engine(&place, NULL);
  const phlower_record record = make_record("a");
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  memcpy(strstr(place.yaml, "1MiB"), "2MiB", 4);
  Told told = {0, 0};
  phlower_host host;
  memset(&host, 0, sizeof host);
  host.struct_size = sizeof host;
  host.ctx = &told;
  host.log = on_log;
  host.log_enabled = log_enabled;
  engine = make_engine(&place, &host);
  char yaml[1200];
  snprintf(yaml, sizeof yaml, "%s%s", place.yaml, reload);
  CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), NULL, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  CHECK(read_stats(engine).invocations == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
  return told.messages;
}

static void Host_IsLoggedToAsFarAsItAndTheConfigurationWant(void) {
  CHECK(messages_of_a_takeover(NULL, "") > 0);
  CHECK(messages_of_a_takeover(errors_alone, "") == 0);
  CHECK(messages_of_a_takeover(NULL, "log:\n  level: error\n") == 0);
}

static void Drain_RefusesEmptiesAndKeepsToItsDeadline(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[32];
  for (int i = 0; i < 300; ++i) {
    snprintf(id, sizeof id, "task-%d", i);
    const phlower_record record = make_record(id);
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  phlower_drain_out out;
  memset(&out, 0, sizeof out);
  out.struct_size = sizeof out;
  CHECK_CODE(f.engine_drain(engine, 0, &out), PHLOWER_E_BUSY);
  CHECK(out.done == 0 && out.left == 300);
  const phlower_record late = make_record("late");
  CHECK_CODE(f.engine_submit(engine, 0, &late), PHLOWER_E_REFUSED);
  phlower_health health;
  memset(&health, 0, sizeof health);
  health.struct_size = sizeof health;
  CHECK_CODE(f.engine_health(engine, &health), PHLOWER_OK);
  CHECK(health.ready == 0);
  CHECK_CODE(f.engine_drain(engine, 10 * kSecond, &out), PHLOWER_OK);
  CHECK(out.done == 1 && out.left == 0 && out.committed == 300);
  const phlower_stats stats = read_stats(engine);
  CHECK(stats.offered == 301 && stats.refused == 1 && stats.committed == 300);
  CHECK(stats.wal_bytes == 0);
  CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_health(engine, &health), PHLOWER_OK);
  CHECK(health.ready == 1); /* as before the drain */
  CHECK_CODE(f.engine_submit(engine, 0, &late), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Plugin_TellsItsVersionAndCatalogues);
  RUN(Structs_AreTakenFromYoungerCallersAndRefusedFromTooOldOnes);
  RUN(Configuration_IsRefusedWithItsLineAndColumn);
  RUN(Handles_ThatAreNoneAreToldApart);
  RUN(Calls_InTheWrongOrderAreRefused);
  RUN(Reload_AppliesWhatCanChangeAndNamesTheRest);
  RUN(Reload_OfTheRetentionHoldsForTheNextRead);
  RUN(Host_IsLoggedToWokenAndAskedForTheTime);
  RUN(Host_IsLoggedToAsFarAsItAndTheConfigurationWant);
  RUN(Drain_RefusesEmptiesAndKeepsToItsDeadline);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
