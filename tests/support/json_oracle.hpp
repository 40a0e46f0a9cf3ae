// JSON by another parser, as text that compares: what ground/text/json_scan.hpp is held against.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/ground/text/json_scan.hpp"

namespace phlower::testing {

/// The whole text as nlohmann reads it, written down again without spaces and escapes; nothing
/// where it is no JSON. Of two members of one name the last one is left.
inline std::optional<std::string> json_by_oracle(std::string_view text) {
  const auto value = nlohmann::json::parse(text, nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  return value.dump();
}

namespace oracle_detail {

inline bool build(JsonScan& json, nlohmann::json& out) {
  const char first = json.peek();
  if (first == '{') {
    out = nlohmann::json::object();
    json.take('{');
    if (json.take('}')) return true;
    do {
      std::string_view name;
      if (!json.name(name)) return false;
      if (!build(json, out[std::string(name)])) return false;
    } while (json.take(','));
    return json.take('}');
  }
  if (first == '[') {
    out = nlohmann::json::array();
    json.take('[');
    if (json.take(']')) return true;
    do {
      if (!build(json, out.emplace_back())) return false;
    } while (json.take(','));
    return json.take(']');
  }
  std::string_view token;
  if (first == '"') {
    std::string text;
    if (!json.string(text)) return false;
    out = text;
    return true;
  }
  if (!json.skip(token)) return false;
  // The text of a word or number means what the oracle says it means, if it is one for it.
  out = nlohmann::json::parse(token, nullptr, false);
  if (out.is_discarded()) out = std::string("odd number ").append(token);
  return true;
}

}  // namespace oracle_detail

/// The same by JsonScan, read value by value.
inline std::optional<std::string> json_by_scan(std::string_view text) {
  JsonScan json(text);
  nlohmann::json value;
  if (!oracle_detail::build(json, value) || !json.at_end()) return std::nullopt;
  return value.dump();
}

/// The same by JsonScan, when it only goes over it.
inline bool json_skips(std::string_view text) {
  JsonScan json(text);
  return json.skip() && json.at_end();
}

}  // namespace phlower::testing
