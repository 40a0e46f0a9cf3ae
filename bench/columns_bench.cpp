// What columns cost: items are values, or bytes where the name says so.
#include <benchmark/benchmark.h>

#include <string>

#include "phlower/columns/blob.hpp"

namespace phlower {
namespace {

void BM_Checksum(benchmark::State& state) {
  const BlobKind kind{1, 0};
  std::string blob;
  start_blob(blob, BlobHead{1, 0, 5, 16'384, 0, 0, 0});
  blob.append(static_cast<std::size_t>(state.range(0)), 'x');
  finish_blob(blob);
  for (auto _ : state) {
    if (const auto head = check_blob(blob, kind); !head.ok()) {
      state.SkipWithError(std::string(head.status().message()).c_str());
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(blob.size()));
}
BENCHMARK(BM_Checksum)->Arg(2'000)->Arg(48'000);

}  // namespace
}  // namespace phlower

BENCHMARK_MAIN();
