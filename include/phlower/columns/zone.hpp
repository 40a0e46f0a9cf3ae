// What a chunk can hold at most, so that a reader skips it without opening a column. A zone may
// promise too much and never too little.
//
//   offset  bytes  field
//   0       2      member
//   2       2      flags (ZoneFlag)
//   4       4      bytes of the column; 0 where all rows are the same, and there is no column
//   8       8      numbers: the least known one           words: bits of the words 0 to 63 mod 128
//   16      8      numbers: the greatest known one        words: bits of the words 64 to 127 mod
//   128
//
// Zones of a chunk stand one after the other, ascending by member, then XXH3-64 of all of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/ground/checksum.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

inline constexpr std::size_t kZoneBytes = 24;

enum ZoneFlag : std::uint16_t {
  kZoneUnknown = 1,   // some rows have no number; with kZoneOneValue all of them
  kZoneOneValue = 2,  // every row is the same: a number is the least; a word is the first 8 bytes
  kZoneWords = 4,     // of words
  kZoneTexts = 8,     // and of texts that may not be words of the segment
};
inline constexpr std::uint16_t kZoneFlags = 15;

struct Zone {
  std::uint16_t member = 0;
  std::uint16_t flags = 0;
  std::uint32_t column_bytes = 0;
  std::int64_t first = 0;
  std::int64_t second = 0;

  bool has(ZoneFlag flag) const noexcept { return (flags & flag) != 0; }
  bool operator==(const Zone&) const = default;

  /// Whether a row may have a number in [from, until], both included. Requires: of numbers.
  bool may_hold(std::int64_t from, std::int64_t until) const noexcept {
    return !has_no_number() && first <= until && second >= from && from <= until;
  }

  /// Whether a row may have no number. Requires: of numbers.
  bool may_hold_unknown() const noexcept { return has(kZoneUnknown); }

  /// Whether a row may have the word that has this number in the segment's table. What is in the
  /// table today may have been a text of the chunk before. Requires: of words.
  bool may_hold_word(std::uint32_t word) const noexcept {
    if (has(kZoneOneValue)) return first == static_cast<std::int64_t>(word);
    const auto half = static_cast<std::uint64_t>(word % 128 < 64 ? first : second);
    return has(kZoneTexts) || (half >> (word % 64) & 1) != 0;
  }

  /// Whether a row may have a word that the segment's table does not know. Requires: of words.
  bool may_hold_text() const noexcept { return has(kZoneTexts); }

  /// Takes a word in. Requires: of words, not yet of one value.
  void add_word(std::uint32_t word) noexcept {
    std::int64_t& half = word % 128 < 64 ? first : second;
    half = static_cast<std::int64_t>(static_cast<std::uint64_t>(half) | std::uint64_t{1}
                                                                            << (word % 64));
  }

 private:
  bool has_no_number() const noexcept { return has(kZoneOneValue) && has(kZoneUnknown); }
};

/// All zones of a chunk as bytes. Requires: ascending by member.
inline std::string write_zones(std::span<const Zone> zones) {
  std::string bytes;
  for (const Zone& zone : zones) {
    append_number(bytes, zone.member);
    append_number(bytes, zone.flags);
    append_number(bytes, zone.column_bytes);
    append_number(bytes, zone.first);
    append_number(bytes, zone.second);
  }
  append_number(bytes, hash_of(bytes.data(), bytes.size()));
  return bytes;
}

namespace zone_detail {

inline Status check_zone(const Zone& zone, std::int32_t before) {
  const std::string place = "zone of member " + std::to_string(zone.member) + ": ";
  if ((zone.flags & ~kZoneFlags) != 0) {
    return {Code::kUnsupported, place + "flags " + std::to_string(zone.flags) + ", known are " +
                                    std::to_string(kZoneFlags) +
                                    ". A later build wrote it and reads it"};
  }
  const bool words = zone.has(kZoneWords);
  const bool one = zone.has(kZoneOneValue);
  if (zone.member <= before) {
    return {Code::kCorrupt, place + "behind that of member " + std::to_string(before)};
  }
  if (one != (zone.column_bytes == 0)) {
    return {Code::kCorrupt, place + (one ? "one value, and yet a column of " : "a column of ") +
                                std::to_string(zone.column_bytes) + " bytes"};
  }
  const bool mixed = words ? zone.has(kZoneUnknown) : zone.has(kZoneTexts);
  if (mixed || (one && zone.has(kZoneTexts))) {
    return {Code::kCorrupt, place + "flags " + std::to_string(zone.flags) + ", not of one kind"};
  }
  const bool wrong_word = zone.second != 0 || zone.first < 0 || zone.first > 0xffff;
  const bool wrong_span = one ? zone.first != zone.second : zone.first > zone.second;
  if (words ? one && wrong_word : wrong_span) {
    return {Code::kCorrupt,
            place + "from " + std::to_string(zone.first) + " to " + std::to_string(zone.second)};
  }
  return Status();
}

}  // namespace zone_detail

/// The zones of a chunk. Errors: kCorrupt, kUnsupported for a flag of a later build.
inline Result<std::vector<Zone>> read_zones(std::string_view bytes) {
  constexpr std::size_t kSumBytes = 8;
  if (bytes.size() < kSumBytes || (bytes.size() - kSumBytes) % kZoneBytes != 0) {
    return Status(Code::kCorrupt, "zones of " + std::to_string(bytes.size()) +
                                      " bytes; right are 8 and 24 for each member");
  }
  const std::size_t end = bytes.size() - kSumBytes;
  if (hash_of(bytes.data(), end) != load_number<std::uint64_t>(bytes, end)) {
    return Status(Code::kCorrupt,
                  "zones: their " + std::to_string(end) + " bytes fail their checksum");
  }
  std::vector<Zone> zones;
  for (std::size_t at = 0; at < end; at += kZoneBytes) {
    Zone zone;
    zone.member = load_number<std::uint16_t>(bytes, at);
    zone.flags = load_number<std::uint16_t>(bytes, at + 2);
    zone.column_bytes = load_number<std::uint32_t>(bytes, at + 4);
    zone.first = load_number<std::int64_t>(bytes, at + 8);
    zone.second = load_number<std::int64_t>(bytes, at + 16);
    const std::int32_t before = zones.empty() ? -1 : zones.back().member;
    if (Status status = zone_detail::check_zone(zone, before); !status.ok()) return status;
    zones.push_back(zone);
  }
  return zones;
}

}  // namespace phlower
