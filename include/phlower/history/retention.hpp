// What is kept, and for how long: the one place that decides it. Everybody asks here: whether a
// record is too old to come in, when a row goes and when its details, when a whole file may go.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// Whole microseconds since 1970, as segments keep times and as orders go by.
inline std::int64_t to_us(UnixSeconds seconds) noexcept {
  return static_cast<std::int64_t>(std::llround(seconds * 1e6));
}
inline UnixSeconds from_us(std::int64_t us) noexcept { return static_cast<double>(us) / 1e6; }

/// A cutoff in whole microseconds: what is at or below it has expired. The lowest number: nothing.
inline std::int64_t cutoff_us(UnixSeconds cutoff) noexcept {
  if (!(cutoff > -9e12)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(std::floor(cutoff * 1e6));
}

/// The time that retention counts from: the end, else the start, else the arrival; 0 if unknown.
inline UnixSeconds retention_time(UnixSeconds finished, UnixSeconds started,
                                  UnixSeconds received) noexcept {
  return finished > 0 ? finished : started > 0 ? started : received > 0 ? received : 0;
}

/// What of a history expires on its own.
enum class Part : std::uint8_t { kRows, kDetails };

/// A value. Where nothing expires, lifetimes and expiries are infinite.
class RetentionPolicy {
 public:
  RetentionPolicy() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): the options are a policy, in other words
  RetentionPolicy(const RetentionOptions& options)
      : forever_(options.keep_forever),
        rows_(options.invocations),
        details_(std::min(options.details, options.invocations)) {}  // they never outlive their row

  bool keeps_forever() const noexcept { return forever_; }

  /// The longest that any row, or the details of any row, are kept: what is older has expired,
  /// whatever it is. As if something expired where nothing does: a file has its span all the same.
  Hours longest(Part part) const noexcept { return part == Part::kRows ? rows_ : details_; }

  /// When this row goes. `at`: the time that its retention counts from.
  UnixSeconds row_expires(const RecordView&, UnixSeconds at) const noexcept {
    return forever_ ? kEver : at + std::chrono::duration<double>(rows_).count();
  }
  /// When the first of it goes: its details, where it has any.
  UnixSeconds first_expiry(const RecordView& row, UnixSeconds at) const noexcept {
    if (!row.has_details()) return row_expires(row, at);
    return forever_ ? kEver : at + std::chrono::duration<double>(details_).count();
  }

  /// Whether a file goes at `now_us` whose newest row has this time.
  bool file_is_over(Part part, std::int64_t newest_us, std::int64_t now_us) const noexcept {
    return !forever_ && newest_us <= now_us - Microseconds(longest(part)).count();
  }

 private:
  static constexpr UnixSeconds kEver = std::numeric_limits<double>::infinity();

  bool forever_ = false;
  Hours rows_ = RetentionOptions().invocations;
  Hours details_ = RetentionOptions().details;
};

/// What a policy says at one moment. A time at or below its cutoff is expired, whatever the row is.
struct Cutoffs {
  UnixSeconds invocations = -std::numeric_limits<double>::infinity();
  UnixSeconds details = -std::numeric_limits<double>::infinity();
  std::int64_t rows_us = std::numeric_limits<std::int64_t>::min();
  std::int64_t details_us = std::numeric_limits<std::int64_t>::min();

  /// Of a row with a time that is known; others stay.
  bool row_is_over(const RecordView&, std::int64_t at_us) const noexcept {
    return at_us > 0 && at_us <= rows_us;
  }
  bool details_are_over(const RecordView&, std::int64_t at_us) const noexcept {
    return at_us > 0 && at_us <= details_us;
  }
};

inline Cutoffs cutoffs_at(const RetentionPolicy& policy, WallTime now) noexcept {
  if (policy.keeps_forever()) return {};
  const auto before = [&](Part part) {
    return to_unix_seconds(now) - std::chrono::duration<double>(policy.longest(part)).count();
  };
  const UnixSeconds rows = before(Part::kRows);
  const UnixSeconds details = before(Part::kDetails);
  return {rows, details, cutoff_us(rows), cutoff_us(details)};
}

}  // namespace phlower
