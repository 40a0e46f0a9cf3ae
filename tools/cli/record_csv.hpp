// A row of the history as a line of CSV, as RFC 4180 has it.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <type_traits>

#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower::tools {

/// The names of the columns.
inline std::string csv_head() {
  std::string line;
  visit_fields([&line](const Field& field) { (line += line.empty() ? "" : ",") += field.column; });
  return line + "\r\n";
}

inline std::string csv_text(std::string_view value) {
  if (value.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(value);
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

/// Empty is what is not known.
inline std::string csv_line(const RecordView& record) {
  std::string line;
  bool first = true;
  visit_fields(
      [&](const Field& field, const auto& value) {
        if (!first) line += ',';
        first = false;
        if (!is_known(field, value)) return;
        if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(value)>>) {
          line += fmt::format("{}", value);
        } else {
          line += csv_text(value);
        }
      },
      record);
  return line + "\r\n";
}

}  // namespace phlower::tools
