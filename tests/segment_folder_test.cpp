// The parts of a data folder under its engine: what it believes of the clock, and what a start
// makes of files that are damaged or half moved.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "phlower/segment/folder_clock.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using ::testing::HasSubstr;
using testing::SegmentRig;
using testing::uuid_of;

TEST(FolderClock, TellsALeapFromTimeThatPasses) {
  constexpr std::int64_t kSecond = 1'000'000;
  constexpr std::int64_t kMinute = 60 * kSecond;
  constexpr std::int64_t kHour = 60 * kMinute;
  struct Case {
    const char* what;
    std::int64_t wall_us;  // that both clocks move by
    std::int64_t mono_us;
    std::int64_t leap_us;
    bool files_wait;
  };
  const Case cases[] = {
      {"time passes", kHour, kHour, 0, false},
      {"it stands still", 0, 0, 0, false},
      {"a minute is no leap", kMinute, 0, 0, false},
      {"nor is one back", -kMinute, 0, 0, false},
      {"a little more is", kMinute + 1, 0, kMinute + 1, false},
      {"and back", -kMinute - 1, 0, -kMinute - 1, false},
      {"an hour is a short one", 2 * kHour, kHour, kHour, false},
      {"more than an hour is long", 2 * kHour + 1, kHour, kHour + 1, true},
      {"back as well", -kHour - 1, 0, -kHour - 1, true},
      {"civil time stands while the machine runs", 0, 2 * kHour, -2 * kHour, true},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    FolderClock clock;
    const MonoTime begin = MonoTime() + Hours(1);
    EXPECT_EQ(clock.leap_us(1'000 * kHour, begin), 0) << "the first reading is as good as any";
    EXPECT_FALSE(clock.go_on_from(1'000 * kHour, begin));
    const MonoTime then = begin + Microseconds(one.mono_us);
    const std::int64_t wall_us = 1'000 * kHour + one.wall_us;
    EXPECT_EQ(clock.leap_us(wall_us, then), one.leap_us);
    EXPECT_EQ(clock.leap_us(wall_us, then), one.leap_us) << "until it is taken as right";
    EXPECT_EQ(clock.go_on_from(wall_us, then), one.files_wait);
    EXPECT_EQ(clock.leap_us(wall_us, then), 0);
    EXPECT_EQ(clock.files_may_go(then), !one.files_wait);
    EXPECT_EQ(clock.files_may_go(then + FolderClock::kPatience - Nanoseconds(1)), !one.files_wait);
    EXPECT_TRUE(clock.files_may_go(then + FolderClock::kPatience));
  }
}

class SegmentFolder : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override { ASSERT_TRUE(open().ok()); }

  std::vector<SegmentInfo> segments_in(SegmentState state) {
    auto catalog = Catalog::open(options.store.path, false);
    std::vector<SegmentInfo> found;
    if (!catalog.ok()) return found;
    for (const SegmentInfo& info : catalog->segments()) {
      const bool rows = info.family == SegmentFamily::kRows;
      if (rows && info.state == state) found.push_back(info);
    }
    return found;
  }
  std::string path_of(const SegmentInfo& info) {
    return options.store.path + "/" + segment_name(info.family, info.seq);
  }
  static void spoil(const std::string& path) { std::ofstream(path) << std::string(9000, '\x5a'); }
};

TEST_F(SegmentFolder, StartsBesideASpareThatIsDamaged) {
  put_many(0, 80, now());  // three quarters of a segment: the next one is made
  tend();
  ASSERT_EQ(segments_in(SegmentState::kSpare).size(), 1u);
  const SegmentInfo spare = segments_in(SegmentState::kSpare).front();
  const std::vector<SegmentInfo> written = segments_in(SegmentState::kWriting);
  store.reset();
  spoil(path_of(spare));
  for (const SegmentInfo& info : written) spoil(path_of(info));  // so that the spare is needed
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(in_state(SegmentState::kSetAside), 2u);
  EXPECT_FALSE(std::filesystem::exists(path_of(spare)));
  put_many(100, 5, now());
  EXPECT_TRUE(get(uuid_of(103)));
}

TEST_F(SegmentFolder, RotatesThoughTheSpareIsDamagedOrGone) {
  for (const bool gone : {false, true}) {
    put_many(gone ? 1000 : 0, 80, now());
    tend();
    ASSERT_EQ(segments_in(SegmentState::kSpare).size(), 1u);
    const std::string path = path_of(segments_in(SegmentState::kSpare).front());
    if (gone) {
      std::filesystem::remove(path);
    } else {
      spoil(path);
    }
    put_many(gone ? 1100 : 100, 80, now());
    tend();
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_TRUE(get(uuid_of(gone ? 1003 : 3)));
    EXPECT_TRUE(get(uuid_of(gone ? 1103 : 103)));
    EXPECT_EQ(in_state(SegmentState::kSealed), gone ? 2u : 1u);
  }
  EXPECT_EQ(in_state(SegmentState::kSetAside), 1u) << "of a file that is not there nothing is kept";
}

// As it is where its engine could not open it when it was made: a catalog that another one wrote.
TEST_F(SegmentFolder, TakesLateRowsThoughTheFileThatWasMadeForThemIsDamaged) {
  SegmentInfo late;
  late.seq = 50;
  spoil(path_of(late));
  auto other = Catalog::open(options.store.path, true);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->apply({Move::kMake, late}).ok());
  ASSERT_TRUE(other->apply({Move::kTakeLate, late}).ok());
  tend();
  ASSERT_EQ(in_state(SegmentState::kLate), 1u);
  put_many(10, 5, now() - 3600.0 * 50);
  EXPECT_TRUE(get(uuid_of(13)));
  EXPECT_EQ(in_state(SegmentState::kSetAside), 1u);
  EXPECT_EQ(in_state(SegmentState::kLate), 1u);
  EXPECT_TRUE(std::filesystem::exists(dir / "data/quarantine/inv-50.db"));
}

// -- Set aside ----------------------------------------------------------------------------------

TEST_F(SegmentFolder, MovesAtItsStartWhatWasSetAsideAndNotMoved) {
  put_many(0, 100, now());
  tend();
  const SegmentInfo sealed = segments_in(SegmentState::kSealed).front();
  store.reset();
  {
    auto catalog = Catalog::open(options.store.path, true);
    ASSERT_TRUE(catalog.ok());
    ASSERT_TRUE(catalog->apply({Move::kSetAside, sealed}).ok());  // and there it was killed
  }
  std::ofstream(path_of(sealed) + "-wal") << "a log";
  for (int start = 0; start < 2; ++start) {
    said.clear();
    ASSERT_TRUE(open().ok());
    EXPECT_FALSE(std::filesystem::exists(path_of(sealed)));
    EXPECT_FALSE(std::filesystem::exists(path_of(sealed) + "-wal"));
    const std::string aside =
        options.store.path + "/quarantine/" + segment_name(sealed.family, sealed.seq);
    EXPECT_TRUE(std::filesystem::exists(aside));
    EXPECT_TRUE(std::filesystem::exists(aside + "-wal"));
    EXPECT_EQ(::testing::Value(said, ::testing::Contains(HasSubstr("quarantine"))), start == 0);
    EXPECT_EQ(in_state(SegmentState::kSetAside), 1u);
    store.reset();
  }
}

// quarantine/ cannot be made: something of that name is there.
TEST_F(SegmentFolder, GoesOnWhereTheDamagedFileCannotBeMoved) {
  put_many(0, 100, now());
  tend();
  const std::string path = path_of(segments_in(SegmentState::kSealed).front());
  store.reset();
  spoil(path);
  const std::string in_the_way = options.store.path + "/quarantine";
  std::ofstream(in_the_way) << "no folder";
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(get(uuid_of(3)));
  tend();
  EXPECT_EQ(in_state(SegmentState::kSetAside), 1u);
  EXPECT_EQ(store->segments().totals().set_aside, 1u);
  reopen();
  put_many(200, 5, now());
  EXPECT_TRUE(get(uuid_of(203)));
  EXPECT_TRUE(std::filesystem::exists(path)) << "nothing is lost";
  std::filesystem::remove(in_the_way);
  reopen();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(
      std::filesystem::exists(in_the_way + "/" + std::filesystem::path(path).filename().string()));
}

}  // namespace
}  // namespace phlower
