// A line of NDJSON to a record, strictly: an unknown or ill-typed field makes the line a bad one.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/celery/event.hpp"
#include "phlower/config/nearest.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/json_scan.hpp"
#include "phlower/record/limits.hpp"
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

inline Status read_text(JsonScan& json, std::string_view name, std::string& out) {
  if (json.sees('"')) return json.string(out) ? Status() : json.error();
  return json.skip() ? bad(name, "is no text") : json.error();
}

inline Status read_number(JsonScan& json, std::string_view name, double& out) {
  const char first = json.peek();
  if (first == '"' || first == '{' || first == '[' || first == 't' || first == 'f') {
    return json.skip() ? bad(name, "is no number") : json.error();
  }
  if (!json.real(out)) return json.error();
  const bool time = name != "runtime_ms";
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
  const bool null = json.sees('n');
  for (const auto& [field, member] : kTexts) {
    if (field != name) continue;
    if (!null) return read_text(json, name, record.*member);
    return json.take_null() ? Status() : json.error();
  }
  for (const auto& [field, member] : kNumbers) {
    if (field != name) continue;
    if (!null) return read_number(json, name, record.*member);
    return json.take_null() ? Status() : json.error();
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
