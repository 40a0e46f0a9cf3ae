// Files of other layouts in the history: found by all reads, never written, gone with their
// retention.
#include "phlower/segment/adopt.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "phlower/door/history_reader.hpp"
#include "phlower/door/maintenance.hpp"
#include "phlower/segment/pin_file.hpp"
#include "support/made_backlog.hpp"
#include "support/segment_rig.hpp"
#include "support/store_content.hpp"
#include "support/store_reading.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogMaker;
using testing::BacklogPlan;
using ::testing::HasSubstr;
using testing::MadeSchema;
using testing::SegmentRig;
using testing::uuid_of;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Adopt : public ::testing::TestWithParam<std::tuple<MadeSchema, bool>>, protected SegmentRig {
 protected:
  void make(const BacklogPlan& plan) {
    old_ = dir / "old.db";
    const Status made = BacklogMaker::make(old_, plan);
    ASSERT_TRUE(made.ok()) << made.message();
    options.store.adopt = old_;
  }
  BacklogPlan plan() {
    BacklogPlan plan;
    plan.schema = std::get<0>(GetParam());
    plan.legacy = std::get<1>(GetParam());
    plan.now = now();
    return plan;
  }
  std::string old_;
};

TEST_P(Adopt, ShowsWhatTheFileItselfShowsAndLeavesItAsItIs) {
  make(plan());
  StoreOptions single;
  single.path = old_;
  std::map<std::string, Record> wanted;
  {
    auto file = SingleStore::open(single, options.retention, OpenMode::kReadOnly);
    ASSERT_TRUE(file.ok()) << file.status().message();
    auto db = testing::open_db(old_, sqlite::Access::kReadOnly);
    for (const auto& [table, rows] : testing::content_of(db)) {
      if (!table.starts_with("invocations")) continue;
      for (const std::string& row : rows) {
        const std::string id = row.substr(0, row.find('|'));
        const auto found = testing::get_row(**file, id, clock.wall(), options.retention);
        ASSERT_TRUE(found.ok());
        if (*found) wanted[id] = **found;
      }
    }
  }
  ASSERT_GT(wanted.size(), 150u);
  ASSERT_TRUE(open().ok());
  const std::string before = bytes_of(old_);
  put_many(0, 10, now());
  for (const auto& [id, record] : wanted) {
    const auto found = get(id);
    ASSERT_TRUE(found) << id;
    EXPECT_EQ(found->finished_at, record.finished_at) << id;
    EXPECT_EQ(found->kwargs, record.kwargs) << id;
    EXPECT_EQ(found->traceback, record.traceback) << id;
  }
  Query query;
  query.limit = 10'000;
  std::set<std::string> listed;
  for (const std::string& id : list(query)) listed.insert(id);
  for (const auto& [id, record] : wanted) {
    EXPECT_TRUE(listed.contains(id)) << id << ", with a time or without";
  }
  EXPECT_TRUE(listed.contains(uuid_of(5)));
  reopen();
  EXPECT_TRUE(get(wanted.begin()->first));
  EXPECT_EQ(bytes_of(old_), before);
}

TEST_P(Adopt, LetsTheFileGoWithItsNewestRow) {
  make(plan());
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(store->counts().exact) << "its rows are the span of their row ids";
  clock.advance(Hours(110));
  tend();
  EXPECT_TRUE(std::filesystem::exists(old_));
  clock.advance(Hours(40));
  tend();
  EXPECT_FALSE(std::filesystem::exists(old_));
  EXPECT_EQ(in_state(SegmentState::kAdopted), 0u);
  EXPECT_TRUE(store->counts().exact);
  reopen();  // the configuration still names it
  EXPECT_EQ(in_state(SegmentState::kAdopted), 0u);
}

INSTANTIATE_TEST_SUITE_P(Schemas, Adopt,
                         ::testing::Combine(::testing::Values(MadeSchema::kSingle,
                                                              MadeSchema::kPresplit,
                                                              MadeSchema::kPartitioned),
                                            ::testing::Bool()));

// Read as numbers, dates as text are seconds of the year 1970: the file would go at once.
TEST(AdoptedTimes, OfAFileWithOtherThanSecondsAreNoOlderThanTheFile) {
  for (const char* newest : {"'2026-11-18 12:00:00'", "1794999600000", "'soon'", "x'00'", "-1"}) {
    testing::TempDir dir("/dev/shm");
    ASSERT_TRUE(BacklogMaker::make(dir / "old.db", {}).ok());
    {
      auto db = testing::open_db(dir / "old.db");
      testing::exec(db, std::string("UPDATE invocations SET finished_at = ") + newest +
                            " WHERE finished_at > 1794990000");
    }
    const std::int64_t now = to_us(4e9);
    const auto info = look_to_adopt(dir / "old.db", now);
    ASSERT_TRUE(info.ok()) << info.status().message();
    EXPECT_GT(info->newest_us, to_us(1'795'000'000)) << newest;  // when this was written
    EXPECT_GT(info->oldest_us, to_us(kFirstTime)) << newest;
  }
}

/// Old files of two tables, by their ages in hours.
class AdoptTables : public ::testing::Test, protected SegmentRig {
 protected:
  void make(double main_h, double legacy_h) {
    auto db = testing::open_db(old_, sqlite::Access::kCreate);
    testing::exec(
        db, schema::create_invocations() + "; CREATE INDEX by_end ON invocations (finished_at)");
    add(db, "legacy", legacy_h);
    testing::exec(db, "ALTER TABLE invocations RENAME TO invocations_legacy; " +
                          schema::create_invocations() +
                          "; CREATE INDEX by_end_2 ON invocations (finished_at)");
    add(db, "main", main_h);
    options.store.adopt = old_;
  }
  void add(sqlite::Connection& db, const char* id, double hours) {
    testing::exec(db, "INSERT INTO invocations (task_id, task_name, state, finished_at) VALUES ('" +
                          std::string(id) + "', 't', 'SUCCESS', " +
                          std::to_string(now() - hours * 3600) + ")");
  }
  static void set_changed(const std::string& path, UnixSeconds at) {
    const ::timespec time{static_cast<std::time_t>(at), 0};
    const ::timespec both[] = {time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), both, 0), 0);
  }
  const std::string old_ = dir / "old.db";
};

TEST_F(AdoptTables, LeaveTogetherWithTheNewestRowOfAnyOfThem) {
  for (const char* newest : {"main", "legacy"}) {
    const bool main = newest == std::string("main");
    make(main ? 1 : 100, main ? 100 : 1);
    ASSERT_TRUE(open().ok());
    EXPECT_TRUE(get("main") && get("legacy"));
    clock.advance(Hours(60));
    tend();
    EXPECT_TRUE(std::filesystem::exists(old_)) << newest;
    EXPECT_TRUE(get(newest)) << newest;
    clock.advance(Hours(70));
    tend();
    EXPECT_FALSE(std::filesystem::exists(old_)) << newest;
    store.reset();
  }
}

TEST_F(AdoptTables, AreThoseThatALinkLeadsToAndTheyLeaveForGood) {
  std::filesystem::create_directory(dir / "disk");
  make(1, 1);
  std::filesystem::rename(old_, dir / "disk/old.db");
  std::filesystem::create_symlink("disk/old.db", old_);
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(get("main"));
  reopen();
  EXPECT_EQ(in_state(SegmentState::kAdopted), 1u) << "the same file by the same link";
  clock.advance(Hours(150));
  tend();
  EXPECT_FALSE(std::filesystem::exists(dir / "disk/old.db")) << "its space is free";
  reopen();
  EXPECT_EQ(in_state(SegmentState::kAdopted), 0u) << "the link leads nowhere";
}

TEST_F(AdoptTables, AreEnteredByTheNameThatALinkLeadsTo) {
  std::filesystem::create_directory(dir / "disk");
  make(1, 1);
  std::filesystem::rename(old_, dir / "disk/old.db");
  std::filesystem::create_symlink("disk/old.db", old_);
  const auto info = look_to_adopt(old_, to_us(now()));
  ASSERT_TRUE(info.ok()) << info.status().message();
  EXPECT_EQ(info->path, dir / "disk/old.db") << "to unlink a link would free nothing";
}

TEST_F(AdoptTables, AreReadAsTheyAreNowWhenTheirOldOwnerComesBack) {
  make(1, 1);
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(get("main"));
  auto owner = testing::open_db(old_);
  testing::exec(owner, "UPDATE invocations SET task_id = 'again'");
  EXPECT_TRUE(get("again"));
  EXPECT_FALSE(get("main"));
  // What stands in his log alone, too.
  testing::exec(owner, "PRAGMA journal_mode = WAL; UPDATE invocations SET task_id = 'third'");
  EXPECT_TRUE(get("third"));
  EXPECT_FALSE(get("again"));
}

// At rest in WAL mode it is only looked at, as it was when it was opened.
TEST_F(AdoptTables, AreReadAsTheyAreNowByWhoLookedAtThemAtRest) {
  make(1, 1);
  ASSERT_TRUE(open().ok());
  const auto come_back = [this](const char* change) {
    auto owner = testing::open_db(old_);
    testing::exec(owner, std::string("PRAGMA journal_mode = WAL; ") + change);
  };
  come_back("UPDATE invocations SET task_id = 'again'");
  ASSERT_FALSE(std::filesystem::exists(old_ + "-wal"));
  auto reader = HistoryReader::open(options.store.path, {}, {});
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  const auto has = [&](const char* id) {
    const auto found = (*reader)->view(clock.wall())->get(id);
    (*reader)->release();
    return !found.ok() ? std::string(found.status().message()) : *found ? "yes" : "no";
  };
  EXPECT_EQ(has("again"), "yes");
  come_back("UPDATE invocations SET task_id = 'third'");
  EXPECT_EQ(has("third"), "yes");
  EXPECT_EQ(has("again"), "no");
  // Together with a change of the folder, too.
  come_back("UPDATE invocations SET task_id = 'fourth'");
  put_many(0, 250, now());
  tend();
  EXPECT_EQ(has("fourth"), "yes");
  EXPECT_EQ(has("third"), "no");
}

TEST_F(AdoptTables, StayWithWhatTheirOldOwnerWroteAfterwards) {
  make(1, 1);
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(get("main"));
  clock.advance(Hours(100));
  {
    auto owner = testing::open_db(old_);
    add(owner, "again", 0);
  }
  set_changed(old_, now());
  clock.advance(Hours(30));
  for (int i = 0; i < 3; ++i) {
    tend();
    clock.advance(Seconds(61));
  }
  EXPECT_TRUE(std::filesystem::exists(old_)) << "the age of `main` is not that of the file";
  EXPECT_TRUE(get("again"));
  EXPECT_FALSE(get("main"));
  {
    MaintenanceOptions tool;
    tool.path = options.store.path;
    tool.rest = [this](Nanoseconds time) { clock.advance(time); };
    for (const bool alone : {false, true}) {
      if (alone) store.reset();
      EXPECT_EQ(Maintenance(tool, clock).dry_run().segments, 0u) << alone;
      const MaintenanceReport report = Maintenance(tool, clock).purge();
      EXPECT_TRUE(report.status.ok()) << report.status.message();
      EXPECT_EQ(report.unlinked, std::vector<std::string>());
      EXPECT_TRUE(std::filesystem::exists(old_)) << alone;
    }
  }
  reopen();
  clock.advance(Hours(100));
  tend();
  EXPECT_FALSE(std::filesystem::exists(old_));
  EXPECT_EQ(in_state(SegmentState::kAdopted), 0u);
}

TEST_F(AdoptTables, StayWhileNobodyCanLookAtThem) {
  make(1, 1);
  ASSERT_TRUE(open().ok());
  {
    std::fstream file(old_, std::ios::binary | std::ios::in | std::ios::out);
    file << "something else entirely";
  }
  clock.advance(Hours(150));
  tend();
  EXPECT_TRUE(std::filesystem::exists(old_)) << "nobody knows what it is now";
}

TEST_F(AdoptTables, StayWhenTheirOldOwnerComesBackBeforeTheyAreUnlinked) {
  for (const bool restarted : {false, true}) {
    make(1, 1);
    ASSERT_TRUE(open().ok());
    const std::int64_t seq = store->segments().catalog().segments().front().seq;
    ASSERT_EQ(store->segments().catalog().find(seq)->state, SegmentState::kAdopted);
    auto reader = open_pins(pin_file_of(options.store.path));
    ASSERT_TRUE(reader.ok() && (*reader)->try_share(seq).ok());
    clock.advance(Hours(150));
    for (int step = 0; step < 50; ++step) ASSERT_TRUE(store->tend(clock.mono()).ok());
    ASSERT_EQ(in_state(SegmentState::kExpiring), 1u);
    ASSERT_TRUE(std::filesystem::exists(old_)) << "it is being read";
    std::filesystem::remove(old_);
    make(1, 1);  // his next month
    (*reader)->unlock(seq);
    if (restarted) {
      store.reset();
      MaintenanceOptions tool;
      tool.path = options.store.path;
      tool.rest = [this](Nanoseconds time) { clock.advance(time); };
      for (const bool dry : {true, false}) {
        Maintenance run(tool, clock);
        const MaintenanceReport report = dry ? run.dry_run() : run.purge();
        EXPECT_TRUE(report.status.ok()) << report.status.message();
        EXPECT_EQ(report.segments, 0u) << "nothing was removed";
        EXPECT_EQ(report.unlinked, std::vector<std::string>());
        ASSERT_EQ(report.notes.size(), 1u) << dry;
        EXPECT_EQ(report.notes[0], written_anew_text(old_));
      }
      reopen();
    }
    clock.advance(Seconds(2));
    tend();
    EXPECT_TRUE(std::filesystem::exists(old_)) << restarted;
    EXPECT_EQ(in_state(SegmentState::kExpiring), 0u) << "it is no part of the history";
    store.reset();
    std::filesystem::remove_all(options.store.path);
    std::filesystem::remove(old_);
  }
}

class AdoptRefusal : public ::testing::Test, protected SegmentRig {};

TEST_F(AdoptRefusal, NamesWhatIsWrong) {
  const auto refuse = [&](const std::string& path, Code code, const char* part) {
    options.store.adopt = path;
    const Status status = open();
    EXPECT_EQ(code_name(status.code()), code_name(code)) << status.message();
    EXPECT_THAT(std::string(status.message()), HasSubstr("store.adopt"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    store.reset();
  };
  refuse(dir / "none.db", Code::kNotFound, "none.db");
  refuse(dir.path(), Code::kNotOurs, "folder");
  std::ofstream(dir / "text.db") << std::string(5000, 't');
  refuse(dir / "text.db", Code::kNotOurs, "text.db");
  const Status made = BacklogMaker::make(dir / "busy.db", {});
  ASSERT_TRUE(made.ok());
  auto other = testing::open_db(dir / "busy.db");
  testing::exec(other, "BEGIN IMMEDIATE");
  refuse(dir / "busy.db", Code::kBusy, "busy.db");
  ASSERT_TRUE(BacklogMaker::make(dir / "names.db", {}).ok());
  std::filesystem::create_hard_link(dir / "names.db", dir / "other.db");
  refuse(dir / "names.db", Code::kUnsupported, "2 names");
}

TEST_F(AdoptRefusal, ForecastsAFullDiskBeforeTheFileLeaves) {
  SegmentInfo file;
  file.bytes = 26ull << 30;
  file.closed_us = 1'000 * kUsPerHour;
  file.oldest_us = 880 * kUsPerHour;
  file.newest_us = 1'000 * kUsPerHour;
  const double growth = bytes_per_hour(file);
  EXPECT_NEAR(growth, 26.0 * (1 << 30) / 120, 1);
  const auto ahead = forecast(file, 120 * kUsPerHour, 10ull << 30, growth, file.closed_us);
  EXPECT_NEAR(ahead.leaves_in_h, 120, 0.01);
  EXPECT_NEAR(ahead.full_in_h, 46.2, 0.1);
  EXPECT_TRUE(ahead.too_late());
  EXPECT_FALSE(forecast(file, 120 * kUsPerHour, 60ull << 30, growth, file.closed_us).too_late());
  EXPECT_FALSE(forecast(file, 120 * kUsPerHour, 0, 0, file.closed_us).too_late());
}

}  // namespace
}  // namespace phlower
