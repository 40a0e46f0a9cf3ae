/* libphlower_envoy.so in a mock of Envoy: a contract test of how Envoy loads and calls a module,
 * not a test with Envoy, which is `./dev envoy`.
 *
 * mock_envoy_test MODULE LIBRARY      libphlower_envoy.so, libphlower.so */
#define _GNU_SOURCE
#include <dirent.h>

#include "support/mock_envoy_workers.h"

static const char* module_path_;
static const char* library_path_;

/* -- A folder with a file for the module ----------------------------------------------------------
 */

static char file_[128]; /* phlower.yaml, what both extension points are given */

static void write_file(const char* yaml) {
  FILE* const file = fopen(file_, "w");
  CHECK(file != NULL);
  if (file == NULL) return;
  fputs(yaml, file);
  fclose(file);
}

static Place place_with(const char* ring, const char* more) {
  Place place = new_place("");
  snprintf(place.yaml, sizeof place.yaml,
           "store:\n  path: %s/data\nring:\n  path: %s/ring\n  size: %s\n%s", place.folder,
           place.folder, ring, more);
  snprintf(file_, sizeof file_, "%s/phlower.yaml", place.folder);
  write_file(place.yaml);
  log_[0] = '\0';
  return place;
}

static const char kOwnThread[] = "plugin:\n  own_thread: true\n";

static int32_t count_row(void* ctx, const phlower_record* record) {
  (void)record;
  ++*(uint64_t*)ctx;
  return 0;
}

/* Rows in the history, by an engine of our own. */
static uint64_t count_rows(const Place* place) {
  uint64_t rows = 0;
  void* const library = load_plugin(library_path_, RTLD_NOW | RTLD_LOCAL);
  phlower_engine* engine = NULL;
  const int32_t made = f.engine_new(place->yaml, strlen(place->yaml), NULL, &engine, NULL);
  CHECK_CODE(made, PHLOWER_OK);
  CHECK_CODE(f.engine_start(engine, NULL), PHLOWER_OK);
  phlower_page page;
  phlower_query query;
  memset(&query, 0, sizeof query);
  query.struct_size = sizeof query;
  query.limit = 10000;
  query.without_details = 1;
  do {
    page.struct_size = sizeof page;
    CHECK_CODE(f.engine_list(engine, &query, count_row, &rows, &page, NULL), PHLOWER_OK);
    query.after.data = page.next;
    query.after.size = page.next_size;
  } while (page.next_size != 0 && failures == 0);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  dlclose(library);
  return rows;
}

/* Lines of /proc/self/maps with our libraries: 0 when they are unloaded. */
static int mappings(void) {
  char line[512];
  int found = 0;
  FILE* const maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    found += strstr(line, "libphlower") != NULL || strstr(line, "/ring") != NULL;
  }
  if (maps != NULL) fclose(maps);
  return found;
}

static int entries(const char* folder) {
  int count = 0;
  DIR* const open = opendir(folder);
  while (open != NULL && readdir(open) != NULL) ++count;
  if (open != NULL) closedir(open);
  return count;
}

/* -- Cases ----------------------------------------------------------------------------------------
 */

static void loads_as_envoy_loads_and_leaves_nothing_behind(void) {
  Module module = load_module(module_path_);
#ifdef MOCK_BARE
  CHECK(strcmp(module.version, PHLOWER_ENVOY_ABI_V1) == 0);
#else
  CHECK(strcmp(module.version, PHLOWER_ENVOY_ABI_V2) == 0);
#endif
  Module again = load_module(module_path_);
  CHECK(again.library == module.library && again.version == NULL); /* is not initialised twice */
  dlclose(again.library);
  CHECK(mappings() > 0);
  dlclose(module.library);
  CHECK(mappings() == 0);
}

static void has_every_record_of_four_workers_through_a_shutdown_under_load(void) {
  const Place place = place_with("32MiB", kOwnThread);
  Module module = load_module(module_path_);
  Bootstrap host;
  CHECK(make_bootstrap(&host, &module, file_));
  CHECK(host.init_signals == 1);
  module.bootstrap_extension_server_initialized(&host, host.extension);
  CHECK(was_logged("phlower: started with"));
  LoggerConfig configs[2];
  CHECK(make_logger_config(&configs[0], &module, file_));
  CHECK(make_logger_config(&configs[1], &module, file_));
  Worker workers[kWorkers];
  pthread_t threads[kWorkers];
  stopping_ = 0;
  busy_ = 0;
  for (uint32_t i = 0; i < kWorkers; ++i) {
    const Worker worker = {&module, &configs[0], &configs[1], i, 0};
    workers[i] = worker;
    module.bootstrap_extension_worker_thread_initialized(&host, host.extension);
    CHECK(pthread_create(&threads[i], NULL, serve, &workers[i]) == 0);
  }
  for (int i = 0; i < 30000 && __atomic_load_n(&busy_, __ATOMIC_SEQ_CST) < kWorkers; ++i) {
    dispatch(&host);
  }
#ifndef MOCK_BARE
  for (int i = 0; i < 30000 && metric(&host, "committed_total") < kWorkers * kRequests; ++i) {
    dispatch(&host);
  }
  CHECK(metric(&host, "committed_total") >= kWorkers * kRequests);
  CHECK(metric(&host, "refused_total") == 0 || metric(&host, "refused_total") == UINT64_MAX);
  CHECK(metric(&host, "missed_total") == 0);
  CHECK(host.watches == 1 && host.admin == 1);
#endif
  module.bootstrap_extension_drain_started(&host, host.extension);
  shut_down(&host, 2);
  __atomic_store_n(&stopping_, 1, __ATOMIC_SEQ_CST);
  uint64_t logged = 0;
  for (int i = 0; i < kWorkers; ++i) {
    pthread_join(threads[i], NULL);
    logged += workers[i].logged;
  }
  CHECK(configs[0].users == 0 && configs[1].users == 0);
  destroy_bootstrap(&host);
  dlclose(module.library);
  CHECK(mappings() == 0);
  CHECK(logged >= kWorkers * kRequests);
  CHECK(count_rows(&place) == logged);
  remove_place(&place);
}

static void refuses_what_is_wrong_and_says_why(void) {
  const Place place = place_with("1MiB", "  bogus: 1\n");
  Module module = load_module(module_path_);
  Bootstrap host, second;
  CHECK(!make_bootstrap(&host, &module, file_));
  CHECK(host.init_signals == 0);
  CHECK(was_logged("phlower.yaml:6:3:"));
  CHECK(!make_bootstrap(&host, &module, ""));
  CHECK(was_logged("extension_config must be the path"));
  CHECK(!make_bootstrap(&host, &module, "/nowhere/phlower.yaml"));
  CHECK(was_logged("cannot read /nowhere/phlower.yaml: No such file"));
  LoggerConfig logger;
  CHECK(!make_logger_config(&logger, &module, file_));
  CHECK(was_logged("must be the path that the bootstrap extension has"));
  write_file(place.yaml + strlen(place.yaml)); /* empty: the defaults */
  CHECK(make_bootstrap(&host, &module, file_));
  CHECK(!make_bootstrap(&second, &module, file_));
  CHECK(was_logged("another bootstrap extension has it"));
  destroy_bootstrap(&host); /* never started, as in a validation of a configuration */
  dlclose(module.library);
  CHECK(mappings() == 0);
  remove_place(&place);
}

static void loads_and_unloads_thirty_times(void) {
  const Place place = place_with("1MiB", kOwnThread);
  const int files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  for (int i = 0; i < 30 && failures == 0; ++i) {
    Module module = load_module(module_path_);
    Bootstrap host;
    LoggerConfig config;
    CHECK(make_bootstrap(&host, &module, file_));
    module.bootstrap_extension_server_initialized(&host, host.extension);
    CHECK(make_logger_config(&config, &module, file_));
    config.users = 1;
    LocalLogger local = new_logger(&config, 0);
    log_request(&module, &local, (uint64_t)i);
    shut_down(&host, 1);
    drop_logger(&config, &local);
    destroy_bootstrap(&host);
    dlclose(module.library);
    CHECK(mappings() == 0);
  }
  CHECK(entries("/proc/self/fd") == files);
  CHECK(entries("/proc/self/task") == threads);
  CHECK(count_rows(&place) == 30);
  remove_place(&place);
}

#ifndef MOCK_BARE

static uint64_t figure(const Bootstrap* host, const char* name) {
  const char* const found = strstr(host->page, name);
  return found == NULL ? UINT64_MAX : strtoull(found + strlen(name) + 3, NULL, 10);
}

static void counts_what_a_small_ring_refuses_and_works_on_the_main_thread(void) {
  const Place place = place_with("256KiB", "");
  Module module = load_module(module_path_);
  Bootstrap host;
  CHECK(make_bootstrap(&host, &module, file_));
  module.bootstrap_extension_server_initialized(&host, host.extension);
  CHECK(was_logged("works on Envoy's main thread"));
  LoggerConfig config;
  CHECK(make_logger_config(&config, &module, file_));
  config.users = 1;
  LocalLogger local = new_logger(&config, kWorkers);
  for (uint64_t i = 0; i < 5000; ++i) log_request(&module, &local, i);
  const phlower_envoy_text none = borrowed("");
  for (int i = 0; i < 30000; ++i) {
    dispatch(&host);
    const uint32_t code =
        module.bootstrap_extension_admin_request(&host, host.config, none, none, none);
    CHECK(code == 200);
    if (figure(&host, "offered") == 5000 &&
        figure(&host, "accepted") == figure(&host, "committed")) {
      break;
    }
  }
  const uint64_t accepted = figure(&host, "accepted");
  CHECK(figure(&host, "phlower_accepted_total") == accepted); /* the catalogue, whole */
  CHECK(figure(&host, "phlower_submit_nanoseconds") > 0);
  CHECK(accepted > 0 && accepted < 5000);
  CHECK(accepted + figure(&host, "refused") == 5000);
  drop_logger(&config, &local);
  shut_down(&host, 1);
  destroy_bootstrap(&host);
  dlclose(module.library);
  CHECK(count_rows(&place) == accepted);
  remove_place(&place);
}

static void starts_when_it_can_and_says_what_it_missed(void) {
  const Place place = place_with("1MiB", kOwnThread);
  void* const library = load_plugin(library_path_, RTLD_NOW | RTLD_LOCAL);
  phlower_engine* const holder = started_engine(&place, NULL);
  Module module = load_module(module_path_);
  Bootstrap host;
  CHECK(make_bootstrap(&host, &module, file_));
  module.bootstrap_extension_server_initialized(&host, host.extension);
  CHECK(was_logged("phlower: cannot start: "));
  LoggerConfig config;
  CHECK(make_logger_config(&config, &module, file_));
  config.users = 1;
  LocalLogger local = new_logger(&config, 0);
  log_request(&module, &local, 1);
  CHECK_CODE(f.engine_destroy(holder), PHLOWER_OK);
  for (int i = 0; i < 5000 && strstr(log_, "phlower: started with") == NULL; ++i) dispatch(&host);
  CHECK(was_logged("phlower: started with"));
  log_request(&module, &local, 2);
  CHECK(metric(&host, "missed_total") == 1);
  drop_logger(&config, &local);
  shut_down(&host, 1);
  destroy_bootstrap(&host);
  dlclose(module.library);
  dlclose(library);
  CHECK(count_rows(&place) == 1);
  remove_place(&place);
}

static void reloads_and_does_not_start_where_envoy_only_validates(void) {
  const Place place = place_with("1MiB", kOwnThread);
  Module module = load_module(module_path_);
  Bootstrap host;
  validating_ = 1;
  CHECK(make_bootstrap(&host, &module, file_));
  module.bootstrap_extension_server_initialized(&host, host.extension);
  CHECK(host.timers == 0 && strstr(log_, "started") == NULL);
  shut_down(&host, 1);
  destroy_bootstrap(&host);
  validating_ = 0;
  CHECK(make_bootstrap(&host, &module, file_));
  module.bootstrap_extension_server_initialized(&host, host.extension);
  char yaml[sizeof place.yaml + 64];
  snprintf(yaml, sizeof yaml, "%sschedule:\n  flush_age: 20ms\n", place.yaml);
  write_file(yaml);
  module.bootstrap_extension_file_changed(&host, host.config, borrowed(file_), kEnvoyFileModified);
  CHECK(was_logged("read again, 1 changes in force, 0 wait for a restart"));
  snprintf(yaml, sizeof yaml, "%sschedule:\n  flush_age: much\n", place.yaml);
  write_file(yaml);
  module.bootstrap_extension_file_changed(&host, host.config, borrowed(file_), kEnvoyFileMovedTo);
  CHECK(was_logged("phlower.yaml:9:14:"));
  shut_down(&host, 1);
  destroy_bootstrap(&host);
  dlclose(module.library);
  remove_place(&place);
}

#endif /* MOCK_BARE */

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  module_path_ = argv[1];
  library_path_ = argv[2];
  RUN(loads_as_envoy_loads_and_leaves_nothing_behind);
  RUN(has_every_record_of_four_workers_through_a_shutdown_under_load);
  RUN(refuses_what_is_wrong_and_says_why);
  RUN(loads_and_unloads_thirty_times);
#ifndef MOCK_BARE
  RUN(counts_what_a_small_ring_refuses_and_works_on_the_main_thread);
  RUN(starts_when_it_can_and_says_what_it_missed);
  RUN(reloads_and_does_not_start_where_envoy_only_validates);
#endif
  printf("1..%d\n", cases);
  return failed_cases == 0 ? 0 : 1;
}
