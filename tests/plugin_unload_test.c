/* Load, run, unload, a thousand times in one process: nothing is left behind, neither mappings nor
 * descriptors nor threads nor memory, whatever dlopen's flags. */
#define _GNU_SOURCE
#include <dirent.h>
#include <malloc.h>

#include "support/plugin_host.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { kRounds = 60, kFirst = 5, kSanitized = 1 };
#else
enum { kRounds = 1000, kFirst = 200, kSanitized = 0 };
#endif

static const char* library_path;

static int entries(const char* folder) {
  DIR* const dir = opendir(folder);
  int count = 0;
  while (dir != NULL && readdir(dir) != NULL) ++count;
  if (dir != NULL) closedir(dir);
  return count;
}

/* Lines of /proc/self/maps that name a file, and whether one is the plugin. */
static int mapped_files(int* plugin) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  char line[1024];
  int count = 0;
  *plugin = 0;
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    count += strchr(line, '/') != NULL;
    *plugin += strstr(line, "libphlower") != NULL;
  }
  if (maps != NULL) fclose(maps);
  return count;
}

static void run_once(const Place* place, int flags, int round) {
  void* const library = load_plugin(library_path, flags);
  CHECK(library != NULL);
  if (library == NULL) return;
  CHECK(f.plugin_quiesced() == 0); /* statics are as new */
  phlower_engine* const engine = started_engine(place, NULL);
  char id[32];
  snprintf(id, sizeof id, "task-%d", round);
  const phlower_record record = make_record(id);
  CHECK_CODE(f.engine_submit(engine, 0, &record), PHLOWER_OK);
  phlower_producer* producer = NULL;
  CHECK_CODE(f.producer_open(place->yaml, strlen(place->yaml), &producer, NULL), PHLOWER_OK);
  CHECK_CODE(f.producer_submit(producer, &record), PHLOWER_OK);
  CHECK_CODE(f.engine_flush(engine, 30 * kSecond, NULL), PHLOWER_OK);
  CHECK_CODE(f.producer_close(producer), PHLOWER_OK);
  CHECK_CODE(f.config_check("bad", 3, NULL), PHLOWER_E_CONFIG);
  CHECK_CODE(f.engine_destroy(engine), PHLOWER_OK);
  CHECK(f.plugin_quiesced() == 0);
  CHECK(dlclose(library) == 0);
}

static void leaves_nothing(const char* more, int flags) {
  const Place place = new_place(more);
  /* What the first rounds load stays by others' doing: libraries that do not unload, and the C
   * library's heap takes some time to find its form. */
  for (int i = 0; i < kFirst; ++i) run_once(&place, flags, i);
  int plugin = 0;
  const int maps = mapped_files(&plugin);
  const int descriptors = entries("/proc/self/fd");
  const size_t heap = mallinfo2().uordblks;
  CHECK(plugin == 0);
  for (int i = kFirst; i < kRounds && failures == 0; ++i) run_once(&place, flags, i);
  CHECK(mapped_files(&plugin) == maps && plugin == 0);
  CHECK(entries("/proc/self/fd") == descriptors);
  CHECK(entries("/proc/self/task") == 3 || kSanitized); /* ., .. and this one */
  const size_t grown = mallinfo2().uordblks;
  /* One forgotten message a round would be more. */
  const size_t allowed = heap + (size_t)(kRounds - kFirst) * 48;
  if (grown > allowed) printf("# the heap grew by %zu bytes\n", grown - heap);
  CHECK(kSanitized || grown <= allowed);
  remove_place(&place);
}

static void Unload_LeavesNothingBehindOnTheHostsTicks(void) {
  leaves_nothing("", RTLD_NOW | RTLD_LOCAL);
}
static void Unload_LeavesNothingBehindOfAThreadOfItsOwn(void) {
  leaves_nothing("plugin:\n  own_thread: true\n", RTLD_LAZY | RTLD_GLOBAL);
}

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  library_path = argv[1];
  RUN(Unload_LeavesNothingBehindOnTheHostsTicks);
  RUN(Unload_LeavesNothingBehindOfAThreadOfItsOwn);
  printf("1..%d\n", cases);
  return failed_cases != 0;
}
