// A moment as people write it: "2h" before now, "yesterday", "03:00", "2026-11-23T18:30+01:00",
// Unix seconds. Pure: the clock and the zone are passed in.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/text.hpp"
#include "phlower/ground/units.hpp"

namespace phlower {

/// By how many seconds the clocks of a zone are ahead of UTC at a moment in Unix seconds.
using UtcOffset = std::function<std::int64_t(std::int64_t)>;

/// The zone UTC.
inline std::int64_t utc_offset(std::int64_t) { return 0; }

/// The moment at which the clocks of a zone show `civil` (Unix seconds, read as if it were UTC).
/// Of a time that comes twice, when clocks are set back, the first; a time that clocks leap over is
/// the moment of that leap.
inline std::int64_t from_civil(std::int64_t civil, const UtcOffset& offset) {
  constexpr std::int64_t kDay = 86'400;  // no zone is as far from UTC
  const std::int64_t before = offset(civil - kDay);
  const std::int64_t after = offset(civil + kDay);
  const std::int64_t first = civil - std::max(before, after);
  const std::int64_t second = civil - std::min(before, after);
  if (before == after || offset(first) == civil - first) return first;
  if (offset(second) == civil - second) return second;
  std::int64_t low = civil - kDay;
  std::int64_t high = civil + kDay;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (offset(middle) == before ? low : high) = middle;
  }
  return high;
}

namespace moment_detail {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kDay = 86'400;
inline constexpr std::int64_t kLast = 9'000'000'000;  // of Unix seconds: in 2255

/// A time of the day, and the zone that is written behind it.
struct TimeOfDay {
  std::int64_t seconds = 0;  // 86400: 24:00
  std::int64_t ns = 0;
  std::optional<std::int64_t> offset;  // from UTC
};

inline Status bad(std::string_view text, std::string_view what) {
  return {Code::kInvalidArgument, shown_text(text) + " " + std::string(what)};
}
inline Status no_moment(std::string_view text) {
  return bad(text,
             "is no time; write 2h (before now), yesterday, 03:00, 2026-11-23 or "
             "2026-11-23T18:30:05, with Z or +01:00 for a zone, or Unix seconds");
}

inline Result<WallTime> moment_at(std::string_view text, std::int64_t seconds, std::int64_t ns) {
  if (seconds <= 0) return bad(text, "is before 1970; write a later time");
  if (seconds >= kLast) return bad(text, "is after 2254; write an earlier time");
  return WallTime(Nanoseconds(seconds * kSecond + ns));
}

inline bool take(std::string_view& rest, char c) {
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

/// Exactly `digits` of them.
inline std::optional<std::int64_t> take_number(std::string_view& rest, std::size_t digits) {
  if (rest.size() < digits) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : rest.substr(0, digits)) {
    if (!units_detail::is_digit(c)) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  rest.remove_prefix(digits);
  return value;
}

/// Behind a point, as nanoseconds; what is finer is dropped.
inline std::optional<std::int64_t> take_fraction(std::string_view& rest) {
  std::int64_t ns = 0;
  std::int64_t unit = kSecond / 10;
  std::size_t digits = 0;
  for (; digits < rest.size() && units_detail::is_digit(rest[digits]); ++digits, unit /= 10) {
    ns += unit * (rest[digits] - '0');
  }
  rest.remove_prefix(digits);
  return digits > 0 ? std::optional(ns) : std::nullopt;
}

/// "", "Z", "+01:00", "+0100", "+01", with a space in front or not: all that is left.
inline Status read_zone(std::string_view text, std::string_view rest, TimeOfDay& time) {
  if (rest.empty()) return {};
  if (rest == "Z" || rest == "z") {
    time.offset = 0;
    return {};
  }
  const bool apart = take(rest, ' ');
  const bool west = rest.starts_with('-');
  if (!take(rest, '-') && !take(rest, '+')) {
    // In the address of a request a plus sign means a space.
    const bool plus_lost = apart && !rest.empty() && units_detail::is_digit(rest.front());
    return plus_lost ? bad(text, "has a zone without its sign; write +01:00 (in a URL: %2B01:00)")
                     : no_moment(text);
  }
  const auto hours = take_number(rest, 2);
  const bool colon = hours && take(rest, ':');
  const auto minutes =
      rest.empty() && !colon ? std::optional<std::int64_t>(0) : take_number(rest, 2);
  if (!hours || !minutes || !rest.empty() || *minutes > 59 || *hours * 60 + *minutes > 14 * 60) {
    return bad(text, "has no known zone; write Z, or from -14:00 to +14:00, as in +01:00");
  }
  time.offset = (west ? -60 : 60) * (*hours * 60 + *minutes);
  return {};
}

/// "18:30", "18:30:05", "18:30:05.25", and a zone. Requires: all that is left of `text`.
inline Result<TimeOfDay> read_time(std::string_view text, std::string_view rest) {
  TimeOfDay time;
  const auto hours = take_number(rest, 2);
  if (!hours || !take(rest, ':')) return no_moment(text);
  const auto minutes = take_number(rest, 2);
  std::optional<std::int64_t> seconds = 0;
  std::optional<std::int64_t> ns = 0;
  if (take(rest, ':')) {
    seconds = take_number(rest, 2);
    if (take(rest, '.')) ns = take_fraction(rest);
  }
  if (!minutes || !seconds || !ns) return no_moment(text);
  time.seconds = (*hours * 60 + *minutes) * 60 + *seconds;
  time.ns = *ns;
  const bool end_of_day = time.seconds == kDay && *hours == 24 && time.ns == 0;
  if ((*hours > 23 && !end_of_day) || *minutes > 59 || *seconds > 59) {
    return bad(text, "has no such time of the day; write 00:00:00 to 23:59:59, or 24:00");
  }
  if (Status status = read_zone(text, rest, time); !status.ok()) return status;
  return time;
}

inline Result<WallTime> moment_of(std::string_view text, std::int64_t days, const TimeOfDay& time,
                                  const UtcOffset& zone) {
  const std::int64_t civil = days * kDay + time.seconds;
  return moment_at(text, time.offset ? civil - *time.offset : from_civil(civil, zone), time.ns);
}

/// Days since 1970 in a zone.
inline std::int64_t day_of(WallTime now, const TimeOfDay& time, const UtcOffset& zone) {
  const std::int64_t seconds = std::chrono::floor<Seconds>(now).time_since_epoch().count();
  const Seconds civil(seconds + (time.offset ? *time.offset : zone(seconds)));
  return std::chrono::floor<std::chrono::days>(civil).count();
}

/// Requires: "YYYY-" at the front.
inline Result<WallTime> read_date(std::string_view text, const UtcOffset& zone) {
  std::string_view rest = text;
  const auto year = take_number(rest, 4);
  const bool dashes = take(rest, '-');
  const auto month = take_number(rest, 2);
  const bool dash = take(rest, '-');
  const auto day = month ? take_number(rest, 2) : std::nullopt;
  if (!year || !dashes || !month || !dash || !day) {
    return bad(text, "is no date; write four digits, two and two, as in 2026-11-03");
  }
  if (*month < 1 || *month > 12) return bad(text, "has no such month; write 01 to 12");
  const auto month_of_year = std::chrono::year(static_cast<int>(*year)) /
                             std::chrono::month(static_cast<unsigned>(*month));
  const auto last = static_cast<unsigned>((month_of_year / std::chrono::last).day());
  if (*day < 1 || *day > last) {
    return bad(text, "has no such day; that month has " + std::to_string(last) + " days");
  }
  TimeOfDay time;
  if (take(rest, 'T') || take(rest, 't') ||
      (rest.size() > 2 && units_detail::is_digit(rest[1]) && take(rest, ' '))) {
    auto read = read_time(text, rest);
    if (!read.ok()) return read.status();
    time = *read;
  } else if (Status status = read_zone(text, rest, time); !status.ok()) {
    return status;
  }
  const std::chrono::sys_days date(month_of_year / static_cast<int>(*day));
  return moment_of(text, date.time_since_epoch().count(), time, zone);
}

/// The last one that was.
inline Result<WallTime> read_time_alone(std::string_view text, WallTime now,
                                        const UtcOffset& zone) {
  const auto time = read_time(text, text);
  if (!time.ok()) return time.status();
  const std::int64_t today = day_of(now, *time, zone);
  for (std::int64_t back = 0;; ++back) {
    auto at = moment_of(text, today - back, *time, zone);
    if (!at.ok() || *at <= now) return at;
  }
}

/// Seconds, or a thousandth, a millionth, a billionth of them: for times between 1973 and 2255 the
/// ranges of the four lie far apart.
inline Result<WallTime> read_number(std::string_view text) {
  constexpr std::uint64_t kFirst = 100'000'000;
  constexpr auto kEnd = static_cast<std::uint64_t>(kLast);
  constexpr auto kUnits = static_cast<std::uint64_t>(kSecond);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  std::optional<std::int64_t> ns = 0;
  const bool fraction = take(rest, '.');
  if (fraction) ns = take_fraction(rest);
  if (error == std::errc() && ns && rest.empty()) {
    for (std::uint64_t unit = 1; unit <= kUnits; unit *= 1000) {
      if (value / unit < kFirst || value / unit >= kEnd || (fraction && unit > 1)) continue;
      const auto seconds = static_cast<std::int64_t>(value / unit);
      const auto parts = static_cast<std::int64_t>(value % unit * (kUnits / unit));
      return moment_at(text, seconds, parts + *ns);
    }
  }
  return bad(text,
             "is no time in Unix seconds, from 100000000 on; write 2h for a time before now, or a "
             "day as 2026-11-23");
}

inline std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower;
}

/// "now", "today", "yesterday 03:00"; nothing: no such word.
inline std::optional<Result<WallTime>> read_word(std::string_view text, WallTime now,
                                                 const UtcOffset& zone) {
  const std::string_view word = text.substr(0, text.find(' '));
  const std::string lower = lower_case(word);
  if (lower == "now" && word.size() == text.size()) return Result<WallTime>(now);
  if (lower != "today" && lower != "yesterday") return std::nullopt;
  TimeOfDay time;
  if (word.size() < text.size()) {
    const auto read = read_time(text, text.substr(word.size() + 1));
    if (!read.ok()) return Result<WallTime>(read.status());
    time = *read;
  }
  const std::int64_t back = lower == "yesterday" ? 1 : 0;
  return moment_of(text, day_of(now, time, zone) - back, time, zone);
}

}  // namespace moment_detail

/// The moment that `text` names:
/// - "2h", "1d12h", "1w", "90m ago": before now
/// - "now"; "today", "yesterday": their beginning; "yesterday 18:30"
/// - "03:00", "03:00:05": today or, if that is still to come, yesterday
/// - "2026-11-23", and "T18:30", "T18:30:05.25" or " 18:30" behind it; 24:00 is the end of a day
/// - a zone behind a time or a date: "Z", "+01:00", "+0100", "+01"; without one it is in `zone`
/// - Unix seconds, with a fraction or not; whole milli-, micro-, nanoseconds by their size
/// Errors: kInvalidArgument, with what to write: a day that the calendar has not, what is not after
/// the beginning of 1970 or after 2254.
inline Result<WallTime> parse_moment(std::string_view text, WallTime now, const UtcOffset& zone) {
  namespace md = moment_detail;
  constexpr std::size_t kLongest = 64;
  if (text.empty()) return md::bad(text, "is empty; write 2h (before now) or 2026-11-23T18:30");
  if (text.size() > kLongest) return md::no_moment(text);
  if (auto word = md::read_word(text, now, zone)) return *std::move(word);
  if (text.find_first_not_of("0123456789.") == std::string_view::npos) {
    return md::read_number(text);
  }
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 4 && text[4] == '-') return md::read_date(text, zone);
  if (digits == 2 && text[2] == ':') return md::read_time_alone(text, now, zone);
  std::string_view span = text;
  if (span.ends_with(" ago")) span.remove_suffix(4);
  const auto ago = parse_duration(span);
  if (!ago.ok()) return md::no_moment(text);
  const Nanoseconds since_epoch = now.time_since_epoch();
  if (*ago >= since_epoch) return md::bad(text, "is before 1970; write a later time");
  return WallTime(since_epoch - *ago);
}

}  // namespace phlower
