// What columns cost: items are values; `bytes_per_row` is what one takes in the file. The rows look
// like those of a queue with 200 tasks and 1,200 ends a second; a chunk has 16,384.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "phlower/columns/number_column.hpp"
#include "phlower/columns/word_column.hpp"
#include "phlower/columns/zone.hpp"

namespace phlower {
namespace {

constexpr std::size_t kRows = 16'384;
constexpr std::uint32_t kTasks = 200;
constexpr std::uint32_t kTableWords = 1 + kTasks + 4;

enum Shape { kAt, kRuntime, kReceived, kName, kState };
const char* const kShapeNames[] = {"at", "runtime", "received", "name", "state"};

struct Rows {
  std::vector<std::int64_t> numbers[3];
  std::vector<std::uint64_t> unknown;  // of received
  std::vector<std::uint32_t> words[2];
};

/// Tasks by Zipf, each with its own median of runtime from 5 ms to 5 s; every fourth has no time of
/// receipt; arrivals a little out of order.
Rows make_rows() {
  std::mt19937_64 random(1);
  std::vector<double> shares;
  for (std::uint32_t task = 0; task < kTasks; ++task) shares.push_back(std::pow(task + 1, -1.1));
  std::discrete_distribution<std::uint32_t> tasks(shares.begin(), shares.end());
  std::exponential_distribution<double> pause(1'217e-6);
  std::normal_distribution<double> normal;
  Rows rows;
  rows.unknown.resize(kRows / 64);
  double now = 0;
  for (std::size_t i = 0; i < kRows; ++i) {
    const std::uint32_t task = tasks(random);
    const double median = 5'000 * std::pow(1'000, (task * 37 % kTasks) / double{kTasks});
    now += pause(random);
    rows.numbers[kAt].push_back(std::llround(now + 300 * normal(random)));
    rows.numbers[kRuntime].push_back(std::llround(median * std::exp(0.6 * normal(random))));
    rows.numbers[kReceived].push_back(std::llround(900 * std::exp(1.2 * normal(random))));
    if (task % 4 == 3) rows.unknown[i / 64] |= std::uint64_t{1} << (i % 64);
    rows.words[kName - kName].push_back(1 + task);
    const bool failed = random() % 20 == 0;
    rows.words[kState - kName].push_back(1 + kTasks + (failed ? 1 : 0));
  }
  return rows;
}

const Rows& rows() {
  static const Rows made = make_rows();
  return made;
}

UnknownBits gaps_of(std::int64_t shape) {
  return shape == kReceived ? UnknownBits(rows().unknown) : UnknownBits();
}

struct Written {
  std::string blob;
  Zone zone;
};

Status write(std::int64_t shape, NumberColumnWriter& numbers, WordColumnWriter& words,
             Written& to) {
  const auto member = static_cast<std::uint16_t>(shape);
  if (shape < kName) {
    return numbers.write(member, rows().numbers[shape], gaps_of(shape), to.blob, to.zone);
  }
  return words.write(member, rows().words[shape - kName], {}, to.blob, to.zone);
}

bool failed(benchmark::State& state, const Status& status) {
  if (!status.ok()) state.SkipWithError(std::string(status.message()).c_str());
  return !status.ok();
}

void tell(benchmark::State& state, const Written& written) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
  state.counters["bytes_per_row"] = static_cast<double>(written.blob.size()) / kRows;
  state.SetLabel(kShapeNames[state.range(0)]);
}

void BM_Encode(benchmark::State& state) {
  NumberColumnWriter numbers;
  WordColumnWriter words;
  Written written;
  for (auto _ : state) {
    if (failed(state, write(state.range(0), numbers, words, written))) return;
  }
  tell(state, written);
}
BENCHMARK(BM_Encode)->DenseRange(kAt, kState);

Status decode_numbers(const std::string& blob, NumberBlock& block) {
  const auto column = NumberColumn::of_blob(blob);
  if (!column.ok()) return column.status();
  for (std::uint32_t k = 0; k < column->blocks(); ++k) {
    if (Status status = column->block(k, block); !status.ok()) return status;
    benchmark::DoNotOptimize(block.numbers.data());
  }
  return Status();
}

Status decode_words(const std::string& blob, std::uint32_t* codes) {
  const auto column = WordColumn::of_blob(blob, kTableWords);
  if (!column.ok()) return column.status();
  for (std::uint32_t k = 0; k < column->blocks(); ++k) {
    if (Status status = column->block(k, codes); !status.ok()) return status;
    benchmark::DoNotOptimize(codes);
  }
  return Status();
}

/// With opening, and the checksum of all of it.
void BM_Decode(benchmark::State& state) {
  NumberColumnWriter numbers;
  WordColumnWriter words;
  Written written;
  if (failed(state, write(state.range(0), numbers, words, written))) return;
  NumberBlock block;
  std::uint32_t codes[kBlockValues];
  for (auto _ : state) {
    const bool is_number = state.range(0) < kName;
    const Status status =
        is_number ? decode_numbers(written.blob, block) : decode_words(written.blob, codes);
    if (failed(state, status)) return;
  }
  tell(state, written);
}
BENCHMARK(BM_Decode)->DenseRange(kAt, kState);

/// One row after the other, far from each other: items are rows.
void BM_OneRow(benchmark::State& state) {
  NumberColumnWriter numbers;
  WordColumnWriter words;
  Written written;
  if (failed(state, write(state.range(0), numbers, words, written))) return;
  const bool is_number = state.range(0) < kName;
  const BlobKind kind = is_number ? kNumberColumn : kWordColumn;
  const auto head = check_blob(written.blob, kind);
  if (failed(state, head.status())) return;
  std::uint32_t row = 0;
  for (auto _ : state) {  // as from a file: head, front, one block
    const auto needed = ColumnFront::bytes_of(*head);
    if (failed(state, needed.status())) return;
    const auto front = ColumnFront::read(std::string_view(written.blob).substr(0, *needed), *head,
                                         written.blob.size());
    if (failed(state, front.status())) return;
    row = (row + 7'919) % kRows;
    const ByteRange range = front->range(row / kBlockValues);
    const std::string_view body = std::string_view(written.blob).substr(range.offset, range.bytes);
    const Status status = is_number ? read_number(*front, row, body).status()
                                    : read_code(*front, row, body, kTableWords).status();
    if (failed(state, status)) return;
  }
  state.SetItemsProcessed(state.iterations());
  state.SetLabel(kShapeNames[state.range(0)]);
}
BENCHMARK(BM_OneRow)->DenseRange(kAt, kState);

/// Texts that never repeat, in 5 % of the rows.
void BM_Texts(benchmark::State& state) {
  std::vector<std::string> texts;
  std::vector<std::string_view> views;
  std::vector<std::uint32_t> words;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    if (i % 20 != 7) {
      words.push_back(0);
      continue;
    }
    words.push_back(kFirstText + static_cast<std::uint32_t>(texts.size()));
    texts.push_back("ConnectionError: no route to shop-db-" + std::to_string(i * 7'919 % 99'991));
  }
  views.assign(texts.begin(), texts.end());
  WordColumnWriter writer;
  Written written;
  Decompressor decompressor;
  ChunkTexts own;
  for (auto _ : state) {
    if (failed(state, writer.write(1, words, views, written.blob, written.zone))) return;
    const auto column = WordColumn::of_blob(written.blob, 1);
    if (failed(state, column.status())) return;
    if (failed(state, column->texts(decompressor, own))) return;
    const auto code = column->at(7);
    if (failed(state, code.status())) return;
    if (own.text(*code - 1) != views[0] || column->dictionary().code_of(0) != 0u) {
      state.SkipWithError("another text");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
  state.counters["bytes_per_row"] = static_cast<double>(written.blob.size()) / kRows;
}
BENCHMARK(BM_Texts);

/// What a reader asks before it opens a column: items are zones.
void BM_Zones(benchmark::State& state) {
  NumberColumnWriter numbers;
  WordColumnWriter words;
  std::vector<Zone> zones;
  for (const std::int64_t shape : {kAt, kRuntime, kReceived, kName, kState}) {
    Written written;
    if (failed(state, write(shape, numbers, words, written))) return;
    zones.push_back(written.zone);
  }
  const std::string bytes = write_zones(zones);
  for (auto _ : state) {
    const auto read = read_zones(bytes);
    if (failed(state, read.status())) return;
    for (const Zone& zone : *read) {
      const bool may = zone.has(kZoneWords) ? zone.may_hold_word(7) || zone.may_hold_text()
                                            : zone.may_hold(5, 9) || zone.may_hold_unknown();
      benchmark::DoNotOptimize(may);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(zones.size()));
}
BENCHMARK(BM_Zones);

}  // namespace
}  // namespace phlower

BENCHMARK_MAIN();
