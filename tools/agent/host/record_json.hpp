// Rows of the history as JSON, with the names that phlower-query prints.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "cli/record_json.hpp"
#include "phlower/plugin.h"
#include "phlower/record/fields.hpp"

namespace phlower::agent {

using Json = nlohmann::ordered_json;

inline std::string_view text_of(const phlower_text& text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

/// Unix seconds of whole microseconds, which is what rows have.
inline double row_seconds(std::int64_t ns) {
  const std::int64_t us = ns / 1000;
  return static_cast<double>(us) / 1e6;
}

/// Shows the text of `record`, which must outlive it.
inline RecordView to_view(const phlower_record& record) {
  RecordView view;
  visit_fields(
      [](const Field& field, auto& to, const auto& member) {
        if constexpr (std::is_same_v<decltype(member), const phlower_text&>) {
          to = text_of(member);
        } else if (field.kind == FieldKind::kTime) {
          to = row_seconds(member);
        } else {
          to = member >= 0 ? static_cast<double>(member) / 1e6 : -1;
        }
      },
      view, record);
  const auto flag = [&record](int from, RecordFlag to) {
    return (record.flags & from) != 0 ? to : 0;
  };
  view.flags = static_cast<std::uint16_t>(flag(PHLOWER_RECORD_CUT, kDetailsCut) |
                                          flag(PHLOWER_RECORD_SHED, kDetailsShed));
  return view;
}

/// As phlower-query prints them.
inline Json record_json(const phlower_record& record, bool details) {
  return tools::record_json(to_view(record), details);
}

using tools::dumped;

}  // namespace phlower::agent
