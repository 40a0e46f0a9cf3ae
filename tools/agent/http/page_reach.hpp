// How far a page got, as JSON.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "agent/host/record_json.hpp"
#include "cli/record_json.hpp"
#include "phlower/plugin.h"

namespace phlower::agent {

/// A PHLOWER_STOPPED_* in the words of the library and of phlower-query; the last is a page that is
/// full.
constexpr std::string_view stopped_name(std::uint32_t stopped) noexcept {
  constexpr std::array<std::string_view, 6> kNames = {"end",      "limit",    "scan_limit",
                                                      "deadline", "unwanted", "size"};
  return stopped < kNames.size() ? kNames[stopped] : "unknown";
}

/// Without braces.
inline std::string reach_json(const phlower_page& page) {
  const Json next = page.next_size == 0 ? Json() : Json(std::string(page.next, page.next_size));
  const bool known = page.looked_back_to_ns > 0 &&
                     page.looked_back_to_ns != std::numeric_limits<std::int64_t>::max();
  const Json back = known ? Json(row_seconds(page.looked_back_to_ns)) : Json();
  return "\"next\":" + dumped(next) + ",\"stopped\":" + dumped(Json(stopped_name(page.stopped))) +
         ",\"scanned\":" + std::to_string(page.scanned) + ",\"looked_back_to\":" + dumped(back);
}

}  // namespace phlower::agent
