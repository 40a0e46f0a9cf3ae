// When rows and details expire, as a function of the options and the time.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// When rows and details expire, for one moment. A time at or below its cutoff is expired.
struct Cutoffs {
  UnixSeconds invocations = -std::numeric_limits<double>::infinity();
  UnixSeconds details = -std::numeric_limits<double>::infinity();
};

inline Cutoffs cutoffs_at(const RetentionOptions& retention, WallTime now) noexcept {
  if (retention.keep_forever) return {};
  const double seconds = to_unix_seconds(now);
  const double invocations = seconds - std::chrono::duration<double>(retention.invocations).count();
  const double details = seconds - std::chrono::duration<double>(retention.details_kept()).count();
  return {invocations, details};
}

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

}  // namespace phlower
