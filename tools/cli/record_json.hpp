// A row of the history as JSON, the same from phlower-query and by HTTP.
#pragma once

#include <string>
#include <string_view>

#include "cli/json_out.hpp"
#include "phlower/record/record.hpp"

namespace phlower::tools {

/// The names of the origin's columns; null for what is not known; times in Unix seconds.
inline nlohmann::ordered_json record_json(const RecordView& record, bool details) {
  using Json = nlohmann::ordered_json;
  const auto text = [](std::string_view value) { return value.empty() ? Json() : Json(value); };
  const auto time = [](double value) { return value > 0 ? Json(value) : Json(); };
  Json json = {{"task_id", record.task_id},
               {"task_name", text(record.task_name)},
               {"state", record.state},
               {"received_at", time(record.received_at)},
               {"started_at", time(record.started_at)},
               {"finished_at", time(record.finished_at)},
               {"runtime_ms", record.runtime_ms >= 0 ? Json(record.runtime_ms) : Json()},
               {"worker", text(record.worker)},
               {"queue", text(record.queue)},
               {"exception_type", text(record.exception_type)}};
  if (details) {
    json["args_preview"] = text(record.args);
    json["kwargs_preview"] = text(record.kwargs);
    json["traceback_snippet"] = text(record.traceback);
  }
  if (record.flags != 0) {
    json["details_cut"] = (record.flags & kDetailsCut) != 0;
    json["details_shed"] = (record.flags & kDetailsShed) != 0;
  }
  return json;
}

/// Text that is no UTF-8 has its bad bytes replaced.
inline std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace phlower::tools
