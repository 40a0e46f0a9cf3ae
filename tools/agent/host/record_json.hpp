// Rows of the history as JSON, with the names that phlower-query prints.
#pragma once

#include <cstdint>
#include <string_view>

#include "cli/record_json.hpp"
#include "phlower/plugin.h"

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

/// As phlower-query prints them.
inline Json record_json(const phlower_record& record, bool details) {
  RecordView view;
  view.task_id = text_of(record.task_id);
  view.task_name = text_of(record.task_name);
  view.state = text_of(record.state);
  view.received_at = row_seconds(record.received_at_ns);
  view.started_at = row_seconds(record.started_at_ns);
  view.finished_at = row_seconds(record.finished_at_ns);
  view.runtime_ms = record.runtime_ns >= 0 ? static_cast<double>(record.runtime_ns) / 1e6 : -1;
  view.worker = text_of(record.worker);
  view.queue = text_of(record.queue);
  view.exception_type = text_of(record.exception_type);
  view.args = text_of(record.args);
  view.kwargs = text_of(record.kwargs);
  view.traceback = text_of(record.traceback);
  const auto flag = [&record](int from, RecordFlag to) {
    return (record.flags & from) != 0 ? to : 0;
  };
  view.flags = static_cast<std::uint16_t>(flag(PHLOWER_RECORD_CUT, kDetailsCut) |
                                          flag(PHLOWER_RECORD_SHED, kDetailsShed));
  return tools::record_json(view, details);
}

using tools::dumped;

}  // namespace phlower::agent
