// What one run of phlower-replay found: the JSON for programs, the table for people.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/json_out.hpp"
#include "phlower/ground/histogram.hpp"
#include "phlower/ground/units.hpp"

namespace phlower::tools {

struct ReplayResult {
  std::string way = "phlower";  // or the name of the baseline
  std::uint64_t offered = 0;    // records, as the producers count them
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t shed = 0;
  std::uint64_t found = 0;  // records of earlier runs that waited in the ring, or in one set aside
  std::uint64_t committed = 0;
  std::uint64_t too_old = 0;  // of those committed: past their retention, and not stored
  std::uint64_t in_ring = 0;
  std::uint64_t purged = 0;  // rows
  std::uint64_t purged_details = 0;
  std::uint64_t purge_left = 0;
  std::uint64_t wal_bytes_max = 0;
  std::uint64_t rss_bytes_max = 0;
  double ring_fill_max = 0;
  double elapsed_s = 0;
  double purged_ms = -1;        // from opening until nothing was left to purge
  double first_commit_ms = -1;  // from opening to the first committed record
  Histogram flush_age;
  Histogram hold;
  Histogram submit;
  std::string health = "ok";
  std::string failure;  // why the run is not what was asked for

  /// The two sums of the promise. `accepted` and `offered` come from the producers, the others from
  /// the engine, so this compares two counts that were made apart.
  bool sums_hold() const {
    return offered == accepted + refused && found + accepted == committed + in_ring;
  }
};

inline double to_ms(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

inline nlohmann::ordered_json quantiles_ms(const Histogram& histogram) {
  return {{"p50", to_ms(histogram.quantile(0.5))},
          {"p99", to_ms(histogram.quantile(0.99))},
          {"max", to_ms(histogram.max())}};
}

inline nlohmann::ordered_json to_json(const ReplayResult& result, bool whole) {
  return {
      {"way", result.way},
      {"offered", result.offered},
      {"accepted", result.accepted},
      {"refused", result.refused},
      {"shed", result.shed},
      {"found", result.found},
      {"committed", result.committed},
      {"too_old", result.too_old},
      {"in_ring", result.in_ring},
      {"sums_hold", whole ? nlohmann::ordered_json(result.sums_hold()) : nlohmann::ordered_json()},
      {"flush_age_ms", quantiles_ms(result.flush_age)},
      {"hold_ms", quantiles_ms(result.hold)},
      {"submit_ns",
       {{"p50", result.submit.quantile(0.5)},
        {"p99", result.submit.quantile(0.99)},
        {"p999", result.submit.quantile(0.999)},
        {"max", result.submit.max()}}},
      {"ring_fill_max", result.ring_fill_max},
      {"wal_bytes_max", result.wal_bytes_max},
      {"rss_bytes_max", result.rss_bytes_max},
      {"purged", result.purged},
      {"purged_details", result.purged_details},
      {"purge_left", result.purge_left},
      {"purged_ms", result.purged_ms},
      {"first_commit_ms", result.first_commit_ms},
      {"health", result.health},
      {"elapsed_s", result.elapsed_s}};
}

/// The table at the end of a run, one line a fact. `whole`: producers and engine ran together.
inline std::string to_table(const ReplayResult& result, bool whole) {
  std::string text;
  const auto line = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<22} {}\n", name, value);
  };
  const auto ms = [](const Histogram& h) {
    return fmt::format("{:>9.2f} {:>9.2f} {:>9.2f}", to_ms(h.quantile(0.5)),
                       to_ms(h.quantile(0.99)), to_ms(h.max()));
  };
  const double rate =
      result.elapsed_s > 0 ? static_cast<double>(result.committed) / result.elapsed_s : 0;
  line("offered", format_count(result.offered));
  line("accepted", format_count(result.accepted));
  line("refused", format_count(result.refused));
  line("details shed", format_count(result.shed));
  if (result.found > 0) line("found in the ring", format_count(result.found));
  line("committed", fmt::format("{}  ({:.0f} records/s)", format_count(result.committed), rate));
  if (result.too_old > 0) {
    line("of them", fmt::format("{} stored, {} too old: past their retention when they came",
                                format_count(result.committed - result.too_old),
                                format_count(result.too_old)));
  }
  line("still in the ring", format_count(result.in_ring));
  if (whole) line("both sums hold", result.sums_hold() ? "yes" : "NO");
  line("purged rows, details",
       fmt::format("{}, {}  (about {} left)", format_count(result.purged),
                   format_count(result.purged_details), format_count(result.purge_left)));
  line("", "   median       p99     worst");
  line("age at commit, ms", ms(result.flush_age));
  line("write lock held, ms", ms(result.hold));
  line("submit, us", fmt::format("{:>9.2f} {:>9.2f} {:>9.2f}",
                                 static_cast<double>(result.submit.quantile(0.5)) / 1e3,
                                 static_cast<double>(result.submit.quantile(0.99)) / 1e3,
                                 static_cast<double>(result.submit.max()) / 1e3));
  line("ring fill, worst", fmt::format("{:.0f} %", 100 * result.ring_fill_max));
  line("WAL, largest", format_bytes(result.wal_bytes_max));
  line("memory, largest", format_bytes(result.rss_bytes_max));
  if (result.first_commit_ms >= 0)
    line("first commit after", fmt::format("{:.0f} ms", result.first_commit_ms));
  if (result.purged > 0 && result.purged_ms >= 0)
    line("all purged after", fmt::format("{:.0f} ms", result.purged_ms));
  line("health at the end", result.health);
  line("time", fmt::format("{:.1f} s", result.elapsed_s));
  return text;
}

}  // namespace phlower::tools
