// A row of the history as a line of CSV, as RFC 4180 has it.
#pragma once

#include <fmt/format.h>

#include <string>

#include "phlower/record/record.hpp"

namespace phlower::tools {

inline constexpr const char* kCsvHead =
    "task_id,task_name,state,received_at,started_at,finished_at,runtime_ms,worker,queue,"
    "exception_type,args_preview,kwargs_preview,traceback_snippet\r\n";

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
