/* A process that only asks, and what health says of an engine that has failed: C99 alone. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "support/plugin_host.h"

static int32_t count_visitor(void* ctx, const phlower_record* record) {
  CHECK(record->struct_size == sizeof *record);
  ++*(int*)ctx;
  return 0;
}

static phlower_reader* open_reader(const Place* place) {
  phlower_reader* reader = NULL;
  phlower_err err = PHLOWER_ERR_INIT;
  CHECK_CODE(f.reader_open(place->yaml, strlen(place->yaml), &reader, &err), PHLOWER_OK);
  return reader;
}

static void submit_and_flush(phlower_engine* engine, const char* id) {
  const phlower_record record = make_record(id);
  phlower_drain_out out = PHLOWER_DRAIN_OUT_INIT;
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, &out), PHLOWER_OK);
}

static uint32_t rows_of(phlower_reader* reader) {
  int seen = 0;
  phlower_query query = PHLOWER_QUERY_INIT;
  phlower_page page = PHLOWER_PAGE_INIT;
  phlower_err err = PHLOWER_ERR_INIT;
  CHECK_CODE(f.reader_list(reader, &query, count_visitor, &seen, &page, &err), PHLOWER_OK);
  CHECK((uint32_t)seen == page.records);
  return page.records;
}

static void Reader_AnswersBesideAnEngineAndAtRest(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  submit_and_flush(engine, "first");
  phlower_reader* const reader = open_reader(&place);
  int seen = 0;
  CHECK_CODE(f.reader_get(reader, "first", 5, count_visitor, &seen, NULL), PHLOWER_OK);
  CHECK_CODE(f.reader_get(reader, "second", 6, count_visitor, &seen, NULL), PHLOWER_E_NOT_FOUND);
  CHECK(seen == 1 && rows_of(reader) == 1);
  submit_and_flush(engine, "second");
  CHECK(rows_of(reader) == 2); /* as of each question */
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK(rows_of(reader) == 2);
  CHECK_CODE(f.reader_close(reader), PHLOWER_OK);
  CHECK(f.plugin_quiesced() == 0);
  remove_place(&place);
}

static void Reader_OfAFolderShowsWhatItsEngineKeeps(void) {
  const Place kept = new_place("retention:\n  invocations: 500h\n");
  phlower_engine* const engine = started_engine(&kept, NULL);
  phlower_record old = make_record("old");
  old.finished_at_ns -= 200 * 3600 * (int64_t)kSecond;
  CHECK_CODE(f.engine_submit(engine, 0, &old), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  Place place = kept;
  *strstr(place.yaml, "retention:") = '\0'; /* who only asks need not know it */
  phlower_reader* const reader = open_reader(&place);
  CHECK(rows_of(reader) == 1);
  CHECK_CODE(f.reader_close(reader), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&kept);
}

static void Reader_SaysWhatItCannotDo(void) {
  const Place place = new_place("");
  phlower_reader* reader = NULL;
  phlower_err err = PHLOWER_ERR_INIT;
  CHECK_CODE(f.reader_open(place.yaml, strlen(place.yaml), NULL, &err), PHLOWER_E_ARGUMENT);
  CHECK_CODE(f.reader_open(place.yaml, strlen(place.yaml), &reader, &err), PHLOWER_E_NOT_FOUND);
  CHECK(reader == NULL && strstr(err.message, place.folder) != NULL);
  CHECK_CODE(f.reader_open("store: {pth: x}", 15, &reader, &err), PHLOWER_E_CONFIG);
  CHECK(err.line == 1 && err.column == 9);
  /* Of what is no error of the configuration there is no line, whatever its text looks like. */
  CHECK_CODE(f.reader_open("store: {path: 'no:12:7'}", 24, &reader, &err), PHLOWER_E_NOT_FOUND);
  CHECK(strstr(err.message, "no:12:7") != NULL && err.line == 0 && err.column == 0);
  int seen = 0;
  CHECK_CODE(f.reader_get(NULL, "x", 1, count_visitor, &seen, NULL), PHLOWER_E_HANDLE);
  CHECK_CODE(f.reader_close(NULL), PHLOWER_OK);

  CHECK_CODE(f.engine_destroy(started_engine(&place, NULL)), PHLOWER_OK);
  reader = open_reader(&place);
  CHECK_CODE(f.reader_get(reader, NULL, 0, count_visitor, &seen, &err), PHLOWER_E_ARGUMENT);
  CHECK_CODE(f.reader_list(reader, NULL, count_visitor, &seen, NULL, &err), PHLOWER_E_ARGUMENT);
  CHECK_CODE(f.reader_close(reader), PHLOWER_OK);
  CHECK_CODE(f.reader_get(reader, "x", 1, count_visitor, &seen, NULL), PHLOWER_E_HANDLE);
  CHECK_CODE(f.reader_close(reader), PHLOWER_E_HANDLE);
  CHECK(seen == 0);
  remove_place(&place);
}

static void Reader_IsItsProcessesOwn(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  submit_and_flush(engine, "first");
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  phlower_reader* const reader = open_reader(&place);
  const pid_t child = fork();
  if (child == 0) {
    int seen = 0;
    const int forked =
        f.reader_get(reader, "first", 5, count_visitor, &seen, NULL) == PHLOWER_E_FORKED;
    const int closed = f.reader_close(reader) == PHLOWER_OK;
    phlower_reader* own = NULL;
    const int opened = f.reader_open(place.yaml, strlen(place.yaml), &own, NULL) == PHLOWER_OK &&
                       f.reader_get(own, "first", 5, count_visitor, &seen, NULL) == PHLOWER_OK;
    _exit(forked && closed && opened && seen == 1 ? 0 : 1);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(rows_of(reader) == 1); /* the child's end was not the parent's */
  CHECK_CODE(f.reader_close(reader), PHLOWER_OK);
  remove_place(&place);
}

/* Writes over all of a file but its first page, which an open engine has read already. */
static void spoil(const char* path) {
  char page[4096];
  memset(page, 0x5a, sizeof page);
  const int file = open(path, O_WRONLY);
  CHECK(file >= 0);
  for (off_t at = 0; at < 64 * 4096; at += sizeof page) {
    CHECK(pwrite(file, page, sizeof page, at) == (ssize_t)sizeof page);
  }
  close(file);
}

static uint64_t ticks_of(phlower_engine* engine) {
  uint64_t values[256];
  phlower_metric_desc desc = PHLOWER_METRIC_DESC_INIT;
  for (uint32_t i = 0; f.metrics_describe(i, &desc) == PHLOWER_OK; ++i) {
    if (strcmp(desc.name, "phlower_ticks_total") != 0) continue;
    CHECK_CODE(f.engine_metrics_read(engine, values, i + 1), PHLOWER_OK);
    return values[i];
  }
  CHECK(!"there is no figure of ticks");
  return 0;
}

static void Health_OfAFailedEngineIsNotReady(void) {
  const Place place = new_place("  layout: single\n");
  phlower_engine* const engine = started_engine(&place, NULL);
  submit_and_flush(engine, "first");
  phlower_health health = PHLOWER_HEALTH_INIT;
  CHECK_CODE(f.engine_health(engine, &health), PHLOWER_OK);
  CHECK(health.ready == 1);
  CHECK_CODE(f.engine_stop(engine), PHLOWER_OK);

  char path[128];
  snprintf(path, sizeof path, "%s/data", place.folder);
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  spoil(path);
  phlower_tick_out tick = PHLOWER_TICK_OUT_INIT;
  int32_t code = PHLOWER_OK;
  for (int i = 0; i < 500 && code == PHLOWER_OK; ++i) {
    char id[32];
    snprintf(id, sizeof id, "more-%d", i);
    const phlower_record record = make_record(id);
    f.engine_submit(engine, 0, &record);
    code = f.engine_tick(engine, kSecond / 50, &tick);
  }
  CHECK_CODE(code, PHLOWER_E_CORRUPT);
  for (int i = 0; i < 3; ++i) {
    const uint64_t ticks = ticks_of(engine);
    CHECK_CODE(f.engine_tick(engine, kSecond / 50, &tick), PHLOWER_E_CORRUPT);
    CHECK(ticks_of(engine) == ticks); /* it works no more */
  }
  CHECK_CODE(f.engine_health(engine, &health), PHLOWER_OK);
  CHECK(health.state == PHLOWER_HEALTH_FAILED && health.ready == 0);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* const library = load_plugin(argv[1], RTLD_NOW);
  if (library == NULL) return 1;
  RUN(Reader_AnswersBesideAnEngineAndAtRest);
  RUN(Reader_OfAFolderShowsWhatItsEngineKeeps);
  RUN(Reader_SaysWhatItCannotDo);
  RUN(Reader_IsItsProcessesOwn);
  RUN(Health_OfAFailedEngineIsNotReady);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
