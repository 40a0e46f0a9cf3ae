// The two layouts beside each other, in one run: rows/s while a history grows, bytes a record,
// look-ups over many segments, and a purge of all of it.
//
//   layout_bench [CAPTURE] [--rows N] [--single-rows N] [--segment-rows N]
//
// Records are those of the capture with fresh ids and fresh numbers, 2,000 a transaction, details
// included. The files are in $TMPDIR or /tmp: choose the disk that matters. Among the other benches
// it is run with Google Benchmark's options: a --benchmark_min_time below 0.1 s asks for a short
// run.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../tests/support/temp_dir.hpp"
#include "../tools/cli/memory_use.hpp"
#include "../tools/replay/capture.hpp"
#include "../tools/replay/records.hpp"
#include "phlower/history/history.hpp"
#include "phlower/segment/segmented_store.hpp"
#include "phlower/single/single_store.hpp"

namespace phlower {
namespace {

constexpr std::uint64_t kBatch = 2000;
constexpr std::uint64_t kLogBytes = 16 << 20;

struct Plan {
  std::string capture = PHLOWER_TEST_DATA "/celery_events.ndjson";
  std::uint64_t rows = 2'000'000;
  std::uint64_t single_rows = 500'000;
  std::uint32_t segment_rows = 200'000;
};

Plan short_plan() {
  Plan plan;
  plan.rows = 120'000;
  plan.single_rows = 40'000;
  plan.segment_rows = 20'000;
  return plan;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Every digit of the arguments is drawn anew: what differs from one call to the next in life.
void freshen(Record& record, Random& random) {
  std::uint64_t bits = 0;
  for (std::string* text : {&record.args, &record.kwargs}) {
    for (char& c : *text) {
      if (c < '0' || c > '9') continue;
      if (bits < 10) bits = random();
      c = static_cast<char>('0' + bits % 10);
      bits /= 10;
    }
  }
}

class Writer {
 public:
  Writer(Store& store, const std::vector<Record>& templates, Clock& clock)
      : store_(store), clock_(clock), records_(templates, 1, clock), random_(2) {}

  // One transaction; what is made for it does not count.
  double batch() {
    std::vector<Record> records(kBatch);
    for (Record& record : records) {
      record = records_.next();
      freshen(record, random_);
    }
    for (std::size_t i = 0; i < records.size(); i += 100) ids_.push_back(records[i].task_id);
    const auto begin = std::chrono::steady_clock::now();
    Status status = store_.begin();
    for (const Record& record : records) {
      if (status.ok()) status = store_.upsert(record.view()).status();
    }
    if (status.ok()) status = store_.commit();
    for (Chore* chore : store_.chores()) {
      for (int i = 0; status.ok() && chore->look(clock_.mono(), {}).due && i < 4; ++i) {
        status = chore->run(Milliseconds(4)).status();
      }
    }
    if (!status.ok()) {
      std::fprintf(stderr, "layout_bench: %s\n", std::string(status.message()).c_str());
      std::exit(1);
    }
    return seconds_since(begin);
  }
  const std::vector<std::string>& ids() const { return ids_; }

 private:
  Store& store_;
  Clock& clock_;
  tools::FreshRecords records_;
  Random random_;
  std::vector<std::string> ids_;
};

struct Written {
  double rows_per_second = 0;
  std::vector<double> parts;  // rows/s of each twentieth
};

Written write_all(Writer& writer, std::uint64_t rows) {
  Written written;
  double total = 0;
  const std::uint64_t batches = std::max<std::uint64_t>(rows / kBatch, 20);
  for (std::uint64_t part = 0; part < 20; ++part) {
    double spent = 0;
    for (std::uint64_t i = 0; i < batches / 20; ++i) spent += writer.batch();
    written.parts.push_back(static_cast<double>(batches / 20 * kBatch) / spent);
    total += spent;
  }
  written.rows_per_second = static_cast<double>(batches / 20 * 20 * kBatch) / total;
  return written;
}

std::uint64_t bytes_under(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

template <class Ask>
double median_us(std::size_t rounds, Ask&& ask) {
  std::vector<double> times;
  for (std::size_t i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    ask(i);
    times.push_back(seconds_since(begin) * 1e6);
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(rounds / 2),
                   times.end());
  return times[rounds / 2];
}

struct Looked {
  double get_us = 0, absent_us = 0, list_us = 0;
};

Looked look_up(Store& store, const std::vector<std::string>& ids, const std::string& task) {
  auto sources = store.sources();
  if (!sources.ok()) std::exit(1);
  History history(*sources, {});
  Random random(7);
  Looked looked;
  std::size_t found = 0;
  looked.get_us = median_us(4000, [&](std::size_t) {
    const auto record = history.get(ids[random.below(ids.size())]);
    found += record.ok() && record->has_value();
  });
  if (found != 4000) std::fprintf(stderr, "layout_bench: only %zu of 4000 found\n", found);
  looked.absent_us = median_us(4000, [&](std::size_t i) {
    std::string id = ids[random.below(ids.size())];
    id[i % 8] = id[i % 8] == 'f' ? '0' : 'f';
    id[35] = id[35] == '7' ? '1' : '7';
    static_cast<void>(history.get(id));
  });
  Query query;
  query.task_name = task;
  looked.list_us = median_us(200, [&](std::size_t) { static_cast<void>(history.list(query)); });
  return looked;
}

// Twice the same: the second time the pages are in memory, and no disk is measured.
Looked look_up_warm(Store& store, const std::vector<std::string>& ids, const std::string& task) {
  static_cast<void>(look_up(store, ids, task));
  return look_up(store, ids, task);
}

void settle(SegmentedStore& store, Clock& clock) {
  // Until everything that is complete is sealed.
  for (int quiet = 0; quiet < 50;) {
    const auto report = store.tend(clock.mono());
    bool sealing = false;
    for (const SegmentInfo& info : store.segments().catalog().segments()) {
      sealing |= info.state == SegmentState::kSealing;
    }
    quiet = sealing || (report.ok() && *report > 0) ? 0 : quiet + 1;
    std::this_thread::sleep_for(Milliseconds(2));
  }
}

void show(const char* name, const Written& written, double bytes, const Looked& looked) {
  std::printf(
      "%-10s %9.0f rows/s  second part %9.0f  last part %9.0f  %5.0f B/record  get %6.1f us"
      "  absent %6.1f us  newest 100 of a task %7.1f us\n",
      name, written.rows_per_second, written.parts[1], written.parts.back(), bytes, looked.get_us,
      looked.absent_us, looked.list_us);
}

int run(const Plan& plan) {
  SystemClock clock;
  auto capture = tools::read_capture(plan.capture, CeleryOptions(), clock);
  if (!capture.ok() || capture->ended.empty()) {
    std::fprintf(stderr, "%s: %s\n", plan.capture.c_str(),
                 std::string(capture.status().message()).c_str());
    return 1;
  }
  const std::vector<Record>& templates = capture->ended;
  const std::string task = templates.front().task_name;
  RetentionOptions keep;
  keep.keep_forever = true;

  testing::TempDir dir;
  StoreOptions single_options;
  single_options.path = dir / "single.db";
  auto single = SingleStore::open(single_options, keep);
  if (!single.ok()) return 1;
  Writer single_writer(**single, templates, clock);
  const Written single_written = write_all(single_writer, plan.single_rows);
  static_cast<void>((*single)->checkpoint());
  const double single_bytes = static_cast<double>(std::filesystem::file_size(single_options.path)) /
                              static_cast<double>(plan.single_rows);
  const Looked single_looked = look_up_warm(**single, single_writer.ids(), task);
  show("single", single_written, single_bytes, single_looked);

  SegmentOptions options;
  options.store.path = dir / "segmented";
  options.store.segment_rows = plan.segment_rows;
  options.retention = keep;
  auto segmented = SegmentedStore::open(options, clock);
  if (!segmented.ok()) {
    std::fprintf(stderr, "%s\n", std::string(segmented.status().message()).c_str());
    return 1;
  }
  Writer writer(**segmented, templates, clock);
  const Written written = write_all(writer, plan.rows);
  const auto settle_begin = std::chrono::steady_clock::now();
  settle(**segmented, clock);
  std::printf("sealing behind the last row: %.2f s\n", seconds_since(settle_begin));
  const double bytes = static_cast<double>(bytes_under(options.store.path)) /
                       static_cast<double>((*segmented)->counts().invocations);
  const Looked looked = look_up_warm(**segmented, writer.ids(), task);
  show("segmented", written, bytes, looked);
  std::printf("segments %zu, RSS %.0f MiB\n", (*segmented)->sources()->size(),
              static_cast<double>(tools::resident_bytes()) / (1 << 20));
  std::printf(
      "ratios: rows/s %.1f  last/second %.2f  bytes 1/%.1f  get %.2f  absent %.2f  list %.2f\n",
      written.rows_per_second / single_written.rows_per_second,
      written.parts.back() / written.parts[1], single_bytes / bytes,
      looked.get_us / single_looked.get_us, looked.absent_us / single_looked.absent_us,
      looked.list_us / single_looked.list_us);
  return 0;
}

}  // namespace
}  // namespace phlower

int main(int argc, char** argv) {
  using phlower::Plan, phlower::short_plan;
  Plan plan;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&] { return std::strtoull(i + 1 < argc ? argv[++i] : "0", nullptr, 10); };
    if (word == "--rows") {
      plan.rows = number();
    } else if (word == "--single-rows") {
      plan.single_rows = number();
    } else if (word == "--segment-rows") {
      plan.segment_rows = static_cast<std::uint32_t>(number());
    } else if (constexpr std::string_view kMinTime = "--benchmark_min_time=";
               word.starts_with(kMinTime)) {
      if (std::strtod(word.c_str() + kMinTime.size(), nullptr) < 0.1) plan = short_plan();
    } else if (!word.starts_with("--benchmark_")) {
      plan.capture = word;
    }
  }
  return phlower::run(plan);
}
