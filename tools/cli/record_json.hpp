// A row of the history as JSON, the same from phlower-query and by HTTP.
#pragma once

#include <string>
#include <string_view>

#include "cli/json_out.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower::tools {

/// The names of the origin's columns; null for what is not known, but a state is always a text;
/// times in Unix seconds.
inline nlohmann::ordered_json record_json(const RecordView& record, bool details) {
  using Json = nlohmann::ordered_json;
  Json json;
  visit_fields(
      [&](const Field& field, const auto& value) {
        if (field.in(FieldPart::kDetails) && !details) return;
        const bool shown = is_known(field, value) || field.name == "state";
        json[std::string(field.column)] = shown ? Json(value) : Json();
      },
      record);
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
