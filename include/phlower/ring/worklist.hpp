// The two-scan rule: which chunks a reader may take so that it gets a prefix of every lane. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
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

/// Puts the chunk first whose first unread record waits longest, and those of a lane in the order
/// of their sequences whatever their times say. By lanes instead, the first lanes would keep the
/// others waiting for as long as they have records. `submitted_ns` 0 means "at once".
inline void sort_fairly(std::vector<ScanEntry>& list) {
  std::sort(list.begin(), list.end(), [](const ScanEntry& a, const ScanEntry& b) {
    return std::tie(a.lane, a.sequence, a.chunk) < std::tie(b.lane, b.sequence, b.chunk);
  });
  for (std::size_t i = 1; i < list.size(); ++i) {
    if (list[i].lane != list[i - 1].lane) continue;
    list[i].submitted_ns = std::max(list[i].submitted_ns, list[i - 1].submitted_ns);
  }
  std::stable_sort(list.begin(), list.end(), [](const ScanEntry& a, const ScanEntry& b) {
    return a.submitted_ns < b.submitted_ns;
  });
}

/// Keeps of the second scan what the first bounds: per lane, nothing that begins after the largest
/// beginning the first scan saw. A chunk the first scan saw was claimed after all earlier chunks of
/// its lane were sealed, so the second scan sees those whole; about later ones it knows nothing.
/// Sorts as `sort_fairly`. `limits` is scratch with one 0 for each lane, and left so.
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
  sort_fairly(second);
}

}  // namespace phlower
