// What the exported functions are made of: guards at the border, and answers put into structs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "abi_structs.hpp"
#include "handles.hpp"
#include "hosted_engine.hpp"
#include "metrics_catalogue.hpp"
#include "records.hpp"

namespace phlower::plugin {

static_assert(PHLOWER_E_REFUSED == static_cast<int>(Code::kRefused));
static_assert(PHLOWER_E_TOO_BIG == static_cast<int>(Code::kTooBig));
static_assert(PHLOWER_E_ARGUMENT == static_cast<int>(Code::kInvalidArgument));
static_assert(PHLOWER_E_CONFIG == static_cast<int>(Code::kInvalidConfig));
static_assert(PHLOWER_E_NOT_FOUND == static_cast<int>(Code::kNotFound));
static_assert(PHLOWER_E_BUSY == static_cast<int>(Code::kBusy));
static_assert(PHLOWER_E_IO == static_cast<int>(Code::kIo));
static_assert(PHLOWER_E_DISK_FULL == static_cast<int>(Code::kDiskFull));
static_assert(PHLOWER_E_CORRUPT == static_cast<int>(Code::kCorrupt));
static_assert(PHLOWER_E_NOT_OURS == static_cast<int>(Code::kNotOurs));
static_assert(PHLOWER_E_VERSION == static_cast<int>(Code::kVersion));
static_assert(PHLOWER_E_PERMISSION == static_cast<int>(Code::kPermission));
static_assert(PHLOWER_E_UNSUPPORTED == static_cast<int>(Code::kUnsupported));
static_assert(PHLOWER_E_DETACHED == static_cast<int>(Code::kDetached));
static_assert(PHLOWER_E_INTERNAL == static_cast<int>(Code::kInternal));
static_assert(PHLOWER_E_RELOAD == static_cast<int>(Code::kReload));
static_assert(PHLOWER_E_FORKED == static_cast<int>(Code::kForked));
static_assert(PHLOWER_E_HANDLE == static_cast<int>(Code::kBadHandle));
static_assert(PHLOWER_E_ABI == static_cast<int>(Code::kAbi));
static_assert(PHLOWER_E_STATE == static_cast<int>(Code::kWrongState));
static_assert(PHLOWER_E_STOPPED == static_cast<int>(Code::kStopped));
static_assert(PHLOWER_STOPPED_END == static_cast<unsigned>(Ended::kEnd));
static_assert(PHLOWER_STOPPED_LIMIT == static_cast<unsigned>(Ended::kLimit));
static_assert(PHLOWER_STOPPED_SCAN_LIMIT == static_cast<unsigned>(Ended::kScanLimit));
static_assert(PHLOWER_STOPPED_DEADLINE == static_cast<unsigned>(Ended::kDeadline));
static_assert(PHLOWER_STOPPED_UNWANTED == static_cast<unsigned>(Ended::kUnwanted));
static_assert(PHLOWER_RECORD_CUT == kDetailsCut && PHLOWER_RECORD_SHED == kDetailsShed);
static_assert(std::size(kMetrics) < 256);

inline constinit Handles handles;
inline constinit std::atomic<std::uint32_t> ending{
    0};  // handles that are gone, with threads that may not be yet

struct Ending {
  Ending() { ending.fetch_add(1); }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() { ending.fetch_sub(1); }
};

/// A producer in a process that need not have an engine.
struct alignas(64) OwnProducer {
  SystemClock clock;
  std::unique_ptr<Producer> producer;
};

inline HostedEngine* engine_of(phlower_engine* handle) {
  return reinterpret_cast<HostedEngine*>(handle);
}
inline OwnProducer* producer_of(phlower_producer* handle) {
  return reinterpret_cast<OwnProducer*>(handle);
}

/// Runs `body`, which gives a Status. Nothing that it throws comes through.
template <class Body>
std::int32_t guarded(phlower_err* err, Body&& body) noexcept {
  try {
    return give_error(err, body());
  } catch (...) {
    return give_error(err, exception_status());
  }
}

/// As `guarded`, for a call on a live engine of this process: body(engine).
template <class Body>
std::int32_t on_engine(phlower_engine* handle, phlower_err* err, Body&& body) noexcept {
  return guarded(err, [&]() -> Status {
    if (!handles.lives(HandleKind::kEngine, handle)) {
      return Status(Code::kBadHandle, "no engine, or one that was destroyed");
    }
    HostedEngine& engine = *engine_of(handle);
    if (Status status = engine.check_process(); !status.ok()) return status;
    return body(engine);
  });
}

inline std::int32_t submit_to(phlower_engine* engine, std::uint32_t lane,
                              const phlower_record* record, bool whole) noexcept {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    RecordView view;
    if (Status status = to_view(record, view); !status.ok()) return status;
    return mine.submit(lane, view, whole);
  });
}

inline std::int32_t submit_by(phlower_producer* producer, const phlower_record* record,
                              bool whole) noexcept {
  return guarded(nullptr, [&]() -> Status {
    if (!handles.lives(HandleKind::kProducer, producer)) return Status(Code::kBadHandle);
    RecordView view;
    if (Status status = to_view(record, view); !status.ok()) return status;
    Producer& mine = *producer_of(producer)->producer;
    return whole ? mine.submit_whole(view) : mine.submit(view);
  });
}

inline Nanoseconds span(std::uint64_t ns) {
  constexpr std::uint64_t kMost = 1ull << 61;  // 73 years
  return Nanoseconds(static_cast<std::int64_t>(std::min(ns, kMost)));
}

inline Result<Options> parse(const char* yaml, std::size_t size) {
  if (yaml == nullptr && size != 0) return Status(Code::kInvalidArgument, "yaml is NULL");
  return parse_options(yaml == nullptr ? std::string_view() : std::string_view(yaml, size), "yaml");
}

inline Status take_host(const phlower_host* given, phlower_host& host) {
  host = phlower_host{};
  if (given == nullptr) return Status();
  if (Status status = take(given, "host", host); !status.ok()) return status;
  if ((host.mono_ns == nullptr) != (host.wall_ns == nullptr)) {
    return Status(Code::kInvalidArgument, "host: give both clocks or none");
  }
  return Status();
}

inline HealthReport health_of(HostedEngine& engine, bool& ready) {
  constexpr Nanoseconds kNoTick = Seconds(10);
  const MonoTime now = engine.now();
  return engine.figures([&](const Snapshot& value) {
    ready = value.running && !value.draining && value.health.health != Health::kFailed;
    if (!value.running) return HealthReport{Health::kDegraded, "not started"};
    if (value.health.health != Health::kOk) return value.health;
    if (now - value.taken > kNoTick) {
      return HealthReport{
          Health::kDegraded,
          "no tick for " + exact_duration(std::chrono::duration_cast<Seconds>(now - value.taken))};
    }
    return value.health;
  });
}

inline phlower_stats stats_of(HostedEngine& engine) {
  const MonoTime now = engine.now();
  phlower_stats out{};
  engine.figures([&](const Snapshot& value) {
    out.counts_exact = value.store.counts.exact ? 1 : 0;
    out.offered = value.ring.offered + engine.refused_here();
    out.accepted = value.ring.accepted;
    out.refused = out.offered - out.accepted;
    out.in_ring = value.ring.unread;
    out.committed = out.accepted - std::min(out.accepted, out.in_ring);
    out.shed = value.ring.shed;
    out.purged_invocations = value.store.purged_invocations;
    out.purged_details = value.store.purged_details;
    out.purge_backlog = value.store.expired_rows;
    out.invocations = value.store.counts.invocations;
    out.details = value.store.counts.details;
    out.oldest_at_ns = nanoseconds(value.store.counts.oldest);
    out.newest_at_ns = nanoseconds(value.store.counts.newest);
    out.wal_bytes = value.store.log_bytes;
    out.disk_free_bytes = value.disk_free_bytes;
    out.disk_total_bytes = value.disk_total_bytes;
    out.flush_age_max_ns = value.engine.flush_age.max();
    out.since_commit_ns = since_ns(value.last_commit, now);
    out.ring_fill_ppm = millionths(value.ring.fill);
    out.too_old = value.engine.too_old;
  });
  return out;
}

inline Status show(const Record& record, phlower_visit_record visit, void* ctx, bool& more) {
  const phlower_record shown = to_struct(record);
  more = visit(ctx, &shown) == 0;
  return Status();
}

/// When a call ends early. Nothing that the host's callback throws comes through.
inline StopRule stop_rule(const phlower_query& query, Clock& machine) {
  StopRule rule;
  if (query.deadline_ns != 0) {
    rule.clock = &machine;
    rule.deadline = machine.mono() + span(query.deadline_ns);
  }
  if (query.wanted != nullptr) {
    rule.wanted = [wanted = query.wanted, ctx = query.wanted_ctx]() noexcept {
      try {
        return wanted(ctx) != 0;
      } catch (...) {
        return false;
      }
    };
  }
  return rule;
}

inline Status give_reach(const Reach& reach, const std::optional<Cursor>& next,
                         phlower_page& page) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 1000;
  page.scanned = reach.scanned;
  page.stopped = static_cast<std::uint32_t>(reach.ended);
  const std::int64_t back_us = std::max<std::int64_t>(reach.looked_back_to_us, 0);
  page.looked_back_to_ns =
      back_us > kMost ? std::numeric_limits<std::int64_t>::max() : back_us * 1000;
  const std::string text = next ? next->text() : std::string();
  if (text.size() >= sizeof page.next) {
    return Status(Code::kTooBig, "the cursor of this page is longer than a page can hold");
  }
  page.next_size = static_cast<std::uint32_t>(text.size());
  copy_text(page.next, text);
  return Status();
}

/// Errors: kNotFound.
inline Status show_task(History& history, std::string_view task_id, phlower_visit_record visit,
                        void* ctx) {
  const auto found = history.get(task_id);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return Status(Code::kNotFound, "no such task in the history");
  bool more = false;
  return show(**found, visit, ctx, more);
}

inline Status list_page(History& history, const Query& query, phlower_visit_record visit, void* ctx,
                        phlower_page& page) {
  const auto answer = history.list(query);
  if (!answer.ok()) return answer.status();
  for (const Row& row : answer->rows) {
    bool more = true;
    if (Status status = show(row.record, visit, ctx, more); !status.ok()) return status;
    ++page.records;
    if (more || page.records == answer->rows.size()) continue;
    Reach reach = *answer;
    reach.looked_back_to_us = row.at_us;
    Status status = give_reach(reach, row.cursor(), page);
    page.stopped = PHLOWER_STOPPED_VISITOR;
    return status;
  }
  return give_reach(*answer, answer->next, page);
}

/// A page that was stopped before the history was there: the next one begins where it was to begin.
inline Status empty_page(const Query& query, Ended ended, phlower_page& page) {
  Reach reach;
  reach.ended = ended;
  return give_reach(reach, query.after.value_or(Cursor()), page);
}

/// A call of list: its arguments checked, answer(query, check, page) filled in, the page given
/// back.
template <class Answer>
Status list_into(const phlower_query* query, phlower_visit_record visit, phlower_page* page,
                 Clock& machine, Answer&& answer) {
  phlower_query given;
  if (Status status = take(query, "query", given); !status.ok()) return status;
  if (Status status = fillable(page, "page"); !status.ok()) return status;
  if (visit == nullptr) return Status(Code::kInvalidArgument, "visit is NULL");
  Query wanted;
  if (Status status = to_query(given, wanted); !status.ok()) return status;
  wanted.stop = stop_rule(given, machine);
  StopCheck check(wanted.stop);
  const auto mine = std::make_unique<phlower_page>();
  Status status = answer(wanted, check, *mine);
  if (status.code() == Code::kStopped) status = empty_page(wanted, check.ended(), *mine);
  give(page, *mine);
  return status;
}

}  // namespace phlower::plugin
