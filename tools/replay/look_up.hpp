// Some tasks of the history, as a person would look them up.
#pragma once

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <string>
#include <type_traits>
#include <vector>

#include "phlower/engine/engine.hpp"

namespace phlower::tools {

inline std::string shortened(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

inline std::string utc(UnixSeconds time) {
  if (!(time > 0)) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(time)));
}

/// Prints the newest `count` rows of the task `name`, then one of them by its id, with details.
inline Status look_up(Engine& engine, const std::string& name, int count) {
  const auto rows = engine.list_by_task(name, static_cast<std::uint32_t>(count));
  if (!rows.ok()) return rows.status();
  std::printf("\nnewest of %s (UTC)\n", name.c_str());
  for (const Record& row : *rows) {
    std::printf("  %-36s  %-8s  %-19s  %8.1f ms  %s\n", row.task_id.c_str(), row.state.c_str(),
                utc(row.finished_at).c_str(), row.runtime_ms, row.worker.c_str());
  }
  if (rows->empty()) return Status();
  const auto one = engine.get(rows->front().task_id);
  if (!one.ok()) return one.status();
  if (!one->has_value()) return Status();  // its retention ended in between
  const Record& task = **one;
  std::printf("\n%s\n", task.task_id.c_str());
  visit_fields(
      [](const Field& field, const auto& member) {
        const bool of_failure =
            field.in(FieldPart::kDetails) && field.merge == FieldMerge::kWinners;
        if (field.kind == FieldKind::kId || field.kind == FieldKind::kRuntime || of_failure) return;
        std::string value;
        if constexpr (std::is_same_v<decltype(member), const std::string&>) {
          value = field.in(FieldPart::kDetails) ? shortened(member, 80) : member;
        } else {
          value = utc(member);
        }
        std::printf("  %-10s %s\n", std::string(field.label).c_str(),
                    value.empty() ? "-" : value.c_str());
      },
      task);
  std::printf("\n");
  return Status();
}

}  // namespace phlower::tools
