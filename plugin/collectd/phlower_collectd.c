/* collectd's plugin `phlower`: the engine runs inside collectd, on its read threads.
 *
 * Thin, and linked to libphlower.so (DT_NEEDED, found by $ORIGIN) rather than opened with dlopen:
 * collectd loads plugins with RTLD_NOW and says what the dynamic linker says, so a libphlower.so
 * that is absent or too old (symbol version PHLOWER_1) is refused at the start with its name, and
 * collectd never unloads a plugin, which is all that dlopen would be good for.
 *
 * What collectd asks of a plugin, and what follows:
 *  - It reads the configuration, then forks, then calls init. The configuration is checked in the
 *    parent (which reports it and ends) and only its text is kept; the engine is made in init.
 *  - A read that returns other than 0 is called less and less often, up to once a day. The read
 *    here returns 0 whatever happens, and says in the log and in `gauge-health` what did.
 *  - Reads come from changing threads, flushes from others: one mutex orders them. A read that
 *    finds it taken lets this tick go.
 *  - Types that are not in types.db are dropped without a word: only stock types are used.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>

/* collectd's own headers: they want to know that its config.h is to be read. */
#define HAVE_CONFIG_H 1
#include "daemon/collectd.h"
#include "daemon/plugin.h"
#include "phlower/plugin.h"

#define NANO 1000000000u
#define TEXT_MAX (1024u * 1024u)
#define FIGURES_MAX 256u /* the catalogue of a later libphlower.so may be longer than today's */

static const char name_[] = "phlower";

/* What collectd.conf said. */
static char* path_;
static double budget_s_ = 0; /* 0: half the interval */
static double interval_s_ = 1;
static double drain_s_ = 30;

static char* text_; /* of the file at path_ */
static size_t text_size_;
static struct stat seen_; /* the file as it was read */

static pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER; /* the engine's calls, one at a time */
static phlower_engine* engine_;
static int started_, own_thread_;
static uint32_t health_ = PHLOWER_HEALTH_OK;
static char trouble_[512]; /* the last failure of start, to say each once */
static uint64_t next_report_ns_;
static cdtime_t report_interval_; /* collectd's for this plugin; reads have that of the ticks */

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NANO + (uint64_t)now.tv_nsec;
}

/* -- The host side of the engine: its log is collectd's. --------------------------------------- */

static int severity_of(uint32_t level) {
  if (level >= PHLOWER_LOG_ERROR) return LOG_ERR;
  if (level == PHLOWER_LOG_WARN) return LOG_WARNING;
  return level == PHLOWER_LOG_INFO ? LOG_INFO : LOG_DEBUG;
}

static void log_line(void* ctx, uint32_t level, const char* message, size_t size) {
  (void)ctx;
  plugin_log(severity_of(level), "%s plugin: %.*s", name_, size > 900 ? 900 : (int)size, message);
}

/* -- The file with Phlower's configuration ----------------------------------------------------- */

/* The file's bytes, for free(); NULL and a line in the log where it cannot be read. */
static char* read_file(const char* path, size_t* size, struct stat* seen) {
  FILE* file = fopen(path, "re");
  char* text = NULL;
  if (file == NULL || fstat(fileno(file), seen) != 0) {
    ERROR("%s plugin: cannot read %s: %s", name_, path, strerror(errno));
  } else if ((text = malloc(TEXT_MAX)) != NULL) {
    *size = fread(text, 1, TEXT_MAX, file);
    if (ferror(file) || *size == TEXT_MAX) {
      ERROR("%s plugin: cannot read %s: %s", name_, path,
            ferror(file) ? strerror(errno) : "longer than 1 MiB");
      free(text);
      text = NULL;
    }
  }
  if (file != NULL) fclose(file);
  return text;
}

static void say_config_error(const phlower_err* err) {
  ERROR("%s plugin: %s:%u:%u: %s", name_, path_, err->line, err->column, err->message);
}

static int check_text(const char* text, size_t size) {
  phlower_err err = {0};
  err.struct_size = sizeof err;
  if (phlower_config_check(text, size, &err) == PHLOWER_OK) return 0;
  say_config_error(&err);
  return -1;
}

static int take_seconds(const oconfig_item_t* item, double* out) {
  if (item->values_num == 1 && item->values[0].type == OCONFIG_TYPE_NUMBER &&
      item->values[0].value.number > 0 && item->values[0].value.number <= 86400) {
    *out = item->values[0].value.number;
    return 0;
  }
  ERROR("%s plugin: %s wants one number of seconds, over 0 and at most 86400", name_, item->key);
  return -1;
}

static int take_path(const oconfig_item_t* item) {
  if (item->values_num != 1 || item->values[0].type != OCONFIG_TYPE_STRING) {
    ERROR("%s plugin: %s wants one path in quotes", name_, item->key);
    return -1;
  }
  free(path_);
  path_ = strdup(item->values[0].value.string);
  return path_ == NULL ? -1 : 0;
}

/* Called before collectd forks: reads and checks, makes nothing. */
static int configure(oconfig_item_t* block) {
  int i, bad = 0;
  for (i = 0; i < block->children_num; ++i) {
    const oconfig_item_t* item = &block->children[i];
    if (strcasecmp(item->key, "Config") == 0) {
      bad |= take_path(item);
    } else if (strcasecmp(item->key, "Budget") == 0) {
      bad |= take_seconds(item, &budget_s_);
    } else if (strcasecmp(item->key, "Interval") == 0) {
      bad |= take_seconds(item, &interval_s_);
    } else if (strcasecmp(item->key, "DrainTimeout") == 0) {
      bad |= take_seconds(item, &drain_s_);
    } else {
      ERROR("%s plugin: no option %s; there are Config, Budget, Interval and DrainTimeout", name_,
            item->key);
      bad = -1;
    }
  }
  if (bad == 0 && path_ == NULL) {
    ERROR("%s plugin: the option Config with the path of phlower.yaml is missing", name_);
    bad = -1;
  }
  if (bad == 0 && budget_s_ > interval_s_ / 2) {
    ERROR("%s plugin: Budget %g is over half the Interval %g", name_, budget_s_, interval_s_);
    bad = -1;
  }
  if (bad != 0) return -1;
  free(text_);
  text_ = read_file(path_, &text_size_, &seen_);
  return text_ == NULL ? -1 : check_text(text_, text_size_);
}

/* -- Metrics, by the stock types of types.db --------------------------------------------------- */

static void dispatch(const char* type, const char* instance, value_t value) {
  value_list_t list = VALUE_LIST_INIT;
  list.values = &value;
  list.values_len = 1;
  list.interval = report_interval_;
  snprintf(list.plugin, sizeof list.plugin, "%s", name_);
  snprintf(list.type, sizeof list.type, "%s", type);
  snprintf(list.type_instance, sizeof list.type_instance, "%s", instance);
  plugin_dispatch_values(&list);
}

static void gauge(const char* type, const char* instance, double number) {
  value_t value;
  value.gauge = number;
  dispatch(type, instance, value);
}

static void counter(const char* type, const char* instance, uint64_t number) {
  value_t value;
  value.derive = (derive_t)number;
  dispatch(type, instance, value);
}

/* Each figure of the catalogue under its name: `too_old_total`, `rows-details`. */
static void report_catalogue(void) {
  static uint64_t values[FIGURES_MAX];
  phlower_plugin_info info = {0};
  phlower_metric_desc metric = {0};
  uint32_t i;
  info.struct_size = sizeof info;
  if (phlower_plugin_query(&info) != PHLOWER_OK) return;
  if (info.metrics > FIGURES_MAX) info.metrics = FIGURES_MAX;
  if (phlower_engine_metrics_read(engine_, values, info.metrics) != PHLOWER_OK) return;
  for (i = 0; i < info.metrics; ++i) {
    char instance[DATA_MAX_NAME_LEN];
    const char* value;
    metric.struct_size = sizeof metric;
    if (phlower_metrics_describe(i, &metric) != PHLOWER_OK) return;
    if (strcmp(metric.name, "phlower_health") == 0) continue; /* told before there is an engine */
    value = strchr(metric.label, '=');
    snprintf(instance, sizeof instance, "%s%s%s%s", metric.name + strlen("phlower_"),
             metric.kind == PHLOWER_METRIC_HISTOGRAM ? "_count" : "", value != NULL ? "-" : "",
             value != NULL ? value + 1 : "");
    if (metric.kind == PHLOWER_METRIC_GAUGE) {
      gauge("gauge", instance, values[i] == UINT64_MAX ? NAN : (double)values[i]);
    } else {
      counter("derive", instance, values[i]);
    }
  }
}

static void report(void) {
  phlower_stats stats = {0};
  phlower_health health = {0};
  stats.struct_size = sizeof stats;
  health.struct_size = sizeof health;
  if (phlower_engine_health(engine_, &health) == PHLOWER_OK) {
    gauge("gauge", "health", health.state);
    if (health.state != health_) {
      plugin_log(
          health.state == PHLOWER_HEALTH_OK ? LOG_NOTICE : LOG_WARNING, "%s plugin: %s%s", name_,
          health.state == PHLOWER_HEALTH_OK ? "all is well again" : "in trouble: ", health.reason);
    }
    health_ = health.state;
  }
  if (!started_ || phlower_engine_stats(engine_, &stats) != PHLOWER_OK) return;
  counter("total_operations", "offered", stats.offered);
  counter("total_operations", "accepted", stats.accepted);
  counter("total_operations", "committed", stats.committed);
  counter("total_operations", "purged", stats.purged_invocations);
  counter("errors", "refused", stats.refused);
  counter("errors", "shed", stats.shed);
  gauge("records", "committed", (double)stats.committed);
  gauge("records", "history", (double)stats.invocations);
  gauge("records", "purge_backlog", (double)stats.purge_backlog);
  gauge("queue_length", "ring", (double)stats.in_ring);
  gauge("percent", "ring_fill", (double)stats.ring_fill_ppm / 10000.0);
  gauge("duration", "flush_age_max", (double)stats.flush_age_max_ns / 1e9);
  gauge("file_size", "wal", (double)stats.wal_bytes);
  gauge("bytes", "disk_free", (double)stats.disk_free_bytes);
  report_catalogue();
}

/* -- The engine in collectd's hands; the mutex is held in all of these ------------------------- */

/* Starts what is not started: another process may have the ring for a while, a disk may come. */
static int start(void) {
  phlower_err err = {0};
  err.struct_size = sizeof err;
  if (started_) return 0;
  if (phlower_engine_start(engine_, &err) == PHLOWER_OK) {
    started_ = 1;
    trouble_[0] = '\0';
    INFO("%s plugin: started with %s", name_, path_);
    return 0;
  }
  if (strncmp(trouble_, err.message, sizeof trouble_ - 1) != 0) {
    ERROR("%s plugin: cannot start: %s; trying again", name_, err.message);
    snprintf(trouble_, sizeof trouble_, "%s", err.message);
  }
  return -1;
}

/* collectd has no reload: the file is looked at with every report. */
static void reload_if_changed(void) {
  struct stat now;
  phlower_err err = {0};
  phlower_reload_report done = {0};
  size_t size = 0;
  char* text;
  if (stat(path_, &now) != 0 || (now.st_ino == seen_.st_ino && now.st_size == seen_.st_size &&
                                 now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
                                 now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec)) {
    return;
  }
  if ((text = read_file(path_, &size, &seen_)) == NULL) return;
  err.struct_size = sizeof err;
  done.struct_size = sizeof done;
  if (phlower_engine_reload(engine_, text, size, &done, &err) != PHLOWER_OK) {
    say_config_error(&err);
  } else {
    INFO("%s plugin: %s read again%s", name_, path_,
         done.needs_restart != 0 ? "; some of it waits for a restart" : "");
  }
  free(text);
}

/* Ticks while there is work and budget. */
static void tick(void) {
  uint64_t begin = now_ns(), spent = 0;
  uint64_t budget = (uint64_t)((budget_s_ > 0 ? budget_s_ : interval_s_ / 2) * NANO);
  phlower_tick_out out = {0};
  out.more_work = 1;
  while (!own_thread_ && out.more_work && spent < budget) {
    int32_t code;
    out.struct_size = sizeof out;
    code = phlower_engine_tick(engine_, budget - spent, &out);
    if (code == PHLOWER_E_STATE) own_thread_ = 1; /* plugin.own_thread: it needs no ticks */
    if (code != PHLOWER_OK) return;
    spent = now_ns() - begin;
  }
}

/* -- What collectd calls ----------------------------------------------------------------------- */

static int on_read(user_data_t* unused) {
  (void)unused;
  if (pthread_mutex_trylock(&mutex_) != 0) return 0;
  if (engine_ != NULL) {
    uint64_t now = now_ns();
    if (start() == 0) tick();
    if (now >= next_report_ns_) {
      next_report_ns_ = now + CDTIME_T_TO_NS(report_interval_) - NANO / 20;
      reload_if_changed();
      report();
    }
  }
  pthread_mutex_unlock(&mutex_);
  return 0;
}

static int on_flush(cdtime_t timeout, const char* identifier, user_data_t* unused) {
  phlower_drain_out out = {0};
  int32_t code = PHLOWER_E_STATE;
  (void)timeout;
  (void)identifier;
  (void)unused;
  out.struct_size = sizeof out;
  pthread_mutex_lock(&mutex_);
  if (engine_ != NULL && start() == 0) {
    code = phlower_engine_flush(engine_, (uint64_t)(drain_s_ * NANO), &out);
  }
  pthread_mutex_unlock(&mutex_);
  if (code == PHLOWER_OK) return 0;
  WARNING("%s plugin: flush: %s; %llu records are still in the ring", name_, phlower_strerror(code),
          (unsigned long long)out.left);
  return -1;
}

static int on_init(void) {
  phlower_host host = {0};
  phlower_err err = {0};
  int bad;
  if (text_ == NULL) {
    ERROR("%s plugin: there is no block <Plugin %s> with a Config", name_, name_);
    return -1;
  }
  host.struct_size = sizeof host;
  host.log = log_line;
  err.struct_size = sizeof err;
  pthread_mutex_lock(&mutex_);
  bad = phlower_engine_new(text_, text_size_, &host, &engine_, &err) != PHLOWER_OK;
  if (bad) {
    say_config_error(&err);
  } else {
    start(); /* where it fails, on_read tries again */
  }
  pthread_mutex_unlock(&mutex_);
  if (bad) return -1;
  report_interval_ = plugin_get_interval();
  plugin_register_complex_read(NULL, name_, on_read, DOUBLE_TO_CDTIME_T(interval_s_), NULL);
  plugin_register_flush(name_, on_flush, NULL);
  return 0;
}

/* No read runs any more, and none will. */
static int on_shutdown(void) {
  phlower_drain_out out = {0};
  uint64_t begin = now_ns(), limit = (uint64_t)(drain_s_ * NANO), spent = 0;
  pthread_mutex_lock(&mutex_);
  while (engine_ != NULL && started_ && !out.done && spent < limit) {
    out.struct_size = sizeof out;
    if (phlower_engine_drain(engine_, limit - spent, &out) != PHLOWER_OK && !out.done) break;
    spent = now_ns() - begin;
  }
  if (started_ && !out.done) {
    WARNING("%s plugin: ends with %llu records in the ring; the next start finds them there", name_,
            (unsigned long long)out.left);
  }
  phlower_engine_destroy(engine_);
  engine_ = NULL;
  started_ = 0;
  pthread_mutex_unlock(&mutex_);
  free(text_);
  free(path_);
  text_ = path_ = NULL;
  return 0;
}

void module_register(void);
void module_register(void) {
  plugin_register_complex_config(name_, configure);
  plugin_register_init(name_, on_init);
  plugin_register_shutdown(name_, on_shutdown);
}
