// Pages of one row are the whole list: rows of one microsecond, rows without a time, versions of a
// task in several files. In the folder of segments, and in a file of the origin's schema.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "phlower/door/history_reader.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::SegmentRig;
using testing::uuid_of;

class HistoryPages : public ::testing::TestWithParam<bool>, protected SegmentRig {
 protected:
  bool segmented() const { return GetParam(); }

  void make(std::uint64_t segment_rows) {
    options.store.segment_rows = segment_rows;
    if (segmented()) {
      const Status status = open();
      ASSERT_TRUE(status.ok()) << status.message();
      path_ = options.store.path;
      return;
    }
    StoreOptions file;
    file.path = path_ = dir / "one.db";
    auto made = SingleStore::open(file, options.retention, OpenMode::kEngine);
    ASSERT_TRUE(made.ok()) << made.status().message();
    single_ = *std::move(made);
  }
  void put(const std::vector<Record>& records) {
    Store& target = segmented() ? static_cast<Store&>(*store) : *single_;
    ASSERT_TRUE(target.begin().ok());
    for (const Record& record : records) ASSERT_TRUE(target.upsert(record.view()).ok());
    ASSERT_TRUE(target.commit().ok());
    if (segmented()) tend(1);
  }
  /// `count` rows numbered from `first`, all of the time `at` or a millisecond apart.
  void put_rows(std::uint64_t first, std::uint64_t count, double at, double apart = 0) {
    std::vector<Record> records;
    for (std::uint64_t i = 0; i < count; ++i) {
      records.push_back(a_record(uuid_of(first + i), at + apart * static_cast<double>(i)));
    }
    put(records);
  }

  QueryAnswer answer(const Query& query) {
    if (!reader_) {
      auto opened = HistoryReader::open(
          path_, options.retention,
          [](std::int64_t, const Status& why) { ADD_FAILURE() << why.message(); });
      EXPECT_TRUE(opened.ok()) << opened.status().message();
      reader_ = *std::move(opened);
    }
    auto view = reader_->view(clock.wall());
    EXPECT_TRUE(view.ok()) << view.status().message();
    auto answer = view->list(query);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return answer.ok() ? *std::move(answer) : QueryAnswer();
  }
  std::vector<std::string> whole(Query query) {
    query.limit = 100'000;
    const QueryAnswer all = answer(query);
    EXPECT_TRUE(all.whole());
    return ids_of(all);
  }
  std::vector<std::string> in_pages(Query query, std::uint32_t limit, std::uint64_t scan_limit) {
    query.limit = limit;
    query.scan_limit = scan_limit;
    std::vector<std::string> ids;
    for (int pages = 0; pages < 20'000; ++pages) {
      const QueryAnswer page = answer(query);
      const auto more = ids_of(page);
      ids.insert(ids.end(), more.begin(), more.end());
      if (!page.next) return ids;
      query.after = page.next;
      if (page.rows.empty()) continue;
      // The visitor of a page may stop at any row: its own cursor is as good.
      if (page.ended == Ended::kLimit) {
        EXPECT_EQ(page.rows.back().cursor().text(), page.next->text());
      }
    }
    ADD_FAILURE() << "it has no end";
    return ids;
  }
  static std::vector<std::string> ids_of(const QueryAnswer& page) {
    std::vector<std::string> ids;
    for (const Row& row : page.rows) ids.push_back(row.record.task_id);
    return ids;
  }
  std::uint64_t counted(const Query& query) {
    auto view = reader_->view(clock.wall());
    EXPECT_TRUE(view.ok()) << view.status().message();
    const auto counts = view->count(query, false);
    EXPECT_TRUE(counts.ok()) << counts.status().message();
    std::uint64_t sum = 0;
    for (const auto& [key, count] : counts->counts) sum += count;
    return sum;
  }
  void expect_pages(const Query& query, std::size_t rows) {
    const auto all = whole(query);
    EXPECT_EQ(all.size(), rows);
    EXPECT_EQ(in_pages(query, 1, 1'000'000), all);
    EXPECT_EQ(in_pages(query, 100'000, 1), all) << "one row looked at a page";
    EXPECT_EQ(in_pages(query, 7, 1'000'000), all);
    EXPECT_EQ(counted(query), rows);
  }

  std::string path_;
  std::unique_ptr<SingleStore> single_;
  std::unique_ptr<HistoryReader> reader_;
};

TEST_P(HistoryPages, KeepRowsOfOneMicrosecondAcrossFiles) {
  make(60);
  const double at = now() - 100;
  // Each file begins and ends with rows of this time, and has others between them.
  for (std::uint64_t file = 0; file < 3; ++file) {
    put_rows(file * 100, 7, at);
    put_rows(file * 100 + 10, 46, at - 50 + static_cast<double>(file * 40), 0.001);
    put_rows(file * 100 + 60, 7, at);
  }
  if (segmented()) {
    EXPECT_GE(in_state(SegmentState::kSealed), 2u);
  }
  expect_pages({}, 3 * 60);
  Query query;
  query.until_us = to_us(at) + 1;
  query.from_us = to_us(at);
  expect_pages(query, 3 * 14);
  query.task_name = "shop.orders.pack";
  expect_pages(query, 3 * 14);
  query.from_us = std::numeric_limits<std::int64_t>::min();
  expect_pages(query, 3 * 14 + 2 * 46);
}

TEST_P(HistoryPages, KeepRowsOfOneMicrosecondAcrossChunks) {
  make(100'000);
  const double at = now() - 100;
  put_rows(0, 1000, at + 10, 0.001);
  put_rows(1000, 40, at);  // rows 1,001 to 1,040: the oldest of two chunks of 1,024
  put_rows(1040, 20, at + 50, 0.001);
  Query query;
  query.until_us = to_us(at) + 1;
  expect_pages(query, 40);
  query.until_us = to_us(at);
  EXPECT_THAT(whole(query), IsEmpty());
  query.from_us = to_us(at);
  query.until_us = to_us(at + 10) + 1;
  expect_pages(query, 41);
}

TEST_P(HistoryPages, KeepRowsWithoutATime) {
  make(60);
  const double at = now() - 10;
  for (std::uint64_t first = 0; first < 120; first += 20) {
    std::vector<Record> records;
    for (std::uint64_t i = first; i < first + 20; ++i) {
      Record record;
      record.task_id = uuid_of(i);
      record.state = "SUCCESS";
      if (i % 5 == 0) record = a_record(record.task_id, at);
      records.push_back(record);
    }
    put(records);
  }
  expect_pages({}, 120);
  Query query;
  query.state = "SUCCESS";
  query.until_us = to_us(now() + 1);
  expect_pages(query, 120);
  query.from_us = to_us(at);
  query.until_us = to_us(at) + 1;
  expect_pages(query, 24);
}

TEST_P(HistoryPages, ShowATaskOnceWhereverItsVersionsAre) {
  make(40);
  // By name it is met where it began and where it was tried again, not where it ended.
  Record begun = a_record(uuid_of(7), 0, "STARTED");
  begun.received_at = begun.started_at = now() - 300;
  Record again = begun;
  again.state = "RETRY";
  again.started_at = now() - 200;
  Record ended = a_record(uuid_of(7), now() - 100);
  ended.task_name.clear();
  put({begun});
  put_rows(100, 40, now() - 290, 0.001);
  put({again});
  put_rows(200, 40, now() - 190, 0.001);
  put({ended});
  put_rows(300, 40, now() - 90, 0.001);
  expect_pages({}, 121);
  Query query;
  query.task_name = "shop.orders.pack";
  expect_pages(query, 121);
  const auto all = whole(query);
  ASSERT_EQ(std::count(all.begin(), all.end(), uuid_of(7)), 1);
  // In a file its one row has the name and the end; else its place is the newest with the name.
  EXPECT_EQ(all.at(segmented() ? 80 : 40), uuid_of(7));
  query.state = "SUCCESS";
  expect_pages(query, 121);
  query.state = "RETRY";
  EXPECT_THAT(whole(query), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Layouts, HistoryPages, ::testing::Bool(),
                         [](const auto& layout) { return layout.param ? "Segmented" : "Single"; });

using SingleFile = HistoryPages;

TEST_P(SingleFile, RowsWhoseTimesAreNoneOrZeroAreListedLast) {
  make(60);
  put_rows(0, 3, now() - 10, 0.001);
  single_.reset();
  auto db = sqlite::Connection::open(path_, sqlite::Access::kReadWrite);
  ASSERT_TRUE(db.ok());
  const std::string table = "invocations";
  ASSERT_TRUE(db->exec("UPDATE " + table +
                       " SET finished_at = 0, started_at = NULL, received_at = "
                       "NULL WHERE task_id = '" +
                       uuid_of(0) + "'")
                  .ok());
  ASSERT_TRUE(db->exec("UPDATE " + table +
                       " SET finished_at = NULL, started_at = 0 WHERE task_id "
                       "= '" +
                       uuid_of(1) + "'")
                  .ok());
  EXPECT_THAT(whole({}), ElementsAre(uuid_of(2), uuid_of(0), uuid_of(1)));
  expect_pages({}, 3);
}

INSTANTIATE_TEST_SUITE_P(File, SingleFile, ::testing::Values(false),
                         [](const auto&) { return "Single"; });

}  // namespace
}  // namespace phlower
