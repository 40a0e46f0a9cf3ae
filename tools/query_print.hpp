// Records and figures as phlower-query shows them: tables for people, JSON and CSV for programs.
#pragma once

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <map>
#include <string>

#include "json_out.hpp"
#include "phlower/record/record.hpp"
#include "phlower/store/query.hpp"

namespace phlower::tools {

/// "2026-11-23 18:30:05.123" in this machine's zone or in UTC; "-" where it is not known.
inline std::string shown_time(UnixSeconds time, bool utc) {
  if (!(time > 0)) return "-";
  const auto ms = static_cast<std::int64_t>(std::floor(time * 1000));
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  const std::tm fields = utc ? fmt::gmtime(seconds) : fmt::localtime(seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", fields, ms % 1000);
}

/// Bytes that are no text, and those that move a terminal's cursor, are shown as '?'.
inline std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    shown += (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f ? '?' : c;
  }
  return shown;
}

inline std::string shown_runtime(double ms) {
  if (ms < 0) return "-";
  return ms < 1000 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.2f} s", ms / 1000);
}

inline UnixSeconds row_time(const Record& record) { return record.view().version_time(); }

inline std::string list_head(bool utc) {
  return fmt::format("{:<23}  {:<8}  {:>10}  {:<36}  {}\n", utc ? "time (UTC)" : "time (local)",
                     "state", "runtime", "task id", "task");
}
inline std::string list_line(const Record& record, bool utc) {
  std::string line = fmt::format(
      "{:<23}  {:<8}  {:>10}  {:<36}  {}", shown_time(row_time(record), utc), record.state,
      shown_runtime(record.runtime_ms), printable(record.task_id), printable(record.task_name));
  if (!record.exception_type.empty()) line += "  " + printable(record.exception_type);
  return line + "\n";
}

inline std::string whole_record(const Record& record, bool utc) {
  std::string text;
  const auto line = [&text](const char* name, const std::string& value) {
    if (value.find('\n') == std::string::npos) {
      text += fmt::format("{:<10} {}\n", name, value.empty() ? "-" : value);
      return;
    }
    text += fmt::format("{}\n", name);
    for (std::size_t at = 0; at < value.size();) {
      const std::size_t end = std::min(value.find('\n', at), value.size());
      text += "    " + value.substr(at, end - at) + "\n";
      at = end + 1;
    }
  };
  line("task id", printable(record.task_id));
  line("task", printable(record.task_name));
  line("state", record.state);
  line("received", shown_time(record.received_at, utc));
  line("started", shown_time(record.started_at, utc));
  line("finished", shown_time(record.finished_at, utc));
  line("runtime", shown_runtime(record.runtime_ms));
  line("worker", printable(record.worker));
  line("queue", printable(record.queue));
  line("exception", printable(record.exception_type));
  line("args", printable(record.args));
  line("kwargs", printable(record.kwargs));
  if (!record.traceback.empty()) line("traceback", printable(record.traceback));
  if ((record.flags & kDetailsCut) != 0) line("note", "details were cut to their limit");
  if ((record.flags & kDetailsShed) != 0) line("note", "details were shed: the ring was filling");
  return text;
}

/// The names of the origin's columns; null for what is not known.
inline nlohmann::ordered_json to_json(const Record& record) {
  using Json = nlohmann::ordered_json;
  const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
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
               {"exception_type", text(record.exception_type)},
               {"args_preview", text(record.args)},
               {"kwargs_preview", text(record.kwargs)},
               {"traceback_snippet", text(record.traceback)}};
  if (record.flags != 0) {
    json["details_cut"] = (record.flags & kDetailsCut) != 0;
    json["details_shed"] = (record.flags & kDetailsShed) != 0;
  }
  return json;
}

/// One line; text that is no UTF-8 has its bad bytes replaced.
inline std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

inline constexpr const char* kCsvHead =
    "task_id,task_name,state,received_at,started_at,finished_at,runtime_ms,worker,queue,"
    "exception_type,args_preview,kwargs_preview,traceback_snippet\r\n";

/// As RFC 4180 has it.
inline std::string csv_line(const Record& record) {
  std::string line;
  const auto field = [&line](const std::string& value) {
    if (!line.empty()) line += ',';
    if (value.find_first_of(",\"\r\n") == std::string::npos) {
      line += value;
      return;
    }
    line += '"';
    for (const char c : value) {
      if (c == '"') line += '"';
      line += c;
    }
    line += '"';
  };
  const auto number = [](double value, bool known) {
    return known ? fmt::format("{}", value) : std::string();
  };
  field(record.task_id);
  field(record.task_name);
  field(record.state);
  for (const double time : {record.received_at, record.started_at, record.finished_at}) {
    field(number(time, time > 0));
  }
  field(number(record.runtime_ms, record.runtime_ms >= 0));
  for (const std::string* text : {&record.worker, &record.queue, &record.exception_type,
                                  &record.args, &record.kwargs, &record.traceback}) {
    field(*text);
  }
  return line + "\r\n";
}

}  // namespace phlower::tools
