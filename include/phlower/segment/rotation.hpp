// When a segment is complete, when it has expired, and which go first when the disk is short. Pure
// functions of figures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/segment/catalog.hpp"

namespace phlower {

inline constexpr std::int64_t kUsPerHour = 3'600'000'000;

constexpr Part part_of(SegmentFamily family) noexcept {
  return family == SegmentFamily::kRows ? Part::kRows : Part::kDetails;
}

/// Lifetime of a family in microseconds.
inline std::int64_t lifetime_us(const RetentionPolicy& policy, SegmentFamily family) noexcept {
  return policy.longest(part_of(family)).count() * kUsPerHour;
}

/// A span is a 24th of the lifetime: what is kept longer than asked for is at most as much.
inline std::int64_t span_us(const RetentionPolicy& policy, SegmentFamily family) noexcept {
  return lifetime_us(policy, family) / 24;
}

/// The first microsecond of the span that holds `at_us`.
constexpr std::int64_t span_begin(std::int64_t at_us, std::int64_t span) noexcept {
  const std::int64_t rest = at_us % span;
  return at_us - (rest < 0 ? rest + span : rest);
}

/// Why a segment is complete.
enum class Complete : std::uint8_t { kNo, kTime, kRows, kBytes, kLog };

struct WrittenSegment {
  std::int64_t until_us = 0;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t log_bytes = 0;
  bool log_is_pinned = false;  // the last checkpoint could not move all of it
};

/// A log that a reader pins at its bound would grow for ever: the next segment has one of its own.
inline Complete completeness(const WrittenSegment& segment, const StoreOptions& options,
                             std::int64_t now_us) noexcept {
  if (segment.rows == 0) return Complete::kNo;
  if (segment.rows >= options.segment_rows) return Complete::kRows;
  if (segment.bytes >= options.segment_bytes) return Complete::kBytes;
  if (now_us >= segment.until_us) return Complete::kTime;
  if (segment.log_is_pinned && segment.log_bytes >= options.wal_hard_bytes) return Complete::kLog;
  return Complete::kNo;
}

/// Whether the next segment should be made by now.
inline bool is_nearly_complete(const WrittenSegment& segment, const StoreOptions& options,
                               std::int64_t now_us) noexcept {
  constexpr std::int64_t kMinuteUs = 60'000'000;
  return segment.rows * 4 >= options.segment_rows * 3ull ||
         segment.bytes * 4 >= options.segment_bytes * 3 ||
         (segment.rows > 0 && now_us >= segment.until_us - kMinuteUs);
}

/// The time from which a closed segment's lifetime counts. One wrong time in the future does not
/// keep it: no row can have ended after the segment was closed.
inline std::int64_t newest_time(const SegmentInfo& segment) noexcept {
  return segment.rows == 0 ? segment.closed_us : std::min(segment.newest_us, segment.closed_us);
}

/// Whether all of a segment is past its lifetime.
inline bool has_expired(const SegmentInfo& segment, const RetentionPolicy& policy,
                        std::int64_t now_us) noexcept {
  return segment.closed() &&
         policy.file_is_over(part_of(segment.family), newest_time(segment), now_us);
}

/// Null where none is ready.
inline const SegmentInfo* spare_of(const std::vector<SegmentInfo>& segments,
                                   SegmentFamily family) noexcept {
  for (const SegmentInfo& info : segments) {
    if (info.family == family && info.state == SegmentState::kSpare) return &info;
  }
  return nullptr;
}

/// Bytes of segments that no reader sees any more and that are still there.
inline std::uint64_t pending_bytes(const std::vector<SegmentInfo>& segments) noexcept {
  std::uint64_t bytes = 0;
  for (const SegmentInfo& info : segments) {
    if (info.state == SegmentState::kExpiring) bytes += info.bytes;
  }
  return bytes;
}

/// Rows and details in files that are past their retention and still there. An adopted file counts
/// once it is on its way out: before, its owner may have written it anew, see may_expire.
inline std::uint64_t expired_rows(const std::vector<SegmentInfo>& segments,
                                  const RetentionOptions& retention, std::int64_t now_us) noexcept {
  std::uint64_t rows = 0;
  for (const SegmentInfo& info : segments) {
    const bool going = info.state == SegmentState::kExpiring;
    const bool expired = info.path.empty() && has_expired(info, retention, now_us);
    if (going || expired) rows += info.rows;
  }
  return rows;
}

/// The segments that must go, oldest first, until no more than `cap_bytes` are used. Those with a
/// row younger than the floor stay.
inline std::vector<std::int64_t> over_cap(const std::vector<SegmentInfo>& segments,
                                          std::uint64_t used_bytes, std::uint64_t cap_bytes,
                                          std::int64_t floor_us, std::int64_t now_us) {
  std::vector<const SegmentInfo*> closed;
  for (const SegmentInfo& segment : segments) {
    if (segment.closed() && newest_time(segment) <= now_us - floor_us) closed.push_back(&segment);
  }
  std::stable_sort(closed.begin(), closed.end(), [](const SegmentInfo* a, const SegmentInfo* b) {
    return newest_time(*a) < newest_time(*b);
  });
  std::vector<std::int64_t> going;
  for (const SegmentInfo* segment : closed) {
    if (used_bytes <= cap_bytes) break;
    going.push_back(segment->seq);
    used_bytes -= std::min(used_bytes, segment->bytes);
  }
  return going;
}

}  // namespace phlower
