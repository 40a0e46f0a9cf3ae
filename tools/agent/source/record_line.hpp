// A line of NDJSON to a record, strictly: an unknown or ill-typed field makes the line a bad one.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "phlower/celery/event.hpp"
#include "phlower/config/nearest.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/json_scan.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/limits.hpp"
#include "phlower/record/record.hpp"

namespace phlower::agent {

namespace line_detail {

inline constexpr std::array<std::pair<std::string_view, RecordFlag>, 2> kFlags = {
    {{"details_cut", kDetailsCut}, {"details_shed", kDetailsShed}}};

inline Status bad(std::string_view field, std::string_view what) {
  std::string text("field '");
  text.append(field.substr(0, 60)).append("' ").append(what);
  return {Code::kInvalidArgument, std::move(text)};
}

inline Status unknown(std::string_view name) {
  std::vector<std::string_view> known;
  visit_fields([&known](const Field& field) {
    known.push_back(field.name);
    if (field.column != field.name) known.push_back(field.column);
  });
  for (const auto& [field, flag] : kFlags) known.push_back(field);
  const std::string_view near = nearest(name, known);
  return bad(name,
             near.empty() ? "is unknown" : "is unknown; did you mean '" + std::string(near) + "'?");
}

/// Where a field of a line goes: one of the two, or neither for an unknown one.
struct Member {
  FieldKind kind = FieldKind::kText;
  std::string* text = nullptr;
  double* number = nullptr;
};

// By the names of columns, too, as phlower-query prints them: what it exports can be read here.
[[gnu::flatten]] inline Member member_of(std::string_view name, Record& record) {
  Member found;
  visit_fields(
      [&](const Field& field, auto& member) {
        if (name != field.name && name != field.column) return;
        found.kind = field.kind;
        if constexpr (std::is_same_v<decltype(member), std::string&>) {
          found.text = &member;
        } else {
          found.number = &member;
        }
      },
      record);
  return found;
}

inline Status read_text(JsonScan& json, std::string_view name, std::string& out) {
  if (json.sees('"')) return json.string(out) ? Status() : json.error();
  return json.skip() ? bad(name, "is no text") : json.error();
}

inline Status read_number(JsonScan& json, std::string_view name, bool time, double& out) {
  const char first = json.peek();
  if (first == '"' || first == '{' || first == '[' || first == 't' || first == 'f') {
    return json.skip() ? bad(name, "is no number") : json.error();
  }
  if (!json.real(out)) return json.error();
  if (out >= 0 && out < (time ? kTimestampMax : 1e12)) return {};
  return bad(name, time ? "is no time in Unix seconds" : "is out of range");
}

inline Status read_flag(JsonScan& json, std::string_view name, RecordFlag flag, Record& record) {
  const bool yes = json.sees('t');
  const bool no = json.sees('f');
  if (!json.skip()) return json.error();
  if (!yes && !no) return bad(name, "is neither true nor false");
  record.flags = static_cast<std::uint16_t>(yes ? record.flags | flag : record.flags & ~flag);
  return {};
}

inline Status read_field(JsonScan& json, std::string_view name, Record& record) {
  const Member member = member_of(name, record);
  const bool known = member.text != nullptr || member.number != nullptr;
  if (known && json.sees('n')) return json.take_null() ? Status() : json.error();
  if (member.text != nullptr) return read_text(json, name, *member.text);
  if (member.number != nullptr) {
    return read_number(json, name, member.kind == FieldKind::kTime, *member.number);
  }
  for (const auto& [field, flag] : kFlags) {
    if (field == name) return read_flag(json, name, flag, record);
  }
  return unknown(name);
}

inline Status read_fields(JsonScan& json, Record& record) {
  if (!json.take('{')) {
    const bool whole = json.skip() && json.at_end();
    return whole ? Status(Code::kInvalidArgument, "not a JSON object") : json.error();
  }
  if (json.take('}')) return json.at_end() ? Status() : json.error();
  std::string field;
  do {
    if (!json.string(field) || !json.take(':')) return json.error();
    if (Status status = read_field(json, field, record); !status.ok()) return status;
  } while (json.take(','));
  return json.take('}') && json.at_end() ? Status() : json.error();
}

}  // namespace line_detail

/// A record from one JSON object with the fields of Record: text, times in Unix seconds, runtime_ms
/// in milliseconds; null is as good as missing. Errors: kInvalidArgument, naming field or byte.
inline Result<Record> parse_record_line(std::string_view line) {
  JsonScan json(line);
  Record record;
  if (Status status = line_detail::read_fields(json, record); !status.ok()) return status;
  if (record.task_id.empty()) return line_detail::bad("task_id", "is missing or empty");
  if (record.task_id.size() > kTaskIdBytesMax) {
    return line_detail::bad("task_id",
                            "is longer than " + std::to_string(kTaskIdBytesMax) + " bytes");
  }
  return record;
}

}  // namespace phlower::agent
