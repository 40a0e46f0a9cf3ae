// A line of NDJSON to a record, strictly: an unknown or ill-typed field makes the line a bad one.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/celery/event.hpp"
#include "phlower/celery/json.hpp"
#include "phlower/config/nearest.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/record.hpp"

namespace phlower::agent {

namespace line_detail {

// The last three are as phlower-query prints them: what it exports can be read here.
inline constexpr std::array<std::pair<std::string_view, std::string Record::*>, 12> kTexts = {
    {{"task_id", &Record::task_id},
     {"task_name", &Record::task_name},
     {"state", &Record::state},
     {"worker", &Record::worker},
     {"queue", &Record::queue},
     {"exception_type", &Record::exception_type},
     {"args", &Record::args},
     {"kwargs", &Record::kwargs},
     {"traceback", &Record::traceback},
     {"args_preview", &Record::args},
     {"kwargs_preview", &Record::kwargs},
     {"traceback_snippet", &Record::traceback}}};
inline constexpr std::array<std::pair<std::string_view, double Record::*>, 4> kNumbers = {
    {{"received_at", &Record::received_at},
     {"started_at", &Record::started_at},
     {"finished_at", &Record::finished_at},
     {"runtime_ms", &Record::runtime_ms}}};
inline constexpr std::array<std::pair<std::string_view, RecordFlag>, 2> kFlags = {
    {{"details_cut", kDetailsCut}, {"details_shed", kDetailsShed}}};

inline Status bad(std::string_view field, std::string_view what) {
  std::string text("field '");
  text.append(field.substr(0, 60)).append("' ").append(what);
  return {Code::kInvalidArgument, std::move(text)};
}

inline Status unknown(std::string_view name) {
  std::vector<std::string_view> known;
  known.reserve(kTexts.size() + kNumbers.size() + kFlags.size());
  for (const auto& [field, member] : kTexts) known.push_back(field);
  for (const auto& [field, member] : kNumbers) known.push_back(field);
  for (const auto& [field, flag] : kFlags) known.push_back(field);
  const std::string_view near = nearest(name, known);
  return bad(name,
             near.empty() ? "is unknown" : "is unknown; did you mean '" + std::string(near) + "'?");
}

inline Status read_text(const JsonValue& value, std::string_view name, std::string& out) {
  const std::string* text = json_text(value);
  if (text == nullptr) return bad(name, "is no text");
  out = *text;
  return {};
}

inline Status read_number(const JsonValue& object, std::string_view name, double& out) {
  if (json_read(object, name, out) != JsonRead::kRead) return bad(name, "is no number");
  const bool time = name != "runtime_ms";
  if (out >= 0 && out < (time ? kTimestampMax : 1e12)) return {};
  return bad(name, time ? "is no time in Unix seconds" : "is out of range");
}

inline Status read_field(const JsonValue& object, const std::string& name, const JsonValue& value,
                         Record& record) {
  for (const auto& [field, member] : kTexts) {
    if (field == name) return value.is_null() ? Status() : read_text(value, name, record.*member);
  }
  for (const auto& [field, member] : kNumbers) {
    if (field != name) continue;
    return value.is_null() ? Status() : read_number(object, name, record.*member);
  }
  for (const auto& [field, flag] : kFlags) {
    if (field != name) continue;
    if (!value.is_boolean()) return bad(name, "is neither true nor false");
    if (value == true) record.flags = static_cast<std::uint16_t>(record.flags | flag);
    return {};
  }
  return unknown(name);
}

}  // namespace line_detail

/// A record from one JSON object with the fields of Record: text, times in Unix seconds, runtime_ms
/// in milliseconds; null is as good as missing. Errors: kInvalidArgument, naming field or byte.
inline Result<Record> parse_record_line(std::string_view line) {
  const Result<JsonValue> value = parse_json(line);
  if (!value.ok()) return value.status();
  if (!value->is_object()) return Status(Code::kInvalidArgument, "not a JSON object");
  Record record;
  for (const auto& [name, field] : value->items()) {
    if (Status status = line_detail::read_field(*value, name, field, record); !status.ok()) {
      return status;
    }
  }
  if (record.task_id.empty()) return line_detail::bad("task_id", "is missing or empty");
  if (record.task_id.size() > kTaskIdMaxBytes) {
    return line_detail::bad("task_id", "is longer than 255 bytes");
  }
  return record;
}

}  // namespace phlower::agent
