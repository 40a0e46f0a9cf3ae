/* Lists through the C ABI, as a C99 host meets them: pages, where they end and why. */
#define _GNU_SOURCE
#include "support/plugin_host.h"

/* From plugin_thrower.cpp: a visitor of a host in C++ that throws. */
int32_t throwing_visitor(void* ctx, const phlower_record* record);

static int32_t count_visitor(void* ctx, const phlower_record* record) {
  CHECK(record->struct_size == sizeof *record);
  ++*(int*)ctx;
  return 0;
}

/* Ids that a visitor has seen, which stops at every third. */
typedef struct Seen {
  unsigned times[60];
  int shown;
} Seen;

static int32_t stop_at_every_third(void* ctx, const phlower_record* record) {
  Seen* const seen = (Seen*)ctx;
  char id[16];
  memcpy(id, record->task_id.data, 9);
  id[9] = '\0';
  ++seen->times[atoi(id + 7) % 60];
  return ++seen->shown % 3 == 0;
}

static void Lists_OfRowsWithoutTimesGoOnWhereTheirVisitorStopped(const char* layout) {
  const Place place = new_place(layout);
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[32];
  for (int i = 0; i < 60; ++i) {
    snprintf(id, sizeof id, "record-%02d", i);
    phlower_record record = make_record(id);
    if (i % 4 != 0) record.finished_at_ns = 0;
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
    if (i % 20 == 19) CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  }
  Seen seen;
  memset(&seen, 0, sizeof seen);
  phlower_query query = PHLOWER_QUERY_INIT;
  phlower_page page = PHLOWER_PAGE_INIT;
  int pages = 0;
  do {
    CHECK_CODE(f.engine_list(engine, &query, stop_at_every_third, &seen, &page, NULL), PHLOWER_OK);
    query.after.data = page.next;
    query.after.size = page.next_size;
  } while (page.next_size > 0 && ++pages < 100);
  CHECK(seen.shown == 60 && pages >= 19 && pages < 100);
  for (int i = 0; i < 60; ++i) CHECK(seen.times[i] == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Lists_InSegmentsOfRowsWithoutTimes(void) {
  Lists_OfRowsWithoutTimesGoOnWhereTheirVisitorStopped("");
}
static void Lists_InOneFileOfRowsWithoutTimes(void) {
  Lists_OfRowsWithoutTimesGoOnWhereTheirVisitorStopped("  layout: single\n");
}

static void Lists_ComeInPages(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[32];
  for (int i = 0; i < 50; ++i) {
    snprintf(id, sizeof id, "task-%d", i);
    phlower_record record = make_record(id);
    record.finished_at_ns += i * 1000000;
    if (i % 2 == 1) record.state = to_text("FAILURE");
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  phlower_query query;
  memset(&query, 0, sizeof query);
  query.struct_size = sizeof query;
  query.state = to_text("FAILURE");
  query.limit = 10;
  phlower_page page;
  memset(&page, 0, sizeof page);
  page.struct_size = sizeof page;
  char cursor[PHLOWER_CURSOR_BYTES];
  int seen = 0;
  int pages = 0;
  do {
    CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
    memcpy(cursor, page.next, page.next_size);
    query.after.data = cursor;
    query.after.size = page.next_size;
    ++pages;
  } while (page.next_size != 0 && pages < 10);
  CHECK(seen == 25 && (pages == 3 || pages == 4));
  query.after = to_text("nonsense");
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_E_ARGUMENT);
  query.after = to_text("");
  query.limit = 10001;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_E_ARGUMENT);
  CHECK_CODE(f.engine_list(engine, NULL, count_visitor, &seen, &page, NULL), PHLOWER_E_ARGUMENT);
  /* A visitor that throws ends at the border, and the engine goes on. */
  query.limit = 10;
  CHECK_CODE(f.engine_list(engine, &query, throwing_visitor, NULL, &page, NULL),
             PHLOWER_E_INTERNAL);
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static int32_t first_only(void* ctx, const phlower_record* record) {
  return count_visitor(ctx, record) + 1;
}
static int32_t never_wanted(void* ctx) {
  ++*(int*)ctx;
  return 0;
}

static void Lists_SayWhyTheyEnd(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[32];
  for (int i = 0; i < 30; ++i) {
    snprintf(id, sizeof id, "task-%02d", i);
    phlower_record record = make_record(id);
    record.finished_at_ns += i * 1000000;
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  phlower_query query;
  memset(&query, 0, sizeof query);
  query.struct_size = sizeof query;
  phlower_page page;
  memset(&page, 0, sizeof page);
  page.struct_size = sizeof page;
  int seen = 0;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_END && page.next_size == 0 && page.records == 30);
  CHECK(page.looked_back_to_ns == 0 && page.scanned == 30);
  query.limit = 10;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_LIMIT && page.next_size != 0 && page.records == 10);
  CHECK(page.looked_back_to_ns > 0 && page.looked_back_to_ns != INT64_MAX);
  query.scan_limit = 5;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_SCAN_LIMIT && page.records == 5 && page.scanned == 5);
  query.scan_limit = 0;
  CHECK_CODE(f.engine_list(engine, &query, first_only, &seen, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_VISITOR && page.records == 1 && page.next_size != 0);
  /* What was stopped before it began goes on at its beginning. */
  query.deadline_ns = 1;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_DEADLINE && page.records == 0 && page.next_size != 0);
  CHECK(page.looked_back_to_ns == INT64_MAX);
  query.deadline_ns = 0;
  int asked = 0;
  query.wanted = never_wanted;
  query.wanted_ctx = &asked;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_UNWANTED && page.records == 0 && asked == 1);
  query.wanted = NULL;
  query.deadline_ns = 600 * kSecond;
  query.limit = 100;
  query.after.data = page.next;
  query.after.size = page.next_size;
  seen = 0;
  phlower_page rest = page;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &rest, NULL), PHLOWER_OK);
  CHECK(rest.stopped == PHLOWER_STOPPED_END && seen == 30);
  /* A host of version 1.0 knows neither. */
  query.struct_size = 136;
  rest.struct_size = 1304;
  rest.stopped = 77;
  CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &rest, NULL), PHLOWER_OK);
  CHECK(rest.stopped == 77 && rest.records == 30);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

/* Stops at the tenth, and notes when that one ended. */
typedef struct Tenth {
  int shown;
  int64_t finished_at_ns;
} Tenth;
static int32_t stop_at_the_tenth(void* ctx, const phlower_record* record) {
  Tenth* const tenth = (Tenth*)ctx;
  tenth->finished_at_ns = record->finished_at_ns;
  return ++tenth->shown == 10;
}

static void Lists_ThatTheirVisitorEndsTellHowFarTheyCame(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[32];
  phlower_record record = make_record("");
  const int64_t first_at = record.finished_at_ns;
  for (int i = 0; i < 20; ++i) {
    snprintf(id, sizeof id, "task-%02d", i);
    record = make_record(id);
    record.finished_at_ns = first_at + i * 1000000;
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  phlower_query query = PHLOWER_QUERY_INIT;
  phlower_page page = PHLOWER_PAGE_INIT;
  Tenth tenth = {0, 0};
  CHECK_CODE(f.engine_list(engine, &query, stop_at_the_tenth, &tenth, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_VISITOR && page.records == 10 && page.next_size != 0);
  CHECK(page.looked_back_to_ns == tenth.finished_at_ns);
  /* The last one of a page: that ended by itself. */
  tenth.shown = 0;
  query.limit = 10;
  CHECK_CODE(f.engine_list(engine, &query, stop_at_the_tenth, &tenth, &page, NULL), PHLOWER_OK);
  CHECK(page.stopped == PHLOWER_STOPPED_LIMIT && page.records == 10);
  /* To the nanosecond, though rows have microseconds: from is in, until is not. */
  for (int more = 0; more < 2; ++more) {
    int seen = 0;
    query = (phlower_query)PHLOWER_QUERY_INIT;
    query.until_at_ns = tenth.finished_at_ns + more;
    CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
    CHECK(seen == 10 + more);
    query.from_at_ns = query.until_at_ns;
    query.until_at_ns = 0;
    CHECK_CODE(f.engine_list(engine, &query, count_visitor, &seen, &page, NULL), PHLOWER_OK);
    CHECK(seen == 20);
  }
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Lists_InSegmentsOfRowsWithoutTimes);
  RUN(Lists_InOneFileOfRowsWithoutTimes);
  RUN(Lists_ComeInPages);
  RUN(Lists_SayWhyTheyEnd);
  RUN(Lists_ThatTheirVisitorEndsTellHowFarTheyCame);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
