/* The C ABI of libphlower.so, C99: the only public surface of the plugin. A host loads it with
 * dlopen or links it; everything else in the shared object is hidden.
 *
 * Conventions, for all functions:
 *
 *  1. Results are codes: PHLOWER_OK or one of the positive PHLOWER_E_* below. Where a call takes a
 *     `phlower_err` (may be NULL), it is filled when the code is not PHLOWER_OK.
 *  2. `struct_size` is the first member of every struct and is set by the caller to sizeof, inputs
 *     and outputs alike. A smaller struct of an older caller and a larger one of a younger caller
 *     are both taken: what is missing counts as 0, what is unknown must be 0 (else PHLOWER_E_ABI);
 *     of an output only the caller's bytes are written. Smaller than in version 1.0: PHLOWER_E_ABI.
 *     PHLOWER_<NAME>_INIT begins a struct: phlower_err err = PHLOWER_ERR_INIT;
 *  3. Nothing allocated on one side is freed on the other. Text goes both ways as pointer and size,
 *     is borrowed for the duration of the call, is UTF-8, and need not end with a NUL.
 *  4. Calls on one engine are made by one thread at a time, not always the same one, unless they
 *     are marked ANY THREAD: those may come from any thread at any moment between `new` and
 *     `destroy`.
 *  5. A handle belongs to the process that made it: after fork its child gets PHLOWER_E_FORKED.
 *     A pointer that is no live handle gets PHLOWER_E_HANDLE as far as that can be told.
 *  6. No function prints, aborts, throws, installs a signal handler or changes the locale, and no
 *     thread of the plugin's does. Memory that runs out within a tick ends the engine, not the
 *     host: tick says PHLOWER_E_INTERNAL from then on, health is failed, and what was accepted
 *     waits in the ring for the next start.
 *  7. Times are nanoseconds: of the Unix epoch in `*_at_ns`, else durations.
 *  8. Versions: the major is in the symbol version (PHLOWER_1) and never changes meaning; the minor
 *     only adds functions, codes, and members at the ends of structs.
 */
#pragma once

/* NOLINTBEGIN(modernize-deprecated-headers): this is C */
#include <stddef.h>
#include <stdint.h>
/* NOLINTEND(modernize-deprecated-headers) */

#ifdef __cplusplus
extern "C" {
#endif

#define PHLOWER_ABI_MAJOR 1u
#define PHLOWER_ABI_MINOR 1u
#define PHLOWER_ABI_VERSION (PHLOWER_ABI_MAJOR << 16 | PHLOWER_ABI_MINOR)

#if defined(PHLOWER_BUILDS_PLUGIN)
#define PHLOWER_API __attribute__((visibility("default")))
#else
#define PHLOWER_API
#endif

/* -- Codes ------------------------------------------------------------------------------------- */

#define PHLOWER_OK 0
#define PHLOWER_E_REFUSED 1   /* the ring has no room; nothing was taken, try again later */
#define PHLOWER_E_TOO_BIG 2   /* a task_id over 1,024 bytes, or names that fill the record: never */
#define PHLOWER_E_ARGUMENT 3  /* a value is out of range or of the wrong form */
#define PHLOWER_E_CONFIG 4    /* the configuration is wrong; err says line and column */
#define PHLOWER_E_NOT_FOUND 5 /* the named file, task or index does not exist */
#define PHLOWER_E_BUSY 6      /* somebody else holds a lock; try again later */
#define PHLOWER_E_IO 7        /* the operating system or SQLite reported an I/O error */
#define PHLOWER_E_DISK_FULL 8 /* no room on the file system */
#define PHLOWER_E_CORRUPT 9   /* bytes that fail their checks: final for that file */
#define PHLOWER_E_NOT_OURS 10 /* a well-formed file that is not Phlower's */
#define PHLOWER_E_VERSION 11  /* Phlower's file, of a version this build does not read */
#define PHLOWER_E_PERMISSION 12  /* read-only file, directory or database */
#define PHLOWER_E_UNSUPPORTED 13 /* this system or file cannot do what was asked */
#define PHLOWER_E_DETACHED 14    /* the producer lost its lane or there is no ring yet */
#define PHLOWER_E_INTERNAL 15    /* a defect in Phlower itself */
#define PHLOWER_E_RELOAD 16      /* what was being read has gone in the meantime; ask again */
#define PHLOWER_E_FORKED 17      /* the handle was made by another process */
#define PHLOWER_E_HANDLE 18      /* no handle of this kind, or one that was destroyed */
#define PHLOWER_E_ABI 19     /* a struct of a size or with members that this build cannot take */
#define PHLOWER_E_STATE 20   /* a call in the wrong order: before start, or after stop */
#define PHLOWER_E_STOPPED 21 /* the time was up, or nobody wants the answer any more */

/* -- Structs ----------------------------------------------------------------------------------- */

typedef struct phlower_engine phlower_engine;     /* reads a ring, writes a history */
typedef struct phlower_producer phlower_producer; /* writes a ring, in any process */
typedef struct phlower_reader phlower_reader;     /* reads a history, in any process */

typedef struct phlower_text {
  const char* data;
  uint64_t size;
} phlower_text;

/* What went wrong. `line`, `column` from 1 for a configuration, else 0. `message` ends with NUL. */
typedef struct phlower_err {
  uint32_t struct_size;
  int32_t code;
  int32_t sys_errno;
  int32_t sqlite_code;
  uint32_t line;
  uint32_t column;
  char message[488];
} phlower_err;

#define PHLOWER_LOG_TRACE 0u /* levels as in spdlog and Envoy */
#define PHLOWER_LOG_DEBUG 1u
#define PHLOWER_LOG_INFO 2u
#define PHLOWER_LOG_WARN 3u
#define PHLOWER_LOG_ERROR 4u
#define PHLOWER_LOG_OFF 6u

/* What the host gives. Every callback may be NULL; ctx is handed to each. All of it must stay valid
 * until `stop` has returned; after that no callback of that engine is ever called again. */
typedef struct phlower_host {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  /* ANY THREAD, also the engine's own. Without it: stderr, from warnings on. */
  void (*log)(void* ctx, uint32_t level, const char* message, size_t size);
  /* Whether a level would be shown; 0 skips the formatting. Without it log.level decides alone. */
  int32_t (*log_enabled)(void* ctx, uint32_t level);
  /* The engine wants an early tick: a ring above its high water, or somebody called wake. ANY
   * THREAD and a signal handler that calls phlower_engine_wake; must not call back. */
  void (*wake)(void* ctx);
  /* CLOCK_MONOTONIC and CLOCK_REALTIME or what plays their part. ANY THREAD. Together or not. */
  uint64_t (*mono_ns)(void* ctx);
  uint64_t (*wall_ns)(void* ctx);
} phlower_host;

typedef struct phlower_plugin_info {
  uint32_t struct_size;
  uint32_t abi_version;    /* major << 16 | minor */
  uint32_t metrics;        /* indexes of the catalogue: 0 .. metrics-1 */
  uint32_t config_keys;    /* indexes of phlower_config_key */
  uint32_t sqlite_version; /* 3040001: the library that is loaded, not the header */
  uint32_t lanes;          /* of phlower_engine_submit: 0 .. lanes-1 */
  char version[32];
} phlower_plugin_info;

#define PHLOWER_RECORD_CUT 1u  /* texts were shortened to their limit */
#define PHLOWER_RECORD_SHED 2u /* details were left out because the ring was filling */

/* One invocation of a task. Only task_id must be there; empty text and time 0 mean "not known".
 * A runtime below 0 means "not known". Begin with PHLOWER_RECORD_INIT. */
typedef struct phlower_record {
  uint32_t struct_size;
  uint32_t flags;
  phlower_text task_id;
  phlower_text task_name;
  phlower_text state; /* in the words of the queue: SUCCESS, FAILURE, RETRY, REVOKED ... */
  phlower_text worker;
  phlower_text queue;
  phlower_text exception_type;
  phlower_text args;
  phlower_text kwargs;
  phlower_text traceback;
  int64_t received_at_ns;
  int64_t started_at_ns;
  int64_t finished_at_ns;
  int64_t runtime_ns;
} phlower_record;

typedef struct phlower_tick_out {
  uint32_t struct_size;
  uint8_t more_work; /* call again at once */
  uint8_t reserved[3];
  uint64_t wait_ns;        /* the next tick is due after this; at most schedule.flush_age */
  uint64_t spent_ns;       /* by this tick */
  uint64_t over_budget_ns; /* by which it was longer than asked */
  uint64_t committed;      /* records, by work that has ended since the last tick */
  uint64_t purged;         /* rows and details */
} phlower_tick_out;

typedef struct phlower_drain_out {
  uint32_t struct_size;
  uint8_t done; /* nothing is left in the ring */
  uint8_t reserved[3];
  uint64_t committed; /* records, by this call */
  uint64_t left;      /* records in the ring */
} phlower_drain_out;

/* Bits are 1 << index of phlower_config_key. */
typedef struct phlower_reload_report {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t applied;       /* changed, and in force from the next tick on */
  uint64_t needs_restart; /* changed in the text; the old value stays in force */
} phlower_reload_report;

/* Sums since start, and the state as of the last tick. They obey
 *     offered  = accepted + refused
 *     accepted = committed + in_ring          (committed here counts what damaged bytes took, too)
 */
typedef struct phlower_stats {
  uint32_t struct_size;
  uint32_t counts_exact; /* 0: estimates; rows are recounted, or a file was adopted */
  uint64_t offered;
  uint64_t accepted;
  uint64_t refused;
  uint64_t committed; /* of this ring since it was made */
  uint64_t in_ring;
  uint64_t shed; /* committed without their details */
  uint64_t purged_invocations;
  uint64_t purged_details;
  uint64_t purge_backlog; /* rows that are past their retention and still there: an estimate */
  uint64_t invocations;   /* rows in the history */
  uint64_t details;
  int64_t oldest_at_ns;
  int64_t newest_at_ns;
  uint64_t wal_bytes;
  uint64_t disk_free_bytes; /* of the file system with the history */
  uint64_t disk_total_bytes;
  uint64_t flush_age_max_ns; /* from submit to commit, worst so far */
  uint64_t since_commit_ns;  /* since the last committed transaction; UINT64_MAX: none yet */
  uint64_t ring_fill_ppm;    /* chunks in use, in millionths */
  uint64_t too_old; /* since 1.1: committed since start, not stored: past their retention */
} phlower_stats;

#define PHLOWER_HEALTH_OK 0u
#define PHLOWER_HEALTH_DEGRADED 1u /* something fails, and is tried again by itself */
#define PHLOWER_HEALTH_FAILED 2u   /* corruption or a defect: final for this engine */

typedef struct phlower_health {
  uint32_t struct_size;
  uint32_t state;
  uint32_t ready; /* 1: started, not draining, not failed */
  uint32_t reserved;
  char reason[240]; /* ends with NUL; empty when all is well */
} phlower_health;

#define PHLOWER_METRIC_COUNTER 0u
#define PHLOWER_METRIC_GAUGE 1u
#define PHLOWER_METRIC_HISTOGRAM 2u

/* Names and help are static. Units are in the name's ending. Labels "key=value" or empty. */
typedef struct phlower_metric_desc {
  uint32_t struct_size;
  uint32_t kind;
  const char* name; /* phlower_committed_total */
  const char* unit; /* records, bytes, nanoseconds ... */
  const char* help;
  const char* label; /* one "key=value" that tells metrics of the same name apart, or "" */
} phlower_metric_desc;

typedef struct phlower_histogram {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t count;
  uint64_t sum;
  uint64_t max;
} phlower_histogram;

/* Which rows; empty text and 0 ask for nothing. */
typedef struct phlower_query {
  uint32_t struct_size;
  uint32_t limit;         /* 0: 100; at most 10,000 */
  phlower_text task_name; /* these four: exactly this; a state in letters of either case */
  phlower_text state;
  phlower_text worker;
  phlower_text queue;
  phlower_text text;   /* in args, kwargs, traceback or exception, either case */
  phlower_text after;  /* `next` of the last page */
  int64_t from_at_ns;  /* inclusive */
  int64_t until_at_ns; /* exclusive */
  uint64_t scan_limit; /* rows looked at before the page ends as it is; 0: 1,000,000 */
  uint8_t without_details;
  uint8_t reserved[7];
  uint64_t deadline_ns; /* since 1.1: the page ends as it is, also if other reads run; 0: never */
  /* Asked every few milliseconds: 0 ends the page. May be NULL. Must not call the same engine. */
  int32_t (*wanted)(void* ctx);
  void* wanted_ctx;
} phlower_query;

/* Why a page ends where it does. Only END means that there is no more. */
#define PHLOWER_STOPPED_END 0u        /* not stopped: every row of the query was looked at */
#define PHLOWER_STOPPED_LIMIT 1u      /* query.limit */
#define PHLOWER_STOPPED_SCAN_LIMIT 2u /* query.scan_limit */
#define PHLOWER_STOPPED_DEADLINE 3u   /* query.deadline_ns */
#define PHLOWER_STOPPED_UNWANTED 4u   /* query.wanted said so */
#define PHLOWER_STOPPED_VISITOR 5u    /* the visitor said so */

#define PHLOWER_CURSOR_BYTES 1280u

typedef struct phlower_page {
  uint32_t struct_size;
  uint32_t records; /* shown to the visitor */
  uint64_t scanned; /* rows looked at */
  uint32_t reserved;
  uint32_t next_size;              /* 0: there is no more */
  char next[PHLOWER_CURSOR_BYTES]; /* the cursor of the next page, ends with NUL */
  uint32_t stopped;                /* since 1.1: PHLOWER_STOPPED_* */
  uint32_t reserved2;
  /* All rows later than this were looked at: at END from_at_ns. INT64_MAX: not one of them yet. */
  int64_t looked_back_to_ns;
} phlower_page;

/* A row, valid until this returns. Not 0: no more rows. Must not call into the same engine. */
typedef int32_t (*phlower_visit_record)(void* ctx, const phlower_record* record);

/* What each struct begins with. */
/* clang-format off */
#define PHLOWER_ERR_INIT {sizeof(phlower_err), 0, 0, 0, 0, 0, {0}}
#define PHLOWER_HOST_INIT {sizeof(phlower_host), 0, NULL, NULL, NULL, NULL, NULL, NULL}
#define PHLOWER_PLUGIN_INFO_INIT {sizeof(phlower_plugin_info), 0, 0, 0, 0, 0, {0}}
#define PHLOWER_RECORD_INIT {sizeof(phlower_record), 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, \
  {0, 0}, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0, -1}
#define PHLOWER_TICK_OUT_INIT {sizeof(phlower_tick_out), 0, {0, 0, 0}, 0, 0, 0, 0, 0}
#define PHLOWER_DRAIN_OUT_INIT {sizeof(phlower_drain_out), 0, {0, 0, 0}, 0, 0}
#define PHLOWER_RELOAD_REPORT_INIT {sizeof(phlower_reload_report), 0, 0, 0}
#define PHLOWER_STATS_INIT {sizeof(phlower_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
  0, 0, 0, 0, 0, 0}
#define PHLOWER_HEALTH_INIT {sizeof(phlower_health), 0, 0, 0, {0}}
#define PHLOWER_METRIC_DESC_INIT {sizeof(phlower_metric_desc), 0, NULL, NULL, NULL, NULL}
#define PHLOWER_HISTOGRAM_INIT {sizeof(phlower_histogram), 0, 0, 0, 0}
#define PHLOWER_QUERY_INIT {sizeof(phlower_query), 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, \
  {0, 0}, 0, 0, 0, 0, {0, 0, 0, 0, 0, 0, 0}, 0, NULL, NULL}
#define PHLOWER_PAGE_INIT {sizeof(phlower_page), 0, 0, 0, 0, {0}, 0, 0, 0}
/* clang-format on */

/* -- Before any engine: ANY THREAD, no side effects -------------------------------------------- */

PHLOWER_API uint32_t phlower_abi_version(void);
PHLOWER_API int32_t phlower_plugin_query(phlower_plugin_info* info);
/* Key and value of everything that can be told about the build: versions, SQLite's options. */
PHLOWER_API int32_t phlower_plugin_facts(void (*visit)(void* ctx, const char* key,
                                                       const char* value),
                                         void* ctx);
/* Engines, producers and threads that live. 0: dlclose is allowed. */
PHLOWER_API uint32_t phlower_plugin_quiesced(void);
/* "refused" and so on; static. */
PHLOWER_API const char* phlower_strerror(int32_t code);
/* Metric `index` of the catalogue. NOT_FOUND behind the last one. */
PHLOWER_API int32_t phlower_metrics_describe(uint32_t index, phlower_metric_desc* desc);
/* "retention.details"; static; NULL behind the last one. */
PHLOWER_API const char* phlower_config_key(uint32_t index);
/* Parses and validates; touches nothing else. */
PHLOWER_API int32_t phlower_config_check(const char* yaml, size_t size, phlower_err* err);

/* -- An engine --------------------------------------------------------------------------------- */

/* Parses and allocates; opens no file, makes no thread: fit to be called before a host forks.
 * `yaml` empty: the defaults. `host` NULL: messages to stderr, the machine's clocks. */
PHLOWER_API int32_t phlower_engine_new(const char* yaml, size_t size, const phlower_host* host,
                                       phlower_engine** out, phlower_err* err);
/* Opens ring and history, and with plugin.own_thread makes that thread, all signals blocked. May be
 * the child's first call after a fork. BUSY: another engine, here or elsewhere, has this ring or
 * this history. After a failure it may be called again. */
PHLOWER_API int32_t phlower_engine_start(phlower_engine* engine, phlower_err* err);
/* Does what is due in about `budget_ns`. With store.helper_thread the work is done on a thread of
 * the engine and the call returns after its budget at the latest, whatever the disk does; what has
 * begun goes on, and the event descriptor tells when it is done. Without it a tick is as long as
 * its longest step: an fsync cannot be cut. A budget of 0 leaves the measure to the engine, and the
 * call does not wait for the thread: for hosts that have more to do. STATE with plugin.own_thread.
 * Errors of the store are not its errors: see health. An engine that has failed returns CORRUPT or
 * INTERNAL. */
PHLOWER_API int32_t phlower_engine_tick(phlower_engine* engine, uint64_t budget_ns,
                                        phlower_tick_out* out);
/* ANY THREAD. A descriptor to poll for reading: readable when an early tick is wanted; tick clears
 * it. -1: before start, after stop. Never read or close it. */
PHLOWER_API int32_t phlower_engine_event_fd(phlower_engine* engine);
/* ANY THREAD, and signal handlers. Asks for an early tick. */
PHLOWER_API int32_t phlower_engine_wake(phlower_engine* engine);
/* ANY THREAD. A record into the ring; never blocks but with durability: power, for the disk.
 * Threads with lane numbers of their own do not disturb each other; any number works. */
PHLOWER_API int32_t phlower_engine_submit(phlower_engine* engine, uint32_t lane,
                                          const phlower_record* record);
/* Until everything that was accepted before the call is committed, or for `deadline_ns`. BUSY: not
 * all of it. Blocks so long. */
PHLOWER_API int32_t phlower_engine_flush(phlower_engine* engine, uint64_t deadline_ns,
                                         phlower_drain_out* out);
/* Another configuration, all of it or on an error none. */
PHLOWER_API int32_t phlower_engine_reload(phlower_engine* engine, const char* yaml, size_t size,
                                          phlower_reload_report* report, phlower_err* err);
/* ANY THREAD, microseconds, as of the last tick. */
PHLOWER_API int32_t phlower_engine_stats(phlower_engine* engine, phlower_stats* stats);
PHLOWER_API int32_t phlower_engine_health(phlower_engine* engine, phlower_health* health);
/* ANY THREAD. Values of metrics 0 .. n-1 of the catalogue; a histogram's is its count. */
PHLOWER_API int32_t phlower_engine_metrics_read(phlower_engine* engine, uint64_t* values,
                                                uint32_t n);
/* ANY THREAD. A metric of kind HISTOGRAM: how many of its values are at most bounds[i] (ascending)
 * comes to counts[i]; within 3.2 %. */
PHLOWER_API int32_t phlower_engine_histogram_read(phlower_engine* engine, uint32_t index,
                                                  const uint64_t* bounds, uint64_t* counts,
                                                  uint32_t n, phlower_histogram* out);
/* ANY THREAD. Reads and the engine do not wait for each other. Three reads go on at once, two of
 * them by more than task and time; others wait. Block: on the disk. NOT_FOUND: no such task. */
PHLOWER_API int32_t phlower_engine_get(phlower_engine* engine, const char* task_id, size_t size,
                                       phlower_visit_record visit, void* ctx, phlower_err* err);
/* As `get`: rows newest first. A page that was stopped, by whatever, is OK and says so. */
PHLOWER_API int32_t phlower_engine_list(phlower_engine* engine, const phlower_query* query,
                                        phlower_visit_record visit, void* ctx, phlower_page* page,
                                        phlower_err* err);
/* Refuses new records of this process, flushes, empties the log. Again and again until `done`. */
PHLOWER_API int32_t phlower_engine_drain(phlower_engine* engine, uint64_t deadline_ns,
                                         phlower_drain_out* out);
/* Joins the thread, closes every file. What is in the ring stays there. Again: nothing. An engine
 * that was stopped may be started again. */
PHLOWER_API int32_t phlower_engine_stop(phlower_engine* engine);
/* Stops and frees; NULL is fine. In a forked child: frees what is the child's. */
PHLOWER_API int32_t phlower_engine_destroy(phlower_engine* engine);

/* -- A producer: for processes that only hand records over ------------------------------------- */

/* Of the ring of this configuration. Needs no engine in this process; the ring must be there
 * (NOT_FOUND until an engine has made it). After fork the child's copy takes a lane of its own. */
PHLOWER_API int32_t phlower_producer_open(const char* yaml, size_t size, phlower_producer** out,
                                          phlower_err* err);
/* One thread at a time. As phlower_engine_submit. */
PHLOWER_API int32_t phlower_producer_submit(phlower_producer* producer,
                                            const phlower_record* record);
/* NULL is fine. */
PHLOWER_API int32_t phlower_producer_close(phlower_producer* producer);

/* -- For who can wait -------------------------------------------------------------------------- */

/* As phlower_engine_submit and phlower_producer_submit, but nothing is ever left out of the record:
 * while the ring is above ring.high_water, from where on those two leave details out, REFUSED says
 * to try again later, and counts neither as offered nor as refused. */
PHLOWER_API int32_t phlower_engine_submit_whole(phlower_engine* engine, uint32_t lane,
                                                const phlower_record* record);
PHLOWER_API int32_t phlower_producer_submit_whole(phlower_producer* producer,
                                                  const phlower_record* record);

/* -- A reader, for processes that only ask: since 1.1 ------------------------------------------ */

/* Of the history at store.path of this configuration, while an engine writes it, in any process, or
 * at rest; writes nothing. Rows that are past the retention are not shown: of a folder that which
 * its engine had, of a file that of the configuration. NOT_FOUND, NOT_OURS, PERMISSION. */
PHLOWER_API int32_t phlower_reader_open(const char* yaml, size_t size, phlower_reader** out,
                                        phlower_err* err);
/* One thread at a time. As phlower_engine_get and phlower_engine_list; what the engine has in its
 * ring is not there yet. RELOAD: ask again. */
PHLOWER_API int32_t phlower_reader_get(phlower_reader* reader, const char* task_id, size_t size,
                                       phlower_visit_record visit, void* ctx, phlower_err* err);
PHLOWER_API int32_t phlower_reader_list(phlower_reader* reader, const phlower_query* query,
                                        phlower_visit_record visit, void* ctx, phlower_page* page,
                                        phlower_err* err);
/* NULL is fine. */
PHLOWER_API int32_t phlower_reader_close(phlower_reader* reader);

/* Every function, without phlower_: for hosts that look them up, X(name) for each. */
/* clang-format off */
#define PHLOWER_FUNCTIONS(X) \
  X(abi_version) X(plugin_query) X(plugin_facts) X(plugin_quiesced) X(strerror) \
  X(metrics_describe) X(config_key) X(config_check) X(engine_new) X(engine_start) \
  X(engine_tick) X(engine_event_fd) X(engine_wake) X(engine_submit) X(engine_flush) \
  X(engine_reload) X(engine_stats) X(engine_health) X(engine_metrics_read) \
  X(engine_histogram_read) X(engine_get) X(engine_list) X(engine_drain) X(engine_stop) \
  X(engine_destroy) X(producer_open) X(producer_submit) X(producer_close) \
  X(engine_submit_whole) X(producer_submit_whole) \
  X(reader_open) X(reader_get) X(reader_list) X(reader_close)
/* clang-format on */

#ifdef __cplusplus
}
#endif
