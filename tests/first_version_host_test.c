/* A host as it was written and compiled for version 1.1 of the C ABI, against the header of that
 * day (data/first_version/phlower/plugin.h): every function and every struct of it works with the
 * library of today, and behind no struct that it hands over a byte is written. */
#define _GNU_SOURCE
#include <poll.h>

#include "support/first_version_host.h"

#if PHLOWER_ABI_VERSION != (1u << 16 | 1u)
#error "this host is to be compiled against the header of 1.1"
#endif

/* -- What the host gives ---------------------------------------------------------------------- */

typedef struct Desk {
  int logged;
  int asked;
  int woken;
  uint64_t mono;
} Desk;

static void take_log(void* ctx, uint32_t level, const char* message, size_t size) {
  CHECK(level <= PHLOWER_LOG_OFF && message != NULL && size > 0);
  ++((Desk*)ctx)->logged;
}
static int32_t show_all(void* ctx, uint32_t level) {
  CHECK(level <= PHLOWER_LOG_OFF);
  ++((Desk*)ctx)->asked;
  return 1;
}
static void be_woken(void* ctx) { ++((Desk*)ctx)->woken; }
static uint64_t tell_mono(void* ctx) { return ((Desk*)ctx)->mono += 1000; }
static uint64_t tell_wall(void* ctx) {
  (void)ctx;
  return (uint64_t)time(NULL) * kSecond;
}

static int32_t is_wanted(void* ctx) {
  ++*(int*)ctx;
  return 1;
}

static void submit(phlower_engine* engine, int number, int whole) {
  char id[32];
  const phlower_record record = numbered(number, id, sizeof id);
  CHECK_CODE(
      whole ? f.engine_submit_whole(engine, 0, &record) : f.engine_submit(engine, 0, &record),
      PHLOWER_OK);
}

/* -- Cases ------------------------------------------------------------------------------------ */

static void count_fact(void* ctx, const char* key, const char* value) {
  CHECK(key[0] != '\0' && value != NULL);
  ++*(int*)ctx;
}

static void Plugin_TellsWhatItIs(void) {
  CHECK(f.abi_version() >> 16 == PHLOWER_ABI_MAJOR && f.abi_version() >= PHLOWER_ABI_VERSION);
  GUARDED(phlower_plugin_info, info, PHLOWER_PLUGIN_INFO_INIT);
  CHECK_CODE(f.plugin_query(&info.its), PHLOWER_OK);
  CHECK_INTACT(info);
  CHECK(info.its.abi_version == f.abi_version() && info.its.version[0] != '\0');
  CHECK(info.its.metrics > 0 && info.its.config_keys > 0 && info.its.lanes > 0);
  int facts = 0;
  CHECK_CODE(f.plugin_facts(count_fact, &facts), PHLOWER_OK);
  CHECK(facts > 0 && f.plugin_quiesced() == 0);
  CHECK(strcmp(f.strerror(PHLOWER_E_REFUSED), "refused") == 0);
  for (uint32_t i = 0; i < info.its.metrics; ++i) {
    GUARDED(phlower_metric_desc, metric, PHLOWER_METRIC_DESC_INIT);
    CHECK_CODE(f.metrics_describe(i, &metric.its), PHLOWER_OK);
    CHECK_INTACT(metric);
    CHECK(metric.its.kind <= PHLOWER_METRIC_HISTOGRAM && metric.its.name[0] != '\0');
    CHECK(metric.its.unit != NULL && metric.its.help[0] != '\0' && metric.its.label != NULL);
  }
  CHECK(strcmp(f.config_key(0), "store.layout") == 0);
  GUARDED(phlower_err, err, PHLOWER_ERR_INIT);
  CHECK_CODE(f.config_check("store:\n  paht: x\n", 17, &err.its), PHLOWER_E_CONFIG);
  CHECK_INTACT(err);
  CHECK(err.its.code == PHLOWER_E_CONFIG && err.its.line == 2 && err.its.column == 3);
}

static void tick_until_committed(phlower_engine* engine, uint64_t wanted) {
  uint64_t committed = 0;
  for (int i = 0; i < 100000 && committed < wanted; ++i) {
    GUARDED(phlower_tick_out, out, PHLOWER_TICK_OUT_INIT);
    CHECK_CODE(f.engine_tick(engine, 5000000, &out.its), PHLOWER_OK);
    CHECK_INTACT(out);
    committed += out.its.committed;
    if (!out.its.more_work) usleep(1000);
  }
  CHECK(committed == wanted);
}

static phlower_engine* engine_of(const Place* place, const phlower_host* host) {
  GUARDED(phlower_err, err, PHLOWER_ERR_INIT);
  phlower_engine* engine = NULL;
  CHECK_CODE(f.engine_new(place->yaml, strlen(place->yaml), host, &engine, &err.its), PHLOWER_OK);
  CHECK_CODE(f.engine_start(engine, &err.its), PHLOWER_OK);
  CHECK_INTACT(err);
  return engine;
}

static void check_state(phlower_engine* engine, uint64_t records) {
  GUARDED(phlower_stats, stats, PHLOWER_STATS_INIT);
  CHECK_CODE(f.engine_stats(engine, &stats.its), PHLOWER_OK);
  CHECK_INTACT(stats);
  CHECK(stats.its.offered == records && stats.its.accepted == records && stats.its.refused == 0);
  CHECK(stats.its.committed == records && stats.its.in_ring == 0);
  CHECK(stats.its.invocations == records && stats.its.disk_total_bytes > 0);
  GUARDED(phlower_health, health, PHLOWER_HEALTH_INIT);
  CHECK_CODE(f.engine_health(engine, &health.its), PHLOWER_OK);
  CHECK_INTACT(health);
  CHECK(health.its.state == PHLOWER_HEALTH_OK && health.its.ready == 1);
  CHECK(health.its.reason[0] == '\0');
}

static void check_metrics(phlower_engine* engine, uint64_t records) {
  GUARDED(phlower_plugin_info, info, PHLOWER_PLUGIN_INFO_INIT);
  CHECK_CODE(f.plugin_query(&info.its), PHLOWER_OK);
  const uint32_t n = info.its.metrics;
  uint64_t* const values = (uint64_t*)malloc((n + 1) * sizeof(uint64_t));
  memset(values, CANARY, (n + 1) * sizeof(uint64_t));
  CHECK_CODE(f.engine_metrics_read(engine, values, n), PHLOWER_OK);
  CHECK(is_intact((const unsigned char*)(values + n), sizeof(uint64_t)));
  int histograms = 0;
  for (uint32_t i = 0; i < n; ++i) {
    phlower_metric_desc metric = PHLOWER_METRIC_DESC_INIT;
    CHECK_CODE(f.metrics_describe(i, &metric), PHLOWER_OK);
    if (strcmp(metric.name, "phlower_committed_total") == 0) CHECK(values[i] == records);
    if (metric.kind != PHLOWER_METRIC_HISTOGRAM) continue;
    ++histograms;
    const uint64_t bounds[2] = {1000000, UINT64_MAX};
    uint64_t counts[3] = {0, 0, 77};
    GUARDED(phlower_histogram, out, PHLOWER_HISTOGRAM_INIT);
    CHECK_CODE(f.engine_histogram_read(engine, i, bounds, counts, 2, &out.its), PHLOWER_OK);
    CHECK_INTACT(out);
    CHECK(counts[0] <= counts[1] && counts[1] == out.its.count && counts[2] == 77);
    CHECK(out.its.count == values[i]);
  }
  CHECK(histograms > 0);
  free(values);
}

/* `list` of an engine or of a reader, page by page. */
typedef struct Asked {
  phlower_engine* engine;
  phlower_reader* reader;
} Asked;

static Seen list_all(Asked of, phlower_query wanted) {
  Seen seen = {0, 0, 0};
  int asked = 0;
  char cursor[PHLOWER_CURSOR_BYTES];
  GUARDED(phlower_query, query, PHLOWER_QUERY_INIT);
  query.its = wanted;
  query.its.wanted = is_wanted;
  query.its.wanted_ctx = &asked;
  query.its.deadline_ns = 600 * kSecond;
  for (int pages = 0; pages < 100; ++pages) {
    GUARDED(phlower_page, page, PHLOWER_PAGE_INIT);
    GUARDED(phlower_err, err, PHLOWER_ERR_INIT);
    const int before = seen.count;
    CHECK_CODE(of.engine != NULL
                   ? f.engine_list(of.engine, &query.its, look, &seen, &page.its, &err.its)
                   : f.reader_list(of.reader, &query.its, look, &seen, &page.its, &err.its),
               PHLOWER_OK);
    CHECK_INTACT(page);
    CHECK_INTACT(err);
    CHECK(page.its.records == (uint32_t)(seen.count - before));
    if (page.its.next_size == 0) {
      CHECK(page.its.stopped == PHLOWER_STOPPED_END);
      return seen;
    }
    CHECK(page.its.stopped == PHLOWER_STOPPED_LIMIT && page.its.next[page.its.next_size] == '\0');
    memcpy(cursor, page.its.next, sizeof cursor);
    query.its.after.data = cursor;
    query.its.after.size = page.its.next_size;
  }
  CHECK(!"the pages have no end");
  return seen;
}

/* Ten tasks, the even ones succeeded. */
static void check_lists(Asked of) {
  phlower_query query = PHLOWER_QUERY_INIT;
  query.limit = 3;
  Seen seen = list_all(of, query);
  CHECK(seen.count == 10 && seen.with_details == 10);
  query.without_details = 1;
  seen = list_all(of, query);
  CHECK(seen.count == 10 && seen.with_details == 0);
  query.without_details = 0;
  query.task_name = to_text("kept.tasks.pack");
  query.state = to_text("failure");
  query.worker = to_text("celery@kept");
  query.queue = to_text("kept");
  query.text = to_text("TRACEBACK OF");
  query.scan_limit = 1000;
  CHECK(list_all(of, query).count == 5);
  query.state = to_text("");
  query.text = to_text("");
  query.from_at_ns = ended_at(0) - 100 * (int64_t)kSecond;
  query.until_at_ns = ended_at(0) + 300 * (int64_t)kSecond;
  CHECK(list_all(of, query).count == 10);
  query.until_at_ns = query.from_at_ns + 1;
  CHECK(list_all(of, query).count == 0);
}

static void check_get(Asked of) {
  GUARDED(phlower_err, err, PHLOWER_ERR_INIT);
  Seen seen = {0, 0, 0};
  CHECK_CODE(of.engine != NULL ? f.engine_get(of.engine, "task-7", 6, look, &seen, &err.its)
                               : f.reader_get(of.reader, "task-7", 6, look, &seen, &err.its),
             PHLOWER_OK);
  CHECK(seen.count == 1 && seen.with_details == 1);
  CHECK_CODE(of.engine != NULL ? f.engine_get(of.engine, "none", 4, look, &seen, &err.its)
                               : f.reader_get(of.reader, "none", 4, look, &seen, &err.its),
             PHLOWER_E_NOT_FOUND);
  CHECK_INTACT(err);
  CHECK(seen.count == 1 && err.its.code == PHLOWER_E_NOT_FOUND);
}

static void Engine_IsTickedAskedReloadedAndDrained(void) {
  Place place = new_place("");
  CHECK_CODE(f.engine_destroy(engine_of(&place, NULL)), PHLOWER_OK);
  /* Another history on that ring: worth a line of the log. */
  snprintf(place.yaml, sizeof place.yaml,
           "ring: {path: %s/ring, size: 1MiB}\nstore: {path: %s/2}\n", place.folder, place.folder);
  Desk desk = {0, 0, 0, 1};
  GUARDED(phlower_host, host, PHLOWER_HOST_INIT);
  host.its.ctx = &desk;
  host.its.log = take_log;
  host.its.log_enabled = show_all;
  host.its.wake = be_woken;
  host.its.mono_ns = tell_mono;
  host.its.wall_ns = tell_wall;
  phlower_engine* const engine = engine_of(&place, &host.its);
  CHECK_INTACT(host);
  CHECK(f.plugin_quiesced() > 0);
  for (int i = 0; i < 10; ++i) submit(engine, i, i >= 8);
  CHECK_CODE(f.engine_wake(engine), PHLOWER_OK);
  struct pollfd event = {f.engine_event_fd(engine), POLLIN, 0};
  CHECK(event.fd >= 0 && poll(&event, 1, 0) == 1 && desk.woken > 0);
  tick_until_committed(engine, 10);
  GUARDED(phlower_drain_out, flushed, PHLOWER_DRAIN_OUT_INIT);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, &flushed.its), PHLOWER_OK);
  CHECK_INTACT(flushed);
  CHECK(flushed.its.left == 0);
  check_state(engine, 10);
  check_metrics(engine, 10);
  const Asked of = {engine, NULL};
  check_get(of);
  check_lists(of);
  GUARDED(phlower_reload_report, report, PHLOWER_RELOAD_REPORT_INIT);
  GUARDED(phlower_err, err, PHLOWER_ERR_INIT);
  char yaml[1200];
  snprintf(yaml, sizeof yaml, "%sretention:\n  invocations: 100h\n", place.yaml);
  CHECK_CODE(f.engine_reload(engine, yaml, strlen(yaml), &report.its, &err.its), PHLOWER_OK);
  CHECK_INTACT(report);
  CHECK(report.its.applied != 0 && report.its.needs_restart == 0);
  GUARDED(phlower_drain_out, drained, PHLOWER_DRAIN_OUT_INIT);
  CHECK_CODE(f.engine_drain(engine, 60 * kSecond, &drained.its), PHLOWER_OK);
  CHECK_INTACT(drained);
  CHECK(drained.its.done == 1 && drained.its.left == 0);
  CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);
  CHECK_CODE(f.engine_start(engine, &err.its), PHLOWER_OK);
  check_get(of);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK(desk.logged > 0 && desk.asked > 0);
  CHECK(f.plugin_quiesced() == 0);
  remove_place(&place);
}

static void ProducerAndReader_WorkBesideAnEngine(void) {
  const Place place = new_place("");
  phlower_engine* const engine = engine_of(&place, NULL);
  GUARDED(phlower_err, err, PHLOWER_ERR_INIT);
  phlower_producer* producer = NULL;
  phlower_reader* reader = NULL;
  const size_t size = strlen(place.yaml);
  CHECK_CODE(f.producer_open(place.yaml, size, &producer, &err.its), PHLOWER_OK);
  for (int i = 0; i < 10; ++i) {
    char id[32];
    const phlower_record record = numbered(i, id, sizeof id);
    CHECK_CODE(i % 2 == 0 ? f.producer_submit(producer, &record)
                          : f.producer_submit_whole(producer, &record),
               PHLOWER_OK);
  }
  CHECK_CODE(f.producer_close(producer), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  CHECK_CODE(f.reader_open(place.yaml, size, &reader, &err.its), PHLOWER_OK);
  CHECK_INTACT(err);
  const Asked of = {NULL, reader};
  check_get(of);
  check_lists(of);
  CHECK_CODE(f.reader_close(reader), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

/* Hosts of 1.0 have shorter statistics and pages, and ask without a deadline. */
static void Structs_OfVersionOneZeroAreFilledAsFarAsTheyReach(void) {
  const Place place = new_place("");
  phlower_engine* const engine = engine_of(&place, NULL);
  submit(engine, 0, 0);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, NULL), PHLOWER_OK);
  GUARDED(phlower_stats, stats, PHLOWER_STATS_INIT);
  GUARDED(phlower_page, page, PHLOWER_PAGE_INIT);
  const size_t stats_size = 160;
  const size_t page_size = 1304;
  memset((char*)&stats + stats_size, CANARY, sizeof stats - stats_size);
  memset((char*)&page + page_size, CANARY, sizeof page - page_size);
  stats.its.struct_size = (uint32_t)stats_size;
  page.its.struct_size = (uint32_t)page_size;
  phlower_query query = PHLOWER_QUERY_INIT;
  query.struct_size = 136;
  Seen seen = {0, 0, 0};
  CHECK_CODE(f.engine_stats(engine, &stats.its), PHLOWER_OK);
  CHECK_CODE(f.engine_list(engine, &query, look, &seen, &page.its, NULL), PHLOWER_OK);
  CHECK(stats.its.committed == 1 && page.its.records == 1 && seen.count == 1);
  CHECK(is_intact((unsigned char*)&stats + stats_size, sizeof stats - stats_size));
  CHECK(is_intact((unsigned char*)&page + page_size, sizeof page - page_size));
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Plugin_TellsWhatItIs);
  RUN(Engine_IsTickedAskedReloadedAndDrained);
  RUN(ProducerAndReader_WorkBesideAnEngine);
  RUN(Structs_OfVersionOneZeroAreFilledAsFarAsTheyReach);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
