/* What a host of the first version gives and sees: structs with nobody's bytes behind them, and
 * records. Compiled against the header of that day. */
#pragma once

#include "plugin_host.h"

/* A struct with bytes behind it that are nobody's: `name.its`. */
#define CANARY 0xA5
#define GUARDED(type, name, ...)      \
  struct {                            \
    type its;                         \
    unsigned char canary[512];        \
  } name;                             \
  memset(&name, CANARY, sizeof name); \
  name.its = (type)__VA_ARGS__
#define CHECK_INTACT(name) \
  CHECK(is_intact((name).canary, sizeof(name).canary) && (name).its.struct_size == sizeof(name).its)

static inline int is_intact(const unsigned char* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != CANARY) return 0;
  }
  return 1;
}
static inline int is_text(phlower_text text, const char* wanted) {
  return text.size == strlen(wanted) && memcmp(text.data, wanted, text.size) == 0;
}

/* -- Records ---------------------------------------------------------------------------------- */

static inline int64_t ended_at(int number) {
  return ((int64_t)time(NULL) - 600 + number) * (int64_t)kSecond;
}
/* Texts that are borrowed for one call. */
static inline phlower_record numbered(int number, char* id, size_t room) {
  phlower_record record = PHLOWER_RECORD_INIT;
  snprintf(id, room, "task-%d", number);
  record.task_id = to_text(id);
  record.task_name = to_text("kept.tasks.pack");
  record.state = to_text(number % 2 == 0 ? "SUCCESS" : "FAILURE");
  record.worker = to_text("celery@kept");
  record.queue = to_text("kept");
  record.exception_type = to_text(number % 2 == 0 ? "" : "ValueError('kept')");
  record.args = to_text("(1, 'two')");
  record.kwargs = to_text("{'three': 3}");
  record.traceback = to_text(number % 2 == 0 ? "" : "Traceback of kept");
  record.finished_at_ns = ended_at(number);
  record.started_at_ns = record.finished_at_ns - 1500000;
  record.received_at_ns = record.finished_at_ns - 2500000;
  record.runtime_ns = 1250000;
  return record;
}

typedef struct Seen {
  int count;
  int64_t last_ns;
  int with_details;
} Seen;

static inline int32_t look(void* ctx, const phlower_record* record) {
  Seen* const seen = (Seen*)ctx;
  CHECK(record->struct_size >= sizeof *record && record->flags == 0);
  CHECK(is_text(record->task_name, "kept.tasks.pack") && is_text(record->worker, "celery@kept"));
  CHECK(is_text(record->queue, "kept") && strncmp(record->task_id.data, "task-", 5) == 0);
  const int failed = is_text(record->state, "FAILURE");
  CHECK(failed || is_text(record->state, "SUCCESS"));
  CHECK(is_text(record->exception_type, failed ? "ValueError('kept')" : ""));
  CHECK(record->finished_at_ns - record->started_at_ns == 1500000);
  CHECK(record->finished_at_ns - record->received_at_ns == 2500000);
  CHECK(record->runtime_ns == 1250000);
  if (record->kwargs.size > 0) {
    CHECK(is_text(record->args, "(1, 'two')") && is_text(record->kwargs, "{'three': 3}"));
    CHECK(is_text(record->traceback, failed ? "Traceback of kept" : ""));
    ++seen->with_details;
  }
  CHECK(seen->count == 0 || record->finished_at_ns <= seen->last_ns); /* newest first */
  seen->last_ns = record->finished_at_ns;
  ++seen->count;
  return 0;
}
