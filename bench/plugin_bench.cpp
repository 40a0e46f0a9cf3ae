// What the C ABI costs, as a host sees it, in one run beside the direct call: `submit` through
// libphlower.so against a Producer of the same ring, and how long ticks with a budget of 2 ms take
// while a backlog is purged and records arrive, in both layouts.
//
//   plugin_bench [--library FILE] [--backlog ROWS] [--seconds N] [--layout single|segmented]
//
// The data is in $TMPDIR or /tmp: choose the disk that matters; the ring is in /dev/shm. Among the
// other benches it is run with Google Benchmark's options: a --benchmark_min_time below 0.1 s asks
// for a short run.
#include <dlfcn.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../tests/support/temp_dir.hpp"
#include "../tools/replay/backlog.hpp"
#include "../tools/replay/capture.hpp"
#include "phlower/plugin.h"
#include "phlower/ring/producer.hpp"

namespace phlower {
namespace {

constexpr std::uint64_t kBudgetNs = 2'000'000;
constexpr double kRate = 1217;  // records/s, a busy shop's

struct Plan {
  std::string library = PHLOWER_LIBRARY;
  std::uint64_t backlog = 2'000'000;
  double seconds = 300;
  int blocks = 400;
  std::string layout;  // empty: both
};

struct Plugin {
  explicit Plugin(const char* path) : handle(::dlopen(path, RTLD_NOW)) {
    if (handle == nullptr) std::fprintf(stderr, "%s\n", ::dlerror());
  }
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(handle, name));
  }
  void* handle;
};
#define PHLOWER_FIND(plugin, name) (plugin).find<decltype(name)>(#name)

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(SystemClock().mono().time_since_epoch().count());
}

std::uint64_t quantile(std::vector<std::uint64_t> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

std::string yaml_of(const Options& options) {
  return "store:\n  layout: " +
         std::string(options.store.layout == Layout::kSingle ? "single" : "segmented") +
         "\n  path: " + options.store.path + "\nring:\n  path: " + options.ring.path + "\n";
}

phlower_text text_of(std::string_view text) { return {text.data(), text.size()}; }

phlower_record struct_of(const Record& record) {
  phlower_record out = PHLOWER_RECORD_INIT;
  out.task_id = text_of(record.task_id);
  out.task_name = text_of(record.task_name);
  out.state = text_of(record.state);
  out.worker = text_of(record.worker);
  out.args = text_of(record.args);
  out.kwargs = text_of(record.kwargs);
  out.traceback = text_of(record.traceback);
  out.received_at_ns = static_cast<std::int64_t>(record.received_at * 1e9);
  out.finished_at_ns = static_cast<std::int64_t>(record.finished_at * 1e9);
  out.runtime_ns = static_cast<std::int64_t>(record.runtime_ms * 1e6);
  return out;
}

// Blocks of the same record by turns, the ring emptied between them; what a call costs in a block.
bool bench_submit(const Plugin& plugin, const Plan& plan) {
  constexpr int kBlock = 1000;
  const testing::TempDir data;
  const testing::TempDir memory("/dev/shm");
  Options options;
  options.store.path = data / "data";
  options.ring.path = memory / "ring";
  const std::string yaml = yaml_of(options);
  phlower_engine* engine = nullptr;
  PHLOWER_FIND(plugin, phlower_engine_new)(yaml.data(), yaml.size(), nullptr, &engine, nullptr);
  if (PHLOWER_FIND(plugin, phlower_engine_start)(engine, nullptr) != PHLOWER_OK) return false;
  SystemClock clock;
  auto direct = Producer::attach(options.ring.path, options.record, 75, clock);
  if (!direct.ok()) return false;
  Record record;
  record.task_id = "0b7e2a52-7f3c-4b0e-9a57-6f0e9f1f5a11";
  record.task_name = "shop.tasks.pack";
  record.state = "SUCCESS";
  record.worker = "celery@one";
  record.finished_at = to_unix_seconds(clock.wall());
  record.args = std::string(480, 'a');
  const RecordView view = record.view();
  const phlower_record through = struct_of(record);
  const auto submit = PHLOWER_FIND(plugin, phlower_engine_submit);
  const auto flush = PHLOWER_FIND(plugin, phlower_engine_flush);
  std::vector<std::uint64_t> direct_ns, abi_ns, extra_ns;
  std::uint64_t refused = 0;
  for (int block = 0; block < plan.blocks; ++block) {
    const std::uint64_t begin = now_ns();
    for (int i = 0; i < kBlock; ++i) refused += !(*direct)->submit(view).ok();
    const std::uint64_t middle = now_ns();
    for (int i = 0; i < kBlock; ++i) refused += submit(engine, 0, &through) != PHLOWER_OK;
    const std::uint64_t end = now_ns();
    direct_ns.push_back((middle - begin) / kBlock);
    abi_ns.push_back((end - middle) / kBlock);
    flush(engine, 10'000'000'000u, nullptr);
  }
  const std::uint64_t one = quantile(direct_ns, 0.5);
  const std::uint64_t other = quantile(abi_ns, 0.5);
  std::printf(
      "submit, 600 bytes, median of %d blocks: direct %llu ns, through the C ABI %llu ns "
      "(%+lld), refused %llu\n",
      plan.blocks, static_cast<unsigned long long>(one), static_cast<unsigned long long>(other),
      static_cast<long long>(other) - static_cast<long long>(one),
      static_cast<unsigned long long>(refused));
  PHLOWER_FIND(plugin, phlower_engine_destroy)(engine);
  return true;
}

// Records arrive evenly, from a thread of the host.
void produce(const Plugin& plugin, phlower_engine* engine, const std::vector<Record>& templates,
             const std::atomic<bool>& running) {
  SystemClock clock;
  tools::FreshRecords records(templates, 5, clock);
  const auto submit = PHLOWER_FIND(plugin, phlower_engine_submit);
  auto next = std::chrono::steady_clock::now();
  while (running.load()) {
    const phlower_record record = struct_of(records.next());
    submit(engine, 1, &record);
    next += std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 / kRate));
    std::this_thread::sleep_until(next);
  }
}

bool bench_ticks(const Plugin& plugin, const Plan& plan, Layout layout,
                 const std::vector<Record>& templates) {
  constexpr std::uint64_t kLongNs = 10'000'000;
  const testing::TempDir data;
  const testing::TempDir memory("/dev/shm");
  SystemClock clock;
  Options options;
  options.store.layout = layout;
  options.store.path = data / "data";
  options.ring.path = memory / "ring";
  const Status made =
      layout == Layout::kSingle
          ? tools::make_backlog(options.store.path, plan.backlog, Hours(130), templates, clock)
          : tools::make_backlog_segments(options, plan.backlog, Hours(130), templates, clock);
  if (!made.ok()) return std::fprintf(stderr, "%s\n", std::string(made.message()).c_str()) < 0;
  const std::string yaml = yaml_of(options);
  phlower_engine* engine = nullptr;
  PHLOWER_FIND(plugin, phlower_engine_new)(yaml.data(), yaml.size(), nullptr, &engine, nullptr);
  if (PHLOWER_FIND(plugin, phlower_engine_start)(engine, nullptr) != PHLOWER_OK) return false;
  const auto tick = PHLOWER_FIND(plugin, phlower_engine_tick);
  const auto read_stats = PHLOWER_FIND(plugin, phlower_engine_stats);
  std::atomic<bool> running{true};
  std::thread producer([&] { produce(plugin, engine, templates, running); });
  std::vector<std::uint64_t> took;
  phlower_stats stats{};
  stats.struct_size = sizeof stats;
  std::uint64_t purged_ns = 0;
  const std::uint64_t begin = now_ns();
  const auto until = begin + static_cast<std::uint64_t>(plan.seconds * 1e9);
  for (std::uint64_t now = begin; now < until && took.size() < 50'000'000;) {
    phlower_tick_out out{};
    out.struct_size = sizeof out;
    tick(engine, kBudgetNs, &out);
    const std::uint64_t end = now_ns();
    took.push_back(end - now);
    if (took.size() % 64 == 0) read_stats(engine, &stats);
    if (purged_ns == 0 && stats.purged_invocations >= plan.backlog) purged_ns = end - begin;
    if (purged_ns != 0 && took.size() >= 20'000) break;
    pollfd event{PHLOWER_FIND(plugin, phlower_engine_event_fd)(engine), POLLIN, 0};
    if (out.more_work == 0)
      ::poll(&event, 1, static_cast<int>((out.wait_ns + 999'999) / 1'000'000));
    now = now_ns();
  }
  running.store(false);
  producer.join();
  PHLOWER_FIND(plugin, phlower_engine_flush)(engine, 10'000'000'000u, nullptr);
  read_stats(engine, &stats);
  const auto is_long = [&](std::uint64_t ns) { return ns > kLongNs; };
  const auto slow = std::count_if(took.begin(), took.end(), is_long);
  std::printf(
      "ticks of 2 ms, %s: %zu, median %.2f ms, p99 %.2f ms, worst %.1f ms, over 10 ms %ld "
      "(%.2f of 10,000); purged %llu rows after %.1f s; accepted %llu, refused %llu, age "
      "worst %.0f ms\n",
      layout == Layout::kSingle ? "single" : "segmented", took.size(),
      static_cast<double>(quantile(took, 0.5)) / 1e6,
      static_cast<double>(quantile(took, 0.99)) / 1e6, static_cast<double>(quantile(took, 1)) / 1e6,
      static_cast<long>(slow), static_cast<double>(slow) * 1e4 / static_cast<double>(took.size()),
      static_cast<unsigned long long>(stats.purged_invocations),
      static_cast<double>(purged_ns) / 1e9, static_cast<unsigned long long>(stats.accepted),
      static_cast<unsigned long long>(stats.refused),
      static_cast<double>(stats.flush_age_max_ns) / 1e6);
  PHLOWER_FIND(plugin, phlower_engine_destroy)(engine);
  return true;
}

Plan plan_of(int argc, char** argv) {
  Plan plan;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    constexpr std::string_view kMinTime = "--benchmark_min_time=";
    if (word == "--library") plan.library = value;
    if (word == "--backlog") plan.backlog = std::strtoull(value.c_str(), nullptr, 10);
    if (word == "--seconds") plan.seconds = std::strtod(value.c_str(), nullptr);
    if (word == "--layout") plan.layout = value;
    if (word.starts_with(kMinTime) && std::strtod(word.c_str() + kMinTime.size(), nullptr) < 0.1) {
      plan.backlog = 20'000;
      plan.seconds = 3;
      plan.blocks = 20;
    }
  }
  return plan;
}

int run(const Plan& plan) {
  const Plugin plugin(plan.library.c_str());
  if (plugin.handle == nullptr) return 1;
  SystemClock clock;
  const auto capture =
      tools::read_capture(PHLOWER_TEST_DATA "/celery_events.ndjson", CeleryOptions(), clock);
  if (!capture.ok()) return 1;
  if (plan.layout.empty() && !bench_submit(plugin, plan)) return 1;
  for (const Layout layout : {Layout::kSingle, Layout::kSegmented}) {
    const bool single = layout == Layout::kSingle;
    if (!plan.layout.empty() && (plan.layout == "single") != single) continue;
    if (!bench_ticks(plugin, plan, layout, capture->ended)) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace phlower

int main(int argc, char** argv) { return phlower::run(phlower::plan_of(argc, argv)); }
