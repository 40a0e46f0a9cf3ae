// The table of knobs: ranges, checks of options that code has set, suggestions.
#include "phlower/config/options_fields.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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
            "schedule.slice: -1000000ns is out of range; write a value from 1ms to 100ms\n"
            "schedule.duty: 101% is out of range; write a value from 10% to 100%");
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

}  // namespace
}  // namespace phlower
