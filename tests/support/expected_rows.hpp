// The rows of a *.expected.csv: what Celery's own State held after the events of a capture.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/celery_events.hpp"

namespace phlower::testing {

using ExpectedRow = std::map<std::string, std::string>;  // column name to text

/// The fields of CSV lines; a field in double quotes may hold commas, quotes and line ends.
inline std::vector<std::vector<std::string>> parse_csv(std::string_view text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && text.substr(i + 1).starts_with('"')) {
      rows.back().back() += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      rows.back().emplace_back();
    } else if (!quoted && c == '\n') {
      rows.push_back({""});
    } else if (quoted || c != '\r') {
      rows.back().back() += c;
    }
  }
  if (rows.back().size() == 1 && rows.back()[0].empty()) rows.pop_back();
  return rows;
}

/// By task id; empty if the file is not there.
inline std::map<std::string, ExpectedRow> read_expected(const std::string& path) {
  const std::vector<std::vector<std::string>> lines = parse_csv(read_file(path));
  std::map<std::string, ExpectedRow> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    ExpectedRow row;
    for (std::size_t j = 0; j < lines[i].size() && j < lines[0].size(); ++j) {
      row[lines[0][j]] = lines[i][j];
    }
    rows[row["task_id"]] = row;
  }
  return rows;
}

}  // namespace phlower::testing
