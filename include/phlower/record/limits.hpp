// How long the details of a record may be, and how they are cut. Text bound for the database is
// UTF-8, so a cut never leaves half a character behind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "phlower/config/options.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// Limits in bytes. `record_bytes` is the whole encoded record with its header in the ring.
struct RecordLimits {
  std::size_t record_bytes = 0;
  std::size_t args_bytes = 0;
  std::size_t kwargs_bytes = 0;
  std::size_t traceback_bytes = 0;
};

inline RecordLimits record_limits(const RecordOptions& options) noexcept {
  return {options.max_bytes, options.args_max_bytes, options.kwargs_max_bytes,
          options.traceback_max_bytes};
}

/// The longest prefix of `text` that has at most `max_bytes` and does not end inside a character.
/// Text that is not UTF-8 around the limit is cut at the limit.
inline std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes) noexcept {
  if (text.size() <= max_bytes) return text;
  const auto continues = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u;
  };
  // A character has at most three continuation bytes: with more the text is not UTF-8, and going
  // back further would only throw bytes away.
  const std::size_t lowest = max_bytes > 3 ? max_bytes - 3 : 0;
  for (std::size_t end = max_bytes;; --end) {
    if (!continues(end)) return text.substr(0, end);
    if (end == lowest) return text.substr(0, max_bytes);
  }
}

/// Cuts args, kwargs and traceback to their limits and marks the record kDetailsCut when one of
/// them was longer. Returns whether something was cut.
inline bool cut_details(RecordView& record, const RecordLimits& limits) noexcept {
  const std::size_t before = record.args.size() + record.kwargs.size() + record.traceback.size();
  record.args = utf8_prefix(record.args, limits.args_bytes);
  record.kwargs = utf8_prefix(record.kwargs, limits.kwargs_bytes);
  record.traceback = utf8_prefix(record.traceback, limits.traceback_bytes);
  const bool cut = record.args.size() + record.kwargs.size() + record.traceback.size() != before;
  if (cut) record.flags |= kDetailsCut;
  return cut;
}

/// Leaves the details out and marks the record kDetailsShed; a record without details stays as it
/// is. Returns whether something was left out.
inline bool shed_details(RecordView& record) noexcept {
  if (!record.has_details()) return false;
  record.args = record.kwargs = record.traceback = {};
  record.flags |= kDetailsShed;
  return true;
}

}  // namespace phlower
