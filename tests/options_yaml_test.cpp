// The configuration file: what is read, and what each wrong file is told, with its place.
#include "phlower/config/options_yaml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "phlower/ground/random.hpp"
#include "support/temp_dir.hpp"

namespace phlower {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string error_of(std::string_view text) {
  const auto options = parse_options(text, "f");
  EXPECT_FALSE(options.ok()) << text;
  EXPECT_EQ(options.status().code(), options.ok() ? Code::kOk : Code::kInvalidConfig);
  return options.ok() ? "" : std::string(options.status().message());
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::string shipped_file() { return std::string(PHLOWER_TEST_DATA) + "/../../config/phlower.yaml"; }

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(OptionsYaml, EmptyTextGivesTheDefaults) {
  const std::string defaults = dump_effective(Options());
  for (const char* text :
       {"", "~", "# only a comment\n", "{}", "store:\nring:\n", "---\n...\n", "store: {}\n"}) {
    const auto options = parse_options(text, "f");
    ASSERT_TRUE(options.ok()) << text << ": " << options.status().message();
    EXPECT_EQ(dump_effective(*options), defaults) << text;
  }
}

TEST(OptionsYaml, ReadsEveryKindOfValue) {
  const auto options = parse_options(
      "store: {path: /var/lib/x.db, durability: power, cache: 1.5MiB, reclaim: false}\n"
      "retention:\n  invocations: 5d\n  details: \"48h\"\n  keep_forever: true\n"
      "ring:\n  lanes: 7\n  high_water: 60%\n"
      "schedule:\n  slice: 2ms\n"
      "log:\n  level: off\n",
      "f");
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->store.path, "/var/lib/x.db");
  EXPECT_EQ(options->store.durability, Durability::kPower);
  EXPECT_EQ(options->store.cache_bytes, 3u << 19);
  EXPECT_FALSE(options->store.reclaim);
  EXPECT_EQ(options->retention.invocations, Hours(120));
  EXPECT_EQ(options->retention.details, Hours(48));
  EXPECT_TRUE(options->retention.keep_forever);
  EXPECT_EQ(options->ring.lanes, 7u);
  EXPECT_EQ(options->ring.high_water_percent, 60u);
  EXPECT_EQ(options->schedule.slice, Milliseconds(2));
  EXPECT_EQ(options->log.level, "off");
}

struct BadText {
  const char* text;
  const char* error;
};

const BadText kBadTexts[] = {
    // shape
    {"abc", "f:1:1: is no map; write sections ('store:') with keys below"},
    {"- a\n", "f:1:1: is no map; write sections ('store:') with keys below"},
    {"store: 3\n", "f:1:8: store: is a section; write its keys below it, indented"},
    {"store:\n- a\n", "f:2:1: store: is a section; write its keys below it, indented"},
    {"ring:\n  size: [1MiB, 2MiB]\n", "f:2:9: ring.size: is a list; write one value"},
    {"ring:\n  size:\n    a: 1\n", "f:3:5: ring.size: is a map; write one value"},
    {"ring:\n  size:\n", "f:2:3: ring.size: has no value; write one, or no key"},
    {"? [a]\n: b\n", "f:1:3: has a key that is no word; write 'name: value'"},
    {"{}\n---\n{}\n", "f:2:1: starts a second document; write only one"},
    // unknown and repeated keys
    {"rng:\n  size: 1MiB\n", "f:1:1: 'rng' is an unknown section; did you mean 'ring'?"},
    {"zebra: 1\n",
     "f:1:1: 'zebra' is an unknown section; known are store, retention, disk, ring, record, "
     "schedule, "
     "celery, plugin, log"},
    {"slice: 5ms\n",
     "f:1:1: 'slice' is no section; write 'schedule:' and below it, indented, 'slice: ...'"},
    {"ring.size: 1MiB\n",
     "f:1:1: 'ring.size' is no section; write 'ring:' and below it, indented, 'size: ...'"},
    {"\nstore:\n  cahce: 1MiB\n",
     "f:3:3: 'cahce' is an unknown key of 'store'; did you mean 'cache'?"},
    {"ring:\n  slice: 5ms\n",
     "f:2:3: 'slice' is an unknown key of 'ring'; it belongs below 'schedule:'"},
    {"log:\n  colour: red\n", "f:2:3: 'colour' is an unknown key of 'log'; known are level"},
    {"ring:\n  lanes: 5\n\n  lanes: 6\n",
     "f:4:3: ring.lanes: is given twice; keep one of this and line 2"},
    {"log: {}\nring: {}\nlog: {}\n", "f:3:1: log: is given twice; keep one of this and line 1"},
    {"<<: {}\n",
     "f:1:1: '<<' is an unknown section; known are store, retention, disk, ring, record, schedule, "
     "celery, plugin, log"},
    // units and types
    {"ring:\n  size: 32\n", "f:2:9: ring.size: '32' has no unit; write 32MiB, 32KiB or 32B"},
    {"retention: {details: 60}\n",
     "f:1:22: retention.details: '60' has no unit; write 60h, 60s or 60ms"},
    {"schedule:\n  duty: 80\n", "f:2:9: schedule.duty: '80' has no percent sign; write 80%"},
    {"schedule:\n  duty: high\n",
     "f:2:9: schedule.duty: 'high' is no percentage; write a whole number from 0% to 100%"},
    {"store:\n  reclaim: yes\n",
     "f:2:12: store.reclaim: 'yes' is neither true nor false; write true or false"},
    {"store:\n  reclaim: \"true\"\n",
     "f:2:12: store.reclaim: is text in quotes; write true without quotes"},
    {"ring:\n  lanes: '12'\n", "f:2:10: ring.lanes: is text in quotes; write 1024 without quotes"},
    {"ring:\n  lanes: many\n", "f:2:10: ring.lanes: 'many' is no count; write a whole number"},
    {"ring:\n  lanes: 1e3\n", "f:2:10: ring.lanes: '1e3' is no count; write a whole number"},
    {"store:\n  path: \"\"\n", "f:2:9: store.path: is empty; write a path"},
    {"store:\n  path: \"a\\0b\"\n", "f:2:9: store.path: holds a NUL byte; write a path"},
    {"store:\n  durability: none\n",
     "f:2:15: store.durability: 'none' is not known here; write one of process, power"},
    {"log:\n  level: loud\n",
     "f:2:10: log.level: 'loud' is not known here; write one of trace, debug, info, warning, "
     "error, off"},
    // ranges
    {"ring:\n  lanes: 5000\n",
     "f:2:10: ring.lanes: '5000' is out of range; write a value from 1 to 4096"},
    {"ring:\n  lanes: 0\n", "f:2:10: ring.lanes: 0 is out of range; write a value from 1 to 4096"},
    {"ring:\n  lanes: 4294967297\n",
     "f:2:10: ring.lanes: '4294967297' is out of range; write a value from 1 to 4096"},
    {"ring:\n  lanes: 99999999999999999999999\n",
     "f:2:10: ring.lanes: '99999999999999999999999' is out of range; write a value from 1 to 4096"},
    {"schedule:\n  slice: 200us\n",
     "f:2:10: schedule.slice: 200us is out of range; write a value from 1ms to 100ms"},
    {"schedule:\n  slice: 1500us\n",
     "f:2:10: schedule.slice: '1500us' is finer than it can be; write whole milliseconds, as in "
     "1ms"},
    {"retention:\n  details: 90m\n",
     "f:2:12: retention.details: '90m' is finer than it can be; write whole hours, as in 1h"},
    {"store:\n  cache: 5GiB\n",
     "f:2:10: store.cache: 5GiB is out of range; write a value from 1MiB to 4GiB"},
    {"schedule:\n  duty: 5%\n",
     "f:2:9: schedule.duty: 5% is out of range; write a value from 10% to 100%"},
    // two knobs that do not fit together
    {"retention:\n  details: 200h\n",
     "f:2:12: retention.details: 200h is longer than retention.invocations; write at most 120h"},
    {"retention:\n  details: 60h\n  invocations: 2h\n",
     "f:2:12: retention.details: 60h is longer than retention.invocations; write at most 2h"},
    {"store:\n  wal_soft: 64MiB\n",
     "f:2:13: store.wal_soft: 64MiB is not below store.wal_hard; write less than 64MiB"},
    {"ring:\n  size: 1MB\n", "f:2:9: ring.size: 1000000B is no multiple of ring.chunk; write 1MiB"},
    {"ring:\n  chunk: 100kB\n",
     "f:2:10: ring.chunk: 100000B is no multiple of 4KiB; write 32KiB, 64KiB, 128KiB"},
    {"ring:\n  chunk: 32KiB\n",
     "f:2:10: record.max: 16KiB is over a quarter of ring.chunk; write at most 8KiB"},
    {"record:\n  max: 17KiB\n",
     "f:2:8: record.max: 17KiB is over a quarter of ring.chunk; write at most 16KiB"},
    {"record:\n  traceback_max: 12KiB\n",
     "f:2:18: record.max: details of 16KiB (args_max, kwargs_max and traceback_max together) and "
     "1KiB for the rest do not fit; write at least 17KiB or smaller limits"},
    {"schedule:\n  slice: 30ms\n",
     "f:2:10: schedule.slice: 30ms is longer than schedule.round; write at most 20ms"},
    // what YAML can do and this file may not
    {"store:\n  path: &a x\n", "f:2:9: store.path: has an anchor (&name); write it without"},
    {"ring:\n  size: &a 5\n", "f:2:9: ring.size: has an anchor (&name); write it without"},
    {"store: &a {}\nring: *a\n",
     "f:1:8: store: has an anchor (&name); write it without\n"
     "f:2:7: ring: is an alias (*name); write the value itself"},
    {"store:\n  path: !!str x\n",
     "f:2:9: store.path: has the tag 'tag:yaml.org,2002:str'; write no tag"},
    {"ring: {size: 1MiB\n",
     "f:2:1: is not YAML: end of map flow not found; look at indentation, colons and quotes here"},
    {"ring:\n  size: 1MiB: 2\n",
     "f:2:13: is not YAML: illegal map value; look at indentation, colons and quotes here"},
    {"log:\n  level: \x01\n", "f:2:10: holds a byte that is no text; write plain UTF-8"},
    {"log:\n  level: \xff\n", "f:2:10: holds a byte that is no text; write plain UTF-8"},
    {"log:\n  level: \xc3", "f:2:10: holds a byte that is no text; write plain UTF-8"},
    {"\"a\\nb\": 1\n",
     "f:1:1: 'a\\nb' is an unknown section; known are store, retention, disk, ring, record, "
     "schedule, "
     "celery, plugin, log"},
};

TEST(OptionsYaml, NamesThePlaceTheKeyAndWhatWouldBeRight) {
  for (const BadText& bad : kBadTexts) EXPECT_EQ(error_of(bad.text), bad.error) << bad.text;
}

TEST(OptionsYaml, ReportsAllErrorsInTheOrderOfTheFile) {
  EXPECT_EQ(error_of("store:\n  cahe: 3MiB\n  cache: 32\nrng: 2\nlog: {level: x}\n"),
            "f:2:3: 'cahe' is an unknown key of 'store'; did you mean 'cache'?\n"
            "f:3:10: store.cache: '32' has no unit; write 32MiB, 32KiB or 32B\n"
            "f:4:1: 'rng' is an unknown section; did you mean 'ring'?\n"
            "f:5:14: log.level: 'x' is not known here; write one of trace, debug, info, warning, "
            "error, off");
}

TEST(OptionsYaml, ReportsKnobsThatDoNotFitTogetherInTheOrderOfTheFileToo) {
  EXPECT_EQ(error_of("schedule:\n  slice: 30ms\nretention:\n  details: 200h\n"),
            "f:2:10: schedule.slice: 30ms is longer than schedule.round; write at most 20ms\n"
            "f:4:12: retention.details: 200h is longer than retention.invocations; write at most "
            "120h");
}

TEST(OptionsYaml, ShowsTwentyErrorsAndCountsTheRest) {
  std::string text = "store:\n";
  for (int i = 0; i < 5000; ++i) text += "  key" + std::to_string(i) + ": 1\n";
  const std::string error = error_of(text);
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 20);
  EXPECT_THAT(error, AllOf(StartsWith("f:2:3: 'key0' is an unknown key"),
                           EndsWith("f: and 4980 more; correct these first")));
}

TEST(OptionsYaml, SurvivesHostileText) {
  const auto repeated = [](const std::string& part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
  };
  for (const std::string& deep :
       {repeated("[", 200'000), repeated("{", 200'000), "store: " + repeated("[", 5'000),
        repeated("- ", 100'000), repeated("? ", 100'000), "ring: {size: " + repeated("[", 9'000)}) {
    EXPECT_THAT(error_of(deep), HasSubstr("is nested too deeply"));
  }
  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    bomb +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + below + "," + below + "]\n";
  }
  EXPECT_THAT(error_of(bomb), HasSubstr("has an anchor"));
  EXPECT_THAT(error_of(std::string(kConfigMaxBytes + 1, ' ')), HasSubstr("is over 256KiB"));
  EXPECT_THAT(error_of(std::string(kConfigMaxBytes, 'x')), HasSubstr("is no map"));
}

// Any change to a good file gives either options that are valid, or errors with a place in it.
TEST(OptionsYaml, NeverBreaksOnAChangedFile) {
  const std::string good = read_file(shipped_file());
  const std::vector<std::string> pieces = {
      ":", "\n", "  ", "- ",    "&a ", "*a", "!!int ", "{",  "}", "[",        "]", "\"",
      "'", "|",  "#",  "---\n", "\t",  "%",  "? ",     "<<", "~", "\xc3\xa9", "0", "99999999999999",
      "-"};
  int accepted = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    Random random(seed);
    std::string text = good;
    for (std::uint64_t change = 1 + random.below(4); change > 0; --change) {
      const std::size_t at = random.below(text.size());
      const std::size_t length = 1 + random.below(random.chance(1, 4) ? 400 : 4);
      switch (random.below(4)) {
        case 0: text.erase(at, length); break;
        case 1: text.insert(at, pieces[random.below(pieces.size())]); break;
        case 2: text[at] = static_cast<char>(random.below(256)); break;
        default: text.insert(random.below(text.size()), text.substr(at, length)); break;
      }
    }
    const auto options = parse_options(text, "f");
    if (options.ok()) {
      ++accepted;
      EXPECT_TRUE(validate(*options).ok()) << "seed " << seed;
      continue;
    }
    ++refused;
    EXPECT_EQ(options.status().code(), Code::kInvalidConfig) << "seed " << seed;
    const long lines = 2 + std::count(text.begin(), text.end(), '\n');
    std::istringstream errors{std::string(options.status().message())};
    for (std::string line; std::getline(errors, line);) {
      int row = 0, column = 0;
      if (line.starts_with("f: and ")) continue;
      ASSERT_EQ(std::sscanf(line.c_str(), "f:%d:%d: ", &row, &column), 2) << seed << ": " << line;
      EXPECT_TRUE(row >= 1 && row <= lines && column >= 1) << seed << ": " << line;
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 100);
}

TEST(OptionsFile, ThatIsShippedEqualsTheDefaults) {
  const auto options = load_options(shipped_file());
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(dump_effective(*options), dump_effective(Options()));
}

// With the test above this holds both ways: a key of the file that is not known is an error.
TEST(OptionsFile, ThatIsShippedShowsAndExplainsEveryKey) {
  std::istringstream file(read_file(shipped_file()));
  std::set<std::string, std::less<>> shown;
  std::string section, before;
  for (std::string line; std::getline(file, line); before = line) {
    if (line.empty() || line.find_first_not_of(' ') == line.find('#')) continue;
    const std::string name = line.substr(0, line.find(':'));
    if (name[0] != ' ') {
      section = name;
      continue;
    }
    shown.insert(section + "." + name.substr(2));
    EXPECT_THAT(before, StartsWith("  # ")) << "no reason stands above " << line;
  }
  for (const std::string_view key : option_keys()) EXPECT_TRUE(shown.contains(key)) << key;
  EXPECT_EQ(shown.size(), option_keys().size());
}

TEST(OptionsFile, ThatCannotBeReadIsNamed) {
  const testing::TempDir dir;
  EXPECT_EQ(load_options(dir / "none").status().code(), Code::kNotFound);
  EXPECT_THAT(std::string(load_options(dir / "none").status().message()),
              HasSubstr(dir / "none: No such file"));
  EXPECT_THAT(std::string(load_options(dir.path().string()).status().message()),
              EndsWith("is no regular file; name a YAML file"));
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(load_options(dir / "pipe").status().code(), Code::kInvalidConfig);
  write_file(dir / "large", std::string(2 * kConfigMaxBytes, '#'));
  EXPECT_THAT(std::string(load_options(dir / "large").status().message()),
              EndsWith("large:1:1: is over 256KiB; a configuration is smaller"));
  write_file(dir / "bad", "ring:\n  size: 5\n");
  EXPECT_THAT(std::string(load_options(dir / "bad").status().message()),
              HasSubstr("/bad:2:9: ring.size: '5' has no unit"));
}

TEST(DumpedOptions, AreReadBackToTheSame) {
  Options options;
  options.store.path = "a \"b\" \\ c\n\t: # \xc3\xa9 {";
  options.store.durability = Durability::kPower;
  options.store.cache_bytes = (1u << 20) + 1;
  options.store.reclaim = false;
  options.retention.invocations = Hours(49);
  options.retention.details = Hours(1);
  options.ring.high_water_percent = 10;
  options.schedule.flush_age = Milliseconds(1234);
  options.log.level = "off";
  const std::string text = dump_effective(options);
  const auto again = parse_options(text, "f");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(dump_effective(*again), text);
  EXPECT_EQ(again->store.path, options.store.path);
  EXPECT_EQ(again->store.cache_bytes, options.store.cache_bytes);
  EXPECT_EQ(again->schedule.flush_age, options.schedule.flush_age);
}

TEST(OptionsFromYaml, KeepDetailsNoLongerThanRowsWhereNothingIsSaidOfThem) {
  const auto shorter = parse_options("retention:\n  invocations: 2h\n", "f");
  ASSERT_TRUE(shorter.ok()) << shorter.status().message();
  EXPECT_EQ(shorter->retention.details, Hours(2));
  const auto longer = parse_options("retention:\n  invocations: 200h\n", "f");
  ASSERT_TRUE(longer.ok());
  EXPECT_EQ(longer->retention.details, Hours(60));
}

}  // namespace
}  // namespace phlower
