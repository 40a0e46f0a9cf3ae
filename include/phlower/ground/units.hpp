// Durations, sizes, shares and rates as people write them ("60h", "64MiB", "80%", "73k/min"), and
// back. A bare number is an error, and each error says what would be right.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// A rate of records: "max" (as fast as it goes) or a number per second.
struct Rate {
  bool unlimited = false;
  double per_second = 0;
};

namespace units_detail {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first: a compound duration must go down this list.
inline constexpr std::array<Unit, 9> kDurations = {{{"w", 604'800'000'000'000u},
                                                    {"d", 86'400'000'000'000u},
                                                    {"h", 3'600'000'000'000u},
                                                    {"min", 60'000'000'000u},
                                                    {"m", 60'000'000'000u},
                                                    {"s", 1'000'000'000u},
                                                    {"ms", 1'000'000u},
                                                    {"us", 1'000u},
                                                    {"ns", 1u}}};
inline constexpr std::array<Unit, 10> kSizes = {{{"TiB", 1ull << 40},
                                                 {"TB", 1'000'000'000'000u},
                                                 {"GiB", 1ull << 30},
                                                 {"GB", 1'000'000'000u},
                                                 {"MiB", 1ull << 20},
                                                 {"MB", 1'000'000u},
                                                 {"KiB", 1ull << 10},
                                                 {"kB", 1'000u},
                                                 {"KB", 1'000u},
                                                 {"B", 1u}}};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// One number with its unit, cut off the front of a text.
struct Part {
  bool ok = false;
  bool overflow = false;
  std::uint64_t whole = 0;
  std::uint64_t fraction = 0;        // of `fraction_scale`
  std::uint64_t fraction_scale = 1;  // a power of ten, at most 10^9
  std::string_view unit;
};

inline Part take_part(std::string_view& text) {
  Part part;
  std::size_t at = 0;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  for (; at < text.size() && is_digit(text[at]); ++at) {
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    part.overflow = part.overflow || part.whole > (kMax - digit) / 10;
    part.whole = part.overflow ? kMax : part.whole * 10 + digit;
  }
  if (at == 0) return part;
  if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) {
    for (++at; at < text.size() && is_digit(text[at]); ++at) {
      if (part.fraction_scale == 1'000'000'000u) continue;  // finer than a nanosecond of a second
      part.fraction = part.fraction * 10 + static_cast<std::uint64_t>(text[at] - '0');
      part.fraction_scale *= 10;
    }
  }
  std::size_t end = at;
  while (end < text.size() && !is_digit(text[end])) ++end;
  part.unit = text.substr(at, end - at);
  text.remove_prefix(end);
  part.ok = true;
  return part;
}

/// part * factor, rounded down; false on overflow of `limit`.
inline bool scale(const Part& part, std::uint64_t factor, std::uint64_t limit, std::uint64_t& out) {
  if (part.overflow || part.whole > limit / factor) return false;
  // The fraction's product must not overflow either: divide the larger factors first.
  const std::uint64_t unit_part =
      factor / part.fraction_scale * part.fraction +
      factor % part.fraction_scale * part.fraction / part.fraction_scale;
  if (unit_part > limit - part.whole * factor) return false;
  out = part.whole * factor + unit_part;
  return true;
}

inline Status bad(std::string_view text, std::string_view what) {
  return Status(Code::kInvalidArgument, "'" + std::string(text) + "' " + std::string(what));
}

inline const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

}  // namespace units_detail

/// "60h", "5ms", "1.5s", "1h30m": units w, d, h, m or min, s, ms, us, ns, larger ones first. "0s"
/// is allowed. Errors: kInvalidArgument; up to 292 years.
inline Result<Nanoseconds> parse_duration(std::string_view text) {
  namespace ud = units_detail;
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::string_view rest = text;
  std::uint64_t total = 0;
  std::uint64_t previous = std::numeric_limits<std::uint64_t>::max();
  if (text.empty()) return ud::bad(text, "is empty; a duration is a number and a unit, as in 60h");
  while (!rest.empty()) {
    const ud::Part part = ud::take_part(rest);
    if (!part.ok)
      return ud::bad(text, "is no duration; write a number and a unit, as in 60h or 5ms");
    if (part.unit.empty()) {
      const std::string number(text);
      return ud::bad(text,
                     "has no unit; write " + number + "h, " + number + "s or " + number + "ms");
    }
    const ud::Unit* unit = ud::find_unit(ud::kDurations, part.unit);
    if (unit == nullptr) {
      return ud::bad(text, "has an unknown unit; units are w, d, h, m, s, ms, us, ns");
    }
    if (unit->factor >= previous) {
      return ud::bad(text, "has its units out of order; larger ones come first, as in 1h30m");
    }
    previous = unit->factor;
    std::uint64_t value = 0;
    if (!ud::scale(part, unit->factor, kLimit - total, value)) {
      return ud::bad(text, "is too long; up to 106751d is possible");
    }
    total += value;
  }
  return Nanoseconds(static_cast<std::int64_t>(total));
}

/// "64MiB", "10MB", "512B": KiB, MiB, GiB, TiB are powers of 1024, kB, MB, GB, TB of 1000.
/// Errors: kInvalidArgument; up to 2^63-1.
inline Result<std::uint64_t> parse_bytes(std::string_view text) {
  namespace ud = units_detail;
  std::string_view rest = text;
  if (text.empty()) return ud::bad(text, "is empty; a size is a number and a unit, as in 64MiB");
  const ud::Part part = ud::take_part(rest);
  if (!part.ok) return ud::bad(text, "is no size; write a number and a unit, as in 64MiB or 512B");
  if (part.unit.empty()) {
    const std::string number(text);
    return ud::bad(text,
                   "has no unit; write " + number + "MiB, " + number + "KiB or " + number + "B");
  }
  const ud::Unit* unit = ud::find_unit(ud::kSizes, part.unit);
  if (unit == nullptr || !rest.empty()) {
    return ud::bad(text, "has an unknown unit; units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB");
  }
  std::uint64_t value = 0;
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!ud::scale(part, unit->factor, kLimit, value)) {
    return ud::bad(text, "is too large; it must be below 8388608TiB");
  }
  return value;
}

/// "80%": a whole number from 0 to 100. Errors: kInvalidArgument.
inline Result<std::uint32_t> parse_percent(std::string_view text) {
  namespace ud = units_detail;
  std::string_view rest = text;
  const ud::Part part = ud::take_part(rest);
  if (part.ok && part.unit.empty() && rest.empty()) {
    return ud::bad(text, "has no percent sign; write " + std::string(text) + "%");
  }
  if (!part.ok || part.unit != "%" || !rest.empty() || part.fraction_scale != 1) {
    return ud::bad(text, "is no percentage; write a whole number from 0% to 100%");
  }
  if (part.whole > 100) return ud::bad(text, "is over 100%");
  return static_cast<std::uint32_t>(part.whole);
}

/// "5000" or "5000/s", "73k/min", "1.2M/h", or "max". Here alone a bare number stands: it counts
/// records a second. Errors: kInvalidArgument; 0 is refused.
inline Result<Rate> parse_rate(std::string_view text) {
  namespace ud = units_detail;
  if (text == "max") return Rate{true, 0};
  std::string_view rest = text;
  const ud::Part part = ud::take_part(rest);
  std::string_view unit = part.unit;
  double value = static_cast<double>(part.whole) +
                 static_cast<double>(part.fraction) / static_cast<double>(part.fraction_scale);
  if (unit.starts_with('k') || unit.starts_with('M')) {
    value *= unit.front() == 'k' ? 1e3 : 1e6;
    unit.remove_prefix(1);
  }
  const double per = unit.empty() || unit == "/s"     ? 1
                     : unit == "/min" || unit == "/m" ? 60
                     : unit == "/h"                   ? 3600
                                                      : 0;
  if (!part.ok || part.overflow || per == 0 || !rest.empty() || !(value > 0)) {
    return ud::bad(text, "is no rate; write records a second, 5000/s, or 73k/min, or max");
  }
  return Rate{false, value / per};
}

/// The duration in the largest unit that is exact: "120h", "90s", "1500us". parse_duration reads
/// it back to the same value. Requires: not negative.
inline std::string exact_duration(Nanoseconds duration) {
  const auto count = static_cast<std::uint64_t>(duration.count());
  if (count == 0) return "0s";
  for (const auto& unit : units_detail::kDurations) {
    // 120h is what people say; m is shorter than min.
    if (unit.name == "w" || unit.name == "d" || unit.name == "min") continue;
    if (count % unit.factor == 0)
      return std::to_string(count / unit.factor) + std::string(unit.name);
  }
  return std::to_string(count) + "ns";
}

/// The size in the largest binary unit that is exact: "64MiB", "1000B". Read back by parse_bytes.
inline std::string exact_bytes(std::uint64_t bytes) {
  for (const auto& unit : units_detail::kSizes) {
    if (unit.name.size() == 2 || bytes == 0) continue;  // binary units and B only
    if (bytes % unit.factor == 0)
      return std::to_string(bytes / unit.factor) + std::string(unit.name);
  }
  return std::to_string(bytes) + "B";
}

namespace units_detail {

/// value / factor with about three digits: "2.43", "24.3", "243".
inline std::string three_digits(std::uint64_t value, std::uint64_t factor) {
  const std::uint64_t whole = value / factor;
  const std::uint64_t decimals = whole >= 100 ? 0 : whole >= 10 ? 1 : 2;
  if (decimals == 0 || factor == 1) return std::to_string(whole);
  const double rest = static_cast<double>(value % factor) / static_cast<double>(factor);
  const auto digits = static_cast<std::uint64_t>(rest * (decimals == 1 ? 10 : 100));
  std::string text = std::to_string(digits);
  if (text.size() < decimals) text.insert(0, decimals - text.size(), '0');
  while (!text.empty() && text.back() == '0') text.pop_back();
  return text.empty() ? std::to_string(whole) : std::to_string(whole) + "." + text;
}

inline std::string two_digits(std::uint64_t value) {
  return (value < 10 ? "0" : "") + std::to_string(value);
}

}  // namespace units_detail

/// For people: three digits, rounded down: "740ns", "2.43ms", "41.5s"; from 2 minutes "3m07s",
/// "1h02m", "5d03h".
inline std::string format_duration(Nanoseconds duration) {
  namespace ud = units_detail;
  if (duration.count() < 0) return "-" + format_duration(Nanoseconds(-(duration.count() + 1)));
  const auto ns = static_cast<std::uint64_t>(duration.count());
  const std::uint64_t full_seconds = ns / 1'000'000'000u;
  if (ns < 1'000u) return std::to_string(ns) + "ns";
  if (ns < 1'000'000u) return ud::three_digits(ns, 1'000u) + "us";
  if (full_seconds == 0) return ud::three_digits(ns, 1'000'000u) + "ms";
  if (full_seconds < 120) return ud::three_digits(ns, 1'000'000'000u) + "s";
  if (full_seconds < 3600) {
    return std::to_string(full_seconds / 60) + "m" + ud::two_digits(full_seconds % 60) + "s";
  }
  const std::uint64_t hours_whole = full_seconds / 3600;
  if (hours_whole < 48) {
    return std::to_string(hours_whole) + "h" + ud::two_digits(full_seconds / 60 % 60) + "m";
  }
  return std::to_string(hours_whole / 24) + "d" + ud::two_digits(hours_whole % 24) + "h";
}

/// For people: three digits in binary units, rounded down: "512B", "1.5KiB", "1.9GiB".
inline std::string format_bytes(std::uint64_t bytes) {
  for (const auto& unit : units_detail::kSizes) {
    if (unit.name.size() == 2 || bytes < unit.factor) continue;
    return units_detail::three_digits(bytes, unit.factor) + std::string(unit.name);
  }
  return "0B";
}

/// For people: groups of three: "2,000,000".
inline std::string format_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

}  // namespace phlower
