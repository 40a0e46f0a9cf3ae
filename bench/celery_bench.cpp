// Events per second from a capture: reading and parsing alone, assembling alone, and both. The
// capture is PHLOWER_CAPTURE, or the one of the tests.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/celery/capture_reader.hpp"

namespace phlower {
namespace {

std::string capture_path() {
  const char* given = std::getenv("PHLOWER_CAPTURE");
  return given != nullptr ? given : PHLOWER_TEST_DATA "/celery_events.ndjson";
}

/// Gives every good event of the capture to `take`; the number of events, 0 if it cannot be read.
template <class Take>
std::uint64_t read_capture(const std::string& path, Take&& take) {
  Result<CaptureReader> reader = CaptureReader::open(path);
  if (!reader.ok()) return 0;
  CaptureLine line;
  while (true) {
    const Result<bool> more = reader->next(line);
    if (!more.ok() || !*more) return reader->stats().events;
    for (const Event& event : line.batch.events) take(event);
  }
}

void report(benchmark::State& state, std::uint64_t events) {
  if (events == 0) state.SkipWithError("no events in the capture");
  state.SetItemsProcessed(static_cast<std::int64_t>(events));
}

void ReadAndParse(benchmark::State& state) {
  const std::string path = capture_path();
  std::uint64_t events = 0;
  for (auto _ : state) {
    events += read_capture(path, [](const Event& event) { benchmark::DoNotOptimize(&event); });
  }
  report(state, events);
}
BENCHMARK(ReadAndParse)->Unit(benchmark::kMillisecond);

void Assemble(benchmark::State& state) {
  std::vector<Event> events;
  read_capture(capture_path(), [&](const Event& event) { events.push_back(event); });
  std::vector<Record> records;
  for (auto _ : state) {
    Assembler assembler{CeleryOptions()};
    for (const Event& event : events) {
      records.clear();
      assembler.add(event, MonoTime(), records);
    }
    assembler.flush(records);
  }
  report(state, events.size() * state.iterations());
}
BENCHMARK(Assemble)->Unit(benchmark::kMillisecond);

void ReadParseAndAssemble(benchmark::State& state) {
  const std::string path = capture_path();
  std::uint64_t events = 0;
  std::vector<Record> records;
  for (auto _ : state) {
    Assembler assembler{CeleryOptions()};
    events += read_capture(path, [&](const Event& event) {
      records.clear();
      assembler.add(event, MonoTime(), records);
    });
    assembler.flush(records);
  }
  report(state, events);
}
BENCHMARK(ReadParseAndAssemble)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace phlower

BENCHMARK_MAIN();
