// How long the texts of a record may be, and how they are cut. Text bound for the database is
// UTF-8, so a cut never leaves half a character behind.
//
// Whatever is long is cut and marked, so that the task is there; only its id is never cut, for it
// would be another task's: a record with a longer one is refused.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "phlower/config/options.hpp"
#include "phlower/record/codec.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

inline constexpr std::size_t kTaskIdBytesMax = 1024;
inline constexpr std::size_t kNameBytesMax = 255;  // of task, state, worker, queue
inline constexpr std::size_t kExceptionBytesMax = 1024;

/// How long a text may be. An id is never cut.
constexpr std::size_t most_bytes_of(const Field& field, const RecordOptions& options) noexcept {
  if (field.kind == FieldKind::kId) return std::string_view::npos;
  if (field.kind == FieldKind::kWord) return kNameBytesMax;
  return field.max_bytes != nullptr ? options.*field.max_bytes : kExceptionBytesMax;
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
[[gnu::flatten]] inline bool cut_texts(RecordView& record, const RecordOptions& limits) noexcept {
  bool cut = false;
  visit_texts(
      [&](const Field& field, std::string_view& text) {
        const std::size_t max_bytes = most_bytes_of(field, limits);
        if (text.size() <= max_bytes) return;
        text = utf8_prefix(text, max_bytes);
        cut = true;
      },
      record);
  if (cut) record.flags |= kDetailsCut;
  return cut;
}

/// Cuts further, the last text of the table first, but no words, until the encoding has at most
/// `max_bytes`, and marks the record. Where that is not enough (an id or names that are too long
/// for it), all of it is cut. Returns whether something was cut.
[[gnu::flatten]] inline bool cut_to_size(RecordView& record, std::size_t max_bytes) noexcept {
  std::size_t bytes = encoded_bytes(record);
  if (bytes <= max_bytes) return false;
  std::array<std::string_view*, count_fields(is_prose)> texts;
  std::size_t left = 0;
  visit_texts(
      [&](const Field& field, std::string_view& text) {
        if (is_prose(field)) texts[left++] = &text;
      },
      record);
  while (bytes > max_bytes && left > 0) {
    std::string_view* const text = texts[--left];
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
  record.clear_details();
  record.flags |= kDetailsShed;
  return true;
}

}  // namespace phlower
