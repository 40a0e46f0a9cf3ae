// What killed engines leave in a data folder, and what the next start makes of it.
#include "phlower/segment/leftovers.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::SegmentRig;

TEST(SegmentFileName, IsReadToTheLetter) {
  const auto rows = SegmentFamily::kRows;
  const auto details = SegmentFamily::kDetails;
  EXPECT_EQ(*read_segment_name("inv-1.db"), (SegmentFileName{rows, 1, false, ""}));
  EXPECT_EQ(*read_segment_name("det-20.db-wal"), (SegmentFileName{details, 20, false, "-wal"}));
  EXPECT_EQ(*read_segment_name("inv-3.db.tmp"), (SegmentFileName{rows, 3, true, ""}));
  EXPECT_EQ(*read_segment_name("inv-3.db.tmp-shm"), (SegmentFileName{rows, 3, true, "-shm"}));
  for (const char* other :
       {"", "inv", "inv-", "inv-.db", "inv-0.db", "inv--1.db", "inv-01.db", "inv-1.db2", "inv-1",
        "inv-1.db.tmp2", "inv-1.db-wal.tmp", "inv-1.db-walx", "xinv-1.db", "inv_1.db", "meta.db",
        "meta.db-wal", "pins", "inv-99999999999999999999.db"}) {
    EXPECT_FALSE(read_segment_name(other)) << other;
  }
}

class SegmentLeftovers : public ::testing::Test, protected SegmentRig {
 protected:
  std::string folder() const { return options.store.path; }
  void leave(const std::string& name, const std::string& bytes = "something") {
    std::ofstream(folder() + "/" + name) << bytes;
  }
  std::set<std::string> names(const std::string& under = "") const {
    std::set<std::string> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder() + under, none)) {
      found.insert(entry.path().filename());
    }
    return found;
  }
  // What a segment's own log is called at rest is no leftover.
  void start_with_rows() {
    ASSERT_TRUE(open().ok());
    put_many(0, 250, now() - 60);
    tend();
    store.reset();
  }
};

TEST_F(SegmentLeftovers, OfSegmentsThatWereBeingMadeGoWithAllThatStandsBesideThem) {
  start_with_rows();
  const auto before = names();
  for (const char* name : {"inv-77.db.tmp", "inv-77.db.tmp-wal", "inv-77.db.tmp-shm",
                           "inv-77.db.tmp-journal", "det-78.db.tmp-wal"}) {
    leave(name);
  }
  leave("notes.tmp");
  leave("inv-1.db.tmp.mine");
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(get(testing::uuid_of(7)));
  store.reset();
  auto after = before;
  after.insert({"notes.tmp", "inv-1.db.tmp.mine"});
  EXPECT_EQ(names(), after) << "somebody's own files stay";
  EXPECT_TRUE(names("/quarantine").empty());
}

TEST_F(SegmentLeftovers, LogsWithoutAFileGoWhereTheyHoldNothingAndAreKeptWhereTheyMay) {
  start_with_rows();
  const auto before = names();
  leave("inv-77.db-wal", "");
  leave("inv-77.db-shm");
  leave("det-78.db-journal", "");
  leave("det-79.db-wal", "rows, perhaps");
  ASSERT_TRUE(open().ok());
  store.reset();
  auto after = before;
  after.insert("quarantine");
  EXPECT_EQ(names(), after);
  EXPECT_EQ(names("/quarantine"), std::set<std::string>{"det-79.db-wal"});
}

TEST_F(SegmentLeftovers, LogsOfASegmentThatHasExpiredGoWithIt) {
  start_with_rows();
  std::int64_t sealed = 0;
  {
    auto catalog = Catalog::open(folder(), false);
    ASSERT_TRUE(catalog.ok());
    for (const SegmentInfo& info : catalog->segments()) {
      const bool rows = info.family == SegmentFamily::kRows;
      if (rows && info.state == SegmentState::kSealed) sealed = info.seq;
    }
  }
  ASSERT_GT(sealed, 0);
  const std::string file = segment_name(SegmentFamily::kRows, sealed);
  // Its engine was killed between the file and what stands beside it.
  std::filesystem::remove(folder() + "/" + file);
  leave(file + "-wal");
  clock.advance(Hours(150));
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(names().contains(file + "-wal"));
  EXPECT_TRUE(names("/quarantine").empty());
}

TEST_F(SegmentLeftovers, TheLogOfASegmentThatSomebodyTookIsKept) {
  start_with_rows();
  const std::string file = segment_name(SegmentFamily::kRows, 77);
  {
    auto catalog = Catalog::open(folder(), true);
    ASSERT_TRUE(catalog.ok());
    SegmentInfo info;
    info.seq = 77;
    info.rows = 5;
    ASSERT_TRUE(catalog->apply({Move::kMake, info}).ok());
    ASSERT_TRUE(catalog->apply({Move::kTakeLate, info}).ok());
  }
  leave(file + "-wal", "rows, perhaps");
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(names("/quarantine"), std::set<std::string>{file + "-wal"});
}

TEST(PinFile, HasTheModeOfTheFilesOfItsFolderWhoeverMakesIt) {
  const testing::TempDir dir;
  const mode_t before = ::umask(0);
  for (const mode_t folder : {0750, 0700, 0755}) {
    const std::string path = dir / ("f" + std::to_string(folder));
    ASSERT_TRUE(make_folder(path, folder).ok());
    RemoveJob job({{1, path + "/inv-1.db", false}}, pin_file_of(path));
    ASSERT_TRUE(job.step().ok());
    struct ::stat info {};
    ASSERT_EQ(::stat((path + "/pins").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, file_mode_in(path)) << std::oct << folder;
  }
  ::umask(before);
}

}  // namespace
}  // namespace phlower
