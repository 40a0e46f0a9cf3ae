// Rows of the history as JSON, with the names that phlower-query prints.
#pragma once

#include <string>
#include <string_view>

#include "../json_out.hpp"
#include "phlower/plugin.h"

namespace phlower::agent {

using Json = nlohmann::ordered_json;

inline std::string_view text_of(const phlower_text& text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

/// null for what is not known; times in Unix seconds.
inline Json record_json(const phlower_record& record, bool details) {
  const auto text = [](const phlower_text& value) {
    return value.size == 0 ? Json() : Json(text_of(value));
  };
  const auto time = [](std::int64_t ns) {
    const std::int64_t us = ns / 1000;  // which is what rows have
    return us > 0 ? Json(static_cast<double>(us) / 1e6) : Json();
  };
  Json json = {
      {"task_id", text_of(record.task_id)},
      {"task_name", text(record.task_name)},
      {"state", text_of(record.state)},
      {"received_at", time(record.received_at_ns)},
      {"started_at", time(record.started_at_ns)},
      {"finished_at", time(record.finished_at_ns)},
      {"runtime_ms",
       record.runtime_ns >= 0 ? Json(static_cast<double>(record.runtime_ns) / 1e6) : Json()},
      {"worker", text(record.worker)},
      {"queue", text(record.queue)},
      {"exception_type", text(record.exception_type)}};
  if (details) {
    json["args_preview"] = text(record.args);
    json["kwargs_preview"] = text(record.kwargs);
    json["traceback_snippet"] = text(record.traceback);
  }
  if (record.flags != 0) {
    json["details_cut"] = (record.flags & PHLOWER_RECORD_CUT) != 0;
    json["details_shed"] = (record.flags & PHLOWER_RECORD_SHED) != 0;
  }
  return json;
}

/// Text that is no UTF-8 has its bad bytes replaced.
inline std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace phlower::agent
