// The log that is written a commit at a time: fewer calls, and never a frame that was not SQLite's
// to write.
#include "phlower/sqlite/log_vfs.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>

#include "phlower/ground/random.hpp"
#include "support/fault_vfs.hpp"
#include "support/temp_dir.hpp"

namespace phlower {
namespace {

using sqlite::Access;
using sqlite::Connection;
using testing::Fault;
using testing::FaultVfs;
using testing::TempDir;

class LogVfs : public ::testing::Test {
 protected:
  using Rows = std::map<std::int64_t, std::string>;

  Connection opened(int cache_pages) {
    auto db = sqlite::open_writer(path, Access::kCreate);
    EXPECT_TRUE(db.ok()) << db.status().message();
    run(*db, "PRAGMA journal_mode = WAL");
    run(*db, "PRAGMA synchronous = NORMAL");
    run(*db, "PRAGMA wal_autocheckpoint = 0");
    run(*db, "PRAGMA cache_size = " + std::to_string(cache_pages));
    run(*db, "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT)");
    return *std::move(db);
  }
  static void run(Connection& db, const std::string& sql) {
    const Status status = db.exec(sql);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  // As somebody sees it who has nothing to do with any of this.
  Rows seen() {
    Rows rows;
    auto db = Connection::open(path, Access::kReadOnly);
    EXPECT_TRUE(db.ok());
    auto select = db->prepare("SELECT k, v FROM t");
    EXPECT_TRUE(select.ok()) << select.status().message();
    while (*select->step()) rows[select->integer(0)] = select->text(1);
    return rows;
  }
  void check() {
    auto db = Connection::open(path, Access::kReadOnly);
    ASSERT_TRUE(db.ok());
    EXPECT_EQ(*db->query_text("PRAGMA integrity_check"), "ok");
  }

  // Many pages, more than a small cache has.
  static void change(Connection& db, Random& random, Rows& rows) {
    const std::uint64_t count = random.between(1, 150);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto key = static_cast<std::int64_t>(random.below(400));
      std::string value(random.between(1, 3000), static_cast<char>('a' + random.below(26)));
      run(db, "INSERT OR REPLACE INTO t VALUES (" + std::to_string(key) + ", '" + value + "')");
      rows[key] = std::move(value);
    }
  }
  static void transaction(Connection& db, Random& random, Rows& rows) {
    Rows after = rows;
    run(db, "BEGIN IMMEDIATE");
    change(db, random, after);
    while (random.chance(1, 3)) {
      Rows inside = after;
      run(db, "SAVEPOINT s");
      change(db, random, inside);
      const bool keep = random.chance(1, 2);
      if (!keep) run(db, "ROLLBACK TO s");
      run(db, "RELEASE s");
      if (keep) after = std::move(inside);
    }
    const bool commit = random.chance(2, 3);
    run(db, commit ? "COMMIT" : "ROLLBACK");
    if (commit) rows = std::move(after);
  }

  TempDir dir;
  const std::string path = dir / "log.db";
};

TEST_F(LogVfs, WritesTheFramesOfACommitInFewCalls) {
  FaultVfs disk;
  Connection db = opened(2000);
  run(db, "BEGIN");
  for (int key = 0; key < 400; ++key) {
    run(db, "INSERT INTO t VALUES (" + std::to_string(key) + ", '" + std::string(3000, 'x') + "')");
  }
  disk.heal();  // counts anew
  run(db, "COMMIT");
  EXPECT_LT(disk.operations(), 40u) << "of some 400 pages";
  EXPECT_GT(disk.operations(), 400u * 4096 / (128 << 10) / 2);
  EXPECT_EQ(seen().size(), 400u);
}

// Two connections take turns with caches so small that frames are written before their commit, and
// roll back half of it: what the one has left behind must not come over what the other commits.
TEST_F(LogVfs, HoldsWhatWasCommittedWhoeverWritesAndWhateverIsRolledBack) {
  Random random(4711);
  Rows rows;
  Connection one = opened(10);
  Connection two = opened(2000);
  for (int turn = 0; turn < 300 && !HasFailure(); ++turn) {
    transaction(random.chance(1, 2) ? one : two, random, rows);
    ASSERT_EQ(seen(), rows) << "turn " << turn;
    if (random.chance(1, 10)) run(one, "PRAGMA wal_checkpoint(PASSIVE)");
    if (random.chance(1, 40)) run(two, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (random.chance(1, 30)) one = opened(10);
    if (random.chance(1, 20)) {
      for (Connection* db : {&one, &two}) {
        run(*db, random.chance(1, 2) ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
      }
    }
  }
  check();
}

// Mostly SQLite reads while it rolls back, and nothing is left; so it takes many turns.
TEST_F(LogVfs, ForgetsWhatWasRolledBackBeforeSomebodyElseWritesThere) {
  Random random(815);
  Connection one = opened(10);
  Connection two = opened(2000);
  Rows rows;
  for (int turn = 0; turn < 250; ++turn) {
    Rows ignored;
    run(one, "BEGIN IMMEDIATE");
    change(one, random, ignored);
    run(one, "ROLLBACK");
    run(two, "BEGIN IMMEDIATE");
    change(two, random, rows);
    run(two, "COMMIT");
    EXPECT_EQ(*one.query_integer("SELECT count(*) FROM t"), std::ssize(rows));
    ASSERT_EQ(seen(), rows) << "turn " << turn;
    if (turn % 50 == 49) run(two, "PRAGMA wal_checkpoint(TRUNCATE)");
  }
  check();
}

// Whatever fails, a commit that says no is not there and one that says yes is.
TEST_F(LogVfs, FailsTheCommitWhoseFramesCannotBeWritten) {
  FaultVfs disk;
  Connection db = opened(10);
  Random random(7);
  Rows rows;
  transaction(db, random, rows);
  for (std::uint64_t k = 1; k < 80; ++k) {
    Rows after = rows;
    disk.fail_at(k, k % 2 == 0 ? Fault::kShortWrite : Fault::kIo, false);
    static_cast<void>(db.exec("BEGIN IMMEDIATE"));
    for (int key = 0; key < 60; ++key) {
      const std::string value(2000, static_cast<char>('a' + (k + key) % 26));
      const std::string sql =
          "INSERT OR REPLACE INTO t VALUES (" + std::to_string(key) + ", '" + value + "')";
      if (!db.autocommit() && db.exec(sql).ok()) after[key] = value;
    }
    const bool whole = !db.autocommit() && db.exec("COMMIT").ok();
    if (!whole && !db.autocommit()) static_cast<void>(db.exec("ROLLBACK"));
    disk.heal();
    if (whole) rows = after;
    ASSERT_EQ(seen(), rows) << "at operation " << k;
  }
  check();
}

// SQLite forgets an error of a read; the frames that were lost with it must not be.
TEST(LogFrames, SayNoToAllAfterAFailedWriteUntilTheLockIsGivenUp) {
  static int result = SQLITE_OK;
  sqlite3_io_methods methods{};
  methods.xWrite = [](sqlite3_file*, const void*, int, sqlite3_int64) { return result; };
  sqlite3_file file{&methods};
  const char bytes[512] = {};
  char read[64];
  sqlite::LogFrames frames;
  ASSERT_EQ(frames.write(&file, bytes, 32, 0), SQLITE_OK);  // the log's header
  ASSERT_EQ(frames.write(&file, bytes, 24, 32), SQLITE_OK);
  ASSERT_EQ(frames.write(&file, bytes, 512, 56), SQLITE_OK);
  result = SQLITE_IOERR_WRITE;
  EXPECT_EQ(frames.read(&file, read, sizeof read, 0), SQLITE_IOERR_WRITE);
  result = SQLITE_OK;
  EXPECT_EQ(frames.write(&file, bytes, 24, 568), SQLITE_IOERR_WRITE);
  EXPECT_EQ(frames.flush(&file), SQLITE_IOERR_WRITE);
  frames.forget();
  EXPECT_EQ(frames.write(&file, bytes, 24, 32), SQLITE_OK);
  EXPECT_EQ(frames.flush(&file), SQLITE_OK);
}

TEST_F(LogVfs, IsKnownToTheProcessOnlyWhileItOpens) {
  Connection db = opened(100);
  for (const sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr); vfs != nullptr; vfs = vfs->pNext) {
    EXPECT_FALSE(std::string(vfs->zName).starts_with("phlower")) << vfs->zName;
  }
}

}  // namespace
}  // namespace phlower
