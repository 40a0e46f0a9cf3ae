// Questions that stop before their end: they say why, and the next one goes on where they were.
#include "phlower/history/stop_rule.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "phlower/door/history_reader.hpp"
#include "support/segment_rig.hpp"
#include "support/store_content.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::SegmentRig;
using testing::uuid_of;

constexpr std::uint64_t kRows = 2000;

/// A clock on which every reading takes a millisecond: `in_ms(n)` ends at the n-th.
struct Watch {
  ManualClock clock{WallTime(Seconds(1'795'000'000)), Milliseconds(1)};

  StopRule in_ms(int ms) {
    StopRule rule;
    rule.clock = &clock;
    rule.deadline = clock.mono() + Milliseconds(ms);
    return rule;
  }
};

TEST(StopCheck, AsksOnceInAWhileAndGoesOnSayingStop) {
  int asked = 0;
  StopRule rule;
  rule.wanted = [&] { return ++asked < 3; };
  StopCheck check(rule);
  int steps = 0;
  while (!check.step() && steps < 10'000) ++steps;
  EXPECT_EQ(asked, 3);
  EXPECT_GT(steps, 3) << "a row costs less than the question";
  EXPECT_LT(steps, 1000);
  EXPECT_TRUE(check.now());
  EXPECT_TRUE(check.step());
  EXPECT_EQ(asked, 3) << "it knows";
  EXPECT_EQ(ended_name(check.ended()), "unwanted");
  EXPECT_EQ(code_name(check.status().code()), "stopped");
}

TEST(StopCheck, StopsAtItsDeadlineAndNotBefore) {
  ManualClock clock;
  StopRule rule;
  rule.clock = &clock;
  rule.deadline = clock.mono() + Seconds(5);
  StopCheck check(rule);
  clock.advance(Seconds(5) - Nanoseconds(1));
  EXPECT_FALSE(check.now());
  clock.advance(Nanoseconds(1));
  EXPECT_TRUE(check.now());
  EXPECT_EQ(ended_name(check.ended()), "deadline");
  StopCheck never;
  EXPECT_FALSE(never.now() || never.step());
}

/// The same 2,000 tasks in a folder of segments and in a file of the origin's schema.
class HistoryStop : public ::testing::TestWithParam<bool>, protected SegmentRig {
 protected:
  void SetUp() override {
    options.store.segment_rows = 300;
    Status status = open();
    ASSERT_TRUE(status.ok()) << status.message();
    StoreOptions file;
    file.path = path_ = GetParam() ? options.store.path : std::string(dir / "one.db");
    std::unique_ptr<SingleStore> single;
    if (!GetParam()) {
      auto made = SingleStore::open(file, options.retention, OpenMode::kEngine);
      ASSERT_TRUE(made.ok()) << made.status().message();
      single = *std::move(made);
    }
    Store& target = GetParam() ? static_cast<Store&>(*store) : *single;
    for (std::uint64_t first = 0; first < kRows; first += 100) {
      ASSERT_TRUE(target.begin().ok());
      for (std::uint64_t i = first; i < first + 100; ++i) {
        Record record = a_record(uuid_of(i), now() - 5000 + static_cast<double>(i));
        record.task_name = i % 4 == 0 ? "shop.rare" : "shop.often";
        ASSERT_TRUE(target.upsert(record.view()).ok());
      }
      ASSERT_TRUE(target.commit().ok());
      if (GetParam()) tend(1);
    }
    single.reset();
    come();
  }

  void come() {
    auto opened = HistoryReader::open(
        path_, options.retention,
        [](std::int64_t, const Status& why) { ADD_FAILURE() << why.message(); });
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    reader_ = *std::move(opened);
  }
  History view() {
    auto history = reader_->view(clock.wall());
    EXPECT_TRUE(history.ok()) << history.status().message();
    return history.ok() ? *std::move(history) : History({}, {});
  }

  std::string path_;
  std::unique_ptr<HistoryReader> reader_;
};

TEST_P(HistoryStop, AListIsTheSameInPiecesOfSomeMilliseconds) {
  Watch watch;
  Query query;
  query.task_name = "shop.rare";
  query.limit = 10'000;
  const auto whole = view().list(query);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_TRUE(whole->whole() && !whole->next);
  ASSERT_EQ(whole->rows.size(), kRows / 4);
  std::vector<std::string> ids;
  int pieces = 0;
  std::int64_t back = std::numeric_limits<std::int64_t>::max();
  for (bool more = true; more; ++pieces) {
    ASSERT_LT(pieces, 500);
    query.stop = watch.in_ms(12);
    const auto piece = view().list(query);
    ASSERT_TRUE(piece.ok()) << piece.status().message();
    for (const Row& row : piece->rows) ids.push_back(row.record.task_id);
    more = !piece->whole();
    EXPECT_EQ(piece->next.has_value(), more);
    EXPECT_EQ(ended_name(piece->ended), more ? "deadline" : "end");
    EXPECT_LE(piece->looked_back_to_us, back);
    back = piece->looked_back_to_us;
    query.after = piece->next;
  }
  EXPECT_GT(pieces, 1) << "nothing was stopped";
  ASSERT_EQ(ids.size(), whole->rows.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids[i], whole->rows[i].record.task_id);
  }
}

TEST_P(HistoryStop, AListSaysWhichOfItsLimitsEndedIt) {
  Query query;
  query.limit = 5;
  auto answer = view().list(query);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(ended_name(answer->ended), "limit");
  EXPECT_EQ(answer->looked_back_to_us, answer->rows.back().at_us);
  EXPECT_EQ(answer->next->task_id, answer->rows.back().record.task_id);
  query.limit = 0;
  answer = view().list(query);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(ended_name(answer->ended), "limit");
  ASSERT_TRUE(answer->next && answer->rows.empty());
  query.after = answer->next;
  query.limit = 10'000;
  EXPECT_EQ(view().list(query)->rows.size(), kRows) << "no row was passed over";
  query.after.reset();
  query.text = "it is nowhere";
  query.scan_limit = 50;
  answer = view().list(query);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(ended_name(answer->ended), "scan_limit");
  EXPECT_EQ(answer->scanned, 50u);
  EXPECT_TRUE(answer->next && answer->rows.empty());
  EXPECT_LE(answer->looked_back_to_us, to_us(now() - 5000 + double{kRows - 50}));
}

TEST_P(HistoryStop, AScanThatFindsNothingIsStopped) {
  for (const char* what : {"text", "worker", "name"}) {
    SCOPED_TRACE(what);
    int asked = 0;
    Query query;
    if (*what == 't') query.text = "it is nowhere";
    if (*what == 'w') query.worker = "nobody";
    if (*what == 'n') query.task_name = "shop.never";
    query.stop.wanted = [&] { return ++asked < 3; };
    const auto answer = view().list(query);
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    // Nothing has this name, and an index says so at once: that may get to its end.
    if (*what == 'n' && answer->whole()) continue;
    EXPECT_EQ(ended_name(answer->ended), "unwanted");
    EXPECT_EQ(asked, 3);
    EXPECT_LT(answer->scanned, kRows);
    EXPECT_TRUE(answer->next);
  }
}

TEST_P(HistoryStop, CountsAndTimesThatAreNotWholeSaySo) {
  Watch watch;
  Query query;
  const auto whole = view().count(query, false);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_TRUE(whole->whole());
  EXPECT_EQ(whole->scanned, kRows);
  EXPECT_EQ(whole->counts.at({"shop.rare", "SUCCESS", 0}), kRows / 4);
  for (int ms = 1; ms < 40; ms += 3) {
    query = {};
    query.stop = watch.in_ms(ms);
    const auto part = view().count(query, false);
    ASSERT_TRUE(part.ok()) << part.status().message();
    std::uint64_t counted = 0;
    for (const auto& [key, count] : part->counts) counted += count;
    EXPECT_EQ(counted, part->scanned);
    EXPECT_EQ(part->whole(), counted == kRows) << counted;
    if (part->whole()) continue;
    EXPECT_EQ(ended_name(part->ended), "deadline");
    if (part->looked_back_to_us == std::numeric_limits<std::int64_t>::max()) continue;
    Query later;
    later.from_us = part->looked_back_to_us + 1;
    EXPECT_LE(view().count(later, false)->scanned, counted) << "every row later than this";
  }
  query.stop = watch.in_ms(8);
  const auto times = view().times(query);
  ASSERT_TRUE(times.ok());
  EXPECT_FALSE(times->whole());
  EXPECT_LT(times->scanned, kRows);
}

TEST_P(HistoryStop, ACountThatIsNotWantedLooksNoFurther) {
  for (int last = 1; last < 6; ++last) {
    int asked = 0;
    Query query;
    query.stop.wanted = [&] { return ++asked < last; };
    const auto part = view().count(query, true);
    ASSERT_TRUE(part.ok());
    EXPECT_EQ(ended_name(part->ended), "unwanted");
    EXPECT_EQ(asked, last);
    EXPECT_LT(part->scanned, kRows);
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, HistoryStop, ::testing::Bool(),
                         [](const auto& layout) { return layout.param ? "Segmented" : "Single"; });

using SegmentedStop = HistoryStop;

TEST_P(SegmentedStop, AnIdThatWasNotLookedForIsNotCalledAbsent) {
  StopRule rule;
  rule.wanted = [] { return false; };
  History history = view();
  StopCheck check(rule);
  for (int i = 0; i < 100 && !check.stopped(); ++i) {
    const auto found = history.get(uuid_of(7), check);
    if (found.ok()) {
      EXPECT_TRUE(found->has_value());
    } else {
      EXPECT_EQ(code_name(found.status().code()), "stopped");
    }
  }
  EXPECT_TRUE(check.stopped());
}

TEST_P(SegmentedStop, OpeningManyFilesIsStoppedAndGoesOn) {
  come();
  int tries = 0;
  for (;; ++tries) {
    ASSERT_LT(tries, 50);
    int asked = 0;
    StopRule rule;
    rule.wanted = [&] { return ++asked < 3; };
    StopCheck check(rule);
    auto history = reader_->view(clock.wall(), check);
    if (history.ok()) {
      EXPECT_TRUE(history->get(uuid_of(7))->has_value());
      break;
    }
    ASSERT_EQ(code_name(history.status().code()), "stopped");
    EXPECT_EQ(ended_name(check.ended()), "unwanted");
  }
  EXPECT_GT(tries, 1) << "what is open stays open";
}

// One step of SQLite may go over a whole table: it is asked within it.
TEST(HistoryStopInSqlite, AnswersWhoeverGivesUpBeforeTheFirstRow) {
  const testing::TempDir dir("/dev/shm");
  {
    auto db = testing::open_db(dir / "big.db", sqlite::Access::kCreate);
    testing::exec(db, schema::create_invocations() +
                          "; CREATE INDEX by_end ON invocations "
                          "(finished_at)");
    testing::exec(db,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) "
                  "INSERT INTO invocations (task_id, task_name, state, finished_at) SELECT 'task-' "
                  "|| i, 't', 'SUCCESS', 1794000000 + i FROM n");
  }
  RetentionOptions forever;
  forever.keep_forever = true;
  auto reader = HistoryReader::open(dir / "big.db", forever, {});
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  for (const bool counts : {false, true}) {
    auto history = (*reader)->view(WallTime());
    ASSERT_TRUE(history.ok());
    Query query;
    query.task_name = "no.such.task";
    int asked = 0;
    query.stop.wanted = [&] { return ++asked < 6; };
    Reach reach;
    if (counts) {
      reach = *history->count(query, false);
    } else {
      reach = *history->list(query);
    }
    EXPECT_EQ(ended_name(reach.ended), "unwanted");
    EXPECT_EQ(reach.scanned, 0u);
    EXPECT_EQ(asked, 6);
  }
}

INSTANTIATE_TEST_SUITE_P(Folder, SegmentedStop, ::testing::Values(true),
                         [](const auto&) { return "Segmented"; });

}  // namespace
}  // namespace phlower
