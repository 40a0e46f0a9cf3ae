// A record in which each field of the table says something else, and what two records differ in.
#pragma once

#include <string>
#include <string_view>

#include "phlower/record/record.hpp"

namespace phlower::testing {

/// Times are those of one run: each field's is later than that of the field before it.
inline Record every_field(UnixSeconds begin = 1'795'000'000.0) {
  Record record;
  double number = 0;
  visit_texts([](const Field& field, std::string& text) { text = "a " + std::string(field.name); },
              record);
  visit_numbers(
      [&](const Field& field, double& value) {
        number += 1.5;
        value = field.kind == FieldKind::kTime ? begin + number : number;
      },
      record);
  return record;
}

/// The names of fields that are not the same, each behind a space.
inline std::string different_fields(const RecordView& a, const RecordView& b) {
  std::string names;
  visit_fields(
      [&names](const Field& field, const auto& one, const auto& other) {
        if (one != other) names += " " + std::string(field.name);
      },
      a, b);
  return names;
}

}  // namespace phlower::testing
