// What the catalog knows of one segment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/segment/format/layout.hpp"

namespace phlower {

/// The life of a segment, in this order. Stored: never renumber. edit.hpp has the moves between
/// them.
enum class SegmentState : std::uint8_t {
  kNone = 0,      // not in the catalog; never stored
  kSpare = 1,     // made and empty, for the next rotation
  kWriting = 2,   // takes what is of now
  kLate = 3,      // takes what belongs to an earlier span
  kSealing = 4,   // complete, is being sealed
  kSealed = 5,    // never written again
  kExpiring = 6,  // no reader looks into it any more; its file is about to go
  kAdopted = 7,   // a file of another layout, read as it is
  kSetAside = 8,  // damaged: not read, its file stands in quarantine/
};
inline constexpr SegmentState kLastSegmentState = SegmentState::kSetAside;

/// As doc/segment_format.md has it.
constexpr std::string_view state_name(SegmentState state) noexcept {
  switch (state) {
    case SegmentState::kNone: return "not in the catalog";
    case SegmentState::kSpare: return "spare";
    case SegmentState::kWriting: return "writing";
    case SegmentState::kLate: return "late";
    case SegmentState::kSealing: return "sealing";
    case SegmentState::kSealed: return "sealed";
    case SegmentState::kExpiring: return "expiring";
    case SegmentState::kAdopted: return "adopted";
    case SegmentState::kSetAside: return "set aside";
  }
  return "of no state that there is";
}

/// A row of the catalog. Times are us since 1970; figures are of the time of sealing, but for
/// `rows`, which is known once the segment is complete. Nobody but the catalog sets `state`.
struct SegmentInfo {
  std::int64_t seq = 0;
  SegmentFamily family = SegmentFamily::kRows;
  SegmentState state = SegmentState::kNone;
  std::int64_t from_us = 0;    // of its span; both 0 where it has none
  std::int64_t until_us = 0;   // exclusive
  std::int64_t oldest_us = 0;  // of its rows
  std::int64_t newest_us = 0;
  std::int64_t closed_us = 0;  // when it was complete or adopted
  std::uint64_t rows = 0;      // rows, or entries of details
  std::uint64_t details = 0;   // rows with details
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // of an adopted file that expires: its file_mark
  std::string path;            // of an adopted file; empty: the usual name

  bool operator==(const SegmentInfo&) const = default;
  bool open_for_writing() const noexcept {
    return state == SegmentState::kWriting || state == SegmentState::kLate;
  }
  /// Complete, and not yet on its way out.
  bool closed() const noexcept {
    return state == SegmentState::kSealed || state == SegmentState::kAdopted;
  }
  /// Readers look into it.
  bool readable() const noexcept {
    return open_for_writing() || state == SegmentState::kSealing || closed();
  }
};

}  // namespace phlower
