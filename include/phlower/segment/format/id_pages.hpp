// The index of ids in a segment file: pages of sorted entries, each a blob under its number.
//
// While a segment is written, every kRunRows rows become one run of kRunPages pages (table id_run);
// the rows behind the last run are few enough to be looked through. Sealing merges the runs, part
// by part, into one index (table id_index) in which an id is found with one read.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/segment/format/id_map.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

static_assert(std::endian::native == std::endian::little, "index pages are little-endian");

inline constexpr std::uint32_t kRunRows = 16'384;
inline constexpr int kPartBits = 6;  // parts of the sealing, and pages of a run
inline constexpr std::uint32_t kParts = 1u << kPartBits;

inline constexpr int kIndexBitsMin = 8;
inline constexpr int kIndexBitsMax = 24;

constexpr std::uint32_t part_of(IdTag tag) noexcept { return tag >> (32 - kPartBits); }

/// Bits of a tag that choose a page of the sealed index, so that a page has about 128 entries.
constexpr int index_bits(std::uint64_t rows) noexcept {
  const int bits = static_cast<int>(std::bit_width(rows / 128));
  return std::clamp(bits, kIndexBitsMin, kIndexBitsMax);
}

/// A page of a run knows the upper 6 bits of its tags and the run's first row: an entry keeps the
/// lower 26 bits of the tag and 14 of the row.
inline constexpr std::size_t kRunBytes = 5;
static_assert(kRunRows == 1u << 14 && kPartBits + 26 == 32 && 26 + 14 == 8 * kRunBytes);

inline std::uint64_t packed_at(std::string_view page, std::size_t i, std::size_t width) {
  std::uint64_t packed = 0;
  std::memcpy(&packed, page.data() + i * width, width);
  return packed;
}

/// Entries of page `part` of run `run`: a torn last entry is left out.
inline void unpack_run(std::string_view page, std::uint64_t run, std::uint32_t part,
                       std::vector<IdEntry>& out) {
  for (std::size_t i = 0; i < page.size() / kRunBytes; ++i) {
    const std::uint64_t packed = packed_at(page, i, kRunBytes);
    out.push_back(id_entry(part << (32 - kPartBits) | static_cast<IdTag>(packed >> 14),
                           static_cast<std::uint32_t>(run * kRunRows + (packed & 0x3fff) + 1)));
  }
}

/// Calls visit(value) for each packed entry of a sorted page whose bits above `low_bits` are `key`,
/// until it returns true. The value is what stands below.
template <class Visit>
bool find_packed(std::string_view page, std::size_t width, int low_bits, std::uint64_t key,
                 Visit&& visit) {
  const std::size_t count = page.size() / width;
  std::size_t low = 0;
  for (std::size_t high = count; low < high;) {
    const std::size_t middle = (low + high) / 2;
    if (packed_at(page, middle, width) >> low_bits < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (; low < count; ++low) {
    const std::uint64_t packed = packed_at(page, low, width);
    if (packed >> low_bits != key) break;
    if (visit(packed & ((1ull << low_bits) - 1))) return true;
  }
  return false;
}

/// Calls visit(row) for the entries of `tag` in its page of run `run` until it returns true.
template <class Visit>
bool find_in_run(std::string_view page, std::uint64_t run, IdTag tag, Visit&& visit) {
  return find_packed(page, kRunBytes, 14, tag & 0x3ff'ffff, [&](std::uint64_t row) {
    return visit(static_cast<std::uint32_t>(run * kRunRows + row + 1));
  });
}

/// A page of the sealed index knows the upper bits of its tags by its number: an entry keeps the
/// lower 24, and 24 bits of the row.
inline constexpr std::size_t kPackedBytes = 6;
inline constexpr std::uint64_t kIndexRowsMax = (1u << 24) - 1;

inline void pack_entry(IdEntry entry, std::string& out) {
  const std::uint64_t packed =
      (static_cast<std::uint64_t>(tag_of(entry)) & 0xff'ffff) << 24 | (row_of(entry) & 0xff'ffff);
  out.append(reinterpret_cast<const char*>(&packed), kPackedBytes);
}

/// Entries of page number `page` of an index of `bits`: a torn last entry is left out.
inline void unpack_entries(std::string_view packed, std::uint32_t page, int bits,
                           std::vector<IdEntry>& out) {
  const IdTag upper = (page << (32 - bits)) & 0xff00'0000;
  for (; packed.size() >= kPackedBytes; packed.remove_prefix(kPackedBytes)) {
    const std::uint64_t entry = packed_at(packed, 0, kPackedBytes);
    out.push_back(id_entry(upper | static_cast<IdTag>(entry >> 24),
                           static_cast<std::uint32_t>(entry & 0xff'ffff)));
  }
}

/// Calls visit(row) for the entries of `tag` in a page of the sealed index until it returns true.
template <class Visit>
bool find_in_index(std::string_view page, IdTag tag, Visit&& visit) {
  return find_packed(page, kPackedBytes, 24, tag & 0xff'ffff,
                     [&](std::uint64_t row) { return visit(static_cast<std::uint32_t>(row)); });
}

/// Writes the pages of run number `run`; sorts `entries`. Requires an open transaction.
inline Status write_run(sqlite::Statement& insert, std::uint64_t run,
                        std::vector<IdEntry>& entries) {
  std::sort(entries.begin(), entries.end());
  std::string packed;
  for (std::size_t begin = 0; begin < entries.size();) {
    const std::uint32_t part = part_of(tag_of(entries[begin]));
    std::size_t end = begin;
    while (end < entries.size() && part_of(tag_of(entries[end])) == part) ++end;
    packed.clear();
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint64_t entry = static_cast<std::uint64_t>(tag_of(entries[i]) & 0x3ff'ffff)
                                      << 14 |
                                  (row_of(entries[i]) - 1) % kRunRows;
      packed.append(reinterpret_cast<const char*>(&entry), kRunBytes);
    }
    insert.bind(1, static_cast<std::int64_t>(run * kParts + part));
    insert.bind_blob(2, packed.data(), packed.size());
    if (Status status = insert.run(); !status.ok()) return status;
    begin = end;
  }
  return Status();
}

/// Writes the entries of one part as pages of the sealed index; sorts `entries`.
inline Status write_index_part(sqlite::Statement& insert, int bits, std::vector<IdEntry>& entries) {
  std::sort(entries.begin(), entries.end());
  std::string packed;
  for (std::size_t begin = 0; begin < entries.size();) {
    const std::uint32_t page = tag_of(entries[begin]) >> (32 - bits);
    std::size_t end = begin;
    while (end < entries.size() && tag_of(entries[end]) >> (32 - bits) == page) ++end;
    packed.clear();
    for (std::size_t i = begin; i < end; ++i) pack_entry(entries[i], packed);
    insert.bind(1, static_cast<std::int64_t>(page));
    insert.bind_blob(2, packed.data(), packed.size());
    if (Status status = insert.run(); !status.ok()) return status;
    begin = end;
  }
  return Status();
}

}  // namespace phlower
