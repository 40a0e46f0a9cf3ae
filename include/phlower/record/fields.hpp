// The fields of a record, each named here once: what is to be done with every one of them (bytes,
// columns, JSON, the C struct) goes through this table and lists none. CONTRIBUTING.md tells how a
// field is added.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "phlower/config/options.hpp"

namespace phlower {

enum class FieldKind : std::uint8_t {
  kId,       // text; never cut
  kWord,     // text that is the same in many rows: a name
  kText,     // text that says something of this row
  kTime,     // UnixSeconds; 0 or less: not known
  kRuntime,  // milliseconds; below 0: not known
};

/// Rows and details have different lifetimes.
enum class FieldPart : std::uint8_t { kRow, kDetails };

/// What a row gets that two versions of a task are merged into.
enum class FieldMerge : std::uint8_t {
  kFilled,   // the winner's; where it knows nothing, the loser's
  kWinners,  // the winner's alone: it tells how the task ended
  kByRule,   // as merge_versions says
};

/// What somebody's table must have to be a history.
enum class FieldNeed : std::uint8_t {
  kNotNull,   // the column, with a value in each row
  kColumn,    // the column
  kOptional,  // nothing: where the column is missing the field is not known
};

/// The first version of each format that has a field. In tables it is the column that tells.
struct FieldSince {
  int codec_minor = 0;  // kCodecMinor
  int segment = 1;      // segment_schema::kVersion
};

struct Field {
  std::string_view name;                // of the member; in lines that are read
  std::string_view column = name;       // in tables, JSON and CSV
  std::string_view short_name = name;   // in segments
  std::string_view label = short_name;  // for people
  FieldKind kind = FieldKind::kText;
  FieldPart part = FieldPart::kRow;
  FieldMerge merge = FieldMerge::kFilled;
  FieldNeed need = FieldNeed::kOptional;
  FieldSince since = {};
  std::uint64_t RecordOptions::*max_bytes = nullptr;  // null: as the kind has it

  constexpr bool is_text() const noexcept {
    return kind != FieldKind::kTime && kind != FieldKind::kRuntime;
  }
  constexpr bool in(FieldPart of) const noexcept { return part == of; }
};

namespace fields_detail {

// The C struct has its times in nanoseconds, and says so in their names.
template <class Record>
constexpr auto& received_at(Record& of) noexcept {
  if constexpr (requires { of.received_at_ns; }) {
    return of.received_at_ns;
  } else {
    return of.received_at;
  }
}
template <class Record>
constexpr auto& started_at(Record& of) noexcept {
  if constexpr (requires { of.started_at_ns; }) {
    return of.started_at_ns;
  } else {
    return of.started_at;
  }
}
template <class Record>
constexpr auto& finished_at(Record& of) noexcept {
  if constexpr (requires { of.finished_at_ns; }) {
    return of.finished_at_ns;
  } else {
    return of.finished_at;
  }
}
template <class Record>
constexpr auto& runtime(Record& of) noexcept {
  if constexpr (requires { of.runtime_ns; }) {
    return of.runtime_ns;
  } else {
    return of.runtime_ms;
  }
}

}  // namespace fields_detail

/// Calls visit(const Field&, member...) for each field in its order, with that member of each of
/// the records: views, owned ones and C structs beside each other, or none at all. All of it is
/// known when compiling; a function that must be quick is marked [[gnu::flatten]], so that nothing
/// of the table is left in it. A new field stands at the end: formats count on the order.
template <class Visit, class... Records>
constexpr void visit_fields(Visit&& visit, Records&&... of) {
  namespace fd = fields_detail;
  using enum FieldKind;
  using enum FieldMerge;
  using enum FieldNeed;
  constexpr FieldPart kDetails = FieldPart::kDetails;
  // clang-format off
  visit(Field{.name = "task_id", .short_name = "id", .label = "task id", .kind = kId,
              .merge = kByRule, .need = kNotNull}, of.task_id...);
  visit(Field{.name = "task_name", .short_name = "name", .label = "task", .kind = kWord,
              .need = kNotNull}, of.task_name...);
  visit(Field{.name = "state", .kind = kWord, .need = kNotNull}, of.state...);
  visit(Field{.name = "received_at", .short_name = "received", .kind = kTime, .merge = kByRule,
              .need = kColumn}, fd::received_at(of)...);
  visit(Field{.name = "started_at", .short_name = "started", .kind = kTime, .merge = kByRule,
              .need = kColumn}, fd::started_at(of)...);
  visit(Field{.name = "finished_at", .short_name = "finished", .kind = kTime, .merge = kByRule,
              .need = kColumn}, fd::finished_at(of)...);
  visit(Field{.name = "runtime_ms", .short_name = "runtime", .kind = kRuntime,
              .merge = kWinners}, fd::runtime(of)...);
  visit(Field{.name = "worker", .kind = kWord}, of.worker...);
  visit(Field{.name = "queue", .kind = kWord}, of.queue...);
  visit(Field{.name = "exception_type", .short_name = "exception",
              .merge = kWinners}, of.exception_type...);
  visit(Field{.name = "args", .column = "args_preview", .part = kDetails, .need = kColumn,
              .max_bytes = &RecordOptions::args_max_bytes}, of.args...);
  visit(Field{.name = "kwargs", .column = "kwargs_preview", .part = kDetails, .need = kColumn,
              .max_bytes = &RecordOptions::kwargs_max_bytes}, of.kwargs...);
  visit(Field{.name = "traceback", .column = "traceback_snippet", .part = kDetails,
              .merge = kWinners, .need = kColumn,
              .max_bytes = &RecordOptions::traceback_max_bytes}, of.traceback...);
  // clang-format on
}

/// The same for the texts alone. Requires: a record.
template <class Visit, class First, class... Records>
constexpr void visit_texts(Visit&& visit, First&& first, Records&&... of) {
  visit_fields(
      [&](const Field& field, auto& member, auto&... members) {
        if constexpr (!std::is_arithmetic_v<std::remove_reference_t<decltype(member)>>) {
          visit(field, member, members...);
        }
      },
      first, of...);
}

/// The same for times and runtimes alone. Requires: a record.
template <class Visit, class First, class... Records>
constexpr void visit_numbers(Visit&& visit, First&& first, Records&&... of) {
  visit_fields(
      [&](const Field& field, auto& member, auto&... members) {
        if constexpr (std::is_arithmetic_v<std::remove_reference_t<decltype(member)>>) {
          visit(field, member, members...);
        }
      },
      first, of...);
}

/// The same for what goes with the details, which is text. Requires: a record.
template <class Visit, class First, class... Records>
constexpr void visit_details(Visit&& visit, First&& first, Records&&... of) {
  visit_texts(
      [&](const Field& field, auto&... members) {
        if (field.in(FieldPart::kDetails)) visit(field, members...);
      },
      first, of...);
}

/// How many fields `wanted(field)` is true for.
template <class Wanted>
constexpr std::size_t count_fields(Wanted&& wanted) {
  std::size_t count = 0;
  visit_fields([&](const Field& field) { count += wanted(field) ? 1 : 0; });
  return count;
}
constexpr std::size_t count_fields(FieldPart part) {
  return count_fields([part](const Field& field) { return field.in(part); });
}

/// The fields of one part, in their order.
template <FieldPart kPart>
constexpr auto fields_of() {
  std::array<Field, count_fields(kPart)> fields;
  std::size_t at = 0;
  visit_fields([&](const Field& field) {
    if (field.in(kPart)) fields[at++] = field;
  });
  return fields;
}

/// Text that says something of its row: what is searched, and cut where a record is too long.
constexpr bool is_prose(const Field& field) noexcept { return field.kind == FieldKind::kText; }

/// Whether a member says something.
constexpr bool is_known(const Field& field, double value) noexcept {
  return field.kind == FieldKind::kTime ? value > 0 : value >= 0;
}
constexpr bool is_known(const Field&, std::string_view text) noexcept { return !text.empty(); }

}  // namespace phlower
