// What a value in a column of times says, and what of it is certain. Whoever else writes a file may
// have put anything there: seconds, milliseconds, dates as text. Pure functions.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "phlower/record/record.hpp"
#include "phlower/single/cell.hpp"

namespace phlower {

/// Certain are:
/// - a number that lies between the years 2000 and 9999 when taken as seconds, milliseconds,
///   microseconds or nanoseconds since 1970: it does so in one of these units at most;
/// - such a number as a text;
/// - 'YYYY-MM-DD hh:mm[:ss[.fff]]', with 'T' for the blank too, with 'Z', '+hh:mm', '+hhmm' or
///   '+hh' behind it, of a year between 2000 and 9999;
/// - the same without a zone, and a date alone: read as UTC, of which somebody's own clock may be
///   off by up to 14 hours. Older than a moment is only what is so by any clock.
/// NULL says that there is no time. Everything else is not understood: blobs, other dates, numbers
/// of other sizes, 0, days of no calendar.
enum class TimeKind : std::uint8_t { kNone, kKnown, kUnclear };

struct CellTime {
  TimeKind kind = TimeKind::kNone;
  UnixSeconds at = 0;      // as it is shown and ordered
  UnixSeconds latest = 0;  // it is certainly no later
};

/// Seconds: 2000-01-01 and the end of the year 9999.
inline constexpr UnixSeconds kFirstTime = 946'684'800.0;
inline constexpr UnixSeconds kLastTime = 253'402'300'799.0;

/// By so much clocks without a zone are off, and a date says less than a moment.
inline constexpr UnixSeconds kZoneMargin = 14 * 3600;
inline constexpr UnixSeconds kDateMargin = 86'400 + kZoneMargin;

namespace cell_time_detail {

inline constexpr CellTime kUnclear{TimeKind::kUnclear, 0, 0};

inline CellTime known(UnixSeconds at, UnixSeconds margin) {
  if (!(at >= kFirstTime && at <= kLastTime)) return kUnclear;
  return {TimeKind::kKnown, at, at + margin};
}

inline CellTime of_number(double number) {
  for (const double unit : {1.0, 1e3, 1e6, 1e9}) {
    if (const CellTime time = known(number / unit, 0); time.kind == TimeKind::kKnown) return time;
  }
  return kUnclear;
}

/// Reads from the front of a text. Every call is false where what it asks for does not stand there.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  bool any_of(std::string_view letters) {
    if (at_end() || letters.find(text_.front()) == std::string_view::npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  /// So many digits, of a number from 0 to `most`.
  bool number(std::size_t digits, int most, int& value) {
    if (text_.size() < digits) return false;
    value = 0;
    for (const char c : text_.substr(0, digits)) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
    text_.remove_prefix(digits);
    return value <= most;
  }
  bool fraction(double& value) {
    double digit = 0.1;
    std::size_t digits = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits) {
      value += digit * (text_[digits] - '0');
      digit /= 10;
    }
    text_.remove_prefix(digits);
    return digits > 0;
  }
  bool begins_with(char c) const { return !at_end() && text_.front() == c; }

 private:
  std::string_view text_;
};

/// "Z", "+02", "+0200", "+02:00" to the end. False: something else.
inline bool read_zone(Scan& scan, int& seconds) {
  seconds = 0;
  if (scan.any_of("Zz")) return scan.at_end();
  const int sign = scan.begins_with('-') ? -1 : 1;
  int hours = 0;
  int minutes = 0;
  if (!scan.any_of("+-") || !scan.number(2, 15, hours)) return false;
  if (!scan.at_end()) {
    static_cast<void>(scan.any_of(":"));
    if (!scan.number(2, 59, minutes)) return false;
  }
  seconds = sign * (hours * 3600 + minutes * 60);
  return scan.at_end();
}

inline CellTime of_date(std::string_view text) {
  using namespace std::chrono;
  Scan scan(text);
  int y = 0;
  int m = 0;
  int d = 0;
  const bool date = scan.number(4, 9999, y) && scan.any_of("-") && scan.number(2, 12, m) &&
                    scan.any_of("-") && scan.number(2, 31, d);
  const year_month_day day(year(y), month(static_cast<unsigned>(m)),
                           std::chrono::day(static_cast<unsigned>(d)));
  if (!date || !day.ok()) return kUnclear;
  const UnixSeconds midnight = duration<double>(sys_days(day).time_since_epoch()).count();
  if (scan.at_end()) return known(midnight, kDateMargin);
  int hour = 0;
  int minute = 0;
  int second = 0;
  double part = 0;
  const bool clock = scan.any_of(" Tt") && scan.number(2, 23, hour) && scan.any_of(":") &&
                     scan.number(2, 59, minute);
  if (!clock) return kUnclear;
  const bool exact = scan.any_of(":");
  if (exact && !scan.number(2, 60, second)) return kUnclear;
  if (exact && scan.any_of(".,") && !scan.fraction(part)) return kUnclear;
  const UnixSeconds at = midnight + hour * 3600 + minute * 60 + second + part;
  const UnixSeconds rest = exact ? 0 : 60;
  static_cast<void>(scan.any_of(" "));
  if (scan.at_end()) return known(at, rest + kZoneMargin);
  int zone = 0;
  if (!read_zone(scan, zone)) return kUnclear;
  return known(at - zone, rest);
}

inline CellTime of_text(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return kUnclear;
  text = text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end) return of_number(number);
  return of_date(text);
}

}  // namespace cell_time_detail

inline CellTime read_time(const Cell& cell) {
  switch (cell.type) {
    case sqlite::ValueType::kNull: return {};
    case sqlite::ValueType::kInteger:
      return cell_time_detail::of_number(static_cast<double>(cell.whole));
    case sqlite::ValueType::kReal: return cell_time_detail::of_number(cell.real);
    case sqlite::ValueType::kText: return cell_time_detail::of_text(cell.bytes);
    case sqlite::ValueType::kBlob: break;
  }
  return cell_time_detail::kUnclear;
}

/// The time that retention counts from: of the end, the start and the arrival the first that is
/// there. One that is not understood is not passed over: an end may be much later than its start.
struct RowTime {
  CellTime time;
  std::size_t column = 0;  // which of the three
};

inline RowTime row_time(const CellTime& finished, const CellTime& started,
                        const CellTime& received) {
  if (finished.kind != TimeKind::kNone) return {finished, 0};
  if (started.kind != TimeKind::kNone) return {started, 1};
  return {received, 2};
}

/// Names of the columns that `RowTime::column` counts.
inline constexpr std::array<std::string_view, 3> kTimeColumns = {"finished_at", "started_at",
                                                                 "received_at"};

}  // namespace phlower
