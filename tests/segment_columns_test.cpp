// Fields of a record in segments: each goes in and comes out, in every state that a segment has;
// and what the first version of the format wrote is read, gone on with and asked, by this one.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "phlower/door/history_reader.hpp"
#include "support/every_field.hpp"
#include "support/first_version.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::different_fields;
using testing::every_field;
using testing::SegmentRig;

Record with_id(const std::string& id, double begin) {
  Record record = every_field(begin);
  record.task_id = id;
  return record;
}

class SegmentColumns : public ::testing::Test {
 protected:
  void expect_has(const Record& record) {
    const auto own = rig_.get(record.task_id);
    ASSERT_TRUE(own.has_value()) << record.task_id;
    EXPECT_EQ(different_fields(own->view(), record.view()), "") << record.task_id;
    auto reader = HistoryReader::open(rig_.options.store.path, rig_.options.retention, {});
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    auto view = (*reader)->view(rig_.clock.wall());
    ASSERT_TRUE(view.ok()) << view.status().message();
    const auto other = view->get(record.task_id);
    ASSERT_TRUE(other.ok() && other->has_value()) << record.task_id;
    EXPECT_EQ(different_fields((*other)->view(), record.view()), "") << record.task_id;
    Query query;
    query.task_name = record.task_name;
    const auto listed = view->list(query);
    ASSERT_TRUE(listed.ok());
    bool found = false;
    for (const Row& row : listed->rows) {
      if (row.record.task_id != record.task_id) continue;
      found = true;
      EXPECT_EQ(different_fields(row.record.view(), record.view()), "") << record.task_id;
    }
    EXPECT_TRUE(found) << record.task_id;
  }

  SegmentRig rig_;
};

TEST_F(SegmentColumns, GiveEachFieldBackInEveryStateOfASegment) {
  ASSERT_TRUE(rig_.open().ok());
  const Record plain = with_id("plain", rig_.now() - 30);
  const Record uuid = with_id(testing::uuid_of(7), rig_.now() - 29);
  Record begun;
  begun.task_id = "changed";
  begun.state = "STARTED";
  begun.started_at = rig_.now() - 40;
  const Record changed = with_id("changed", rig_.now() - 28);
  ASSERT_TRUE(rig_.put({plain, uuid, begun}).ok());
  ASSERT_TRUE(rig_.put({changed}).ok());
  for (const Record& record : {plain, uuid, changed}) expect_has(record);
  rig_.reopen();
  for (const Record& record : {plain, uuid, changed}) expect_has(record);
  rig_.put_many(100, 120, rig_.now());
  rig_.tend();
  ASSERT_GT(rig_.in_state(SegmentState::kSealed), 0u);
  for (const Record& record : {plain, uuid, changed}) expect_has(record);
}

TEST_F(SegmentColumns, AlwaysHaveANumberOfTheirOwn) {
  const std::string columns = task_columns(segment_schema::kVersion) + ",";
  EXPECT_EQ(std::count(columns.begin(), columns.end(), ','), kTaskColumns);
  EXPECT_EQ(columns.find("NULL"), std::string::npos);
  const std::string before = task_columns(0);
  EXPECT_EQ(before.substr(0, 23), "id, at, details, flags,");
  EXPECT_EQ(before.find("name"), std::string::npos) << "no version before the first has a field";
}

class SegmentsOfTheFirstVersion : public SegmentColumns {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(rig_.options.store.path);
    for (const char* name : {"meta.db", "inv-2.db", "inv-3.db", "det-1.db", "det-4.db"}) {
      testing::make_first_version(name, path_of(name));
    }
    rig_.options.store.segment_rows = 1000;
    rig_.clock.advance(Hours(7));  // as when they were written
  }

  std::string path_of(const std::string& name) const {
    return (std::filesystem::path(rig_.options.store.path) / name).string();
  }
  std::int64_t number(const std::string& name, const std::string& sql) const {
    auto db = sqlite::Connection::open(path_of(name), sqlite::Access::kReadOnly);
    EXPECT_TRUE(db.ok());
    const auto value = db.ok() ? db->query_integer(sql) : db.status();
    EXPECT_TRUE(value.ok()) << name << ": " << value.status().message();
    return value.ok() ? *value : -1;
  }
  std::int64_t version_of(const std::string& name) const {
    return number(name, "SELECT whole FROM phlower_state WHERE key = 'segment_version'");
  }
  static std::vector<Record> written() {
    const double then = 1'795'000'000.0;
    const double now = 1'795'025'204.0;
    return {testing::of_first_version("sealed", then - 100),
            testing::of_first_version(testing::uuid_of(1), then - 90),
            testing::of_first_version("written", now - 100),
            testing::of_first_version(testing::uuid_of(2), now - 90)};
  }
};

TEST_F(SegmentsOfTheFirstVersion, AreReadBeforeAnEngineHasTakenThemUp) {
  auto reader = HistoryReader::open(rig_.options.store.path, rig_.options.retention, {});
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  for (const Record& record : written()) {
    auto view = (*reader)->view(rig_.clock.wall());
    ASSERT_TRUE(view.ok()) << view.status().message();
    const auto found = view->get(record.task_id);
    ASSERT_TRUE(found.ok() && found->has_value()) << record.task_id;
    EXPECT_EQ(different_fields((*found)->view(), record.view()), "") << record.task_id;
  }
  EXPECT_EQ(version_of("inv-3.db"), 1);
}

TEST_F(SegmentsOfTheFirstVersion, AreGoneOnWithInTheSegmentsThatWereLeftOpen) {
  const std::vector<Record> before = written();
  auto reader = HistoryReader::open(rig_.options.store.path, rig_.options.retention, {});
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->view(rig_.clock.wall())->get("written").ok())
      << "it has the old file open";
  const Status opened = rig_.open();
  ASSERT_TRUE(opened.ok()) << opened.message();
  for (const Record& record : before) expect_has(record);
  const Record fresh = with_id("new", rig_.now() - 20);
  Record again = with_id("written", rig_.now() - 10);
  again.state = "SUCCESS";
  ASSERT_TRUE(rig_.put({fresh, again}).ok());
  for (const Record& record : {before[0], before[1], before[3], fresh, again}) expect_has(record);
  auto view = (*reader)->view(rig_.clock.wall());
  ASSERT_TRUE(view.ok());
  const auto seen = view->get("written");
  ASSERT_TRUE(seen.ok() && seen->has_value());
  EXPECT_EQ(different_fields((*seen)->view(), again.view()), "") << "by who had it open before";
  rig_.reopen();
  for (const Record& record : {before[0], before[1], before[3], fresh, again}) expect_has(record);
  EXPECT_EQ(number("inv-3.db", "SELECT count(*) FROM task"), 3);
  EXPECT_EQ(version_of("inv-3.db"), segment_schema::kVersion);
  EXPECT_EQ(version_of("det-4.db"), segment_schema::kVersion);
  EXPECT_EQ(version_of("inv-2.db"), 1) << "what is sealed stays";
}

TEST_F(SegmentsOfTheFirstVersion, AreSealedWithWhatWasAdded) {
  ASSERT_TRUE(rig_.open().ok());
  const Record fresh = with_id("new", rig_.now() - 20);
  ASSERT_TRUE(rig_.put({fresh}).ok());
  const std::vector<Record> before = written();
  rig_.clock.advance(Hours(6));
  rig_.tend();
  EXPECT_EQ(rig_.in_state(SegmentState::kSealed), 2u);
  for (const Record& record : before) expect_has(record);
  expect_has(fresh);
}

}  // namespace
}  // namespace phlower
