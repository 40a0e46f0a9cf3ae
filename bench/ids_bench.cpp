// What ids cost: their columns, their index, and the slots of a commit. Items are ids or rows; the
// counter `bytes` is bytes an id.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "../tests/support/made_ids.hpp"
#include "phlower/columns/id_column_writer.hpp"
#include "phlower/columns/id_compare.hpp"
#include "phlower/columns/id_index_find.hpp"
#include "phlower/columns/id_index_writer.hpp"
#include "phlower/columns/id_read.hpp"
#include "phlower/columns/row_members.hpp"
#include "phlower/columns/slot_writer.hpp"

namespace phlower {
namespace {

bool failed(benchmark::State& state, const Status& status) {
  if (!status.ok()) state.SkipWithError(std::string(status.message()).c_str());
  return !status.ok();
}

std::vector<std::string> made_ids(std::size_t count, bool uuids) {
  Random random(1);
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back(uuids ? testing::random_uuid(random, true) : "order-" + std::to_string(i));
  }
  return ids;
}

IdColumnWriter column_of(const std::vector<std::string>& ids) {
  IdColumnWriter writer;
  for (const std::string& id : ids) writer.add(PackedId(id));
  return writer;
}

void BM_PackAndHash(benchmark::State& state) {
  const auto ids = made_ids(4'096, state.range(0) != 0);
  for (auto _ : state) {
    for (const std::string& id : ids) benchmark::DoNotOptimize(PackedId(id).hash());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(ids.size()));
}
BENCHMARK(BM_PackAndHash)->Arg(1)->Arg(0);

void BM_WriteIds(benchmark::State& state) {
  const auto ids = made_ids(16'384, state.range(0) != 0);
  std::string blob;
  for (auto _ : state) {
    blob.clear();
    if (failed(state, column_of(ids).write(0, blob))) return;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(ids.size()));
  state.counters["bytes"] = static_cast<double>(blob.size()) / static_cast<double>(ids.size());
}
BENCHMARK(BM_WriteIds)->Arg(1)->Arg(0);

void BM_OpenAndReadIds(benchmark::State& state) {
  const auto ids = made_ids(16'384, state.range(0) != 0);
  std::string blob;
  if (failed(state, column_of(ids).write(0, blob))) return;
  for (auto _ : state) {
    const auto column = IdColumn::open(blob);
    if (failed(state, column.status())) return;
    for (std::uint32_t row = 0; row < column->count(); ++row) {
      benchmark::DoNotOptimize(column->at(row));
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(ids.size()));
}
BENCHMARK(BM_OpenAndReadIds)->Arg(1)->Arg(0);

void BM_ReadOneId(benchmark::State& state) {
  const auto ids = made_ids(16'384, state.range(0) != 0);
  std::string blob;
  if (failed(state, column_of(ids).write(0, blob))) return;
  const auto head = read_id_head(blob);
  const auto read = [&](std::size_t at, std::size_t bytes, char* to) {
    std::memcpy(to, blob.data() + at, bytes);
    return Status();
  };
  std::string text;
  std::uint32_t row = 0;
  for (auto _ : state) {
    const auto id = read_id(*head, blob.size(), row++ % 16'384, read, text);
    if (failed(state, id.status())) return;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_ReadOneId)->Arg(1)->Arg(0);

/// An index in memory whose filters were checked once.
struct Kept {
  IdIndexShape shape;
  std::vector<std::string> filters;
  std::vector<std::string> row_parts;
  std::vector<IdFilterPage> open;

  explicit Kept(const IdIndexShape& of) : shape(of) {}
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  Result<IdFilterPage> filter(std::uint32_t page) { return open[page]; }
  Result<std::string_view> rows(std::uint32_t page, std::size_t at, std::size_t bytes) {
    return std::string_view(row_parts[page]).substr(at, bytes);
  }
  Status fill(const std::vector<HashedRow>& sorted) {
    IdIndexWriter writer(shape, [&](std::uint32_t, std::string_view filter, std::string_view rows) {
      filters.emplace_back(filter);
      row_parts.emplace_back(rows);
      return Status();
    });
    for (const HashedRow entry : sorted) {
      if (Status status = writer.add(entry); !status.ok()) return status;
    }
    if (Status status = writer.finish(); !status.ok()) return status;
    for (std::uint32_t page = 0; page < shape.pages(); ++page) {
      auto filter = IdFilterPage::open(filters[page], shape, page);
      if (!filter.ok()) return filter.status();
      open.push_back(*filter);
    }
    return Status();
  }
  double bytes() const {
    double sum = 0;
    for (const auto* parts : {&filters, &row_parts}) {
      for (const std::string& part : *parts) sum += static_cast<double>(part.size());
    }
    return sum / static_cast<double>(shape.rows);
  }
};

std::vector<HashedRow> made_rows(std::uint32_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<HashedRow> rows;
  for (std::uint32_t row = 0; row < count; ++row) rows.push_back(hashed_row(random.next(), row));
  std::sort(rows.begin(), rows.end());
  return rows;
}

IdIndexShape shape_of(std::int64_t remainder_bits) {
  IdIndexShape shape = IdIndexShape::sealed(2'000'000);
  shape.remainder_bits = static_cast<std::uint8_t>(remainder_bits);
  return shape;
}

void BM_WriteIndex(benchmark::State& state) {
  const auto rows = made_rows(2'000'000, 1);
  double bytes = 0;
  for (auto _ : state) {
    Kept index(shape_of(state.range(0)));
    if (failed(state, index.fill(rows))) return;
    bytes = index.bytes();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(rows.size()));
  state.counters["bytes"] = bytes;
}
BENCHMARK(BM_WriteIndex)->Arg(8)->Arg(10)->Unit(benchmark::kMillisecond);

void find(benchmark::State& state, bool present) {
  const auto rows = made_rows(2'000'000, 1);
  Kept index(shape_of(state.range(0)));
  if (failed(state, index.fill(rows))) return;
  Random random(2);
  std::int64_t found = 0;
  for (auto _ : state) {
    const std::uint64_t hash = present ? rows[random.below(rows.size())] : random.next();
    const auto may = may_hold(index, index.shape, hash);
    if (failed(state, may.status())) return;
    if (!*may) continue;
    const auto one = find_rows(index, index.shape, hash, [&](std::uint32_t) { return true; });
    if (failed(state, one.status())) return;
    found += *one ? 1 : 0;
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["found"] = static_cast<double>(found) / static_cast<double>(state.iterations());
}
void BM_FindPresent(benchmark::State& state) { find(state, true); }
void BM_FindAbsent(benchmark::State& state) { find(state, false); }
BENCHMARK(BM_FindPresent)->Arg(8)->Arg(10);
BENCHMARK(BM_FindAbsent)->Arg(8)->Arg(10);

// Arg 1: the younger one's hashes are known, as when it is sealed; else they come from its index.
void BM_Compare(benchmark::State& state) {
  const auto old_rows = made_rows(2'000'000, 1);
  const auto young_rows = made_rows(2'000'000, 2);
  Kept older(IdIndexShape::sealed(2'000'000));
  Kept younger(IdIndexShape::sealed(2'000'000));
  if (failed(state, older.fill(old_rows)) || failed(state, younger.fill(young_rows))) return;
  std::int64_t pairs = 0;
  const auto count = [&](std::uint32_t, std::uint32_t) { return ++pairs < 0; };
  for (auto _ : state) {
    pairs = 0;
    HashedRows exact(young_rows);
    IndexedRows indexed(younger.shape, younger);
    const auto done = state.range(0) != 0 ? compare_ids(exact, older.shape, older, count)
                                          : compare_ids(indexed, older.shape, older, count);
    if (failed(state, done.status())) return;
  }
  state.SetItemsProcessed(state.iterations() * 2'000'000);
  state.counters["pairs"] = static_cast<double>(pairs);
}
BENCHMARK(BM_Compare)->Arg(1)->Arg(0)->Unit(benchmark::kMillisecond);

// A commit of so many rows with every member, numbers as small as they are in a queue's history.
struct Commit {
  explicit Commit(std::uint32_t count) : rows(count), ids(made_ids(count, true)) {
    Random random(3);
    for (const RowMember& member : row_members()) {
      if (member.form == MemberForm::kIds) continue;
      std::vector<std::int64_t> column;
      const std::uint64_t bound = member.form == MemberForm::kWords ? 200 : 2'000'000;
      for (std::uint32_t row = 0; row < count; ++row) {
        column.push_back(static_cast<std::int64_t>(random.below(bound)));
      }
      numbers.emplace_back(member.number, std::move(column));
    }
  }
  Status write(std::string& blob) const {
    SlotWriter writer(rows);
    Status status = writer.add_ids(0, column_of(ids));
    for (const auto& [member, column] : numbers) {
      if (status.ok()) status = writer.add_numbers(member, column);
      if (status.ok() && member == numbers.front().first) status = writer.add_texts(member, {});
    }
    return status.ok() ? writer.finish({}, blob) : status;
  }
  std::uint32_t rows;
  std::vector<std::string> ids;
  std::vector<std::pair<std::uint16_t, std::vector<std::int64_t>>> numbers;
};

void BM_WriteSlot(benchmark::State& state) {
  const Commit commit(static_cast<std::uint32_t>(state.range(0)));
  std::string blob;
  for (auto _ : state) {
    if (failed(state, commit.write(blob))) return;
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["bytes"] = static_cast<double>(blob.size()) / commit.rows;
}
BENCHMARK(BM_WriteSlot)->Arg(60)->Arg(512)->Arg(4'096);

void BM_ReadSlot(benchmark::State& state) {
  const Commit commit(static_cast<std::uint32_t>(state.range(0)));
  std::string blob;
  if (failed(state, commit.write(blob))) return;
  std::vector<std::int64_t> out(commit.rows);
  for (auto _ : state) {
    const auto slot = Slot::open(blob);
    if (failed(state, slot.status())) return;
    for (const auto& [member, column] : commit.numbers) {
      benchmark::DoNotOptimize(slot->numbers(member, out));
      benchmark::DoNotOptimize(slot->texts(member));
    }
    benchmark::DoNotOptimize(slot->ids(0)->at(slot->rows() - 1));
    benchmark::DoNotOptimize(slot->outdone());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ReadSlot)->Arg(60)->Arg(512)->Arg(4'096);

}  // namespace
}  // namespace phlower

BENCHMARK_MAIN();
