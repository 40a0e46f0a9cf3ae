// The thin layer over SQLite: what its errors become, what a message names, and how a statement is
// used again.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "phlower/sqlite/checkpoint.hpp"
#include "phlower/sqlite/pragmas.hpp"
#include "support/store_content.hpp"
#include "support/temp_dir.hpp"

namespace phlower::sqlite {
namespace {

using testing::exec;
using testing::open_db;
using testing::TempDir;

TEST(SqliteCode, TellsWhatCanPassFromWhatCannot) {
  const struct {
    int result;
    int sys_errno;
    Code code;
  } table[] = {
      {SQLITE_OK, 0, Code::kOk},
      {SQLITE_DONE, 0, Code::kOk},
      {SQLITE_BUSY, 0, Code::kBusy},
      {SQLITE_BUSY_SNAPSHOT, 0, Code::kBusy},
      {SQLITE_LOCKED, 0, Code::kBusy},
      {SQLITE_FULL, 0, Code::kDiskFull},
      {SQLITE_IOERR_WRITE, ENOSPC, Code::kDiskFull},
      {SQLITE_IOERR_WRITE, EDQUOT, Code::kDiskFull},
      {SQLITE_IOERR_FSYNC, EIO, Code::kIo},
      {SQLITE_IOERR_SHORT_READ, 0, Code::kIo},
      {SQLITE_NOMEM, 0, Code::kIo},
      {SQLITE_CORRUPT, 0, Code::kCorrupt},
      {SQLITE_CORRUPT_INDEX, 0, Code::kCorrupt},
      {SQLITE_NOTADB, 0, Code::kNotOurs},
      {SQLITE_READONLY, 0, Code::kPermission},
      {SQLITE_READONLY_DBMOVED, 0, Code::kNotFound},
      {SQLITE_CANTOPEN, ENOENT, Code::kNotFound},
      {SQLITE_CANTOPEN, EACCES, Code::kPermission},
      {SQLITE_CANTOPEN, EMFILE, Code::kIo},
      {SQLITE_CONSTRAINT_NOTNULL, 0, Code::kInvalidArgument},
      {SQLITE_TOOBIG, 0, Code::kInvalidArgument},
      {SQLITE_MISUSE, 0, Code::kInternal},
  };
  for (const auto& row : table) {
    EXPECT_EQ(code_of(row.result, row.sys_errno), row.code) << row.result << " " << row.sys_errno;
  }
}

class Sqlite : public ::testing::Test {
 protected:
  Statement prepare(Connection& db, std::string_view sql) {
    auto statement = db.prepare(sql);
    EXPECT_TRUE(statement.ok()) << statement.status().message();
    return *std::move(statement);
  }
  TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "a.db";
};

TEST_F(Sqlite, NamesFileStatementAndReasonInAnError) {
  auto db = open_db(path_, Access::kCreate);
  for (const Status& status :
       {db.exec("SELECT * FROM nowhere"), db.prepare("SELECT * FROM nowhere").status(),
        db.query_integer("SELECT * FROM nowhere").status()}) {
    EXPECT_EQ(status.message(), path_ + ": SELECT * FROM nowhere: no such table: nowhere");
    EXPECT_EQ(status.sqlite_code() & 0xff, SQLITE_ERROR);
  }
}

TEST_F(Sqlite, MakesAFileOnlyWhereAsked) {
  for (const Access access : {Access::kReadWrite, Access::kReadOnly, Access::kFrozen}) {
    EXPECT_EQ(Connection::open(path_, access).status().code(), Code::kNotFound);
    EXPECT_FALSE(std::ifstream(path_).good());
  }
  EXPECT_EQ(Connection::open(dir_ / "no/folder.db", Access::kCreate).status().code(),
            Code::kNotFound);
}

TEST_F(Sqlite, GivesTextsBackWithWhateverBytesAreInThem) {
  auto db = open_db(path_, Access::kCreate);
  exec(db, "CREATE TABLE t (a, b, c)");
  auto insert = prepare(db, "INSERT INTO t VALUES (?1, ?2, ?3)");
  const std::string odd("a\0b\xff\xfe", 5);
  insert.bind(1, std::string_view(odd));
  insert.bind(2, std::string_view());
  insert.bind_text_or_null(3, "");
  ASSERT_TRUE(insert.run().ok());
  auto select = prepare(db, "SELECT a, b, c FROM t");
  ASSERT_TRUE(*select.step());
  EXPECT_EQ(select.text(0), odd);
  EXPECT_FALSE(select.is_null(1)) << "an empty text is no NULL";
  EXPECT_TRUE(select.is_null(2));
  EXPECT_FALSE(*select.step());
}

TEST_F(Sqlite, UsesAStatementAgainAfterItsEndAndAfterAnError) {
  auto db = open_db(path_, Access::kCreate);
  exec(db, "CREATE TABLE t (a INTEGER PRIMARY KEY)");
  auto insert = prepare(db, "INSERT INTO t VALUES (?1)");
  for (const std::int64_t value : {1, 2}) {
    insert.bind(1, value);
    ASSERT_TRUE(insert.run().ok());
  }
  EXPECT_EQ(insert.run().code(), Code::kInvalidArgument) << "2 is there already";
  insert.bind(1, std::int64_t{3});
  EXPECT_TRUE(insert.run().ok());
  insert.bind(9, std::int64_t{1});
  EXPECT_EQ(insert.run().code(), Code::kInvalidArgument) << "there is no ninth parameter";
  insert.bind(1, std::int64_t{4});
  EXPECT_TRUE(insert.run().ok());
  EXPECT_EQ(*db.query_integer("SELECT sum(a) FROM t"), 10);
}

TEST_F(Sqlite, NeverWaitsForALock) {
  auto one = open_db(path_, Access::kCreate);
  exec(one, "CREATE TABLE t (a); BEGIN IMMEDIATE");
  auto two = open_db(path_);
  EXPECT_EQ(two.exec("BEGIN IMMEDIATE").code(), Code::kBusy);
  exec(one, "COMMIT");
  EXPECT_TRUE(two.exec("BEGIN IMMEDIATE").ok());
}

TEST_F(Sqlite, SetsPragmasOfAWriterAndReadsThemBack) {
  auto db = open_db(path_, Access::kCreate);
  StoreOptions options;
  ASSERT_TRUE(set_writer_pragmas(db, options).ok());
  EXPECT_EQ(*db.query_integer("PRAGMA secure_delete"), 0);
  EXPECT_EQ(*db.query_text("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(*db.query_integer("PRAGMA wal_autocheckpoint"), 0);
  EXPECT_EQ(*db.query_integer("PRAGMA synchronous"), 1);
  const Status ignored = set_pragma(db, {"page_size", "1234", "1234"});
  ASSERT_FALSE(ignored.ok());
  EXPECT_NE(ignored.message().find("page_size"), std::string_view::npos) << ignored.message();
}

TEST_F(Sqlite, FollowsTheSizeOfTheLog) {
  auto db = open_db(path_, Access::kCreate);
  ASSERT_TRUE(set_writer_pragmas(db, StoreOptions()).ok());
  WalWatch wal(db, 4096);
  exec(db, "CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))");
  const std::uint64_t before = wal.bytes();
  EXPECT_GT(before, 100'000u);
  EXPECT_EQ(before, std::filesystem::file_size(path_ + "-wal"));
  const auto report = wal.checkpoint();
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->reset);
  EXPECT_EQ(report->backfilled, report->frames);
  EXPECT_EQ(wal.bytes(), 0u);
  EXPECT_EQ(wal.bytes_max(), before);
}

}  // namespace
}  // namespace phlower::sqlite
