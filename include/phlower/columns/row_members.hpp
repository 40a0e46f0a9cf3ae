// What a row has in columns, and under which number: made from the table of fields, so that a new
// field of rows is a new member and nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "phlower/record/fields.hpp"

namespace phlower {

enum class MemberForm : std::uint8_t {
  kIds,      // a column of ids
  kNumbers,  // times in microseconds, and what else is a number
  kWords,    // numbers of words, and texts that are no words
};

struct RowMember {
  std::uint16_t number = 0;
  std::string_view name;
  MemberForm form = MemberForm::kNumbers;
};

/// A field has the number of its place in the table, which never changes; the place of finished_at
/// is the row's time, which each row has. What is no field of a record is from here on.
inline constexpr std::uint16_t kMemberFlags = 0x8000;
inline constexpr std::uint16_t kMemberDetails = 0x8001;         // block and entry
inline constexpr std::uint16_t kMemberDetailsSegment = 0x8002;  // of that block
inline constexpr std::size_t kOtherMembers = 3;

constexpr MemberForm member_form(const Field& field) noexcept {
  if (field.kind == FieldKind::kId) return MemberForm::kIds;
  return field.is_text() ? MemberForm::kWords : MemberForm::kNumbers;
}

/// All members of a row, ascending.
constexpr auto row_members() {
  std::array<RowMember, count_fields(FieldPart::kRow) + kOtherMembers> members;
  std::size_t at = 0;
  std::uint16_t number = 0;
  visit_fields([&](const Field& field) {
    if (field.in(FieldPart::kRow)) members[at++] = {number, field.short_name, member_form(field)};
    ++number;
  });
  members[at++] = {kMemberFlags, "flags", MemberForm::kNumbers};
  members[at++] = {kMemberDetails, "details", MemberForm::kNumbers};
  members[at++] = {kMemberDetailsSegment, "details_segment", MemberForm::kNumbers};
  return members;
}

}  // namespace phlower
