// Maintenance as a program calls it: purge, dry run, verify and rescue of whatever lies at a path.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "phlower/door/maintenance.hpp"
#include "support/purge_rig.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::BacklogPlan;
using testing::MadeSchema;
using testing::PurgeRig;
using testing::SegmentRig;

/// A run that waits for nothing: its pauses move the clock, and so does each look at it.
struct Upkeep {
  explicit Upkeep(const std::string& path, WallTime now, Nanoseconds step = Microseconds(20))
      : clock(now, step) {
    options.path = path;
    options.store.cache_bytes = 1 << 20;
    options.rest = [this](Nanoseconds time) {
      EXPECT_LE(time, Milliseconds(50));
      rested += time;
      clock.advance(time);
    };
    options.on_news = [this](MaintenanceNews kind, const std::string& text) {
      news.push_back({kind, text});
    };
  }
  Maintenance make() { return Maintenance(options, clock); }

  ManualClock clock;
  MaintenanceOptions options;
  Nanoseconds rested{0};
  std::vector<std::pair<MaintenanceNews, std::string>> news;
};

/// With this for each look at the clock a slice has room for some twenty rows.
constexpr Nanoseconds kSlow = Milliseconds(15);

// -- A file ---------------------------------------------------------------------------------------

struct MaintenanceOfAFile : ::testing::TestWithParam<MadeSchema> {
  static BacklogPlan plan() {
    BacklogPlan plan;
    plan.schema = GetParam();
    return plan;
  }
};

TEST_P(MaintenanceOfAFile, RemovesWhatItsDryRunCounted) {
  PurgeRig rig(plan());
  rig.store.reset();
  Upkeep upkeep(rig.path, rig.now);
  const auto before = testing::content_of(rig.path);
  const MaintenanceReport dry = upkeep.make().dry_run();
  ASSERT_EQ(dry.end, MaintenanceEnd::kDone) << dry.status.message();
  EXPECT_TRUE(dry.dry_run);
  EXPECT_EQ(testing::content_of(rig.path), before);
  EXPECT_EQ(dry.doubtful_rows, 5u) << "rows without any time";
  const MaintenanceReport done = upkeep.make().purge();
  ASSERT_EQ(done.end, MaintenanceEnd::kDone) << done.status.message();
  EXPECT_TRUE(done.done);
  EXPECT_FALSE(done.folder);
  const testing::Purged plain = rig.expect_as_plain();
  EXPECT_EQ(done.invocations, plain.invocations);
  EXPECT_EQ(done.details, plain.details);
  EXPECT_EQ(dry.invocations, done.invocations);
  EXPECT_EQ(dry.details, done.details);
  EXPECT_EQ(done.hold.count(), done.slices);
  EXPECT_EQ(upkeep.make().purge().invocations, 0u) << "again";
}

INSTANTIATE_TEST_SUITE_P(Schemas, MaintenanceOfAFile,
                         ::testing::Values(MadeSchema::kSingle, MadeSchema::kPresplit,
                                           MadeSchema::kPartitioned));

TEST(Maintenance, StopsWhenItsTimeIsUpAndGoesOnInAnotherRun) {
  PurgeRig rig;
  rig.store.reset();
  Upkeep upkeep(rig.path, rig.now, kSlow);
  upkeep.options.max_time = Milliseconds(600);
  const MaintenanceReport first = upkeep.make().purge();
  ASSERT_EQ(first.end, MaintenanceEnd::kTimeUp) << first.status.message();
  EXPECT_TRUE(first.status.ok());
  EXPECT_FALSE(first.done);
  EXPECT_GT(first.details, 0u);
  EXPECT_GT(first.rows_left, 0u);
  EXPECT_EQ(first.waited_for, "");
  upkeep.options.max_time.reset();
  const MaintenanceReport second = upkeep.make().purge();
  ASSERT_EQ(second.end, MaintenanceEnd::kDone) << second.status.message();
  const testing::Purged plain = rig.expect_as_plain();
  EXPECT_EQ(first.invocations + second.invocations, plain.invocations);
  EXPECT_EQ(first.details + second.details, plain.details);
}

TEST(Maintenance, StopsAfterTheSliceThatRunsOnceItIsNotWanted) {
  PurgeRig rig;
  rig.store.reset();
  Upkeep upkeep(rig.path, rig.now, kSlow);
  int asked = 0;
  upkeep.options.wanted = [&asked] { return ++asked <= 2; };
  const MaintenanceReport report = upkeep.make().purge();
  EXPECT_EQ(report.end, MaintenanceEnd::kUnwanted) << report.status.message();
  EXPECT_EQ(report.slices, 2u);
  EXPECT_FALSE(report.done);
  const MaintenanceReport dry = upkeep.make().dry_run();
  EXPECT_EQ(dry.end, MaintenanceEnd::kUnwanted) << "nothing was looked at";
}

TEST(Maintenance, WaitsForALockAndGivesUpWithTheNameOfTheFile) {
  PurgeRig rig;
  rig.store.reset();
  auto other = testing::open_db(rig.path);
  testing::exec(other, "BEGIN IMMEDIATE");
  for (const bool limited : {false, true}) {
    Upkeep upkeep(rig.path, rig.now);
    if (limited) upkeep.options.max_time = Seconds(5);
    const MaintenanceReport report = upkeep.make().purge();
    EXPECT_EQ(report.end, MaintenanceEnd::kProblem) << "a lock that was never to be had";
    EXPECT_EQ(report.status.code(), Code::kBusy);
    EXPECT_NE(report.status.message().find("history.db"), std::string_view::npos);
    EXPECT_GE(upkeep.rested, limited ? Seconds(4) : Seconds(29));
    EXPECT_LE(upkeep.rested, limited ? Seconds(6) : Seconds(31));
    EXPECT_EQ(report.slices, 0u);
  }
  testing::exec(other, "COMMIT");
}

TEST(Maintenance, TellsWhoWasInTheWayWhenItsTimeWasUp) {
  PurgeRig rig;
  rig.store.reset();
  auto other = testing::open_db(rig.path);
  Upkeep upkeep(rig.path, rig.now, kSlow);
  upkeep.options.max_time = Seconds(3);
  int asked = 0;
  upkeep.options.wanted = [&] {
    if (++asked == 3) testing::exec(other, "BEGIN IMMEDIATE");
    return true;
  };
  const MaintenanceReport report = upkeep.make().purge();
  EXPECT_EQ(report.end, MaintenanceEnd::kTimeUp) << report.status.message();
  EXPECT_GT(report.slices, 0u);
  EXPECT_NE(report.waited_for.find("history.db is locked by"), std::string::npos)
      << report.waited_for;
  testing::exec(other, "COMMIT");
}

TEST(Maintenance, TellsHowFarItIsFourTimesASecondAtMost) {
  PurgeRig rig;
  rig.store.reset();
  Upkeep upkeep(rig.path, rig.now, kSlow);
  std::vector<MaintenanceProgress> told;
  upkeep.options.on_progress = [&](const MaintenanceProgress& now) { told.push_back(now); };
  const MaintenanceReport report = upkeep.make().purge();
  ASSERT_EQ(report.end, MaintenanceEnd::kDone);
  ASSERT_GT(told.size(), 1u);
  for (std::size_t i = 1; i < told.size(); ++i) {
    EXPECT_GE(told[i].elapsed - told[i - 1].elapsed, Milliseconds(250));
    EXPECT_GE(told[i].done, told[i - 1].done);
  }
  EXPECT_LE(told.back().done, report.invocations + report.details);
}

TEST(Maintenance, SaysThatAFileCannotShrinkOnceAllThatHasExpiredIsGone) {
  PurgeRig rig;
  rig.store.reset();
  Upkeep upkeep(rig.path, rig.now);
  upkeep.options.reclaim = true;
  const MaintenanceReport report = upkeep.make().purge();
  EXPECT_EQ(report.end, MaintenanceEnd::kProblem);
  EXPECT_EQ(report.status.code(), Code::kUnsupported);
  EXPECT_TRUE(report.done);
  rig.expect_as_plain();
}

TEST(Maintenance, NamesWhatItCannotWorkOn) {
  const testing::TempDir dir;
  const std::string text = dir / "text";
  std::ofstream(text) << std::string(2000, 'x');
  std::filesystem::create_directory(dir / "empty");
  struct Case {
    std::string path;
    Code code;
  };
  for (const Case& wrong :
       {Case{dir / "none", Code::kNotFound}, Case{text, Code::kNotOurs},
        Case{dir / "empty", Code::kNotOurs}, Case{"/dev/null", Code::kNotOurs}}) {
    Upkeep upkeep(wrong.path, PurgeRig::at(testing::kNow));
    for (const MaintenanceReport& report :
         {upkeep.make().purge(), upkeep.make().dry_run(), upkeep.make().verify(),
          upkeep.make().rescue(Hours(1)), upkeep.make().dry_rescue(Hours(1))}) {
      EXPECT_EQ(report.end, MaintenanceEnd::kProblem);
      EXPECT_EQ(report.status.code(), wrong.code) << report.status.message();
      EXPECT_NE(report.status.message().find(wrong.path), std::string_view::npos);
    }
  }
}

TEST(Maintenance, RefusesOptionsThatMeanNothingBeforeItLooksAtAnything) {
  using Change = void (*)(MaintenanceOptions&);
  for (const Change change : {Change([](MaintenanceOptions& o) { o.invocations = Hours(0); }),
                              Change([](MaintenanceOptions& o) { o.details = Hours(87'601); }),
                              Change([](MaintenanceOptions& o) { o.slice = Nanoseconds(0); }),
                              Change([](MaintenanceOptions& o) { o.duty_percent = 0; }),
                              Change([](MaintenanceOptions& o) { o.duty_percent = 101; })}) {
    Upkeep upkeep("/no/such/history", PurgeRig::at(testing::kNow));
    change(upkeep.options);
    EXPECT_EQ(upkeep.make().purge().status.code(), Code::kInvalidArgument);
  }
}

// -- A folder -------------------------------------------------------------------------------------

/// A folder with a segment of 100 rows past its retention and younger ones.
struct MaintenanceOfAFolder : ::testing::Test {
  void SetUp() override {
    ASSERT_TRUE(rig.open().ok());
    ASSERT_TRUE(rig.store->segments().remember_retention().ok());
    rig.put_many(0, 100, rig.now());
    rig.tend();
    rig.clock.advance(Hours(100));
    rig.put_many(200, 100, rig.now());
    rig.tend();
    rig.store.reset();
    rig.clock.advance(Hours(30));
  }
  Upkeep upkeep() { return Upkeep(rig.options.store.path, rig.clock.wall(), Nanoseconds(0)); }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(rig.options.store.path)) {
      const std::string name = entry.path().filename().string();
      count += name.starts_with("inv-") && name.ends_with(".db");
    }
    return count;
  }

  SegmentRig rig;
};

TEST_F(MaintenanceOfAFolder, UnlinksWhatItsDryRunCounted) {
  Upkeep work = upkeep();
  const std::size_t before = files();
  const MaintenanceReport dry = work.make().dry_run();
  ASSERT_EQ(dry.end, MaintenanceEnd::kDone) << dry.status.message();
  EXPECT_TRUE(dry.folder);
  EXPECT_EQ(dry.invocations, 100u);
  EXPECT_EQ(files(), before);
  const MaintenanceReport done = work.make().purge();
  ASSERT_EQ(done.end, MaintenanceEnd::kDone) << done.status.message();
  EXPECT_EQ(done.invocations, 100u);
  EXPECT_EQ(done.segments, dry.segments);
  EXPECT_EQ(done.bytes_reclaimed, dry.bytes_reclaimed);
  EXPECT_EQ(work.make().dry_run().segments, 0u);
  rig.reopen();
  EXPECT_TRUE(rig.get(testing::uuid_of(200)));
}

TEST_F(MaintenanceOfAFolder, UnlinksTheSameBesideAnEngineThatDoesNot) {
  rig.options.retention.keep_forever = true;
  rig.reopen();
  const std::size_t before = files();
  Upkeep work = upkeep();
  const MaintenanceReport done = work.make().purge();
  ASSERT_EQ(done.end, MaintenanceEnd::kDone) << done.status.message();
  EXPECT_EQ(done.invocations, 100u);
  EXPECT_EQ(files(), before - 1);
  ASSERT_EQ(done.notes.size(), 1u);
  EXPECT_NE(done.notes[0].find("an engine has this folder"), std::string::npos);
  rig.tend();
  rig.put_many(400, 1, rig.now());
  EXPECT_FALSE(rig.get(testing::uuid_of(0)));
  EXPECT_TRUE(rig.get(testing::uuid_of(200)));
}

TEST_F(MaintenanceOfAFolder, WaitsForWhoReadsASegmentAndStopsInTime) {
  rig.options.retention.keep_forever = true;
  rig.reopen();
  auto pins = LockFile::open(rig.options.store.path + "/pins", O_RDONLY);
  ASSERT_TRUE(pins.ok());
  for (const SegmentInfo& info : rig.store->segments().catalog().segments()) {
    ASSERT_TRUE((*pins)->try_share(info.seq).ok());
  }
  const std::size_t before = files();
  Upkeep work = upkeep();
  work.options.max_time = Seconds(2);
  const MaintenanceReport stopped = work.make().purge();
  EXPECT_EQ(stopped.end, MaintenanceEnd::kTimeUp) << stopped.status.message();
  EXPECT_EQ(stopped.segments, 0u);
  EXPECT_EQ(files(), before);
  EXPECT_GE(work.rested, Milliseconds(1900));
  pins->reset();
  rig.tend();
  EXPECT_EQ(files(), before - 1) << "the engine does the rest";
}

TEST_F(MaintenanceOfAFolder, KeepsRowsForAsLongAsTheEngineWasToldUnlessItIsTold) {
  rig.options.retention.keep_forever = true;
  rig.reopen();
  ASSERT_TRUE(rig.store->segments().remember_retention().ok());
  rig.store.reset();
  Upkeep work = upkeep();
  const MaintenanceReport kept = work.make().purge();
  EXPECT_EQ(kept.end, MaintenanceEnd::kDone);
  EXPECT_EQ(kept.segments, 0u);
  ASSERT_FALSE(kept.notes.empty());
  EXPECT_NE(kept.notes[0].find("for ever"), std::string::npos);
  work.options.details = Hours(10);
  EXPECT_EQ(work.make().purge().status.code(), Code::kInvalidArgument);
  work.options.invocations = Hours(20);
  const MaintenanceReport told = work.make().purge();
  EXPECT_EQ(told.end, MaintenanceEnd::kDone) << told.status.message();
  EXPECT_EQ(told.invocations, 200u);
}

TEST_F(MaintenanceOfAFolder, VerifyNamesDamageAndSetsItAside) {
  Upkeep work = upkeep();
  const MaintenanceReport sound = work.make().verify();
  ASSERT_EQ(sound.end, MaintenanceEnd::kDone) << sound.status.message();
  EXPECT_GT(sound.segments, 1u);
  auto catalog = Catalog::open(rig.options.store.path, false);
  ASSERT_TRUE(catalog.ok());
  std::string path;
  for (const SegmentInfo& info : catalog->segments()) {
    if (info.state == SegmentState::kSealed) path = catalog->path_of(info);
  }
  ASSERT_FALSE(path.empty());
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(5000).put('\x7e');
  const MaintenanceReport found = work.make().verify();
  EXPECT_EQ(found.end, MaintenanceEnd::kProblem);
  EXPECT_EQ(found.status.code(), Code::kCorrupt);
  EXPECT_EQ(found.damaged, 1u);
  EXPECT_FALSE(found.done);
  ASSERT_EQ(work.news.size(), 1u);
  EXPECT_EQ(work.news[0].first, MaintenanceNews::kDamage);
  EXPECT_NE(work.news[0].second.find(path), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(work.make().verify().end, MaintenanceEnd::kDone) << "what is left is whole";
}

TEST_F(MaintenanceOfAFolder, RefusesToGiveFreePagesBack) {
  Upkeep work = upkeep();
  work.options.reclaim = true;
  EXPECT_EQ(work.make().purge().status.code(), Code::kUnsupported);
}

TEST(MaintenanceRescue, CopiesTheNewestHoursAndSaysSoBeforeTheFileGoes) {
  PurgeRig old;
  old.store.reset();
  {
    auto db = testing::open_db(old.path);
    testing::exec(db, "PRAGMA journal_mode = DELETE");
  }
  SegmentRig rig;
  rig.clock = ManualClock(old.now, Nanoseconds(0));
  rig.options.store.adopt = {old.path};
  ASSERT_TRUE(rig.open().ok());
  rig.store.reset();
  Upkeep work(rig.options.store.path, old.now, Nanoseconds(0));
  const MaintenanceReport plan = work.make().dry_rescue(Hours(5));
  ASSERT_EQ(plan.end, MaintenanceEnd::kDone) << plan.status.message();
  EXPECT_GT(plan.rescued, 20u);
  EXPECT_LT(plan.rescued, 80u) << "of those of the last eight hours";
  EXPECT_EQ(plan.unlinked, std::vector<std::string>{old.path});
  EXPECT_TRUE(work.news.empty());
  ASSERT_TRUE(std::filesystem::exists(old.path));

  bool stood = false;
  work.options.on_news = [&](MaintenanceNews kind, const std::string& text) {
    EXPECT_EQ(kind, MaintenanceNews::kUnlinks);
    EXPECT_NE(text.find("THE ORIGINAL FILE " + old.path), std::string::npos) << text;
    stood = std::filesystem::exists(old.path);
  };
  const MaintenanceReport done = work.make().rescue(Hours(5));
  ASSERT_EQ(done.end, MaintenanceEnd::kDone) << done.status.message();
  EXPECT_TRUE(stood);
  EXPECT_EQ(done.rescued, plan.rescued);
  EXPECT_FALSE(std::filesystem::exists(old.path));
  EXPECT_EQ(work.make().rescue(Hours(5)).status.code(), Code::kNotFound) << "again";
  rig.options.store.adopt.clear();
  rig.clock = ManualClock(old.now, Nanoseconds(0));
  rig.reopen();
  EXPECT_EQ(rig.list(Query{}).size(), done.rescued);
}

}  // namespace
}  // namespace phlower
