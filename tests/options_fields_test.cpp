// The table of knobs: ranges, checks of options that code has set, suggestions.
#include "phlower/config/options_fields.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "phlower/config/live_options.hpp"
#include "phlower/config/nearest.hpp"
#include "phlower/config/options_yaml.hpp"
#include "phlower/ground/log.hpp"

namespace phlower {
namespace {

TEST(OptionFields, RefuseNonsenseForEveryKey) {
  for (const std::string_view key : option_keys()) {
    Options options;
    const std::string before = dump_effective(options);
    if (key == "store.adopt") continue;  // any text is a path, and none is "no file"
    EXPECT_EQ(set_option(options, key, "").code(), Code::kInvalidConfig) << key;
    if (!key.ends_with(".path")) {
      EXPECT_EQ(set_option(options, key, "nonsense").code(), Code::kInvalidConfig) << key;
    }
    EXPECT_EQ(dump_effective(options), before) << key << " was changed by a wrong value";
  }
  Options options;
  EXPECT_EQ(set_option(options, "ring.colour", "1").code(), Code::kNotFound);
  EXPECT_TRUE(set_option(options, "ring.lanes", "4").ok());
  EXPECT_EQ(options.ring.lanes, 4u);
}

TEST(OptionFields, AreCheckedWhenSetByCode) {
  EXPECT_TRUE(validate(Options()).ok());
  Options options;
  options.ring.lanes = 0;
  options.schedule.duty_percent = 101;
  options.schedule.slice = Milliseconds(-1);
  const Status status = validate(options);
  EXPECT_EQ(status.code(), Code::kInvalidConfig);
  EXPECT_EQ(status.message(),
            "ring.lanes: 0 is out of range; write a value from 1 to 4096\n"
            "schedule.slice: -1ms is out of range; write a value from 1ms to 100ms\n"
            "schedule.duty: 101% is out of range; write a value from 10% to 100%");
}

TEST(OptionFields, SetByCodeMayBeLongerThanNanosecondsCanSay) {
  Options options;
  options.retention.invocations = Hours::min();
  options.retention.details = Hours::max();
  options.schedule.round = Milliseconds::max();
  EXPECT_EQ(validate(options).message(),
            "retention.invocations: -9223372036854775808h is out of range; "
            "write a value from 1h to 87600h\n"
            "retention.details: 9223372036854775807h is out of range; "
            "write a value from 1h to 87600h\n"
            "schedule.round: 9223372036854775807ms is out of range; write a value from 5ms to 1s");
}

TEST(OptionFields, TakeNoCountThatOnlyFitsByItsLastDigits) {
  Options options;
  for (const char* text :
       {"18446744073709551620", "4294967300", "340282366920938463463374607431768211460"}) {
    EXPECT_EQ(set_option(options, "ring.lanes", text).code(), Code::kInvalidConfig) << text;
  }
  EXPECT_EQ(options.ring.lanes, Options().ring.lanes);
}

TEST(OptionFields, MayStandAtTheBordersThatOthersGiveThem) {
  Options options;
  options.schedule.slice = options.schedule.round = Milliseconds(50);
  options.retention.details = options.retention.invocations;
  options.store.wal_soft_bytes = options.store.wal_hard_bytes - 1;
  options.record.max_bytes = options.ring.chunk_bytes / 4;
  const Status status = validate(options);
  EXPECT_TRUE(status.ok()) << status.message();
  options.store.wal_soft_bytes = options.store.wal_hard_bytes;
  options.schedule.slice += Milliseconds(1);
  options.retention.details += Hours(1);
  options.record.max_bytes += 1;
  EXPECT_EQ(check_options(options).size(), 4u) << validate(options).message();
}

TEST(OptionFields, KnowTheLevelsOfTheLog) {
  ASSERT_EQ(std::size(field::kLevels), kLogLevelNames.size());
  for (const std::string_view level : field::kLevels) EXPECT_TRUE(parse_log_level(level).ok());
}

TEST(NearestWord, ForgivesSlipsAndNotMore) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc"), 0u);
  EXPECT_EQ(edit_distance("abc", "acb"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  const std::vector<std::string_view> known = {"slice", "duty", "round"};
  EXPECT_EQ(nearest("slcie", known), "slice");
  EXPECT_EQ(nearest("dutyy", known), "duty");
  EXPECT_EQ(nearest("elephant", known), "");
  EXPECT_EQ(nearest("", known), "");
}

/// Another value of the same kind.
void change(std::string& value) { value += "x"; }
void change(bool& value) { value = !value; }
template <class Number>
requires std::is_arithmetic_v<Number>
void change(Number& value) { ++value; }
template <class Enum>
requires std::is_enum_v<Enum>
void change(Enum& value) { value = static_cast<Enum>(static_cast<int>(value) + 1); }
template <class Rep, class Period>
void change(std::chrono::duration<Rep, Period>& value) {
  ++value;
}

TEST(LiveOptions, AreTakenOverAndNoOthers) {
  Options changed;
  visit_options(changed, [](std::string_view, auto& value, auto) { change(value); });
  const Options before;
  Options after;
  take_live_options(after, changed);
  std::map<std::string_view, std::string> was, is;
  const auto texts = [](std::map<std::string_view, std::string>& into) {
    return [&into](std::string_view key, const auto& value, auto kind) {
      into[key] = field::write(value, kind);
    };
  };
  visit_options(before, texts(was));
  visit_options(after, texts(is));
  std::size_t live = 0;
  for (const auto& [key, text] : was) {
    EXPECT_EQ(is[key] != text, is_live_option(key)) << key;
    live += is_live_option(key);
  }
  EXPECT_GT(live, 10u);
  EXPECT_LT(live, was.size());
}

}  // namespace
}  // namespace phlower
