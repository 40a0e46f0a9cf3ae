// What rows cost in the store: writing them, purging them in slices beside one DELETE of 50,000
// rows a transaction on the same file, and moving the log into the database file. Items are rows
// (checkpoint: pages). The files are in $TMPDIR or /tmp: choose the disk that matters.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

#include "../tests/support/made_backlog.hpp"
#include "../tests/support/temp_dir.hpp"
#include "../tools/replay/old_purge.hpp"
#include "phlower/single/single_store.hpp"

namespace phlower {
namespace {

using testing::BacklogMaker;
using testing::BacklogPlan;
using testing::TempDir;

constexpr double kNow = 1'794'999'600;
constexpr std::uint64_t kLogBytes = 16 << 20;  // as the engine does: checkpoint from here

WallTime now() { return WallTime(Seconds(static_cast<std::int64_t>(kNow))); }

Result<std::unique_ptr<SingleStore>> open_store(const std::string& path) {
  StoreOptions options;
  options.path = path;
  return SingleStore::open(options, RetentionOptions());
}

bool failed(benchmark::State& state, const Status& status) {
  if (!status.ok()) state.SkipWithError(std::string(status.message()).c_str());
  return !status.ok();
}

// As task ids are: without an order.
std::string id_of(std::uint64_t i) {
  return std::to_string(i * 0x9e3779b97f4a7c15ull) + "-4ac1-8f3e-" + std::to_string(i);
}

Status write_batch(SingleStore& store, std::uint64_t first, std::int64_t rows, const Record& like) {
  if (Status status = store.begin(); !status.ok()) return status;
  for (std::int64_t i = 0; i < rows; ++i) {
    RecordView record = like.view();
    const std::string id = id_of(first + static_cast<std::uint64_t>(i));
    record.task_id = id;
    record.finished_at = kNow + static_cast<double>(first) / 1000;
    if (Status status = store.upsert(record).status(); !status.ok()) return status;
  }
  return store.commit();
}

Record a_record(bool details) {
  Record record;
  record.task_name = "shop.orders.pack";
  record.state = "SUCCESS";
  record.received_at = record.started_at = kNow;
  record.runtime_ms = 12;
  record.worker = "celery@shop-worker-07";
  record.queue = "celery";
  if (details) {
    record.args = "[17, \"order-000042\", \"item\", \"item\", \"item\"]";
    record.kwargs.assign(240, 'k');
  }
  return record;
}

// Arguments: rows a transaction, with details or without.
void Upsert(benchmark::State& state) {
  TempDir dir;
  auto store = open_store(dir / "history.db");
  if (failed(state, store.status())) return;
  const Record record = a_record(state.range(1) != 0);
  std::uint64_t rows = 0;
  for (auto _ : state) {
    if (failed(state, write_batch(**store, rows, state.range(0), record))) return;
    rows += static_cast<std::uint64_t>(state.range(0));
    if ((*store)->wal_bytes() < kLogBytes) continue;
    if (failed(state, (*store)->checkpoint().status())) return;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(rows));
}
BENCHMARK(Upsert)
    ->ArgNames({"rows", "details"})
    ->ArgsProduct({{64, 512}, {0, 1}})
    ->MinTime(0.3)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

/// One made file with what has expired, copied for every round.
class Backlog {
 public:
  Backlog() {
    BacklogPlan plan;
    plan.now = kNow;
    plan.expired = 60'000;
    plan.thin = plan.fresh = 2'000;
    plan.details_bytes = 250;
    status_ = BacklogMaker::make(dir_ / "made.db", plan);
    if (status_.ok()) status_ = open_store(dir_ / "made.db").status();  // adds its tables
  }
  const Status& status() const { return status_; }
  std::string copy() {
    const std::string path = dir_ / "purged.db";
    std::filesystem::copy_file(dir_ / "made.db", path,
                               std::filesystem::copy_options::overwrite_existing);
    return path;
  }

 private:
  TempDir dir_;
  Status status_;
};

// Rows and details together. Argument: rows a step; a transaction has four steps.
void PurgeInSlices(benchmark::State& state) {
  Backlog backlog;
  if (failed(state, backlog.status())) return;
  std::uint64_t removed = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto store = open_store(backlog.copy());
    if (failed(state, store.status())) return;
    state.ResumeTiming();
    for (bool more = true; more;) {
      if (failed(state, (*store)->begin())) return;
      for (int step = 0; step < 4 && more; ++step) {
        const auto report = (*store)->purge_some(now(), static_cast<std::uint32_t>(state.range(0)));
        if (failed(state, report.status())) return;
        removed += report->invocations + report->details;
        more = report->more;
      }
      if (failed(state, (*store)->commit())) return;
      if ((*store)->wal_bytes() < kLogBytes) continue;
      if (failed(state, (*store)->checkpoint().status())) return;
    }
    if (failed(state, (*store)->checkpoint().status())) return;
    state.PauseTiming();
    store->reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(removed));
}
BENCHMARK(PurgeInSlices)
    ->ArgName("rows")
    ->Arg(64)
    ->Arg(256)
    ->Arg(1024)
    ->MinTime(0.5)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// The old way: 50,000 rows a transaction, SQLite's own pragmas and its own checkpoints.
void PurgeByBatchesOf50000(benchmark::State& state) {
  Backlog backlog;
  if (failed(state, backlog.status())) return;
  std::uint64_t removed = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto db = sqlite::Connection::open(backlog.copy(), sqlite::Access::kReadWrite);
    if (failed(state, db.status())) return;
    tools::OldPurge purge(*db, tools::OldWay::kBatch50k);
    state.ResumeTiming();
    for (bool more = true; more;) {
      const auto step = purge.step(cutoffs_at(RetentionOptions(), now()));
      if (failed(state, step.status())) return;
      removed += step->invocations + step->details;
      more = step->more;
    }
    if (failed(state, db->exec("PRAGMA wal_checkpoint(RESTART)"))) return;
    state.PauseTiming();
    *db = sqlite::Connection();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(removed));
}
BENCHMARK(PurgeByBatchesOf50000)->MinTime(0.5)->Unit(benchmark::kMillisecond)->UseRealTime();

// Argument: transactions of 64 rows since the last one.
void Checkpoint(benchmark::State& state) {
  TempDir dir;
  auto store = open_store(dir / "history.db");
  if (failed(state, store.status())) return;
  const Record record = a_record(true);
  std::uint64_t rows = 0;
  std::uint64_t pages = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (int i = 0; i < state.range(0); ++i, rows += 64) {
      if (failed(state, write_batch(**store, rows, 64, record))) return;
    }
    state.ResumeTiming();
    const auto report = (*store)->checkpoint();
    if (failed(state, report.status())) return;
    pages += report->backfilled;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(pages));
}
BENCHMARK(Checkpoint)
    ->ArgName("transactions")
    ->Arg(1)
    ->Arg(16)
    ->Iterations(20)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace phlower

BENCHMARK_MAIN();
