// The upkeep of segments: rotated, sealed, unlinked when their time is over, set aside when
// damaged.
#include "phlower/segment/segmented_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using ::testing::HasSubstr;
using testing::SegmentRig;
using testing::uuid_of;

class SegmentUpkeep : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override {
    const Status status = open();
    ASSERT_TRUE(status.ok()) << status.message();
  }
};

TEST_F(SegmentUpkeep, RotatesByTimeRowsAndSizeAndKeepsRingPositions) {
  RingPositions positions;
  positions.ring[0] = 7;
  positions.chunks = {{3, 9, 120}};
  positions.lanes = {{1, 50, 50}};
  put_many(0, 10, now());
  ASSERT_TRUE(store->begin().ok());
  ASSERT_TRUE(store->save_positions(positions).ok());
  ASSERT_TRUE(store->commit().ok());
  clock.advance(std::chrono::hours(6));
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealed), 1u) << "by time";
  put_many(10, 120, now());
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealed), 2u) << "by rows";
  const auto loaded = store->load_positions(positions.ring);
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->chunks.size(), 1u);
  EXPECT_EQ(loaded->chunks[0].used, 120u);
  EXPECT_EQ(loaded->lanes[0].delivered, 50u);
  reopen();
  EXPECT_EQ(store->load_positions(positions.ring)->lanes.size(), 1u);
  EXPECT_EQ(store->counts().invocations, 130u);
  EXPECT_EQ(store->counts().details, 130u);
}

TEST_F(SegmentUpkeep, DoesTheSameOnAThreadOfItsOwn) {
  options.store.helper_thread = true;
  reopen();
  for (std::uint64_t first = 0; first < 400; first += 100) {
    put_many(first, 100, now());
    tend();
    for (std::uint64_t i = 0; i < first; i += 7) EXPECT_TRUE(get(uuid_of(i))) << i;
  }
  EXPECT_EQ(in_state(SegmentState::kSealed), 4u);
  clock.advance(Hours(121));
  tend();
  EXPECT_EQ(store->segments().totals().purged_invocations, 400u);
  EXPECT_EQ(store->segments().problem(), "");
}

TEST_F(SegmentUpkeep, ForgetsByUnlinkingAndShowsNothingPastItsTime) {
  options.store.segment_rows = 1000;
  reopen();
  put_many(0, 50, now());
  clock.advance(std::chrono::hours(59));
  EXPECT_EQ(get(uuid_of(3))->args, "(1, 'two')");
  clock.advance(std::chrono::hours(2));
  ASSERT_TRUE(get(uuid_of(3)));
  EXPECT_EQ(get(uuid_of(3))->args, "") << "details expire at read, whatever stands on the disk";
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealed, SegmentFamily::kDetails), 0u);
  clock.advance(std::chrono::hours(59));
  EXPECT_FALSE(get(uuid_of(3)));
  EXPECT_THAT(list({}), ::testing::IsEmpty());
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealed), 0u);
  EXPECT_EQ(store->segments().totals().purged_invocations, 50u);
  EXPECT_EQ(store->counts().invocations, 0u);
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(options.store.path)) {
    if (entry.path().extension() == ".db") files.insert(entry.path().filename());
  }
  EXPECT_EQ(files.size(), 3u) << "meta.db and two that are written";
}

TEST_F(SegmentUpkeep, PutsLateRecordsIntoTheSegmentOfTheirTimeAndRefusesTooOldOnes) {
  const double then = now() - 3600.0 * 50;
  put_many(0, 5, now());
  put_many(100, 5, then);
  EXPECT_EQ(store->segments().totals().late, 5u);
  EXPECT_EQ(in_state(SegmentState::kLate), 1u);
  EXPECT_TRUE(get(uuid_of(103)));
  ASSERT_TRUE(store->begin().ok());
  const auto put = store->upsert(a_record(uuid_of(203), now() - 3600.0 * 121).view());
  ASSERT_TRUE(put.ok()) << put.status().message();
  EXPECT_EQ(*put, Put::kTooOld);
  ASSERT_TRUE(store->commit().ok());
  EXPECT_FALSE(get(uuid_of(203)));
  clock.advance(Seconds(40));
  tend();
  EXPECT_EQ(in_state(SegmentState::kLate), 0u);
  EXPECT_EQ(in_state(SegmentState::kSealed), 1u);
  clock.advance(std::chrono::hours(71));
  tend();
  EXPECT_EQ(store->segments().totals().purged_invocations, 5u) << "it goes with its own time";
  EXPECT_TRUE(get(uuid_of(3)));
}

TEST_F(SegmentUpkeep, IsNotKeptByATimeInTheFuture) {
  put_many(0, 1, now() + 3600.0 * 24 * 365 * 30);
  put_many(1, 99, now());
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  for (int hours = 0; hours < 121; ++hours) {
    clock.advance(std::chrono::hours(1));
    tend(1);
  }
  tend();
  EXPECT_EQ(store->segments().totals().purged_invocations, 100u);
}

TEST_F(SegmentUpkeep, RemovesNothingRightAfterTheClockLeaptForward) {
  put_many(0, 100, now());
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  clock.jump_wall(std::chrono::hours(24 * 365));
  tend(3);
  EXPECT_EQ(in_state(SegmentState::kSealed), 1u);
  clock.jump_wall(-Nanoseconds(std::chrono::hours(24 * 365)));
  EXPECT_TRUE(get(uuid_of(5)));
  clock.jump_wall(std::chrono::hours(24 * 365));
  tend(3);
  clock.advance(std::chrono::minutes(11));
  tend();
  EXPECT_EQ(store->segments().totals().purged_invocations, 100u);
}

// The clock is years behind at first, as that of a machine without a battery.
TEST_F(SegmentUpkeep, LosesNothingThatWasSealedUnderAClockThatWasBehind) {
  const Hours years(24 * 365 * 9);
  const double right = now();
  clock.jump_wall(-Nanoseconds(years));
  reopen();
  put_many(0, 100, right);
  put_many(100, 100, now());
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 2u);
  clock.jump_wall(years);
  tend();
  clock.advance(std::chrono::hours(2));
  tend();
  EXPECT_TRUE(get(uuid_of(3))) << "its time is not over";
  EXPECT_FALSE(get(uuid_of(103))) << "it ended nine years ago";
  EXPECT_EQ(store->segments().totals().purged_invocations, 100u);
  for (int hours = 0; hours < 121; ++hours) {
    clock.advance(std::chrono::hours(1));
    tend(1);
  }
  tend();
  EXPECT_EQ(store->counts().invocations, 0u);
}

TEST_F(SegmentUpkeep, IsNotKeptByAClockThatWasAhead) {
  const Hours years(24 * 365 * 9);
  clock.jump_wall(years);
  tend();
  put_many(0, 100, now());
  tend();
  put_many(100, 30, now());
  reopen();  // and the next engine does not know how wrong the clock was
  clock.jump_wall(-Nanoseconds(years));
  for (int hours = 0; hours < 124; ++hours) {
    clock.advance(std::chrono::hours(1));
    tend(1);
  }
  tend();
  EXPECT_EQ(store->counts().invocations, 0u);
}

TEST_F(SegmentUpkeep, CountsARecordOnceThatComesAgainAfterARollback) {
  ASSERT_TRUE(store->begin().ok());
  ASSERT_TRUE(store->upsert(a_record("late", now() - 3600.0 * 50).view()).ok());
  store->rollback();
  EXPECT_EQ(store->segments().totals().late, 0u);
  ASSERT_TRUE(put({a_record("late", now() - 3600.0 * 50)}).ok());
  EXPECT_EQ(store->segments().totals().late, 1u);
}

// The purge tool beside it, and then the clock leaps: what was closed here is corrected.
TEST_F(SegmentUpkeep, BringsNothingBackThatAnotherProcessLetGo) {
  put_many(0, 100, now());
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  auto other = Catalog::open(options.store.path, true);
  ASSERT_TRUE(other.ok());
  const std::vector<SegmentInfo> known = other->segments();
  for (const SegmentInfo& info : known) {
    if (info.state != SegmentState::kSealed) continue;
    ASSERT_TRUE(other->apply({Move::kExpire, info}).ok());
    ASSERT_TRUE(std::filesystem::remove(other->path_of(info)));
    ASSERT_TRUE(other->forget({info.seq}).ok());
  }
  clock.jump_wall(std::chrono::minutes(10));
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealed), 0u);
  EXPECT_FALSE(get(uuid_of(3)));
  reopen();
  EXPECT_EQ(store->segments().totals().set_aside, 0u) << "missed, though it went as it should";
}

TEST_F(SegmentUpkeep, SetsADamagedSegmentAsideAndGoesOn) {
  put_many(0, 100, now());
  tend();
  put_many(100, 100, now());
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 2u);
  std::string path;
  for (const SegmentInfo& info : store->segments().catalog().segments()) {
    if (info.state == SegmentState::kSealed && info.family == SegmentFamily::kRows &&
        path.empty()) {
      path = store->segments().catalog().path_of(info);
    }
  }
  store.reset();
  {
    std::FILE* file = std::fopen(path.c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    const std::string junk(static_cast<std::size_t>(std::filesystem::file_size(path)) - 4096,
                           '\x5a');
    std::fseek(file, 4096, SEEK_SET);
    std::fwrite(junk.data(), 1, junk.size(), file);
    std::fclose(file);
  }
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(get(uuid_of(3)));
  EXPECT_TRUE(get(uuid_of(103)));
  tend();
  EXPECT_EQ(in_state(SegmentState::kSetAside), 1u);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(dir / "data/quarantine"));
  EXPECT_THAT(said, ::testing::Contains(HasSubstr("set aside")));
  put_many(300, 5, now());
  EXPECT_TRUE(get(uuid_of(303)));
}

TEST_F(SegmentUpkeep, DropsTheOldestWhenTheDiskIsShortDownToTheFloor) {
  for (std::uint64_t hour = 0; hour < 20; ++hour) {
    put_many(hour * 1000, 100, now());
    tend();
    clock.advance(std::chrono::hours(1));
  }
  ASSERT_GE(in_state(SegmentState::kSealed), 19u);
  store->segments().set_disk({64 << 10, 100, Hours(5)});
  tend();
  EXPECT_GT(store->segments().totals().dropped_invocations, 0u);
  EXPECT_FALSE(get(uuid_of(1)));
  EXPECT_TRUE(get(uuid_of(17'001))) << "younger than the floor";
  EXPECT_THAT(said, ::testing::Contains(HasSubstr("go early")));
}

TEST_F(SegmentUpkeep, KeepsLateRecordsOfASpanInOneSegmentForAsLongAsTheyCome) {
  const double then = now() - 3600.0 * 50;
  for (std::uint64_t i = 0; i < 8; ++i) {
    put_many(i * 10, 5, then);
    tend(2);
    EXPECT_EQ(in_state(SegmentState::kLate), 1u) << i;
  }
  clock.advance(Seconds(40));
  tend();
  EXPECT_EQ(in_state(SegmentState::kLate), 0u);
  EXPECT_EQ(in_state(SegmentState::kSealed), 1u);
}

// More spans than segments for late records: what finds none of its own goes to the next younger.
TEST_F(SegmentUpkeep, PutsLateRecordsOfOneSpanTooManyIntoTheNextYoungerOne) {
  const auto ago = [right = now()](int hours) { return right - 3600.0 * hours; };
  for (const int hours : {30, 50, 70}) put_many(static_cast<std::uint64_t>(hours), 1, ago(hours));
  put_many(60, 1, ago(60));
  put_many(90, 1, ago(90));
  ASSERT_EQ(in_state(SegmentState::kLate), 3u);
  clock.advance(Seconds(40));
  tend();
  std::multiset<std::pair<std::int64_t, std::int64_t>> times;
  for (const SegmentInfo& info : store->segments().catalog().segments()) {
    const bool rows = info.family == SegmentFamily::kRows;
    if (rows && info.state == SegmentState::kSealed) times.insert({info.oldest_us, info.newest_us});
  }
  EXPECT_THAT(times, ::testing::ElementsAre(std::pair(to_us(ago(90)), to_us(ago(70))),
                                            std::pair(to_us(ago(60)), to_us(ago(50))),
                                            std::pair(to_us(ago(30)), to_us(ago(30)))));
}

// A clock that was ahead, then one that is behind, then the right one.
TEST_F(SegmentUpkeep, LosesNothingThatWasCorrectedUnderAClockThatWasBehind) {
  const Hours years(24 * 365 * 9);
  tend(1);
  put_many(0, 100, now());
  clock.jump_wall(years);
  tend(3);
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  clock.jump_wall(-2 * Nanoseconds(years));
  reopen();
  tend();
  clock.jump_wall(years);
  tend(3);
  clock.advance(std::chrono::hours(2));
  tend();
  EXPECT_TRUE(get(uuid_of(3))) << "its time is not over";
  EXPECT_EQ(store->segments().totals().purged_invocations, 0u);
}

TEST_F(SegmentUpkeep, DropsNoMoreForTheFilesThatReadersStillHold) {
  for (std::uint64_t hour = 0; hour < 20; ++hour) {
    put_many(hour * 1000, 100, now());
    tend();
    clock.advance(std::chrono::hours(1));
  }
  std::uint64_t smallest = ~0ull;
  auto pins = LockFile::open(options.store.path + "/pins", O_RDONLY);
  ASSERT_TRUE(pins.ok()) << pins.status().message();
  for (const SegmentInfo& info : store->segments().catalog().segments()) {
    ASSERT_TRUE((*pins)->try_share(info.seq).ok());
    if (info.state == SegmentState::kSealed) smallest = std::min(smallest, info.bytes);
  }
  const std::uint64_t used = DiskUse::of(store->segments().folder()).bytes;
  store->segments().set_disk({used - 4 * smallest, 100, Hours(1)});
  for (int i = 0; i < 30 && store->segments().totals().dropped_invocations == 0; ++i) {
    ASSERT_TRUE(store->tend(clock.mono()).ok());
    clock.advance(Milliseconds(1100));
  }
  const std::uint64_t dropped = store->segments().totals().dropped_invocations;
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, 1000u);
  EXPECT_EQ(in_state(SegmentState::kExpiring), dropped / 100) << "they are being read";
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(store->tend(clock.mono()).ok());
    clock.advance(Milliseconds(1100));
  }
  EXPECT_EQ(store->segments().totals().dropped_invocations, dropped);
}

TEST_F(SegmentUpkeep, BeginsNoIndexOnTopOfALogThatAReaderPins) {
  put_many(0, 50, now());
  std::string path;
  for (const SegmentInfo& info : store->segments().catalog().segments()) {
    const bool rows = info.family == SegmentFamily::kRows;
    if (rows && info.state == SegmentState::kWriting)
      path = options.store.path + "/" + segment_name(info.family, info.seq);
  }
  auto reader = sqlite::Connection::open(path, sqlite::Access::kReadOnly);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  ASSERT_TRUE(reader->exec("BEGIN").ok());
  EXPECT_EQ(*reader->query_integer("SELECT count(*) FROM task"), 50);
  put_many(100, 60, now());
  const auto go_on = [this] {
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(store->tend(clock.mono()).ok());
      clock.advance(Milliseconds(100));
    }
  };
  go_on();
  ASSERT_EQ(in_state(SegmentState::kSealing), 1u);
  auto look = sqlite::Connection::open(path, sqlite::Access::kReadOnly);
  ASSERT_TRUE(look.ok());
  EXPECT_EQ(*look->query_integer("SELECT count(*) FROM id_index"), 0);
  look = sqlite::Connection();
  *reader = sqlite::Connection();
  go_on();
  EXPECT_EQ(in_state(SegmentState::kSealed), 1u);
  EXPECT_TRUE(get(uuid_of(3)));
}

}  // namespace
}  // namespace phlower
