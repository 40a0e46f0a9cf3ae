// Events per second from a capture: parsing messages in memory, reading and parsing, assembling
// alone, and all of it. The capture is PHLOWER_CAPTURE, or the one of the tests.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/celery/capture_reader.hpp"
#include "phlower/celery/message.hpp"
#include "phlower/ground/text/json_scan.hpp"

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

/// The messages of the capture, as a broker delivers them.
std::vector<std::string> messages_of(const std::string& path) {
  std::vector<std::string> messages;
  Result<LineReader> lines = LineReader::open(path, kCaptureLineMaxBytes);
  TextLine line;
  for (std::string_view name; lines.ok() && lines->next(line).ok() && !line.text.empty();) {
    JsonScan json(line.text);
    json.take('{');
    while (json.name(name) && name != "data" && json.skip()) json.take(',');
    json.string(messages.emplace_back());
  }
  return messages;
}

void Parse(benchmark::State& state) {
  const std::vector<std::string> messages = messages_of(capture_path());
  EventBatch batch;
  std::uint64_t events = 0;
  for (auto _ : state) {
    for (const std::string& message : messages) {
      benchmark::DoNotOptimize(parse_message(message, batch).ok());
      events += batch.events.size();
    }
  }
  report(state, events);
}
BENCHMARK(Parse)->Unit(benchmark::kMillisecond);

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
