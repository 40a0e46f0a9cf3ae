// Whether anybody else has a database open, as SQLite's lock bytes tell it.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "phlower/sqlite/company.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

/// Forked before this process opens the file: SQLite's state must not cross a fork.
class OtherProcess {
 public:
  explicit OtherProcess(const std::string& path) {
    if (::pipe(opened_) != 0 || ::pipe(leave_) != 0) throw std::runtime_error("no pipe");
    child_ = ::fork();
    if (child_ == 0) ::_exit(keep_open(path) ? 0 : 1);
    char byte = 0;
    if (::read(opened_[0], &byte, 1) != 1) throw std::runtime_error("the child did not open");
  }
  ~OtherProcess() {
    for (const int fd : {opened_[0], opened_[1], leave_[0]}) ::close(fd);
  }
  void leave() {
    ::close(leave_[1]);
    int ended = 0;
    ::waitpid(child_, &ended, 0);
    EXPECT_EQ(ended, 0);
  }

 private:
  bool keep_open(const std::string& path) {
    ::close(leave_[1]);
    auto db = sqlite::Connection::open(path, sqlite::Access::kReadWrite);
    char byte = 1;
    return db.ok() && db->query_integer("SELECT count(*) FROM invocations").ok() &&
           ::write(opened_[1], &byte, 1) == 1 && ::read(leave_[0], &byte, 1) == 0;
  }

  int opened_[2] = {-1, -1};
  int leave_[2] = {-1, -1};
  pid_t child_ = -1;
};

TEST(Company, IsAnotherProcessThatHasTheFileOpenAndNotThisOne) {
  const testing::TempDir dir("/dev/shm");
  const std::string path = dir / "history.db";
  testing::open_store(path).reset();
  OtherProcess other(path);
  const auto store = testing::open_store(path);
  const auto second = testing::open_store(path);
  const Company company(path);
  EXPECT_TRUE(company.present()) << "idle, but it has the file open";
  other.leave();
  EXPECT_FALSE(company.present());
}

TEST(Company, IsSupposedWhereNothingCanBeSeen) {
  EXPECT_TRUE(Company("/no/such/history.db").present());
}

}  // namespace
}  // namespace phlower
