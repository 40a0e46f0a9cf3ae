// The life of a segment as one table: the moves T1 to T13 of doc/segment_format.md, 2.2. Whatever
// is to become of a segment is an edit that names its move, and a move that is not in the table
// does not happen. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/segment/segment_info.hpp"

namespace phlower {

/// The number of each is its T of the page.
enum class Move : std::uint8_t {
  kMake = 1,
  kActivate = 2,
  kTakeLate = 3,
  kKeepForLate = 4,
  kClose = 5,
  kSeal = 6,
  kExpire = 7,
  kGo = 8,
  kAdopt = 9,
  kSetAside = 10,
  kMiss = 11,
  kSpanAgain = 12,
  kCorrect = 13,
};

/// A row of the table.
struct MoveRule {
  Move move;
  std::string_view name;           // as the page has it
  std::uint16_t from;              // a bit for each state
  std::optional<SegmentState> to;  // nothing: it stays in its state
};

namespace edit_detail {

template <class... States>
constexpr std::uint16_t set_of(States... states) noexcept {
  return static_cast<std::uint16_t>((0u | ... | (1u << static_cast<unsigned>(states))));
}

inline constexpr std::uint16_t kAll =
    (2u << static_cast<unsigned>(kLastSegmentState)) - 1u - set_of(SegmentState::kNone);

}  // namespace edit_detail

inline constexpr auto kMoves = [] {
  using enum SegmentState;
  using edit_detail::set_of;
  constexpr std::uint16_t kAny = edit_detail::kAll;
  return std::array<MoveRule, 13>{{
      {Move::kMake, "make", set_of(kNone), kSpare},
      {Move::kActivate, "activate", set_of(kSpare), kWriting},
      {Move::kTakeLate, "take late rows", set_of(kSpare), kLate},
      {Move::kKeepForLate, "keep for late rows", set_of(kWriting), kLate},
      {Move::kClose, "close", set_of(kWriting, kLate), kSealing},
      {Move::kSeal, "seal", set_of(kSealing), kSealed},
      {Move::kExpire, "expire", set_of(kSealed, kAdopted), kExpiring},
      // From sealed and adopted: on a disk without room to note that they expire.
      {Move::kGo, "go", set_of(kExpiring, kSealed, kAdopted), kNone},
      {Move::kAdopt, "adopt", set_of(kNone), kAdopted},
      {Move::kSetAside, "set aside", kAny & ~set_of(kExpiring, kSetAside), kSetAside},
      {Move::kMiss, "miss", kAny & ~set_of(kSetAside), kNone},
      {Move::kSpanAgain, "span again", set_of(kWriting, kLate), std::nullopt},
      {Move::kCorrect, "correct", set_of(kSealing, kSealed, kExpiring, kAdopted), std::nullopt},
  }};
}();

constexpr const MoveRule& rule_of(Move move) noexcept {
  return kMoves[static_cast<std::size_t>(move) - 1];
}

/// The state after `move`; nothing where the table has no such move.
constexpr std::optional<SegmentState> state_after(SegmentState from, Move move) noexcept {
  const MoveRule& rule = rule_of(move);
  if ((rule.from & edit_detail::set_of(from)) == 0) return std::nullopt;
  return rule.to ? *rule.to : from;
}

/// What is to become of one segment. Its `state` is the table's business and is not looked at.
struct SegmentEdit {
  Move move;
  SegmentInfo info;
};

namespace edit_detail {

// What others may do at the same time takes nothing from figures that may be old.
inline SegmentInfo figures_after(const SegmentInfo& known, const SegmentEdit& edit) {
  SegmentInfo next = known;
  switch (edit.move) {
    case Move::kSetAside: return known;
    case Move::kExpire:
      if (!known.path.empty()) next.checksum = edit.info.checksum;
      return next;
    case Move::kCorrect: next.closed_us = edit.info.closed_us; return next;
    default: return edit.info;
  }
}

}  // namespace edit_detail

/// Does one edit to `segments`, which are in the order of their numbers. Errors: kInternal for a
/// move that the table has not; nothing has changed then.
inline Status apply_edit(std::vector<SegmentInfo>& segments, const SegmentEdit& edit) {
  const auto at =
      std::lower_bound(segments.begin(), segments.end(), edit.info.seq,
                       [](const SegmentInfo& known, std::int64_t seq) { return known.seq < seq; });
  const bool known = at != segments.end() && at->seq == edit.info.seq;
  const SegmentState from = known ? at->state : SegmentState::kNone;
  const auto to = state_after(from, edit.move);
  if (!to) {
    return Status(Code::kInternal, "segment " + std::to_string(edit.info.seq) + " is " +
                                       std::string(state_name(from)) + "; no move `" +
                                       std::string(rule_of(edit.move).name) + "` begins there");
  }
  if (*to == SegmentState::kNone) {
    segments.erase(at);
    return Status();
  }
  SegmentInfo next = known ? edit_detail::figures_after(*at, edit) : edit.info;
  next.state = *to;
  if (known) {
    *at = std::move(next);
  } else {
    segments.insert(at, std::move(next));
  }
  return Status();
}

}  // namespace phlower
