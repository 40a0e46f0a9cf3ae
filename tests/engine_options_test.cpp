// What an engine does with options that code has set: it refuses them by name, or it works.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <limits>
#include <type_traits>
#include <vector>

#include "phlower/engine/engine.hpp"
#include "support/engine_rig.hpp"

namespace phlower {
namespace {

using testing::EngineRig;
using testing::TempDir;

TEST(EngineOptions, AreRefusedByNameBeforeAnythingIsMade) {
  EngineRig rig;
  rig.options.store.layout = Layout::kSegmented;
  rig.options.store.path = rig.dir / "data";
  rig.options.retention.invocations = Hours(0);
  rig.options.schedule.round = Milliseconds(0);
  rig.options.record.max_bytes = 1ull << 30;
  const auto opened = Engine::open(rig.options, rig.clock);
  EXPECT_EQ(opened.status().code(), Code::kInvalidConfig);
  const std::string text(opened.status().message());
  for (const char* key : {"retention.invocations: ", "schedule.round: ", "record.max: "}) {
    EXPECT_NE(text.find(key), std::string::npos) << text;
  }
  EXPECT_FALSE(std::filesystem::exists(rig.options.store.path));
  EXPECT_FALSE(std::filesystem::exists(rig.options.ring.path));
  EXPECT_EQ(Producer::attach(rig.options, rig.clock).status().code(), Code::kInvalidConfig);
}

TEST(EngineOptions, AreCheckedTogether) {
  EngineRig rig;
  rig.options.retention.invocations = Hours(10);
  rig.options.retention.details = Hours(11);
  const auto opened = Engine::open(rig.options, rig.clock);
  EXPECT_EQ(opened.status().message(),
            "retention.details: 11h is longer than retention.invocations; write at most 10h");
}

TEST(EngineOptions, ThatChangeWhileItRunsAreCheckedTooAndABadOneChangesNothing) {
  EngineRig rig;
  rig.open();
  Options wanted = rig.options;
  wanted.retention.invocations = Hours(0);
  wanted.schedule.slice = Milliseconds(2);
  EXPECT_EQ(rig.engine->set_limits(wanted).code(), Code::kInvalidConfig);
  auto producer = Producer::attach(rig.options, rig.clock);
  ASSERT_TRUE(producer.ok()) << producer.status().message();
  rig.producer = *std::move(producer);
  ASSERT_TRUE(rig.submit("a", rig.now()).ok());
  rig.settle();
  EXPECT_TRUE(rig.engine->get("a")->has_value());
}

TEST(EngineOptions, AShorterRetentionIsWhatReadsGoByAtOnce) {
  EngineRig rig;
  rig.open();
  rig.attach();
  ASSERT_TRUE(rig.submit("a", rig.now() - 7200).ok());
  rig.settle();
  ASSERT_NE((*rig.engine->get("a"))->args, "");
  Options wanted = rig.options;
  wanted.retention.details = Hours(2);
  ASSERT_TRUE(rig.engine->set_limits(wanted).ok());
  EXPECT_EQ((*rig.engine->get("a"))->args, "");
  EXPECT_EQ(rig.engine->list_by_task("shop.orders.pack", 9)->size(), 1u);
  wanted.retention.invocations = Hours(2);
  ASSERT_TRUE(rig.engine->set_limits(wanted).ok());
  EXPECT_FALSE(rig.engine->get("a")->has_value());
  EXPECT_TRUE(rig.engine->list_by_task("shop.orders.pack", 9)->empty());
}

/// The ends of a range, what lies beyond them, and the ends of the type.
template <class Value>
std::vector<Value> extremes(Value low, Value high) {
  using Limits = std::numeric_limits<Value>;
  std::vector<Value> all = {Value(0), Limits::min(), low, high, Limits::max()};
  if (low > Limits::min()) all.push_back(static_cast<Value>(low - 1));
  if (high < Limits::max()) all.push_back(static_cast<Value>(high + 1));
  if (std::is_signed_v<Value>) all.push_back(static_cast<Value>(-1));
  return all;
}

/// `try_it(key, options)` for every knob that is a number, at each of its extremes.
template <class TryIt>
void at_extremes(const Options& base, TryIt try_it) {
  visit_options(base, [&](std::string_view key, const auto& value, auto kind) {
    using Value = std::decay_t<decltype(value)>;
    const auto set = [&](const Value& wanted) {
      Options options = base;
      visit_options(options, [&](std::string_view at, auto& target, auto) {
        if constexpr (std::is_same_v<std::decay_t<decltype(target)>, Value>) {
          if (at == key) target = wanted;
        }
      });
      try_it(key, options);
    };
    if constexpr (std::is_same_v<decltype(kind), field::Span>) {
      const auto low = std::chrono::duration_cast<Value>(kind.low).count();
      const auto high = std::chrono::duration_cast<Value>(kind.high).count();
      for (const auto count : extremes(low, high)) set(Value(count));
    } else if constexpr (std::is_arithmetic_v<Value> && !std::is_same_v<Value, bool>) {
      for (const Value number : extremes<Value>(kind.low, kind.high)) set(number);
    }
  });
}

TEST(EngineOptions, AtTheirExtremesAreRefusedOrTheEngineCommitsAHundredRecords) {
  int worked = 0;
  int refused = 0;
  for (const Layout layout : {Layout::kSingle, Layout::kSegmented}) {
    EngineRig base;
    base.options.store.layout = layout;
    at_extremes(base.options, [&](std::string_view key, Options options) {
      EngineRig rig;
      options.store.path = rig.dir / "history";
      options.ring.path = rig.dir / "ring";
      rig.options = options;
      if (validate(options).ok() && options.ring.size_bytes > 64u << 20)
        return;  // all of it is written
      auto opened = Engine::open(rig.options, rig.clock);
      if (!opened.ok()) {
        ++refused;
        EXPECT_EQ(opened.status().code(), Code::kInvalidConfig) << opened.status().message();
        EXPECT_NE(opened.status().message().find(key.substr(key.find('.') + 1)),
                  std::string_view::npos)
            << key << ": " << opened.status().message();
        return;
      }
      ++worked;
      rig.engine = *std::move(opened);
      rig.attach();
      for (int i = 0; i < 100; ++i) {
        const std::string id = "task-" + std::to_string(i);
        Status status = rig.submit(id, rig.now());
        if (status.code() == Code::kRefused) {
          rig.settle(50);
          status = rig.submit(id, rig.now());
        }
        EXPECT_TRUE(status.ok()) << key << " " << i;
      }
      rig.settle(500);
      EXPECT_EQ(rig.engine->stats().committed, 100u) << key;
      EXPECT_EQ(rig.engine->health().health, Health::kOk) << rig.engine->health().reason;
    });
  }
  EXPECT_GT(worked, 40);
  EXPECT_GT(refused, 100);
}

mode_t mode_of(const std::string& path) {
  struct ::stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

/// Sets a umask for a while.
struct Umask {
  explicit Umask(mode_t mask) : before(::umask(mask)) {}
  ~Umask() { ::umask(before); }
  const mode_t before;
};

TEST(EngineFiles, OfTheRingAreForThoseWhomTheOptionsNameWhateverTheUmask) {
  const Umask strict(0077);
  EngineRig rig;
  rig.open();
  EXPECT_EQ(mode_of(rig.options.ring.path), 0660u);
  for (const auto& [access, mode] :
       {std::pair{FileAccess::kOwner, 0600u}, std::pair{FileAccess::kAll, 0666u},
        std::pair{FileAccess::kGroup, 0660u}}) {
    rig.engine.reset();
    rig.options.ring.access = access;
    rig.open();  // the ring that is there follows
    EXPECT_EQ(mode_of(rig.options.ring.path), mode);
  }
}

TEST(EngineFiles, OfAHistoryAreNotForEverybodyWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    const Umask set(mask);
    EngineRig rig;
    rig.options.store.layout = Layout::kSegmented;
    rig.options.store.path = rig.dir / "data";
    rig.open();
    rig.attach();
    ASSERT_TRUE(rig.submit("a", rig.now()).ok());
    rig.settle();
    EXPECT_EQ(mode_of(rig.options.store.path), 0750u);
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(rig.options.store.path)) {
      EXPECT_EQ(mode_of(entry.path()), 0640u) << entry.path();
      ++files;
    }
    EXPECT_GT(files, 4);
    EngineRig single;
    single.open();
    EXPECT_EQ(mode_of(single.options.store.path), 0640u);
    EXPECT_EQ(mode_of(single.options.store.path + "-wal"), 0640u);
  }
}

TEST(EngineFiles, OfAFolderThatWasThereAreForThoseWhoMayEnterIt) {
  const Umask strict(0077);
  EngineRig rig;
  rig.options.store.layout = Layout::kSegmented;
  rig.options.store.path = rig.dir / "data";
  ASSERT_EQ(::mkdir(rig.options.store.path.c_str(), 0777), 0);
  ASSERT_EQ(::chmod(rig.options.store.path.c_str(), 0755), 0);
  rig.open();
  EXPECT_EQ(mode_of(rig.options.store.path), 0755u);
  EXPECT_EQ(mode_of(rig.options.store.path + "/meta.db"), 0644u);
  EXPECT_EQ(mode_of(rig.options.store.path + "/meta.db-wal"), 0644u);
}

}  // namespace
}  // namespace phlower
