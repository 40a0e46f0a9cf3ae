// How files go: names at once, space in steps, and nothing from under whoever has a file.
#include "phlower/segment/remove_job.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_dir.hpp"

namespace phlower {
namespace {

using testing::TempDir;

class SegmentRemove : public ::testing::Test {
 protected:
  static constexpr std::int64_t kSize = 5 * Remains::kStepBytes - 100;

  void SetUp() override {
    std::ofstream(path, std::ios::binary) << std::string(kSize, 'x');
    ASSERT_EQ(std::filesystem::file_size(path), static_cast<std::uintmax_t>(kSize));
  }

  static int steps_of(KeeperJob& job) {
    for (int steps = 1;; ++steps) {
      const auto done = job.step();
      EXPECT_TRUE(done.ok()) << done.status().message();
      if (!done.ok() || *done) return steps;
    }
  }
  bool has_leases() const {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    const bool has = ::fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
    ::close(fd);
    return has;
  }
  RemoveJob removed() {
    RemoveJob job({{1, path, false}}, dir / "pins");
    EXPECT_EQ(steps_of(job), 2);
    EXPECT_TRUE(job.result(0).ok()) << job.result(0).message();
    EXPECT_FALSE(std::filesystem::exists(path));
    return job;
  }
  // All that was in the file, seen through a descriptor that was there before.
  static void expect_whole(int fd) {
    std::string text(kSize, '\0');
    ASSERT_EQ(::pread(fd, text.data(), text.size(), 0), kSize);
    EXPECT_EQ(text.find_first_not_of('x'), text.npos);
  }

  TempDir dir;
  const std::string path = dir / "17.db";
};

TEST_F(SegmentRemove, GivesTheSpaceOfALargeFileBackInSteps) {
  if (!has_leases()) GTEST_SKIP() << "this file system has no leases: files go whole";
  RemoveJob job = removed();
  ASSERT_EQ(job.remains.size(), 1u);
  FreeJob space(std::move(job.remains));
  EXPECT_EQ(steps_of(space), 5);
  EXPECT_TRUE(space.remains.empty());
}

TEST_F(SegmentRemove, TakesNothingFromAReaderThatHasTheFileOpen) {
  const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  RemoveJob job = removed();
  FreeJob space(std::move(job.remains));
  EXPECT_EQ(steps_of(space), 1);
  expect_whole(reader);
  ::close(reader);
}

TEST_F(SegmentRemove, TakesNothingFromAReaderThatHasTheFileMapped) {
  const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const mapped = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, reader, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  ::close(reader);
  RemoveJob job = removed();
  FreeJob space(std::move(job.remains));
  EXPECT_EQ(steps_of(space), 1);
  EXPECT_EQ(static_cast<const char*>(mapped)[kSize - 1], 'x') << "a bus error if it was cut";
  ::munmap(mapped, kSize);
}

TEST_F(SegmentRemove, TakesNothingFromAnotherNameOfTheFile) {
  const std::string saved = dir / "backup.db";
  std::filesystem::create_hard_link(path, saved);
  RemoveJob job = removed();
  FreeJob space(std::move(job.remains));
  EXPECT_EQ(steps_of(space), 1);
  const int fd = ::open(saved.c_str(), O_RDONLY | O_CLOEXEC);
  expect_whole(fd);
  ::close(fd);
}

TEST_F(SegmentRemove, RemovesALinkAndNotWhatItPointsTo) {
  const std::string elsewhere = dir / "elsewhere.db";
  std::filesystem::rename(path, elsewhere);
  std::filesystem::create_symlink(elsewhere, path);
  RemoveJob job = removed();
  EXPECT_TRUE(job.remains.empty());
  EXPECT_EQ(std::filesystem::file_size(elsewhere), static_cast<std::uintmax_t>(kSize));
}

// A log whose file is gone is nothing; a file whose log is gone lacks rows.
TEST_F(SegmentRemove, LeavesAFileThatIsNotAsItWasWhenItWasJudged) {
  const auto try_it = [this](std::uint64_t mark) {
    RemoveJob job({{1, path, false, mark}}, dir / "pins");
    EXPECT_EQ(steps_of(job), 2);
    EXPECT_TRUE(job.result(0).ok()) << "it leaves the history either way";
    EXPECT_EQ(job.stays(path), std::filesystem::exists(path));
    return std::filesystem::exists(path);
  };
  const std::string log = path + "-wal";
  const std::uint64_t before = file_mark(path);
  std::ofstream(path, std::ios::app) << "more";
  EXPECT_TRUE(try_it(before));
  const std::uint64_t longer = file_mark(path);
  std::ofstream(log) << "a transaction";
  EXPECT_TRUE(try_it(longer)) << "what is new may be in its log alone";
  std::ofstream(log, std::ios::trunc).flush();
  EXPECT_EQ(file_mark(path), longer) << "a reader left it";
  std::filesystem::rename(path, path + ".old");
  std::filesystem::copy_file(path + ".old", path);
  EXPECT_TRUE(try_it(longer)) << "another file of the same length";
  EXPECT_FALSE(try_it(file_mark(path)));
  EXPECT_FALSE(std::filesystem::exists(log));
  // A crash came between the file and its log.
  std::ofstream(log) << "of a file that has gone";
  EXPECT_FALSE(try_it(longer));
  EXPECT_FALSE(std::filesystem::exists(log));
}

TEST_F(SegmentRemove, TakesTheFileBeforeItsLogWhateverComesBetween) {
  std::filesystem::create_directory(path + "-wal");
  RemoveJob job({{1, path, false}}, dir / "pins");
  ASSERT_TRUE(job.step().ok());
  EXPECT_FALSE(job.result(0).ok()) << "no folder is unlinked";
  EXPECT_NE(job.result(0).message().find(path + "-wal"), std::string_view::npos);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(SegmentRemove, RemovesAFileThatItMayNotWrite) {
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  RemoveJob job = removed();
  FreeJob space(std::move(job.remains));
  EXPECT_GE(steps_of(space), 1);
}

TEST_F(SegmentRemove, RemovesWithoutADescriptorToSpare) {
  auto lock = LockFile::open(dir / "pins", O_RDWR | O_CREAT, 0666);  // so that there is the file
  ASSERT_TRUE(lock.ok());
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ::close(next);
  struct rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(next) + 1;  // one: for the file of the pins
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  RemoveJob job({{1, path, false}}, dir / "pins");
  const auto first = job.step();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(steps_of(job), 1);
  EXPECT_TRUE(job.result(0).ok()) << job.result(0).message();
  EXPECT_TRUE(job.remains.empty());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(SegmentRemove, EndsInTheMiddleWithoutHarm) {
  if (!has_leases()) GTEST_SKIP() << "this file system has no leases: files go whole";
  RemoveJob job = removed();
  FreeJob space(std::move(job.remains));
  EXPECT_FALSE(*space.step());
  EXPECT_TRUE(space.remains[0].held());
}

}  // namespace
}  // namespace phlower
