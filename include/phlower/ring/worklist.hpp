// The two-scan rule: which chunks a reader may take so that it gets a prefix of every lane. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

namespace phlower {

/// A chunk with unread records, as one scan saw it.
struct ScanEntry {
  std::uint32_t lane = 0;
  std::uint32_t chunk = 0;
  std::uint64_t sequence = 0;  // of its first unread record
  std::uint64_t submitted_ns = 0;
  std::uint64_t generation = 0;  // of the chunk: after a commit it may be in another use
};

/// Keeps of the second scan what the first bounds: per lane, nothing that begins after the largest
/// beginning the first scan saw. A chunk the first scan saw was claimed after all earlier chunks of
/// its lane were sealed, so the second scan sees those whole; about later ones it knows nothing.
/// Sorts by lane, then sequence. `limits` is scratch with one 0 for each lane, and left so.
inline void apply_two_scan_rule(const std::vector<ScanEntry>& first, std::vector<ScanEntry>& second,
                                std::vector<std::uint64_t>& limits) {
  // Kept one higher than the sequence, so that 0 means "lane not seen". A damaged record may have
  // the largest number there is; its chunk must come to its turn all the same.
  const auto above = [](const ScanEntry& entry) {
    return std::min(entry.sequence, UINT64_MAX - 1) + 1;
  };
  for (const ScanEntry& entry : first) {
    limits[entry.lane] = std::max(limits[entry.lane], above(entry));
  }
  std::erase_if(second, [&](const ScanEntry& entry) { return above(entry) > limits[entry.lane]; });
  for (const ScanEntry& entry : first) limits[entry.lane] = 0;
  std::sort(second.begin(), second.end(), [](const ScanEntry& a, const ScanEntry& b) {
    return std::tie(a.lane, a.sequence, a.chunk) < std::tie(b.lane, b.sequence, b.chunk);
  });
}

}  // namespace phlower
