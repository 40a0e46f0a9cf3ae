// Durations, sizes, shares and rates: what is read, what is refused and what the refusal says.
#include "phlower/ground/units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "phlower/ground/random.hpp"

namespace phlower {
namespace {

using ::testing::HasSubstr;

std::int64_t ns_of(std::string_view text) {
  const auto parsed = parse_duration(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.status().message();
  return parsed.ok() ? parsed->count() : -1;
}

template <class Parsed>
std::string refusal_of(const Parsed& parsed) {
  EXPECT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.status().code(), parsed.ok() ? Code::kOk : Code::kInvalidArgument);
  return std::string(parsed.status().message());
}

TEST(Durations, AreReadInEveryUnit) {
  EXPECT_EQ(ns_of("7ns"), 7);
  EXPECT_EQ(ns_of("7us"), 7'000);
  EXPECT_EQ(ns_of("5ms"), 5'000'000);
  EXPECT_EQ(ns_of("3s"), 3'000'000'000);
  EXPECT_EQ(ns_of("2m"), 120'000'000'000);
  EXPECT_EQ(ns_of("2min"), 120'000'000'000);
  EXPECT_EQ(ns_of("60h"), 216'000'000'000'000);
  EXPECT_EQ(ns_of("5d"), 432'000'000'000'000);
  EXPECT_EQ(ns_of("2w"), 1'209'600'000'000'000);
  EXPECT_EQ(ns_of("0s"), 0);
}

TEST(Durations, TakeFractionsAndCompounds) {
  EXPECT_EQ(ns_of("1.5s"), 1'500'000'000);
  EXPECT_EQ(ns_of("0.25ms"), 250'000);
  EXPECT_EQ(ns_of("1h30m"), 5'400'000'000'000);
  EXPECT_EQ(ns_of("1d2h3m4s5ms6us7ns"), 93'784'005'006'007);
  EXPECT_EQ(ns_of("0.0000000019s"), 1) << "finer than a nanosecond is rounded down";
  EXPECT_EQ(ns_of("0.5000000000000000000000001s"), 500'000'000);
}

TEST(Durations, WithoutUnitSayWhatWouldBeRight) {
  EXPECT_EQ(refusal_of(parse_duration("60")), "'60' has no unit; write 60h, 60s or 60ms");
  EXPECT_THAT(refusal_of(parse_duration("1h30")), HasSubstr("no unit"));
}

TEST(Durations, OfTheWrongFormAreRefused) {
  EXPECT_THAT(refusal_of(parse_duration("")), HasSubstr("is empty"));
  for (const char* text : {"h", "-5s", "+5s", " 5s", "abc", ".5s"}) {
    EXPECT_THAT(refusal_of(parse_duration(text)), HasSubstr("is no duration")) << text;
  }
  for (const char* text : {"5 s", "5S", "5.s", "5sec", "1e3s", "5s ", "5\xc2\xb5s"}) {
    EXPECT_THAT(refusal_of(parse_duration(text)), HasSubstr("unknown unit")) << text;
  }
  for (const char* text : {"30m1h", "1s1s", "1m1min"}) {
    EXPECT_THAT(refusal_of(parse_duration(text)), HasSubstr("out of order")) << text;
  }
}

TEST(Durations, AreCheckedForOverflowAtTheEdge) {
  EXPECT_EQ(ns_of("9223372036854775807ns"), 9'223'372'036'854'775'807);
  for (const char* text :
       {"9223372036854775808ns", "106752d", "106751.995d", "99999999999999999999999h",
        "9223372036s854775808ns", "2562047h47m17s"}) {
    EXPECT_THAT(refusal_of(parse_duration(text)), HasSubstr("too long")) << text;
  }
}

TEST(Sizes, AreReadInBothSystems) {
  EXPECT_EQ(parse_bytes("64MiB").value(), 64u << 20);
  EXPECT_EQ(parse_bytes("10MB").value(), 10'000'000u);
  EXPECT_EQ(parse_bytes("512B").value(), 512u);
  EXPECT_EQ(parse_bytes("1.5KiB").value(), 1536u);
  EXPECT_EQ(parse_bytes("2kB").value(), 2000u);
  EXPECT_EQ(parse_bytes("2KB").value(), 2000u);
  EXPECT_EQ(parse_bytes("3GiB").value(), 3ull << 30);
  EXPECT_EQ(parse_bytes("1TB").value(), 1'000'000'000'000u);
  EXPECT_EQ(parse_bytes("9223372036854775807B").value(), 9'223'372'036'854'775'807u);
}

TEST(Sizes, SayWhatWouldBeRight) {
  EXPECT_EQ(refusal_of(parse_bytes("64")), "'64' has no unit; write 64MiB, 64KiB or 64B");
  EXPECT_THAT(refusal_of(parse_bytes("64M")), HasSubstr("units are B, KiB, MiB"));
  EXPECT_THAT(refusal_of(parse_bytes("1MiB2KiB")), HasSubstr("unknown unit"));
  EXPECT_THAT(refusal_of(parse_bytes("-1B")), HasSubstr("is no size"));
  EXPECT_THAT(refusal_of(parse_bytes("")), HasSubstr("is empty"));
  EXPECT_THAT(refusal_of(parse_bytes("8388608TiB")), HasSubstr("too large"));
  EXPECT_THAT(refusal_of(parse_bytes("18446744073709551616B")), HasSubstr("too large"));
}

TEST(Percentages, AreWholeNumbersWithTheirSign) {
  EXPECT_EQ(parse_percent("80%").value(), 80u);
  EXPECT_EQ(parse_percent("0%").value(), 0u);
  EXPECT_EQ(parse_percent("100%").value(), 100u);
  EXPECT_EQ(refusal_of(parse_percent("80")), "'80' has no percent sign; write 80%");
  EXPECT_THAT(refusal_of(parse_percent("101%")), HasSubstr("over 100%"));
  for (const char* text : {"", "%", "1.5%", "-1%", "80%%", "80%1"}) {
    EXPECT_THAT(refusal_of(parse_percent(text)), HasSubstr("is no percentage")) << text;
  }
}

TEST(Rates, CountRecordsPerSecond) {
  EXPECT_DOUBLE_EQ(parse_rate("5000")->per_second, 5000);
  EXPECT_DOUBLE_EQ(parse_rate("5000/s")->per_second, 5000);
  EXPECT_NEAR(parse_rate("73k/min")->per_second, 1216.667, 0.001);
  EXPECT_DOUBLE_EQ(parse_rate("3.6M/h")->per_second, 1000);
  EXPECT_FALSE(parse_rate("0.5")->unlimited);
  EXPECT_TRUE(parse_rate("max")->unlimited);
  for (const char* text : {"", "0", "-1", "5/x", "k", "5ms", "max/s", "99999999999999999999"}) {
    EXPECT_THAT(refusal_of(parse_rate(text)), HasSubstr("is no rate")) << text;
  }
}

TEST(ExactText, IsReadBackToTheSameValue) {
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t value = random.next() >> (1 + random.below(63));
    EXPECT_EQ(parse_bytes(exact_bytes(value)).value(), value);
    EXPECT_EQ(ns_of(exact_duration(Nanoseconds(value))), static_cast<std::int64_t>(value));
  }
  EXPECT_EQ(exact_bytes(64u << 20), "64MiB");
  EXPECT_EQ(exact_bytes(0), "0B");
  EXPECT_EQ(exact_duration(Seconds(432'000)), "120h");
  EXPECT_EQ(exact_duration(Seconds(90)), "90s");
  EXPECT_EQ(exact_duration(Nanoseconds(0)), "0s");
}

TEST(TextForPeople, KeepsThreeDigits) {
  EXPECT_EQ(format_duration(Nanoseconds(740)), "740ns");
  EXPECT_EQ(format_duration(Nanoseconds(2'439'000)), "2.43ms");
  EXPECT_EQ(format_duration(Nanoseconds(5'000'000)), "5ms");
  EXPECT_EQ(format_duration(Nanoseconds(1'050'000)), "1.05ms");
  EXPECT_EQ(format_duration(Seconds(77)), "77s");
  EXPECT_EQ(format_duration(Seconds(187)), "3m07s");
  EXPECT_EQ(format_duration(Seconds(3725)), "1h02m");
  EXPECT_EQ(format_duration(Seconds(5 * 86'400 + 3 * 3600)), "5d03h");
  EXPECT_EQ(format_duration(Nanoseconds::min()), "-" + format_duration(Nanoseconds::max()));
  EXPECT_EQ(format_bytes(0), "0B");
  EXPECT_EQ(format_bytes(1536), "1.5KiB");
  EXPECT_EQ(format_bytes(1'990'000'000), "1.85GiB");
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(2'000'000), "2,000,000");
}

}  // namespace
}  // namespace phlower
