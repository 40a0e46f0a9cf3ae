// A word for whoever asked for a state that nothing is in.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "phlower/config/nearest.hpp"
#include "phlower/ground/text/text.hpp"

namespace phlower::tools {

/// Celery's; other queues have others.
inline constexpr std::array<std::string_view, 9> kCeleryStates = {"PENDING", "RECEIVED", "STARTED",
                                                                  "SUCCESS", "FAILURE",  "RETRY",
                                                                  "REVOKED", "REJECTED", "IGNORED"};

/// Empty for no state and for a known one in letters of either case.
inline std::string state_hint(std::string_view state) {
  std::string upper(state);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  const bool known =
      std::find(kCeleryStates.begin(), kCeleryStates.end(), upper) != kCeleryStates.end();
  if (state.empty() || known) return "";
  std::string hint = "no row has the state " + shown_text(state);
  const std::string_view near = nearest(upper, kCeleryStates);
  if (!near.empty()) hint.append("; did you mean ").append(near).append("?");
  hint += near.empty() ? "; Celery's states are" : " Celery's states are";
  for (const std::string_view name : kCeleryStates) hint.append(" ").append(name);
  return hint;
}

}  // namespace phlower::tools
