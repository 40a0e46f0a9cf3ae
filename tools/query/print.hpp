// Records and figures as phlower-query shows them to people. Whatever stands in a row, its table
// stays a table: control characters and the like are shown escaped.
#pragma once

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <ctime>
#include <string>
#include <string_view>
#include <type_traits>

#include "cli/terminal.hpp"
#include "phlower/ground/text/text.hpp"
#include "phlower/history/query.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower::tools {

/// How a table is to look.
struct TableStyle {
  bool utc = false;
  std::size_t columns = 0;  // of the terminal; 0: there is none, and nothing is cut

  /// A row's time, state, runtime, id and name do not fit beside each other.
  bool narrow() const { return columns > 0 && columns < 120; }
};

/// "2026-11-23 18:30:05.123" in this machine's zone or in UTC; "-" where it is not known.
inline std::string shown_time(UnixSeconds time, bool utc) {
  if (!(time > 0)) return "-";
  const auto ms = static_cast<std::int64_t>(std::floor(time * 1000));
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  const std::tm fields = utc ? fmt::gmtime(seconds) : fmt::localtime(seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}", fields, ms % 1000);
}

inline std::string shown_runtime(double ms) {
  if (ms < 0) return "-";
  return ms < 1000 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.2f} s", ms / 1000);
}

inline std::string shown_name(std::string_view name) {
  return name.empty() ? "-" : printable(name);
}

inline UnixSeconds row_time(const Record& record) { return record.view().version_time(); }

inline std::string table_line(std::string_view text, const TableStyle& style) {
  return fitted(text, style.columns) + "\n";
}

inline std::string list_head(const TableStyle& style) {
  const char* const time = style.utc ? "time (UTC)" : "time (local)";
  if (style.narrow()) {
    return table_line(fmt::format("{:<23}  {:<8}  {:>10}  exception", time, "state", "runtime"),
                      style) +
           table_line(fmt::format("    {:<36}  task", "task id"), style);
  }
  return table_line(
      fmt::format("{:<23}  {:<8}  {:>10}  {:<36}  task", time, "state", "runtime", "task id"),
      style);
}

inline std::string list_line(const Record& record, const TableStyle& style) {
  const std::string when =
      fmt::format("{:<23}  {:<8}  {:>10}", shown_time(row_time(record), style.utc),
                  printable(record.state), shown_runtime(record.runtime_ms));
  const std::string what =
      fmt::format("{:<36}  {}", printable(record.task_id), shown_name(record.task_name));
  const std::string exception =
      record.exception_type.empty() ? "" : "  " + printable(record.exception_type);
  if (style.narrow()) {
    return table_line(when + exception, style) + table_line("    " + what, style);
  }
  return table_line(when + "  " + what + exception, style);
}

inline std::string whole_record(const Record& record, bool utc) {
  std::string text;
  const auto line = [&text](std::string_view name, std::string_view from) {
    const std::string value = printable(from, "\n\t");
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
  visit_fields(
      [&](const Field& field, const auto& value) {
        if constexpr (std::is_same_v<decltype(value), const std::string&>) {
          // How a task failed is nothing to miss.
          const bool of_failure =
              field.in(FieldPart::kDetails) && field.merge == FieldMerge::kWinners;
          if (!of_failure || !value.empty()) line(field.label, value);
        } else {
          const bool time = field.kind == FieldKind::kTime;
          line(field.label, time ? shown_time(value, utc) : shown_runtime(value));
        }
      },
      record);
  if ((record.flags & kDetailsCut) != 0) line("note", "details were cut to their limit");
  if ((record.flags & kDetailsShed) != 0) line("note", "details were shed: the ring was filling");
  return text;
}

inline std::string count_line(const CountKey& key, std::uint64_t rows, bool by_minute,
                              const TableStyle& style) {
  const UnixSeconds minute = static_cast<double>(key.minute) * 60;
  const std::string when =
      by_minute ? fmt::format("{:<16}  ", shown_time(minute, style.utc).substr(0, 16)) : "";
  return table_line(fmt::format("{:>12}  {:<8}  {}{}", rows, printable(key.state), when,
                                shown_name(key.task_name)),
                    style);
}

/// A quantile in milliseconds; below 0: not known.
inline double quantile_ms(const Histogram& of, double quantile) {
  return of.count() == 0 ? -1 : static_cast<double>(of.quantile(quantile)) / 1e6;
}

inline std::string times_head(const TableStyle& style) {
  return table_line(fmt::format("{:>8}  {:>9} {:>9} {:>9}  {:>10} {:>9}  {}", "runs", "p50", "p95",
                                "p99", "pickup p50", "p95", "task"),
                    style);
}
inline std::string times_line(const std::string& name, const TaskTimes& times,
                              const TableStyle& style) {
  const auto shown = [](const Histogram& of, double quantile) {
    return shown_runtime(quantile_ms(of, quantile));
  };
  return table_line(
      fmt::format("{:>8}  {:>9} {:>9} {:>9}  {:>10} {:>9}  {}", times.runtime.count(),
                  shown(times.runtime, 0.5), shown(times.runtime, 0.95), shown(times.runtime, 0.99),
                  shown(times.pickup, 0.5), shown(times.pickup, 0.95), shown_name(name)),
      style);
}

}  // namespace phlower::tools
