// The log: silent by default, to the host's sink otherwise, and never in the host's way.
#include "phlower/ground/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "phlower/ground/clock.hpp"

namespace phlower {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogTest : public ::testing::Test {
 protected:
  Log make(LogLevel level = LogLevel::kInfo) {
    return Log(
        [this](LogLevel at, std::string_view text) {
          lines_.push_back(std::string(log_level_name(at)) + ": " + std::string(text));
        },
        clock_, level, Seconds(10));
  }
  ManualClock clock_;
  std::vector<std::string> lines_;
};

struct Unprintable {};

}  // namespace
}  // namespace phlower

template <>
struct fmt::formatter<phlower::Unprintable> {
  template <class Context>
  constexpr auto parse(Context& context) {
    return context.begin();
  }
  template <class Context>
  auto format(phlower::Unprintable, Context& context) const -> decltype(context.out()) {
    throw std::runtime_error("cannot be shown");
  }
};

namespace phlower {
namespace {

TEST_F(LogTest, HandsTextAndLevelToTheSink) {
  const Log log = make(LogLevel::kTrace);
  log.trace("a {}", 1);
  log.debug("b {}", "two");
  log.info("c");
  log.warn("d {:.1f}", 2.55);
  log.error("{} {}", "e", 5);
  EXPECT_THAT(lines_,
              ElementsAre("trace: a 1", "debug: b two", "info: c", "warning: d 2.5", "error: e 5"));
}

TEST_F(LogTest, LeavesOutWhatIsBelowItsLevel) {
  const Log log = make(LogLevel::kWarning);
  log.info("no");
  log.warn("yes");
  EXPECT_FALSE(log.enabled(LogLevel::kInfo));
  EXPECT_TRUE(log.enabled(LogLevel::kError));
  log.set_level(LogLevel::kOff);
  log.error("no");
  EXPECT_FALSE(log.enabled(LogLevel::kOff));
  EXPECT_THAT(lines_, ElementsAre("warning: yes"));
}

TEST_F(LogTest, CopiesShareTheSinkAndTheLevel) {
  const Log log = make();
  const Log copy = log;  // NOLINT(performance-unnecessary-copy-initialization): it is the subject
  copy.set_level(LogLevel::kError);
  log.info("no");
  copy.error("yes");
  EXPECT_THAT(lines_, ElementsAre("error: yes"));
}

TEST(SilentLog, TakesEverythingAndPrintsNothing) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const Log log;
  log.error("nobody {}", "listens");
  log.warn_limited("key", "nobody");
  log.set_level(LogLevel::kTrace);
  EXPECT_FALSE(log.enabled(LogLevel::kError));
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(LogTest, SwallowsWhatTheSinkAndTheArgumentsThrow) {
  ::testing::internal::CaptureStderr();
  const Log angry([](LogLevel, std::string_view) { throw 7; }, clock_);
  angry.error("x");
  const Log log = make();
  log.info("{}", Unprintable{});
  log.info("still here");
  EXPECT_THAT(lines_, ElementsAre("info: still here"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(LogTest, KeepsOutOfTheHostsRegistry) {
  const Log log = make();
  log.info("x");
  EXPECT_EQ(spdlog::get("phlower"), nullptr);
}

TEST_F(LogTest, LimitsWarningsByKeyAndCountsTheRest) {
  const Log log = make();
  for (int i = 0; i < 5; ++i) log.warn_limited("busy", "database busy, try {}", i);
  log.warn_limited("full", "disk full");
  EXPECT_THAT(lines_, ElementsAre("warning: database busy, try 0", "warning: disk full"));
  lines_.clear();
  clock_.advance(Seconds(9));
  log.warn_limited("busy", "too early");
  EXPECT_THAT(lines_, IsEmpty());
  clock_.advance(Seconds(1));
  log.warn_limited("busy", "again");
  log.warn_limited("full", "again full");
  EXPECT_THAT(lines_,
              ElementsAre("warning: again", "warning: (5 warnings of 'busy' were left out before)",
                          "warning: again full"));
  lines_.clear();
  clock_.advance(Seconds(10));
  log.warn_limited("busy", "once more");
  EXPECT_THAT(lines_, ElementsAre("warning: once more")) << "none was left out since";
}

TEST_F(LogTest, BoundsTheNumberOfKeys) {
  const Log log = make();
  for (int i = 0; i < 1000; ++i) log.warn_limited("key" + std::to_string(i), "w");
  EXPECT_THAT(lines_, SizeIs(64)) << "63 keys of their own and one for all others";
}

TEST_F(LogTest, IsSafeFromManyThreads) {
  const Log log = make();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([log] {
        for (int i = 0; i < 200; ++i) log.info("x");
      });
    }
  }
  EXPECT_THAT(lines_, SizeIs(800));
}

TEST(LogLevels, AreReadByName) {
  for (const std::string_view name : kLogLevelNames) {
    const auto level = parse_log_level(name);
    ASSERT_TRUE(level.ok());
    EXPECT_EQ(log_level_name(*level), name);
  }
  EXPECT_EQ(parse_log_level("loud").status().message(),
            "'loud' is no log level; one of trace, debug, info, warning, error, off");
}

}  // namespace
}  // namespace phlower
