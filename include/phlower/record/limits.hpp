// How long the texts of a record may be, and how they are cut. Text bound for the database is
// UTF-8, so a cut never leaves half a character behind.
//
// Whatever is long is cut and marked, so that the task is there; only its id is never cut, for it
// would be another task's: a record with a longer one is refused.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "phlower/config/options.hpp"
#include "phlower/record/codec.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

inline constexpr std::size_t kTaskIdBytesMax = 1024;
inline constexpr std::size_t kNameBytesMax = 255;  // of task, state, worker, queue
inline constexpr std::size_t kExceptionBytesMax = 1024;

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

/// Cuts each text but the id to its limit and marks the record kDetailsCut when one was longer.
/// Returns whether something was cut.
inline bool cut_texts(RecordView& record, const RecordLimits& limits) noexcept {
  bool cut = false;
  const auto to = [&cut](std::string_view& text, std::size_t max_bytes) {
    if (text.size() <= max_bytes) return;
    text = utf8_prefix(text, max_bytes);
    cut = true;
  };
  to(record.task_name, kNameBytesMax);
  to(record.state, kNameBytesMax);
  to(record.worker, kNameBytesMax);
  to(record.queue, kNameBytesMax);
  to(record.exception_type, kExceptionBytesMax);
  to(record.args, limits.args_bytes);
  to(record.kwargs, limits.kwargs_bytes);
  to(record.traceback, limits.traceback_bytes);
  if (cut) record.flags |= kDetailsCut;
  return cut;
}

/// Cuts further, what says least first, until the encoding has at most `max_bytes`, and marks the
/// record. Where that is not enough (an id or names that are too long for it), all of it is cut.
/// Returns whether something was cut.
inline bool cut_to_size(RecordView& record, std::size_t max_bytes) noexcept {
  std::size_t bytes = encoded_bytes(record);
  if (bytes <= max_bytes) return false;
  for (std::string_view* text :
       {&record.traceback, &record.kwargs, &record.args, &record.exception_type}) {
    if (bytes <= max_bytes) break;
    const std::size_t before = text->size();
    const std::size_t over = bytes - max_bytes;
    *text = utf8_prefix(*text, before > over ? before - over : 0);
    bytes -= before - text->size();
  }
  record.flags |= kDetailsCut;
  return true;
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
