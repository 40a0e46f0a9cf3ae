// Columns of one file and fields of a record: each field goes in and comes out, whatever else the
// tables have or lack; and what is no history is refused for its missing column.
#include <gtest/gtest.h>

#include "support/every_field.hpp"
#include "support/first_version.hpp"
#include "support/purge_rig.hpp"
#include "support/store_reading.hpp"

namespace phlower {
namespace {

using testing::different_fields;
using testing::every_field;
using testing::exec;
using testing::kNow;
using testing::open_db;
using testing::open_store;

class StoreColumns : public ::testing::Test {
 protected:
  /// `wanted(field)`: which columns the tables have. In the row: the details stand there.
  template <class Wanted>
  void make(Wanted&& wanted, bool in_row = false) {
    std::filesystem::remove(path_);
    auto db = open_db(path_, sqlite::Access::kCreate);
    std::string rows;
    std::string details = "task_id TEXT PRIMARY KEY";
    visit_fields([&](const Field& field) {
      if (!wanted(field)) return;
      const bool detail = field.in(FieldPart::kDetails);
      std::string& columns = detail && !in_row ? details : rows;
      (columns += columns.empty() ? "" : ", ") += schema::column_definition(field);
    });
    exec(db, "CREATE TABLE invocations (" + rows + ")");
    if (!in_row) exec(db, "CREATE TABLE invocation_details (" + details + ")");
  }

  /// Writes a record as its owner's program does, as far as the columns of one table go.
  void insert(const Record& record, std::string_view table) {
    auto db = open_db(path_);
    std::string columns;
    std::string values;
    visit_fields(
        [&](const Field& field, const auto& value) {
          const auto there =
              db.query_integer("SELECT count(*) FROM pragma_table_info('" + std::string(table) +
                               "') WHERE name = '" + std::string(field.column) + "'");
          if (*there == 0) return;
          (columns += columns.empty() ? "" : ", ") += field.column;
          values += values.empty() ? "" : ", ";
          if constexpr (std::is_same_v<decltype(value), const double&>) {
            values += std::to_string(value);
          } else {
            values += "'" + value + "'";
          }
        },
        record);
    exec(db, "INSERT INTO " + std::string(table) + " (" + columns + ") VALUES (" + values + ")");
  }

  void put(SingleStore& store, const Record& record) {
    ASSERT_TRUE(store.begin().ok());
    const Status status = store.upsert(record.view()).status();
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(store.commit().ok());
  }

  Record get(SingleStore& store, const std::string& id) {
    const auto found = testing::get_row(store, id, testing::PurgeRig::at(kNow));
    EXPECT_TRUE(found.ok()) << found.status().message();
    EXPECT_TRUE(found.ok() && found->has_value()) << id;
    return found.ok() && found->has_value() ? **found : Record();
  }

  static Record known_as(const std::string& id) {
    Record record = every_field(kNow - 100);
    record.task_id = id;
    return record;
  }

  testing::TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "history.db";
};

bool any_field(const Field&) { return true; }
bool must_be_there(const Field& field) { return field.need != FieldNeed::kOptional; }

TEST_F(StoreColumns, GiveEachFieldBack) {
  const auto store = open_store(path_);
  put(*store, known_as("new"));
  EXPECT_EQ(different_fields(get(*store, "new").view(), known_as("new").view()), "");
  Record first;
  first.task_id = "changed";
  first.state = "STARTED";
  put(*store, first);
  put(*store, known_as("changed"));
  EXPECT_EQ(different_fields(get(*store, "changed").view(), known_as("changed").view()), "");
  put(*store, first);
  EXPECT_EQ(different_fields(get(*store, "changed").view(), known_as("changed").view()), "")
      << "an older version takes nothing away";
}

TEST_F(StoreColumns, GiveEachFieldBackWhereDetailsStandInTheRow) {
  make(any_field, true);
  const Record record = known_as("one");
  insert(record, "invocations");
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kMaintenance, OpenMode::kEngine}) {
    const auto store = open_store(path_, {}, mode);
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(different_fields(get(*store, "one").view(), record.view()), "");
    if (mode != OpenMode::kEngine) continue;
    Record later;
    later.task_id = "one";
    later.state = "STARTED";
    put(*store, later);
    EXPECT_EQ(different_fields(get(*store, "one").view(), record.view()), "");
  }
  auto db = open_db(path_);
  const auto columns = testing::lines(db, "PRAGMA table_info('invocations')", 2);
  EXPECT_EQ(columns.size(), count_fields(any_field)) << "nothing was added to the row";
}

TEST_F(StoreColumns, AreNotKnownWhereTheyAreMissing) {
  make(must_be_there);
  Record record = known_as("old");
  insert(record, "invocations");
  insert(record, "invocation_details");
  Record as_read = record;
  visit_fields(
      [](const Field& field, auto& value, const auto& unknown) {
        if (!must_be_there(field)) value = unknown;
      },
      as_read, Record());
  ASSERT_NE(different_fields(as_read.view(), record.view()), "") << "a column may be missing";
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kMaintenance}) {
    const auto store = open_store(path_, {}, mode);
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(different_fields(get(*store, "old").view(), as_read.view()), "");
  }
}

TEST_F(StoreColumns, AreAddedByTheEngineSoThatNothingOfARecordIsLost) {
  make(must_be_there);
  const Record old = known_as("old");
  insert(old, "invocations");
  insert(old, "invocation_details");
  for (const char* id : {"new", "old"}) {
    const auto store = open_store(path_);
    ASSERT_NE(store, nullptr);
    put(*store, known_as(id));
    EXPECT_EQ(different_fields(get(*store, id).view(), known_as(id).view()), "") << id;
  }
  const auto reader = open_store(path_, {}, OpenMode::kReadOnly);
  for (const char* id : {"new", "old"}) {
    EXPECT_EQ(different_fields(get(*reader, id).view(), known_as(id).view()), "") << id;
  }
}

TEST_F(StoreColumns, ThatGoWhileTheEngineRunsAreAddedAgain) {
  const auto store = open_store(path_);
  put(*store, known_as("before"));
  {
    auto db = open_db(path_);
    exec(db, "ALTER TABLE invocations DROP COLUMN queue");
  }
  put(*store, known_as("after"));
  EXPECT_EQ(different_fields(get(*store, "after").view(), known_as("after").view()), "");
  EXPECT_EQ(get(*store, "before").queue, "");
}

TEST_F(StoreColumns, ThatAreMissingDoNotKeepAPurgeFromItsRows) {
  make(must_be_there);
  insert(known_as("old"), "invocations");
  insert(known_as("old"), "invocation_details");
  const auto store = open_store(path_, {}, OpenMode::kMaintenance);
  ASSERT_NE(store, nullptr);
  ASSERT_TRUE(store->begin().ok());
  const auto purged = store->purge_some(testing::PurgeRig::at(kNow + 121 * 3600), 100);
  ASSERT_TRUE(purged.ok()) << purged.status().message();
  EXPECT_EQ(purged->invocations, 1u);
  EXPECT_EQ(purged->details, 1u);
  ASSERT_TRUE(store->commit().ok());
}

TEST_F(StoreColumns, OfAHistoryThatMustBeThereAreMissed) {
  int tried = 0;
  visit_fields([&](const Field& field) {
    if (!must_be_there(field) || field.kind == FieldKind::kId) return;
    make([&field](const Field& other) { return other.name != field.name; });
    for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kMaintenance, OpenMode::kEngine}) {
      StoreOptions options;
      options.path = path_;
      const auto store = SingleStore::open(options, {}, mode);
      EXPECT_EQ(store.status().code(), Code::kNotOurs) << field.name;
    }
    ++tried;
  });
  EXPECT_GT(tried, 5);
}

TEST_F(StoreColumns, AreTheSameInCapitals) {
  make(must_be_there);
  {
    auto db = open_db(path_);
    exec(db, "ALTER TABLE invocations ADD COLUMN QUEUE TEXT");
  }
  const auto store = open_store(path_);
  ASSERT_NE(store, nullptr);
  put(*store, known_as("one"));
  EXPECT_EQ(get(*store, "one").queue, known_as("one").queue);
}

TEST_F(StoreColumns, OfTheFirstVersionAreReadAndGoneOnWith) {
  testing::make_first_version("single.db", path_);
  const Record one = testing::of_first_version("one", kNow - 100);
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kMaintenance, OpenMode::kEngine}) {
    const auto store = open_store(path_, {}, mode);
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(different_fields(get(*store, "one").view(), one.view()), "");
  }
  Record again = known_as("two");
  again.state = "SUCCESS";
  const auto store = open_store(path_);
  put(*store, known_as("new"));
  put(*store, again);
  EXPECT_EQ(different_fields(get(*store, "one").view(), one.view()), "");
  EXPECT_EQ(different_fields(get(*store, "two").view(), again.view()), "");
  EXPECT_EQ(different_fields(get(*store, "new").view(), known_as("new").view()), "");
}

TEST_F(StoreColumns, OfTheirOwnerStayAsTheyAre) {
  make(any_field);
  {
    auto db = open_db(path_);
    exec(db, "ALTER TABLE invocations ADD COLUMN note TEXT DEFAULT 'mine'");
  }
  const auto store = open_store(path_);
  ASSERT_NE(store, nullptr);
  put(*store, known_as("one"));
  put(*store, known_as("one"));
  EXPECT_EQ(different_fields(get(*store, "one").view(), known_as("one").view()), "");
  auto db = open_db(path_);
  EXPECT_EQ(*db.query_text("SELECT note FROM invocations"), "mine");
}

}  // namespace
}  // namespace phlower
