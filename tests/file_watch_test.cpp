// What becomes of a path whose file is open.
#include "phlower/ground/file_watch.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_dir.hpp"

namespace phlower {
namespace {

namespace fs = std::filesystem;

class WatchedFile : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(folder_);
    std::ofstream(path_) << "first";
  }
  void TearDown() override { fs::current_path(began_in_); }

  testing::TempDir dir_;
  const fs::path began_in_ = fs::current_path();
  const std::string folder_ = dir_ / "folder";
  const std::string path_ = folder_ + "/file";
};

TEST_F(WatchedFile, IsThereAsLongAsItsPathNamesIt) {
  const FileWatch watch(path_);
  EXPECT_TRUE(watch.look().ok());
  std::ofstream(path_, std::ios::app) << "more";
  fs::rename(folder_, folder_ + ".away");
  fs::rename(folder_ + ".away", folder_);
  EXPECT_TRUE(watch.look().ok());
}

TEST_F(WatchedFile, IsMissedWhenItWasRemoved) {
  const FileWatch watch(path_);
  fs::remove(path_);
  EXPECT_EQ(watch.look().code(), Code::kNotFound);
  EXPECT_EQ(watch.look().message(), path_ + " was removed or moved away");
}

TEST_F(WatchedFile, IsMissedWhenItsFolderWasRemovedOrIsAFileNow) {
  const FileWatch watch(path_);
  fs::remove_all(folder_);
  EXPECT_EQ(watch.look().code(), Code::kNotFound);
  std::ofstream(folder_) << "no folder";
  EXPECT_EQ(watch.look().code(), Code::kNotFound);
}

TEST_F(WatchedFile, IsMissedWhenAnotherOneHasItsName) {
  const FileWatch watch(path_);
  fs::copy_file(path_, path_ + ".copy");
  fs::rename(path_ + ".copy", path_);
  EXPECT_EQ(watch.look().code(), Code::kNotFound);
  EXPECT_EQ(watch.look().message(), path_ + " is another file than the one that was opened");
}

TEST_F(WatchedFile, IsNotMissedWhereNobodyCanLook) {
  const FileWatch watch(path_);
  fs::rename(folder_, folder_ + ".away");
  fs::create_symlink(folder_, folder_);  // round and round
  EXPECT_TRUE(watch.look().ok()) << watch.look().message();
}

TEST_F(WatchedFile, IsTheSameWhereverTheProcessGoes) {
  fs::current_path(folder_);
  const FileWatch watch("file");
  EXPECT_EQ(watch.path(), path_);
  fs::current_path(dir_.path());
  EXPECT_TRUE(watch.look().ok()) << watch.look().message();
  std::ofstream(dir_ / "file") << "another";
  EXPECT_TRUE(watch.look().ok()) << watch.look().message();
}

}  // namespace
}  // namespace phlower
