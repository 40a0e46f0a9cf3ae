// Moments as people write them, in zones with and without leaps of their clocks.
#include "phlower/ground/text/moment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace phlower {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSpring = 1'774'746'000;  // 2026-03-29T01:00Z, 02:00 becomes 03:00
constexpr std::int64_t kAutumn = 1'792'890'000;  // 2026-10-25T01:00Z, 03:00 becomes 02:00
std::int64_t berlin(std::int64_t at) { return at >= kSpring && at < kAutumn ? 7200 : 3600; }
std::int64_t kathmandu(std::int64_t) { return 20'700; }
// The 30th of December 2011 was left out.
std::int64_t apia(std::int64_t at) { return at < 1'325'239'200 ? -36'000 : 50'400; }
// Midnight of the 26th of April 2026 was left out: 00:00 became 01:00.
std::int64_t cairo(std::int64_t at) { return at < 1'777'154'400 ? 7200 : 10'800; }

const WallTime kNow(Seconds(1'795'458'645) + Milliseconds(250));  // 2026-11-23T18:30:45.25Z

WallTime seconds(std::int64_t at, std::int64_t ns = 0) {
  return WallTime(Seconds(at) + Nanoseconds(ns));
}

struct MomentCase {
  const char* text;
  WallTime at;
  UtcOffset zone = utc_offset;
};

constexpr std::int64_t kDay = 1'795'392'000;  // 2026-11-23T00:00Z
constexpr std::int64_t kHour = 3600;

const MomentCase kMoments[] = {
    // Before now.
    {"0s", kNow},
    {"2h", kNow - std::chrono::hours(2)},
    {"90m", kNow - std::chrono::hours(1) - Seconds(1800)},
    {"1h30m", kNow - std::chrono::hours(1) - Seconds(1800)},
    {"1d", kNow - std::chrono::hours(24)},
    {"1w", kNow - std::chrono::hours(168)},
    {"1w2d3h", kNow - std::chrono::hours(168 + 48 + 3)},
    {"1.5h", kNow - std::chrono::hours(1) - Seconds(1800)},
    {"250ms", kNow - Milliseconds(250)},
    {"2h ago", kNow - std::chrono::hours(2)},
    // Words.
    {"now", kNow},
    {"Now", kNow},
    {"today", seconds(kDay)},
    {"TODAY", seconds(kDay)},
    {"yesterday", seconds(kDay - 24 * kHour)},
    {"today 03:00", seconds(kDay + 3 * kHour)},
    {"today 23:00", seconds(kDay + 23 * kHour)},
    {"yesterday 18:30:05", seconds(kDay - 24 * kHour + 18 * kHour + 1805)},
    {"today", seconds(kDay + 24 * kHour - 20'700), kathmandu},  // where it is the 24th already
    {"yesterday 24:00", seconds(kDay)},
    // A time alone is the last one that was.
    {"03:00", seconds(kDay + 3 * kHour)},
    {"18:30", seconds(kDay + 18 * kHour + 1800)},
    {"18:30:45", seconds(kDay + 18 * kHour + 1845)},
    {"18:30:45.25", kNow},
    {"18:30:45.26", seconds(kDay + 18 * kHour + 1845 - 86'400, 260'000'000)},
    {"18:31", seconds(kDay - 24 * kHour + 18 * kHour + 1860)},
    {"00:00", seconds(kDay)},
    {"24:00", seconds(kDay)},
    {"03:00+01:00", seconds(kDay + 2 * kHour)},
    {"19:00Z", seconds(kDay - 5 * kHour)},
    {"08:00+14:00", seconds(kDay + 18 * kHour)},  // where it is the 24th already
    {"19:00", seconds(kDay + 18 * kHour), berlin},
    // Dates.
    {"2026-11-23", seconds(kDay)},
    {"2026-11-23Z", seconds(kDay), berlin},
    {"2026-11-23", seconds(kDay - kHour), berlin},
    {"2026-11-23T18:30", seconds(kDay + 18 * kHour + 1800)},
    {"2026-11-23 18:30", seconds(kDay + 18 * kHour + 1800)},
    {"2026-11-23t18:30z", seconds(kDay + 18 * kHour + 1800)},
    {"2026-11-23T18:30:05", seconds(kDay + 18 * kHour + 1805)},
    {"2026-11-23 18:30:05.123", seconds(kDay + 18 * kHour + 1805, 123'000'000)},
    {"2026-11-23T18:30:05.1234567891", seconds(kDay + 18 * kHour + 1805, 123'456'789)},
    {"2026-11-23T24:00", seconds(kDay + 24 * kHour)},
    {"2026-11-23T24:00:00.0", seconds(kDay + 24 * kHour)},
    {"2026-12-31T24:00", seconds(1'798'761'600)},
    {"2024-02-29", seconds(1'709'164'800)},
    {"2000-02-29", seconds(951'782'400)},
    {"1970-01-01T00:00:01Z", seconds(1)},
    {"2254-12-31", seconds(8'993'635'200)},
    // Zones.
    {"2026-11-23T18:30Z", seconds(kDay + 18 * kHour + 1800), berlin},
    {"2026-11-23T18:30+01:00", seconds(kDay + 17 * kHour + 1800)},
    {"2026-11-23T18:30-0330", seconds(kDay + 22 * kHour)},
    {"2026-11-23T18:30+01", seconds(kDay + 17 * kHour + 1800), kathmandu},
    {"2026-11-23 18:30:05 +0100", seconds(kDay + 17 * kHour + 1805)},
    {"2026-11-23+14:00", seconds(kDay - 14 * kHour)},
    {"2026-11-23T18:30", seconds(kDay + 18 * kHour + 1800 - 20'700), kathmandu},
    // Clocks that leap.
    {"2026-03-29T01:59:59", seconds(kSpring - 1), berlin},
    {"2026-03-29T02:00", seconds(kSpring), berlin},
    {"2026-03-29T02:30", seconds(kSpring), berlin},
    {"2026-03-29T03:00", seconds(kSpring), berlin},
    {"2026-03-29T03:00:01", seconds(kSpring + 1), berlin},
    {"2026-10-25T01:59:59", seconds(kAutumn - kHour - 1), berlin},
    {"2026-10-25T02:30", seconds(kAutumn - 1800), berlin},
    {"2026-10-25T02:30+01:00", seconds(kAutumn + 1800), berlin},
    {"2026-10-25T03:00", seconds(kAutumn + kHour), berlin},
    {"2026-07-01T12:00", seconds(1'782'900'000), berlin},
    {"2011-12-29T23:59", seconds(1'325'239'140), apia},
    {"2011-12-30T12:00", seconds(1'325'239'200), apia},
    {"2011-12-31T00:00", seconds(1'325'239'200), apia},
    {"2026-04-26", seconds(1'777'154'400), cairo},
    // Numbers.
    {"1795458645", seconds(1'795'458'645)},
    {"1795458645.25", kNow},
    {"100000000", seconds(100'000'000)},
    {"1795458645250", kNow},
    {"1795458645250000", kNow},
    {"1795458645250000000", kNow},
};

TEST(Moment, IsReadAsItIsWritten) {
  for (const MomentCase& c : kMoments) {
    const auto at = parse_moment(c.text, kNow, c.zone);
    ASSERT_TRUE(at.ok()) << c.text << ": " << at.status().message();
    EXPECT_EQ((*at - c.at).count(), 0) << c.text;
  }
}

struct RefusedMoment {
  std::string text;
  const char* said;
};

const RefusedMoment kRefused[] = {
    {"", "is empty"},
    {"soon", "is no time; write 2h (before now)"},
    {"1 hour ago", "is no time"},
    {"2h30", "is no time"},
    {"-2h", "is no time"},
    {" 2h", "is no time"},
    {"2H", "is no time"},
    {"tomorrow", "is no time"},
    {"now 03:00", "is no time"},
    {"today 3:00", "is no time"},
    {"yesterday ", "is no time"},
    {"200000d", "is no time"},
    {"3000w", "is before 1970"},
    {"2026-02-30", "has no such day; that month has 28 days"},
    {"2024-02-30", "that month has 29 days"},
    {"2100-02-29", "that month has 28 days"},
    {"2026-04-31T12:00", "that month has 30 days"},
    {"2026-11-00", "has no such day"},
    {"2026-13-01", "has no such month"},
    {"2026-00-01", "has no such month"},
    {"2026-1-1", "four digits, two and two, as in 2026-11-03"},
    {"2026-11", "is no date"},
    {"2026-11-2", "is no date"},
    {"2026-11-23T", "is no time"},
    {"2026-11-23T18", "is no time"},
    {"2026-11-23T18:3", "is no time"},
    {"2026-11-23T18:30:", "is no time"},
    {"2026-11-23T18:30:05.", "is no time"},
    {"2026-11-23T25:00", "no such time of the day; write 00:00:00 to 23:59:59, or 24:00"},
    {"2026-11-23T24:01", "no such time of the day"},
    {"2026-11-23T24:00:00.1", "no such time of the day"},
    {"2026-11-23T23:60", "no such time of the day"},
    {"2026-11-23T23:59:60", "no such time of the day"},
    {"2026-11-23T18:30+24:00", "has no known zone"},
    {"2026-11-23T18:30+01:60", "has no known zone"},
    {"2026-11-23T18:30+1", "has no known zone"},
    {"2026-11-23T18:30+01:", "has no known zone"},
    {"2026-11-23T18:30+01:00x", "has no known zone"},
    {"2026-11-23T18:30 01:00", "without its sign; write +01:00 (in a URL: %2B01:00)"},
    {"2026-11-23T18:30CET", "is no time"},
    {"2026-11-23 soon", "is no time"},
    {"2026-11-23T18:30:05Zulu", "is no time"},
    {"18:30x", "is no time"},
    {"1970-01-01", "is before 1970"},
    {"1969-12-31", "is before 1970"},
    {"2256-01-01", "is after 2254"},
    {"9999-12-31", "is after 2254"},
    {"0", "is no time in Unix seconds"},
    {"5", "is no time in Unix seconds"},
    {"20261123", "is no time in Unix seconds"},
    {"9000000000", "is no time in Unix seconds"},
    {"99999999999", "is no time in Unix seconds"},
    {"1795458645250.5", "is no time in Unix seconds"},
    {"1795458645.", "is no time in Unix seconds"},
    {"1795458645.2.5", "is no time in Unix seconds"},
    {".5", "is no time in Unix seconds"},
    {"99999999999999999999999", "is no time in Unix seconds"},
    {"a\x1b[2J", "'a\\x1b[2J' is no time"},
    {std::string(70'000, '1'), "is no time"},
};

TEST(Moment, IsRefusedWithWhatToWrite) {
  for (const RefusedMoment& c : kRefused) {
    const auto at = parse_moment(c.text, kNow, utc_offset);
    ASSERT_FALSE(at.ok()) << c.text;
    EXPECT_EQ(at.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(std::string(at.status().message()), HasSubstr(c.said)) << c.text.substr(0, 40);
    EXPECT_LT(at.status().message().size(), 300u);
  }
}

TEST(Moment, OfEachMinuteOfAYearIsTheFirstThatShowsThatTime) {
  for (std::int64_t at = 1'767'222'000; at < 1'798'758'000; at += 60) {  // 2026 in Berlin
    const std::int64_t found = from_civil(at + berlin(at), berlin);
    const bool second_time = at >= kAutumn && at < kAutumn + 3600;
    ASSERT_EQ(found, second_time ? at - 3600 : at);
  }
}

}  // namespace
}  // namespace phlower
