// The exported functions of plugin.h: arguments are checked here, exceptions end here, the rest is
// HostedEngine's.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "border.hpp"
#include "own_reader.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "phlower/version.hpp"

// NOLINTBEGIN(google-build-using-namespace): the end of a program, no header
using namespace phlower;
using namespace phlower::plugin;
// NOLINTEND(google-build-using-namespace)

extern "C" {

PHLOWER_API uint32_t phlower_abi_version(void) { return PHLOWER_ABI_VERSION; }

PHLOWER_API int32_t phlower_plugin_query(phlower_plugin_info* info) {
  return guarded(nullptr, [&]() -> Status {
    if (info == nullptr) return Status(Code::kInvalidArgument);
    if (Status status = fillable(info, "info"); !status.ok()) return status;
    phlower_plugin_info mine{};
    mine.abi_version = PHLOWER_ABI_VERSION;
    mine.metrics = static_cast<std::uint32_t>(kMetrics.size());
    mine.config_keys = static_cast<std::uint32_t>(option_keys().size());
    mine.sqlite_version = static_cast<std::uint32_t>(sqlite3_libversion_number());
    mine.lanes = Lanes::kCount;
    copy_text(mine.version, PHLOWER_VERSION);
    give(info, mine);
    return Status();
  });
}

PHLOWER_API int32_t phlower_plugin_facts(void (*visit)(void*, const char*, const char*),
                                         void* ctx) {
  return guarded(nullptr, [&]() -> Status {
    if (visit == nullptr) return Status(Code::kInvalidArgument);
    const auto tell = [&](const char* key, const std::string& value) {
      visit(ctx, key, value.c_str());
    };
    tell("phlower.version", PHLOWER_VERSION);
#if defined(__clang__)
    tell("phlower.compiler", __VERSION__);
#else
    tell("phlower.compiler", "g++ " __VERSION__);
#endif
    tell("sqlite.version", sqlite3_libversion());
    tell("sqlite.header_version", SQLITE_VERSION);
    tell("sqlite.source", sqlite3_sourceid());
    tell("sqlite.threadsafe", std::to_string(sqlite3_threadsafe()));
    for (int i = 0; sqlite3_compileoption_get(i) != nullptr; ++i) {
      tell("sqlite.option", sqlite3_compileoption_get(i));
    }
    return Status();
  });
}

PHLOWER_API uint32_t phlower_plugin_quiesced(void) {
  // Relaxed is enough: a moment's picture; the calls that change it have returned.
  return handles.count() + ending.load(std::memory_order_relaxed);
}

PHLOWER_API const char* phlower_strerror(int32_t code) {
  return code_name(static_cast<Code>(code)).data();  // literals: they end with NUL
}

PHLOWER_API int32_t phlower_metrics_describe(uint32_t index, phlower_metric_desc* desc) {
  return guarded(nullptr, [&]() -> Status {
    if (desc == nullptr) return Status(Code::kInvalidArgument);
    if (Status status = fillable(desc, "desc"); !status.ok()) return status;
    if (index >= kMetrics.size()) return Status(Code::kNotFound);
    const Metric& metric = kMetrics[index];
    phlower_metric_desc mine{};
    mine.kind = metric.kind;
    mine.name = metric.name;
    mine.unit = metric.unit;
    mine.help = metric.help;
    mine.label = metric.label;
    give(desc, mine);
    return Status();
  });
}

PHLOWER_API const char* phlower_config_key(uint32_t index) {
  const char* found = nullptr;
  static_cast<void>(guarded(nullptr, [&] {
    const auto keys = option_keys();  // views of literals
    if (index < keys.size()) found = keys[index].data();
    return Status();
  }));
  return found;
}

PHLOWER_API int32_t phlower_config_check(const char* yaml, size_t size, phlower_err* err) {
  return guarded(err, [&] { return parse(yaml, size).status(); });
}

PHLOWER_API int32_t phlower_engine_new(const char* yaml, size_t size, const phlower_host* host,
                                       phlower_engine** out, phlower_err* err) {
  return guarded(err, [&]() -> Status {
    if (out == nullptr) return Status(Code::kInvalidArgument, "out is NULL");
    *out = nullptr;
    phlower_host services;
    if (Status status = take_host(host, services); !status.ok()) return status;
    auto options = parse(yaml, size);
    if (!options.ok()) return options.status();
    auto engine = std::make_unique<HostedEngine>(*std::move(options), services);
    if (!handles.add(HandleKind::kEngine, engine.get())) {
      return Status(Code::kBusy, "too many engines and producers in this process");
    }
    *out = reinterpret_cast<phlower_engine*>(engine.release());
    return Status();
  });
}

PHLOWER_API int32_t phlower_engine_start(phlower_engine* engine, phlower_err* err) {
  return on_engine(engine, err, [](HostedEngine& mine) { return mine.start(); });
}

PHLOWER_API int32_t phlower_engine_tick(phlower_engine* engine, uint64_t budget_ns,
                                        phlower_tick_out* out) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (Status status = fillable(out, "out"); !status.ok()) return status;
    phlower_tick_out report{};
    Status status = mine.tick(span(budget_ns), report);
    give(out, report);
    return status;
  });
}

PHLOWER_API int32_t phlower_engine_event_fd(phlower_engine* engine) {
  int fd = -1;
  static_cast<void>(on_engine(engine, nullptr, [&](HostedEngine& mine) {
    fd = mine.event_fd();
    return Status();
  }));
  return fd;
}

PHLOWER_API int32_t phlower_engine_wake(phlower_engine* engine) {
  if (!handles.lives(HandleKind::kEngine, engine)) return PHLOWER_E_HANDLE;
  return static_cast<int32_t>(engine_of(engine)->wake().code());
}

PHLOWER_API int32_t phlower_engine_submit(phlower_engine* engine, uint32_t lane,
                                          const phlower_record* record) {
  return submit_to(engine, lane, record, false);
}
PHLOWER_API int32_t phlower_engine_submit_whole(phlower_engine* engine, uint32_t lane,
                                                const phlower_record* record) {
  return submit_to(engine, lane, record, true);
}

PHLOWER_API int32_t phlower_engine_flush(phlower_engine* engine, uint64_t deadline_ns,
                                         phlower_drain_out* out) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (Status status = fillable(out, "out"); !status.ok()) return status;
    phlower_drain_out report{};
    Status status = mine.flush(span(deadline_ns), report);
    give(out, report);
    return status;
  });
}

PHLOWER_API int32_t phlower_engine_reload(phlower_engine* engine, const char* yaml, size_t size,
                                          phlower_reload_report* report, phlower_err* err) {
  return on_engine(engine, err, [&](HostedEngine& mine) -> Status {
    if (Status status = fillable(report, "report"); !status.ok()) return status;
    if (yaml == nullptr && size != 0) return Status(Code::kInvalidArgument, "yaml is NULL");
    phlower_reload_report changes{};
    Status status = mine.reload(std::string_view(yaml, size), changes);
    give(report, changes);
    return status;
  });
}

PHLOWER_API int32_t phlower_engine_stats(phlower_engine* engine, phlower_stats* stats) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (stats == nullptr) return Status(Code::kInvalidArgument);
    if (Status status = fillable(stats, "stats"); !status.ok()) return status;
    give(stats, stats_of(mine));
    return Status();
  });
}

PHLOWER_API int32_t phlower_engine_health(phlower_engine* engine, phlower_health* health) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (health == nullptr) return Status(Code::kInvalidArgument);
    if (Status status = fillable(health, "health"); !status.ok()) return status;
    bool ready = false;
    const HealthReport report = health_of(mine, ready);
    phlower_health out{};
    out.state = static_cast<std::uint32_t>(report.health);
    out.ready = ready ? 1 : 0;
    copy_text(out.reason, report.reason);
    give(health, out);
    return Status();
  });
}

PHLOWER_API int32_t phlower_engine_metrics_read(phlower_engine* engine, uint64_t* values,
                                                uint32_t n) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (values == nullptr && n != 0) return Status(Code::kInvalidArgument);
    if (n > kMetrics.size()) return Status(Code::kNotFound);
    mine.figures([&](const Snapshot& snapshot) {
      for (std::uint32_t i = 0; i < n; ++i) values[i] = value_of(kMetrics[i], snapshot);
    });
    return Status();
  });
}

PHLOWER_API int32_t phlower_engine_histogram_read(phlower_engine* engine, uint32_t index,
                                                  const uint64_t* bounds, uint64_t* counts,
                                                  uint32_t n, phlower_histogram* out) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (n != 0 && (bounds == nullptr || counts == nullptr)) return Status(Code::kInvalidArgument);
    if (Status status = fillable(out, "out"); !status.ok()) return status;
    if (index >= kMetrics.size() || kMetrics[index].histogram == nullptr) {
      return Status(Code::kNotFound);
    }
    mine.figures([&](const Snapshot& snapshot) {
      const Histogram& histogram = *kMetrics[index].histogram(snapshot);
      for (std::uint32_t i = 0; i < n; ++i) counts[i] = histogram.count_at_most(bounds[i]);
      phlower_histogram sums{};
      sums.count = histogram.count();
      sums.sum = histogram.sum();
      sums.max = histogram.max();
      give(out, sums);
    });
    return Status();
  });
}

PHLOWER_API int32_t phlower_engine_get(phlower_engine* engine, const char* task_id, size_t size,
                                       phlower_visit_record visit, void* ctx, phlower_err* err) {
  return on_engine(engine, err, [&](HostedEngine& mine) -> Status {
    if (task_id == nullptr || size == 0 || visit == nullptr) {
      return Status(Code::kInvalidArgument, "a task_id and a visitor are needed");
    }
    StopCheck never;
    return mine.reads().look(Look::kQuick, never, [&](History& history) {
      return show_task(history, std::string_view(task_id, size), visit, ctx);
    });
  });
}

PHLOWER_API int32_t phlower_engine_list(phlower_engine* engine, const phlower_query* query,
                                        phlower_visit_record visit, void* ctx, phlower_page* page,
                                        phlower_err* err) {
  return on_engine(engine, err, [&](HostedEngine& mine) -> Status {
    return list_into(query, visit, page, mine.machine(),
                     [&](const Query& wanted, StopCheck& check, phlower_page& answer) {
                       return mine.reads().look(look_of(wanted), check, [&](History& history) {
                         return list_page(history, wanted, visit, ctx, answer);
                       });
                     });
  });
}

PHLOWER_API int32_t phlower_engine_drain(phlower_engine* engine, uint64_t deadline_ns,
                                         phlower_drain_out* out) {
  return on_engine(engine, nullptr, [&](HostedEngine& mine) -> Status {
    if (Status status = fillable(out, "out"); !status.ok()) return status;
    phlower_drain_out report{};
    Status status = mine.drain(span(deadline_ns), report);
    give(out, report);
    return status;
  });
}

PHLOWER_API int32_t phlower_engine_stop(phlower_engine* engine) {
  return on_engine(engine, nullptr, [](HostedEngine& mine) { return mine.stop(); });
}

PHLOWER_API int32_t phlower_engine_destroy(phlower_engine* engine) {
  if (engine == nullptr) return PHLOWER_OK;
  const Ending counted;
  return guarded(nullptr, [&]() -> Status {
    if (!handles.remove(HandleKind::kEngine, engine)) return Status(Code::kBadHandle);
    HostedEngine* const mine = engine_of(engine);
    // The parent's locks, threads and SQLite connections must not be touched here: it is forgotten.
    if (!mine->check_process().ok()) return Status();
    std::unique_ptr<HostedEngine> ends(mine);
    return Status();
  });
}

PHLOWER_API int32_t phlower_producer_open(const char* yaml, size_t size, phlower_producer** out,
                                          phlower_err* err) {
  return guarded(err, [&]() -> Status {
    if (out == nullptr) return Status(Code::kInvalidArgument, "out is NULL");
    *out = nullptr;
    const auto options = parse(yaml, size);
    if (!options.ok()) return options.status();
    auto mine = std::make_unique<OwnProducer>();
    auto attached = Producer::attach(*options, mine->clock);
    if (!attached.ok()) return attached.status();
    mine->producer = *std::move(attached);
    if (!handles.add(HandleKind::kProducer, mine.get())) {
      return Status(Code::kBusy, "too many engines and producers in this process");
    }
    *out = reinterpret_cast<phlower_producer*>(mine.release());
    return Status();
  });
}

PHLOWER_API int32_t phlower_producer_submit(phlower_producer* producer,
                                            const phlower_record* record) {
  return submit_by(producer, record, false);
}
PHLOWER_API int32_t phlower_producer_submit_whole(phlower_producer* producer,
                                                  const phlower_record* record) {
  return submit_by(producer, record, true);
}

PHLOWER_API int32_t phlower_producer_close(phlower_producer* producer) {
  if (producer == nullptr) return PHLOWER_OK;
  const Ending counted;
  return guarded(nullptr, [&]() -> Status {
    if (!handles.remove(HandleKind::kProducer, producer)) return Status(Code::kBadHandle);
    const std::unique_ptr<OwnProducer> ends(producer_of(producer));
    return Status();
  });
}

PHLOWER_API int32_t phlower_reader_open(const char* yaml, size_t size, phlower_reader** out,
                                        phlower_err* err) {
  return guarded(err, [&]() -> Status {
    if (out == nullptr) return Status(Code::kInvalidArgument, "out is NULL");
    *out = nullptr;
    const auto options = parse(yaml, size);
    if (!options.ok()) return options.status();
    auto mine = open_reader(*options);
    if (!mine.ok()) return mine.status();
    if (!handles.add(HandleKind::kReader, mine->get())) {
      return Status(Code::kBusy, "too many engines, producers and readers in this process");
    }
    *out = reinterpret_cast<phlower_reader*>(mine->release());
    return Status();
  });
}

PHLOWER_API int32_t phlower_reader_get(phlower_reader* reader, const char* task_id, size_t size,
                                       phlower_visit_record visit, void* ctx, phlower_err* err) {
  return on_reader(reader, err, [&](OwnReader& mine) -> Status {
    if (task_id == nullptr || size == 0 || visit == nullptr) {
      return Status(Code::kInvalidArgument, "a task_id and a visitor are needed");
    }
    StopCheck never;
    return mine.look(never, [&](History& history) {
      return show_task(history, std::string_view(task_id, size), visit, ctx);
    });
  });
}

PHLOWER_API int32_t phlower_reader_list(phlower_reader* reader, const phlower_query* query,
                                        phlower_visit_record visit, void* ctx, phlower_page* page,
                                        phlower_err* err) {
  return on_reader(reader, err, [&](OwnReader& mine) {
    return list_into(query, visit, page, mine.clock,
                     [&](const Query& wanted, StopCheck& check, phlower_page& answer) {
                       return mine.look(check, [&](History& history) {
                         return list_page(history, wanted, visit, ctx, answer);
                       });
                     });
  });
}

PHLOWER_API int32_t phlower_reader_close(phlower_reader* reader) {
  if (reader == nullptr) return PHLOWER_OK;
  const Ending counted;
  return guarded(nullptr, [&]() -> Status {
    if (!handles.remove(HandleKind::kReader, reader)) return Status(Code::kBadHandle);
    std::unique_ptr<OwnReader> ends(reader_of(reader));
    // A parent's connections and locks are not its child's to close: they are forgotten.
    if (ends->mark.forked()) static_cast<void>(ends.release());
    return Status();
  });
}

}  // extern "C"
