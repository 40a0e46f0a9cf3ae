// Records and queries between the C ABI and the library.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "abi_structs.hpp"
#include "phlower/history/query.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower::plugin {

inline constexpr double kNs = 1e9;

inline UnixSeconds seconds(std::int64_t at_ns) { return static_cast<double>(at_ns) / kNs; }

/// To whole microseconds: a double has no more of a time of our days.
inline std::int64_t nanoseconds(UnixSeconds at) {
  constexpr double kMost = 9e9;  // seconds; the year 2255
  return at > 0 && at < kMost ? std::llround(at * 1e6) * 1000 : 0;
}

/// Errors: see `take`; kInvalidArgument for a text that is NULL with a size.
[[gnu::flatten]] inline Status to_view(const phlower_record* given, RecordView& out) {
  phlower_record record;
  const phlower_record* from = given;
  // The usual case needs no copy: the caller has the same struct as we.
  if (given == nullptr || given->struct_size != sizeof(phlower_record)) {
    if (Status status = take(given, "record", record); !status.ok()) return status;
    from = &record;
  }
  std::string_view torn;
  visit_fields(
      [&torn](const Field& field, auto& to, const auto& member) {
        if constexpr (std::is_same_v<decltype(member), const phlower_text&>) {
          if (member.data == nullptr && member.size != 0) torn = field.name;
          to = view(member);
        } else if (field.kind == FieldKind::kTime) {
          to = seconds(member);
        } else {
          to = member < 0 ? -1 : static_cast<double>(member) / 1e6;
        }
      },
      out, *from);
  if (!torn.empty()) {
    return Status(Code::kInvalidArgument,
                  "record: " + std::string(torn) + " is NULL and has a size");
  }
  out.flags = static_cast<std::uint16_t>(from->flags & (kDetailsCut | kDetailsShed));
  return Status();
}

/// Shows the text of `record`, which must outlive it.
inline phlower_record to_struct(const Record& record) {
  phlower_record out = PHLOWER_RECORD_INIT;
  out.flags = record.flags;
  visit_fields(
      [](const Field& field, auto& to, const auto& member) {
        if constexpr (std::is_same_v<decltype(to), phlower_text&>) {
          to = text(member);
        } else if (field.kind == FieldKind::kTime) {
          to = nanoseconds(member);
        } else {
          to = member < 0 ? -1 : std::llround(member * 1e6);
        }
      },
      out, record);
  return out;
}

/// Errors: kInvalidArgument for what is no cursor or out of range.
inline Status to_query(const phlower_query& given, Query& out) {
  constexpr std::uint32_t kMostRows = 10'000;
  if (given.limit > kMostRows) {
    return Status(Code::kInvalidArgument,
                  "limit is " + std::to_string(given.limit) + "; at most 10000 rows come at once");
  }
  out.task_name = view(given.task_name);
  out.state = view(given.state);
  out.worker = view(given.worker);
  out.queue = view(given.queue);
  out.text = view(given.text);
  if (given.limit != 0) out.limit = given.limit;
  if (given.scan_limit != 0) out.scan_limit = given.scan_limit;
  if (given.from_at_ns != 0) out.from_us = given.from_at_ns / 1000 + (given.from_at_ns % 1000 > 0);
  if (given.until_at_ns != 0) {
    out.until_us = given.until_at_ns / 1000 + (given.until_at_ns % 1000 > 0);
  }
  out.details = given.without_details == 0;
  if (given.after.size == 0) return Status();
  auto cursor = Cursor::parse(view(given.after));
  if (!cursor.ok()) return cursor.status();
  out.after = *std::move(cursor);
  return Status();
}

}  // namespace phlower::plugin
