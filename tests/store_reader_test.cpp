// Reading a database, whoever has it open, by whatever name, and whatever a crash left beside it:
// the answer is a state that was committed, or says in words why there is none.
#include "phlower/sqlite/open_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "support/other_process.hpp"
#include "support/temp_dir.hpp"

namespace phlower::reader_test {
namespace {

namespace fs = std::filesystem;
using sqlite::Access;
using sqlite::Connection;
using ::testing::HasSubstr;
using testing::OtherProcess;
using testing::TempDir;

constexpr int kAccounts = 400;
constexpr const char* kSum = "SELECT sum(amount) FROM account";

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Connection opened(const std::string& path) {
  auto db = Connection::open(path, Access::kCreate);
  EXPECT_TRUE(db.ok()) << db.status().message();
  static_cast<void>(sqlite::set_busy_timeout(*db, 20'000));
  return *std::move(db);
}
void exec(Connection& db, const std::string& sql) {
  const Status status = db.exec(sql);
  ASSERT_TRUE(status.ok()) << status.message();
}

/// A file of some pages whose amounts have the sum 0 in every state that was ever committed.
void make_bank(const std::string& path, const std::string& mode) {
  Connection db = opened(path);
  exec(db, "PRAGMA page_size = 512; PRAGMA synchronous = OFF; PRAGMA journal_mode = " + mode);
  exec(db, "CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, pad TEXT)");
  exec(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
               std::to_string(kAccounts) +
               ") INSERT INTO account SELECT i, 0, printf('%.*c', 100, 'x') FROM n");
}
/// One transaction over all pages of the file, with a cache too small for it.
bool transfer(Connection& db, int round, bool commit = true) {
  const std::string change = std::to_string(round % 7 + 1);
  return db
      .exec("BEGIN IMMEDIATE; UPDATE account SET amount = amount + CASE WHEN id % 2 THEN " +
            change + " ELSE -" + change + " END" + (commit ? "; COMMIT" : ""))
      .ok();
}
void set_up_writer(Connection& db, const std::string& mode) {
  static_cast<void>(db.exec("PRAGMA cache_size = 4; PRAGMA synchronous = OFF"));
  static_cast<void>(db.exec("PRAGMA wal_autocheckpoint = 40; PRAGMA journal_mode = " + mode));
}

class OpenReader : public ::testing::Test {
 protected:
  /// Names, bytes and times of everything in the folder, and of the folder.
  std::map<std::string, std::string> picture() {
    std::map<std::string, std::string> seen;
    struct ::stat info {};
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path())) {
      if (!entry.is_regular_file()) continue;
      ::stat(entry.path().c_str(), &info);
      seen[entry.path().string()] = std::to_string(info.st_mtim.tv_nsec) + bytes_of(entry.path());
    }
    ::stat(dir_.path().c_str(), &info);
    seen["."] = std::to_string(info.st_mtim.tv_nsec);
    return seen;
  }
  void expect_refused(const std::string& path, Code code, const std::string& word) {
    const auto db = open_reader(path);
    ASSERT_FALSE(db.ok()) << path;
    EXPECT_EQ(code_name(db.status().code()), code_name(code)) << db.status().message();
    EXPECT_THAT(std::string(db.status().message()), HasSubstr(path));
    EXPECT_THAT(std::string(db.status().message()), HasSubstr(word));
  }
  std::int64_t ask(const std::string& path, const std::string& sql = kSum) {
    auto db = open_reader(path);
    EXPECT_TRUE(db.ok()) << db.status().message();
    if (!db.ok()) return -1;
    const auto answer = db->query_integer(sql);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return answer.ok() ? *answer : -1;
  }
  /// What a process leaves that is killed in the middle of a transaction, after one that it
  /// committed.
  void kill_in_transaction(const std::string& mode) {
    make_bank(path_, mode);
    OtherProcess writer([&](const OtherProcess::Talk& talk) {
      Connection db = opened(path_);
      set_up_writer(db, mode);
      const bool done = db.exec("PRAGMA wal_autocheckpoint = 0").ok() && transfer(db, 1) &&
                        transfer(db, 2, /*commit=*/false);
      talk.ready();
      while (!talk.told_to_end()) ::usleep(1000);
      return done;
    });
    ASSERT_TRUE(writer.is_ready());
    EXPECT_EQ(writer.kill_it(), 128 + SIGKILL);
  }

  TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "bank.db";
};

class BesideAWriter : public OpenReader, public ::testing::WithParamInterface<const char*> {};

TEST_P(BesideAWriter, SeesOnlyWhatWasCommittedByEveryName) {
  const std::string mode = GetParam();
  make_bank(path_, mode);
  fs::create_directory(dir_ / "elsewhere");
  fs::create_symlink(path_, dir_ / "elsewhere/link.db");
  fs::create_directory_symlink(dir_.path(), dir_ / "elsewhere/folder");
  OtherProcess writer([&](const OtherProcess::Talk& talk) {
    Connection db = opened(path_);
    set_up_writer(db, mode);
    talk.ready();
    for (int round = 0; !talk.told_to_end(); ++round) {
      if (!transfer(db, round)) return false;
      ::usleep(500);
      if (round % 20 == 19) {  // it goes, and comes again
        db = Connection();
        db = opened(path_);
        set_up_writer(db, mode);
      }
    }
    return true;
  });
  ASSERT_TRUE(writer.is_ready());
  const std::string names[] = {path_, dir_ / "elsewhere/link.db", dir_ / "elsewhere/folder/bank.db",
                               dir_ / "elsewhere/../bank.db", dir_.path().string() + "//bank.db"};
  int answers = 0;
  for (int i = 0; i < 150; ++i) {
    auto db = open_reader(names[i % 5]);
    const auto sum = db.ok() ? db->query_integer(kSum) : Result<std::int64_t>(db.status());
    if (sum.ok()) {
      ++answers;
      ASSERT_EQ(*sum, 0) << names[i % 5];
      continue;
    }
    const Code code = sum.status().code();
    ASSERT_TRUE(code == Code::kBusy || code == Code::kReload) << sum.status().message();
  }
  EXPECT_GT(answers, 50);
  EXPECT_EQ(writer.end(), 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, BesideAWriter,
                         ::testing::Values("DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_F(OpenReader, NamesWhoHasTheFileForHimself) {
  for (const char* mode : {"DELETE", "WAL"}) {
    fs::remove(path_);
    make_bank(path_, mode);
    OtherProcess owner([&](const OtherProcess::Talk& talk) {
      Connection db = opened(path_);
      const bool own = db.exec("PRAGMA locking_mode = EXCLUSIVE").ok() && transfer(db, 1);
      talk.ready();
      while (!talk.told_to_end()) ::usleep(1000);
      return own;
    });
    ASSERT_TRUE(owner.is_ready());
    expect_refused(path_, Code::kBusy, "pid " + std::to_string(owner.pid()));
    EXPECT_EQ(owner.end(), 0);
    EXPECT_EQ(ask(path_), 0) << mode;
  }
}

TEST_F(OpenReader, LeavesNoTraceOfALookAtAFileAtRest) {
  for (const char* mode : {"DELETE", "WAL"}) {
    fs::remove(path_);
    make_bank(path_, mode);
    const auto before = picture();
    EXPECT_EQ(ask(path_, "SELECT count(*) FROM account"), kAccounts);
    EXPECT_TRUE(picture() == before) << mode;
  }
}

TEST_F(OpenReader, SeesWhatIsInTheLogOfAKilledProcessThroughALink) {
  kill_in_transaction("WAL");
  fs::remove(path_ + "-shm");  // as after a start of the machine
  fs::create_directory(dir_ / "elsewhere");
  fs::create_symlink("../bank.db", dir_ / "elsewhere/link.db");
  const auto before = picture();
  for (const std::string& name : {path_, dir_ / "elsewhere/link.db"}) {
    EXPECT_EQ(ask(name, "SELECT count(*) FROM account WHERE abs(amount) = 2"), kAccounts) << name;
  }
  EXPECT_TRUE(picture() == before);
}

TEST_F(OpenReader, ReadsPastAHalfTransactionAndLeavesTheRollBackToAWriter) {
  for (const char* mode : {"DELETE", "TRUNCATE", "PERSIST"}) {
    for (const char* side : {"", "-journal"}) fs::remove(path_ + side);
    kill_in_transaction(mode);
    ASSERT_GT(fs::file_size(path_ + "-journal"), 512u);
    const auto before = picture();
    auto db = open_reader(path_);
    ASSERT_TRUE(db.ok()) << db.status().message();
    for (int again = 0; again < 2; ++again) {
      EXPECT_EQ(*db->query_integer("SELECT count(*) FROM account WHERE abs(amount) = 2"),
                kAccounts);
      EXPECT_EQ(*db->query_integer(kSum), 0);
      EXPECT_EQ(*db->query_text("PRAGMA integrity_check"), "ok");
    }
    EXPECT_TRUE(picture() == before) << mode;
    // Whoever writes does not wait for the reader, and the reader notices.
    Connection writer = opened(path_);
    static_cast<void>(sqlite::set_busy_timeout(writer, 0));
    EXPECT_TRUE(transfer(writer, 1)) << mode;
    EXPECT_TRUE(sqlite::is_stale(*db)) << mode;
  }
}

TEST_F(OpenReader, SaysThatItIsTooLateWhenSomebodyWritesDuringALook) {
  make_bank(path_, "WAL");
  auto db = open_reader(path_);
  ASSERT_TRUE(db.ok()) << db.status().message();
  ASSERT_TRUE(db->exec("PRAGMA cache_size = 1").ok());
  EXPECT_EQ(*db->query_integer(kSum), 0);
  EXPECT_FALSE(sqlite::is_stale(*db));
  auto select = db->prepare("SELECT id, amount FROM account ORDER BY id");
  ASSERT_TRUE(*select->step());
  Connection writer = opened(path_);
  set_up_writer(writer, "WAL");
  ASSERT_TRUE(transfer(writer, 3)) << "a look hinders nobody";
  Result<bool> more = true;
  while (more.ok() && *more) more = select->step();
  ASSERT_FALSE(more.ok()) << "pages of two states were read";
  EXPECT_EQ(more.status().code(), Code::kReload);
  EXPECT_THAT(std::string(more.status().message()), HasSubstr("ask again"));
  EXPECT_TRUE(sqlite::is_stale(*db));
  EXPECT_EQ(ask(path_, "SELECT count(*) FROM account WHERE abs(amount) = 4"), kAccounts);
}

TEST_F(OpenReader, RefusesANameThatTheLogDoesNotLieBeside) {
  make_bank(path_, "WAL");
  fs::create_directory(dir_ / "elsewhere");
  fs::create_hard_link(path_, dir_ / "other.db");
  fs::create_hard_link(path_, dir_ / "elsewhere/other.db");
  EXPECT_EQ(ask(dir_ / "other.db"), 0) << "at rest all is in the file";
  OtherProcess writer([&](const OtherProcess::Talk& talk) {
    Connection db = opened(path_);
    const bool done = transfer(db, 1);
    talk.ready();
    while (!talk.told_to_end()) ::usleep(1000);
    return done;
  });
  ASSERT_TRUE(writer.is_ready());
  expect_refused(dir_ / "other.db", Code::kUnsupported, "bank.db, another name");
  expect_refused(dir_ / "elsewhere/other.db", Code::kUnsupported,
                 "pid " + std::to_string(writer.pid()));
  EXPECT_EQ(ask(path_), 0);
  writer.kill_it();
  expect_refused(dir_ / "other.db", Code::kUnsupported, "bank.db, another name");
}

/// In a process that may not write, and not read everything: only root can become one.
class OpenReaderWithoutLeave : public OpenReader {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody who may do less";
  }
  int as_nobody(const std::function<bool()>& body) {
    constexpr uid_t kNobody = 65534;
    OtherProcess other([&](const OtherProcess::Talk&) {
      return ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0 && body();
    });
    return other.end();
  }
  void let_read() { ::chmod(dir_.path().c_str(), 0755); }
};

TEST_F(OpenReaderWithoutLeave, ReadsWhatItMayReadWhateverLiesBeside) {
  let_read();
  kill_in_transaction("WAL");
  for (const char* without : {"", "-shm", "-wal"}) {
    if (*without != '\0') fs::remove(path_ + without);
    const std::string amount = *without == '-' && without[1] == 'w' ? "0" : "2";
    const auto before = picture();
    EXPECT_EQ(as_nobody([&] {
                return ask(path_, "SELECT count(*) FROM account WHERE abs(amount) = " + amount) ==
                       kAccounts;
              }),
              0)
        << "without " << without;
    EXPECT_TRUE(picture() == before);
  }
  for (const char* mode : {"DELETE", "PERSIST"}) {
    fs::remove(path_);
    kill_in_transaction(mode);
    EXPECT_EQ(as_nobody([&] { return ask(path_) == 0; }), 0) << mode;
  }
}

TEST_F(OpenReaderWithoutLeave, NamesWhatMayNotBeRead) {
  let_read();
  kill_in_transaction("WAL");
  const auto refused = [&](const std::string& word) {
    return as_nobody([&] {
      expect_refused(path_, Code::kPermission, word);
      expect_refused(path_, Code::kPermission, "Permission denied");
      return !HasFailure();
    });
  };
  fs::remove(path_ + "-shm");
  ::chmod((path_ + "-wal").c_str(), 0600);
  EXPECT_EQ(refused("bank.db-wal"), 0);
  ::chmod(path_.c_str(), 0600);
  EXPECT_EQ(refused("read " + path_), 0);
  ::chmod(dir_.path().c_str(), 0700);
  EXPECT_EQ(refused(dir_.path().string() + " may not be entered"), 0);
}

TEST(RealPath, IsWhereAFileLiesOrWouldBeMade) {
  const TempDir dir;
  const std::string root = fs::canonical(dir.path()).string() + "/";
  fs::create_directories(dir / "a/b");
  std::ofstream(dir / "a/file").close();
  fs::create_symlink("a/file", dir / "link");
  fs::create_symlink("link", dir / "link2");
  fs::create_symlink("a/none", dir / "dangling");
  fs::create_symlink(root + "a", dir / "folder");
  fs::create_symlink("loop", dir / "loop");
  const std::pair<const char*, std::string> cases[] = {
      {"a/file", root + "a/file"},      {"a/../a//file", root + "a/file"},
      {"link", root + "a/file"},        {"link2", root + "a/file"},
      {"dangling", root + "a/none"},    {"folder/file", root + "a/file"},
      {"folder/none", root + "a/none"}, {"folder/b/../none", root + "a/none"},
      {"loop", dir / "loop"},           {"none/none", dir / "none/none"},
      {"folder", root + "a"},
  };
  for (const auto& [given, wanted] : cases) EXPECT_EQ(real_path(dir / given), wanted) << given;
  EXPECT_EQ(beside(dir / "link", "-wal"), root + "a/file-wal");
  EXPECT_EQ(real_path("none"), (fs::current_path() / "none").string());
}

}  // namespace
}  // namespace phlower::reader_test
