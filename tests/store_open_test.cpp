// What SingleStore::open does with a file: nothing, a history in each form that exists, somebody
// else's database, damage, a lock that stays. What is refused is left as it was.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"
#include "support/store_reading.hpp"

namespace phlower {
namespace {

using testing::BacklogMaker;
using testing::BacklogPlan;
using testing::exec;
using testing::get_row;
using testing::lines;
using testing::list_task;
using testing::MadeSchema;
using testing::open_db;
using testing::TempDir;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every file of a folder: its bytes and the time of its last change.
std::map<std::string, std::pair<std::string, std::int64_t>> folder_of(const TempDir& dir) {
  std::map<std::string, std::pair<std::string, std::int64_t>> found;
  for (const auto& entry : std::filesystem::directory_iterator(dir / "")) {
    struct stat state {};
    ::stat(entry.path().c_str(), &state);
    const std::int64_t changed = state.st_mtim.tv_sec * 1'000'000'000 + state.st_mtim.tv_nsec;
    found[entry.path().filename()] = {bytes_of(entry.path()), changed};
  }
  return found;
}

std::vector<std::string> schema_of(const std::string& path) {
  auto db = open_db(path);
  return lines(db, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name", 3);
}

class StoreOpen : public ::testing::Test {
 protected:
  Result<std::unique_ptr<SingleStore>> open(OpenMode mode = OpenMode::kEngine) {
    StoreOptions options;
    options.path = path_;
    return SingleStore::open(options, RetentionOptions(), mode);
  }
  /// The error of an open that must fail: its code, the file's name in it, nothing changed.
  void expect_refused(Code code, std::string_view word, OpenMode mode = OpenMode::kEngine) {
    const std::string before = bytes_of(path_);
    const auto store = open(mode);
    ASSERT_FALSE(store.ok());
    const std::string text(store.status().message());
    EXPECT_EQ(store.status().code(), code) << text;
    EXPECT_NE(text.find(path_), std::string::npos) << text;
    EXPECT_NE(text.find(word), std::string::npos) << text;
    EXPECT_TRUE(bytes_of(path_) == before) << "the file was changed";
  }
  void write_file(std::string_view text) { std::ofstream(path_, std::ios::binary) << text; }

  TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "history.db";
};

TEST_F(StoreOpen, MakesANewFileInTheSchemaOfTheOrigin) {
  {
    const auto store = open();
    ASSERT_TRUE(store.ok()) << store.status().message();
    EXPECT_EQ((*store)->kind(), FileKind::kEmpty);
    EXPECT_TRUE((*store)->can_reclaim());
  }
  auto db = open_db(path_);
  EXPECT_EQ(*db.query_text("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(*db.query_integer("PRAGMA auto_vacuum"), 2);
  EXPECT_EQ(lines(db, "SELECT name FROM pragma_table_info('invocations')", 1),
            (std::vector<std::string>{"task_id|", "task_name|", "state|", "received_at|",
                                      "started_at|", "finished_at|", "runtime_ms|", "worker|",
                                      "queue|", "exception_type|"}));
  EXPECT_EQ(lines(db, "SELECT name FROM pragma_table_info('invocation_details')", 1),
            (std::vector<std::string>{"task_id|", "args_preview|", "kwargs_preview|",
                                      "traceback_snippet|"}));
  EXPECT_EQ(lines(db,
                  "SELECT group_concat(i.name) FROM pragma_index_list('invocations') l, "
                  "pragma_index_info(l.name) i WHERE l.origin = 'c' GROUP BY l.name ORDER BY 1",
                  1),
            (std::vector<std::string>{"finished_at|", "task_name,finished_at|"}));
  for (const char* table : {"metadata", "aggregate_snapshots"}) {
    EXPECT_EQ(*db.query_integer(std::string("SELECT count(*) FROM ") + table), 0) << table;
  }
}

TEST_F(StoreOpen, LeavesTablesAndIndexesOfAnExistingFileAsTheyAre) {
  for (const MadeSchema made :
       {MadeSchema::kSingle, MadeSchema::kPresplit, MadeSchema::kPartitioned}) {
    for (const bool index : {true, false}) {
      std::filesystem::remove(path_);
      BacklogPlan plan;
      plan.schema = made;
      plan.legacy = index;
      plan.finished_index = index;
      ASSERT_TRUE(BacklogMaker::make(path_, plan).ok());
      const auto before = schema_of(path_);
      ASSERT_TRUE(open(OpenMode::kMaintenance).ok());
      EXPECT_EQ(schema_of(path_), before) << "maintenance adds nothing";
      ASSERT_TRUE(open().ok());
      const auto after = schema_of(path_);
      for (const std::string& object : before) {
        EXPECT_NE(std::find(after.begin(), after.end(), object), after.end()) << object;
      }
      for (const std::string& object : after) {
        const bool is_new = std::find(before.begin(), before.end(), object) == before.end();
        // An index comes only with a new table: that beside the tables of days.
        EXPECT_TRUE(!is_new || !object.starts_with("index|idx") || made == MadeSchema::kPartitioned)
            << object;
      }
      ASSERT_TRUE(open().ok());
      EXPECT_EQ(schema_of(path_), after) << "a second start changes nothing";
    }
  }
}

TEST_F(StoreOpen, BuildsNoIndexOnAFilledTable) {
  BacklogPlan plan;
  plan.finished_index = false;
  ASSERT_TRUE(BacklogMaker::make(path_, plan).ok());
  ASSERT_TRUE(open().ok());
  for (const std::string& object : schema_of(path_)) {
    EXPECT_EQ(object.find("ON invocations (finished_at)"), std::string::npos) << object;
  }
}

TEST_F(StoreOpen, ReadsAPathOfOddCharactersAsItIs) {
  path_ = dir_ / "a b?mode=memory#50%25'\".db";
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(std::filesystem::exists(path_));
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kMaintenance, OpenMode::kEngine}) {
    const auto store = open(mode);
    EXPECT_TRUE(store.ok()) << store.status().message();
  }
}

TEST_F(StoreOpen, ReadsAPathThatBeginsWithTwoSlashes) {
  ASSERT_TRUE(open().ok());
  path_ = "/" + path_;
  for (const OpenMode mode : {OpenMode::kReadOnly, OpenMode::kMaintenance, OpenMode::kEngine}) {
    const auto store = open(mode);
    EXPECT_TRUE(store.ok()) << store.status().message();
  }
}

TEST_F(StoreOpen, RefusesWhatIsNoHistory) {
  for (const OpenMode mode : {OpenMode::kEngine, OpenMode::kMaintenance, OpenMode::kReadOnly}) {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "this is a letter, and no database\n";
    write_file(text);
    expect_refused(Code::kNotOurs, "database", mode);
    std::filesystem::remove(path_);
    auto db = open_db(path_, sqlite::Access::kCreate);
    exec(db, "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
    db = {};
    expect_refused(Code::kNotOurs, "not a Phlower history", mode);
    std::filesystem::remove(path_);
    db = open_db(path_, sqlite::Access::kCreate);
    exec(db, "CREATE TABLE invocations (task_id TEXT, when_it_was TEXT)");
    db = {};
    expect_refused(Code::kNotOurs, "table invocations", mode);
    std::filesystem::remove(path_);
  }
}

TEST_F(StoreOpen, RefusesAnEmptyFileWhereAHistoryMustBe) {
  write_file("");
  expect_refused(Code::kNotOurs, "empty", OpenMode::kMaintenance);
  expect_refused(Code::kNotOurs, "empty", OpenMode::kReadOnly);
  EXPECT_TRUE(open().ok()) << "an engine makes its tables in it";
}

TEST_F(StoreOpen, SaysWhatIsMissing) {
  expect_refused(Code::kNotFound, "no such file", OpenMode::kMaintenance);
  expect_refused(Code::kNotFound, "no such file", OpenMode::kReadOnly);
  EXPECT_FALSE(std::filesystem::exists(path_));
  path_ = dir_ / "no/such/folder/history.db";
  expect_refused(Code::kNotFound, "");
}

TEST_F(StoreOpen, RefusesAFolder) {
  path_ = dir_ / "folder";
  std::filesystem::create_directory(path_);
  for (const OpenMode mode : {OpenMode::kEngine, OpenMode::kMaintenance, OpenMode::kReadOnly}) {
    const auto store = open(mode);
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.status().code(), Code::kNotOurs) << store.status().message();
  }
}

TEST_F(StoreOpen, RefusesTablesOfANewerVersion) {
  ASSERT_TRUE(open().ok());
  auto db = open_db(path_);
  exec(db, "UPDATE phlower_state SET whole = 99 WHERE key = 'schema_version'");
  db = {};
  expect_refused(Code::kVersion, "version 99");
}

TEST_F(StoreOpen, RefusesTextThatIsNotUtf8) {
  auto db = open_db(path_, sqlite::Access::kCreate);
  exec(db, "PRAGMA encoding = 'UTF-16le'; " + schema::create_invocations() + "; " +
               schema::create_details());
  db = {};
  expect_refused(Code::kUnsupported, "UTF-16");
}

TEST_F(StoreOpen, AnswersWithAnErrorWhateverPageIsDamaged) {
  ASSERT_TRUE(BacklogMaker::make(path_, {}).ok());
  const std::string good = bytes_of(path_);
  int refused = 0;
  for (std::size_t at = 0; at < good.size(); at += 512) {
    std::string bad = good;
    for (std::size_t i = at; i < std::min(at + 64, bad.size()); ++i) bad[i] = '\xa5';
    write_file(bad);
    const auto store = open();
    if (!store.ok()) {
      ++refused;
      EXPECT_GT(store.status().message().size(), path_.size());
      continue;
    }
    const WallTime now = testing::PurgeRig::at(BacklogPlan().now);
    const auto one = get_row(**store, "0-fresh0", now);
    EXPECT_TRUE(one.ok() || one.status().code() == Code::kCorrupt) << one.status().message();
    static_cast<void>(list_task(**store, "task.1", 1000, now));
  }
  EXPECT_GT(refused, 0);
  write_file(good.substr(0, good.size() / 2));
  const auto half = open();
  if (half.ok()) {
    const auto counted = (*half)->recount_some(100'000);
    EXPECT_FALSE(counted.ok());
    EXPECT_EQ(counted.status().code(), Code::kCorrupt) << counted.status().message();
  }
}

TEST_F(StoreOpen, GivesUpOnALockThatStays) {
  ASSERT_TRUE(open().ok());
  auto other = open_db(path_);
  exec(other, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  const auto store = open();
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.status().code(), Code::kBusy) << store.status().message();
}

TEST_F(StoreOpen, ForReadingChangesNothingInTheFolder) {
  ASSERT_TRUE(BacklogMaker::make(path_, {}).ok());
  const WallTime now = testing::PurgeRig::at(BacklogPlan().now);
  const auto look_around = [&](const char* state) {
    const auto before = folder_of(dir_);
    {
      auto store = open(OpenMode::kReadOnly);
      ASSERT_TRUE(store.ok()) << state << ": " << store.status().message();
      EXPECT_EQ(list_task(**store, "task.1", 10, now)->size(), 10u) << state;
      EXPECT_GT((*store)->census_some(now, 100'000)->invocations, 0u) << state;
      EXPECT_EQ((*store)->begin().code(), Code::kPermission) << state;
    }
    const auto after = folder_of(dir_);
    EXPECT_EQ(after.size(), before.size()) << state;
    for (const auto& [name, file] : before) {
      ASSERT_TRUE(after.contains(name)) << state << ": " << name << " has gone";
      // Not EXPECT_EQ, which would print the bytes.
      EXPECT_TRUE(after.at(name).first == file.first) << state << ": bytes of " << name;
      EXPECT_EQ(after.at(name).second, file.second) << state << ": time of " << name;
    }
  };
  look_around("at rest");
  write_file(bytes_of(path_));
  std::ofstream(path_ + "-wal").close();
  look_around("with an empty log");
  std::filesystem::remove(path_ + "-wal");
  {  // The log of a process that was killed, without the index that the kernel kept for it.
    const auto writer = open();
    ASSERT_TRUE((*writer)->begin().ok());
    ASSERT_TRUE((*writer)->upsert(testing::a_record("in-the-log", BacklogPlan().now).view()).ok());
    ASSERT_TRUE((*writer)->commit().ok());
    for (const char* side : {"", "-wal"}) {
      std::filesystem::copy_file(path_ + side, dir_ / (std::string("killed.db") + side));
    }
  }
  std::filesystem::remove(path_);
  path_ = dir_ / "killed.db";
  look_around("with a log and no index");
  EXPECT_TRUE(get_row(**open(OpenMode::kReadOnly), "in-the-log", now)->has_value());
}

}  // namespace
}  // namespace phlower
