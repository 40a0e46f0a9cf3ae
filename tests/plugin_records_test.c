/* Records and figures through the C ABI, as a C99 host meets them. Lists are in
 * plugin_lists_test.c. */
#define _GNU_SOURCE
#include "support/plugin_host.h"

static int32_t count_visitor(void* ctx, const phlower_record* record) {
  CHECK(record->struct_size == sizeof *record);
  ++*(int*)ctx;
  return 0;
}

static int32_t compare_visitor(void* ctx, const phlower_record* record) {
  const phlower_record* const wanted = (const phlower_record*)ctx;
  const phlower_text* const is = &record->task_id;
  const phlower_text* const was = &wanted->task_id;
  for (int i = 0; i < 9; ++i) {
    CHECK(is[i].size == was[i].size && memcmp(is[i].data, was[i].data, is[i].size) == 0);
  }
  CHECK(record->received_at_ns == wanted->received_at_ns);
  CHECK(record->finished_at_ns == wanted->finished_at_ns);
  CHECK(record->runtime_ns == wanted->runtime_ns && record->flags == 0);
  return 0;
}

static void Records_ComeBackAsTheyWereGiven(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  phlower_record record = make_record("0b7e2a52-7f3c-4b0e-9a57-6f0e9f1f5a11");
  record.queue = to_text("gr\xc3\xbcn");
  record.exception_type = to_text("shop.OutOfStock");
  record.kwargs = to_text("{'n': 3}");
  record.traceback = to_text("Traceback ...");
  record.received_at_ns = record.finished_at_ns - 2001001000;
  CHECK_CODE(f.engine_submit(engine, 7, &record), PHLOWER_OK);
  phlower_record unknown = PHLOWER_RECORD_INIT;
  CHECK_CODE(f.engine_submit(engine, 7, &unknown), PHLOWER_E_ARGUMENT); /* no task_id */
  unknown.task_id.size = 3;
  CHECK_CODE(f.engine_submit(engine, 7, &unknown), PHLOWER_E_ARGUMENT); /* NULL with a size */
  phlower_drain_out out;
  memset(&out, 0, sizeof out);
  out.struct_size = sizeof out;
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, &out), PHLOWER_OK);
  CHECK(out.done == 1 && out.committed == 1 && out.left == 0);
  const phlower_text id = record.task_id;
  CHECK_CODE(f.engine_get(engine, id.data, id.size, compare_visitor, &record, NULL), PHLOWER_OK);
  phlower_err err;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  CHECK_CODE(f.engine_get(engine, "absent", 6, compare_visitor, &record, &err),
             PHLOWER_E_NOT_FOUND);
  CHECK(err.message[0] != '\0');
  const phlower_stats stats = read_stats(engine);
  CHECK(stats.offered == 2 && stats.accepted == 1 && stats.refused == 1);
  CHECK(stats.committed == 1 && stats.in_ring == 0 && stats.invocations == 1);
  CHECK(stats.disk_free_bytes > 0 && stats.since_commit_ns != UINT64_MAX);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Records_PastTheirRetentionAreCommittedAndCounted(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  phlower_record record = make_record("young");
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  for (int i = 0; i < 3; ++i) {
    record = make_record(i == 0 ? "old-0" : i == 1 ? "old-1" : "old-2");
    record.finished_at_ns -= 1000000 * (int64_t)kSecond;
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  const phlower_stats stats = read_stats(engine);
  CHECK(stats.committed == 4 && stats.too_old == 3 && stats.invocations == 1);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Ids_OfAKilobyteAreTakenAndShownAndLongerOnesRefused(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[1026];
  for (int i = 0; i < 3; ++i) {
    memset(id, 'a' + i, sizeof id);
    id[1024] = '\0';
    const phlower_record record = make_record(id);
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  id[1024] = 'x';
  id[1025] = '\0';
  const phlower_record longer = make_record(id);
  CHECK_CODE(f.engine_submit(engine, 0, &longer), PHLOWER_E_TOO_BIG);
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  /* Their cursors fit into a page. */
  phlower_query query = PHLOWER_QUERY_INIT;
  query.limit = 1;
  int found = 0;
  phlower_page page = PHLOWER_PAGE_INIT;
  do {
    CHECK_CODE(f.engine_list(engine, &query, count_visitor, &found, &page, NULL), PHLOWER_OK);
    query.after.data = page.next;
    query.after.size = page.next_size;
  } while (page.next_size > 0 && found < 9);
  CHECK(found == 3);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void Metrics_AreReadByTheirIndex(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char id[32];
  for (int i = 0; i < 500; ++i) {
    snprintf(id, sizeof id, "task-%d", i);
    const phlower_record record = make_record(id);
    CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  }
  CHECK_CODE(f.engine_flush(engine, 10 * kSecond, NULL), PHLOWER_OK);
  uint64_t values[256];
  phlower_metric_desc desc;
  memset(&desc, 0, sizeof desc);
  desc.struct_size = sizeof desc;
  uint32_t count = 0;
  while (f.metrics_describe(count, &desc) == PHLOWER_OK) ++count;
  CHECK_CODE(f.engine_metrics_read(engine, values, count), PHLOWER_OK);
  CHECK_CODE(f.engine_metrics_read(engine, values, count + 1), PHLOWER_E_NOT_FOUND);
  int histograms = 0;
  for (uint32_t i = 0; i < count; ++i) {
    CHECK_CODE(f.metrics_describe(i, &desc), PHLOWER_OK);
    const uint64_t bounds[3] = {0, 1000000000, UINT64_MAX};
    uint64_t counts[3];
    phlower_histogram sums;
    memset(&sums, 0, sizeof sums);
    sums.struct_size = sizeof sums;
    const int32_t code = f.engine_histogram_read(engine, i, bounds, counts, 3, &sums);
    if (desc.kind != PHLOWER_METRIC_HISTOGRAM) {
      CHECK_CODE(code, PHLOWER_E_NOT_FOUND);
    } else {
      ++histograms;
      CHECK_CODE(code, PHLOWER_OK);
      CHECK(sums.count > 0 && counts[2] == sums.count && counts[0] <= counts[1]);
      CHECK(values[i] == sums.count);
    }
    if (strcmp(desc.name, "phlower_committed_total") == 0) CHECK(values[i] == 500);
  }
  CHECK(histograms == 4);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

static void WholeRecords_WaitAtTheHighWaterWithoutBeingRefusals(void) {
  const Place place = new_place("");
  phlower_engine* const engine = started_engine(&place, NULL);
  char args[1000];
  memset(args, 'y', sizeof args);
  phlower_record record = make_record("whole");
  record.args.data = args;
  record.args.size = sizeof args;
  uint64_t taken = 0;
  while (f.engine_submit_whole(engine, 0, &record) == PHLOWER_OK) ++taken;
  CHECK_CODE(f.engine_submit_whole(engine, 0, &record), PHLOWER_E_REFUSED);
  phlower_producer* producer = NULL;
  CHECK_CODE(f.producer_open(place.yaml, strlen(place.yaml), &producer, NULL), PHLOWER_OK);
  CHECK_CODE(f.producer_submit_whole(producer, &record), PHLOWER_E_REFUSED);
  CHECK_CODE(f.producer_submit(producer, &record), PHLOWER_OK); /* without its arguments */
  phlower_drain_out out;
  memset(&out, 0, sizeof out);
  out.struct_size = sizeof out;
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, &out), PHLOWER_OK);
  CHECK_CODE(f.producer_submit_whole(producer, &record), PHLOWER_OK);
  CHECK_CODE(f.engine_submit_whole(engine, 0, &record), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 60 * kSecond, &out), PHLOWER_OK);
  const phlower_stats stats = read_stats(engine);
  CHECK(stats.offered == taken + 3 && stats.refused == 0 && stats.shed == 1);
  CHECK_CODE(f.producer_submit_whole(NULL, &record), PHLOWER_E_HANDLE);
  CHECK_CODE(f.producer_close(producer), PHLOWER_OK);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  remove_place(&place);
}

int main(int argc, char** argv) {
  if (argc != 2 || load_plugin(argv[1], RTLD_NOW | RTLD_LOCAL) == NULL) return 1;
  RUN(Records_ComeBackAsTheyWereGiven);
  RUN(Records_PastTheirRetentionAreCommittedAndCounted);
  RUN(Ids_OfAKilobyteAreTakenAndShownAndLongerOnesRefused);
  RUN(Metrics_AreReadByTheirIndex);
  RUN(WholeRecords_WaitAtTheHighWaterWithoutBeingRefusals);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
