// An engine's store on a file to which its owner has added something: it works as with plain
// SQLite, or is refused at the opening, with the file left as it was.
#include <gtest/gtest.h>

#include <string>

#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::content_of;
using testing::exec;
using testing::open_db;
using testing::open_store;

class OwnersFile : public ::testing::Test {
 protected:
  // `columns`: behind those of the origin, with a comma before.
  void make(const std::string& added, const std::string& columns = "",
            const std::string& mode = "wal") {
    std::filesystem::remove(path_);
    auto db = open_db(path_, sqlite::Access::kCreate);
    std::string table = schema::create_invocations();
    table.insert(table.size() - 1, columns);
    exec(db, "PRAGMA journal_mode = " + mode + ";" + table + ";" + schema::create_details() + ";" +
                 std::string(schema::kCreateIndexes[0]) + ";" + added);
  }

  void expect_works() {
    auto store = open_store(path_);
    ASSERT_NE(store, nullptr);
    ASSERT_TRUE(store->begin().ok());
    for (const char* id : {"one", "two", "one"}) {
      const Status put = store->upsert(a_record(id, testing::kNow).view()).status();
      ASSERT_TRUE(put.ok()) << put.message();
    }
    ASSERT_TRUE(store->commit().ok());
    ASSERT_TRUE(store->begin().ok());
    const auto purged = store->purge_some(testing::PurgeRig::at(testing::kNow + 121 * 3600), 100);
    ASSERT_TRUE(purged.ok()) << purged.status().message();
    EXPECT_EQ(purged->invocations, 2u);
    EXPECT_EQ(purged->details, 2u);
    ASSERT_TRUE(store->commit().ok());
  }

  void expect_refused(const std::string& part) {
    const auto before = content_of(path_);
    StoreOptions options;
    options.path = path_;
    const auto store = SingleStore::open(options, {});
    ASSERT_FALSE(store.ok()) << part;
    EXPECT_EQ(code_name(store.status().code()), code_name(Code::kUnsupported));
    const std::string said(store.status().message());
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_NE(said.find("history.db: rows cannot be "), std::string::npos) << said;
    // Our own empty tables may have been added, rows not.
    for (const auto& [table, rows] : before) EXPECT_EQ(content_of(path_)[table], rows) << table;
  }

  testing::TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "history.db";
};

TEST_F(OwnersFile, WithFullTextAndOtherModulesInTriggersWorks) {
  make(
      "CREATE VIRTUAL TABLE fts USING fts5(args_preview, content='invocation_details');"
      "CREATE TRIGGER i AFTER INSERT ON invocation_details BEGIN INSERT INTO fts(rowid, "
      "args_preview) VALUES (new.rowid, new.args_preview); END;"
      "CREATE TRIGGER d AFTER DELETE ON invocation_details BEGIN INSERT INTO fts(fts, rowid, "
      "args_preview) VALUES ('delete', old.rowid, old.args_preview); END;"
      "CREATE TABLE audit (what TEXT);"
      "CREATE TRIGGER a AFTER DELETE ON invocations BEGIN INSERT INTO audit VALUES "
      "(json_object('id', old.task_id)); END");
  expect_works();
  auto db = open_db(path_);
  exec(db, "INSERT INTO fts(fts) VALUES ('integrity-check')");
  EXPECT_EQ(*db.query_integer("SELECT count(*) FROM audit"), 2) << "the trial leaves nothing";
}

TEST_F(OwnersFile, WithColumnsChecksAndIndexesOfItsOwnWorks) {
  make("CREATE INDEX mine ON invocations (lower(task_name)) WHERE runtime_ms > 5",
       ", noted TEXT DEFAULT 'x' NOT NULL, minute INTEGER AS (CAST(finished_at / 60 AS INTEGER)), "
       "CHECK (length(state) < 20)");
  expect_works();
}

TEST_F(OwnersFile, ThatTakesNoRowsOfOursIsRefusedAtTheOpening) {
  make("", ", noted TEXT NOT NULL");
  expect_refused("NOT NULL constraint failed: invocations.noted");
  make("", ", CHECK (queue LIKE 'shop.%')");
  expect_refused("CHECK constraint failed");
  make("CREATE TRIGGER t BEFORE INSERT ON invocations BEGIN SELECT RAISE(IGNORE); END");
  expect_refused("nothing is changed");
  make("CREATE TRIGGER t BEFORE UPDATE ON invocations BEGIN SELECT RAISE(ABORT, 'fixed'); END");
  expect_refused("fixed");
  make("CREATE TRIGGER t BEFORE DELETE ON invocations BEGIN SELECT RAISE(IGNORE); END");
  expect_refused("deleted from table invocations");
  make("CREATE TRIGGER t AFTER INSERT ON invocation_details BEGIN SELECT mine(1); END");
  expect_refused("no such function: mine");
}

TEST_F(OwnersFile, InAnotherJournalModeIsPutIntoWalByAnEngineAloneAndThatIsTold) {
  make("", "", "delete");
  EXPECT_EQ(open_store(path_, {}, OpenMode::kMaintenance)->journal_was(), "");
  {
    auto db = open_db(path_);
    EXPECT_EQ(*db.query_text("PRAGMA journal_mode"), "delete");
  }
  EXPECT_EQ(open_store(path_)->journal_was(), "delete");
  EXPECT_EQ(open_store(path_)->journal_was(), "");
}

}  // namespace
}  // namespace phlower
