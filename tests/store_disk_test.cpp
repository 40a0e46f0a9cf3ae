// The log, the free pages, a full disk and other processes' locks.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"
#include "support/purge_rig.hpp"
#include "support/small_disk.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::kNow;
using testing::open_db;
using testing::TempDir;

constexpr RingId kOldRing{4, 5, 6};

struct StoreRig {
  explicit StoreRig(const std::string& folder = {}, bool reclaim = true) {
    options.path = folder.empty() ? dir / "history.db" : folder + "/history.db";
    options.cache_bytes = 1 << 20;
    options.reclaim = reclaim;
    auto opened = SingleStore::open(options, RetentionOptions());
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    if (opened.ok()) store = *std::move(opened);
  }

  /// One transaction of `rows` records of about 1 KiB, and how many there are as a position.
  Status write(int rows, double finished_at = kNow) {
    if (Status status = store->begin(); !status.ok()) return status;
    const Status status = fill(rows, finished_at);
    if (!status.ok()) {
      store->rollback();
      return status;
    }
    if (Status committed = store->commit(); !committed.ok()) return committed;
    written += rows;
    return Status();
  }
  Status fill(int rows, double finished_at) {
    for (int i = written; i < written + rows; ++i) {
      Record record = a_record("task-" + std::to_string(i), finished_at);
      record.traceback.assign(900, 'x');
      if (Status status = store->upsert(record.view()).status(); !status.ok()) return status;
    }
    const auto done = static_cast<std::uint64_t>(written + rows);
    return store->save_positions({kOldRing, {}, {{0, done, done}}});
  }

  CheckpointReport checkpoint() {
    const auto report = store->checkpoint();
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : CheckpointReport();
  }
  std::uint64_t file_bytes(const char* suffix = "") const {
    std::error_code missing;
    const auto bytes = std::filesystem::file_size(options.path + suffix, missing);
    return missing ? 0 : bytes;
  }
  void expect_whole() {
    auto db = open_db(options.path);
    EXPECT_EQ(testing::integrity(db), "ok");
    EXPECT_EQ(*db.query_integer("SELECT count(*) FROM invocations"), written);
    const auto positions = store->load_positions(kOldRing);
    ASSERT_TRUE(positions.ok());
    ASSERT_EQ(positions->lanes.size(), 1u);
    EXPECT_EQ(positions->lanes[0].delivered, static_cast<std::uint64_t>(written));
  }

  TempDir dir{"/dev/shm"};
  StoreOptions options;
  std::unique_ptr<SingleStore> store;
  int written = 0;
};

// -- The log ----------------------------------------------------------------------------------

TEST(StoreCheckpoint, MovesTheWholeLogAndStartsItAnew) {
  StoreRig rig;
  rig.checkpoint();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(rig.write(10).ok());
  const std::uint64_t before = rig.store->wal_bytes();
  EXPECT_GT(before, 20u * 4096);
  EXPECT_LE(before, rig.file_bytes("-wal"));
  const CheckpointReport report = rig.checkpoint();
  EXPECT_GT(report.frames, 20u);
  EXPECT_EQ(report.backfilled, report.frames);
  EXPECT_TRUE(report.reset);
  EXPECT_FALSE(report.busy);
  EXPECT_EQ(rig.store->wal_bytes(), 0u);
  EXPECT_EQ(rig.store->wal_bytes_max(), before);
  ASSERT_TRUE(rig.write(10).ok());
  EXPECT_LT(rig.store->wal_bytes(), before);
  rig.expect_whole();
}

TEST(StoreCheckpoint, KnowsTheSizeOfTheLog) {
  StoreRig rig;
  ASSERT_TRUE(rig.write(50).ok());
  EXPECT_EQ(rig.store->wal_bytes(), rig.file_bytes("-wal"));
  ASSERT_TRUE(rig.write(50).ok());
  EXPECT_EQ(rig.store->wal_bytes(), rig.file_bytes("-wal"));
}

TEST(StoreCheckpoint, NeverHappensByItself) {
  StoreRig rig;
  rig.checkpoint();
  const std::uint64_t file = rig.file_bytes();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(rig.write(64).ok());
  EXPECT_GT(rig.file_bytes("-wal"), 1200u * 4096);  // SQLite's own begins at 1000 pages
  EXPECT_EQ(rig.file_bytes(), file);
}

TEST(StoreCheckpoint, IsHeldUpByAReaderAndDoneAfterIt) {
  StoreRig rig;
  rig.checkpoint();
  ASSERT_TRUE(rig.write(10).ok());
  auto reader = open_db(rig.options.path, sqlite::Access::kReadOnly);
  testing::exec(reader, "BEGIN");
  ASSERT_EQ(*reader.query_integer("SELECT count(*) FROM invocations"), 10);
  ASSERT_TRUE(rig.write(10).ok());
  const CheckpointReport held = rig.checkpoint();
  EXPECT_LT(held.backfilled, held.frames);
  EXPECT_FALSE(held.reset);
  EXPECT_GT(rig.store->wal_bytes(), 0u);
  EXPECT_EQ(*reader.query_integer("SELECT count(*) FROM invocations"), 10);
  testing::exec(reader, "COMMIT");
  const CheckpointReport free = rig.checkpoint();
  EXPECT_EQ(free.backfilled, free.frames);
  EXPECT_TRUE(free.reset);
  EXPECT_EQ(rig.store->wal_bytes(), 0u);
}

TEST(StoreCheckpoint, DoesNotStartTheLogAnewUnderAReader) {
  StoreRig rig;
  ASSERT_TRUE(rig.write(10).ok());
  auto reader = open_db(rig.options.path, sqlite::Access::kReadOnly);
  testing::exec(reader, "BEGIN");
  ASSERT_EQ(*reader.query_integer("SELECT count(*) FROM invocations"), 10);
  const CheckpointReport held = rig.checkpoint();  // it reads the newest: all can be moved
  EXPECT_EQ(held.backfilled, held.frames);
  EXPECT_FALSE(held.reset);
  testing::exec(reader, "COMMIT");
  EXPECT_TRUE(rig.checkpoint().reset);
}

TEST(StoreCheckpoint, WaitsForNoWriter) {
  testing::FaultVfs watch;
  StoreRig rig;
  ASSERT_TRUE(rig.write(10).ok());
  auto other = open_db(rig.options.path);
  testing::exec(other, "BEGIN IMMEDIATE");
  const std::uint64_t sleeps = watch.sleeps();
  const CheckpointReport report = rig.checkpoint();
  EXPECT_EQ(report.backfilled, report.frames);
  EXPECT_FALSE(report.reset);
  EXPECT_EQ(watch.sleeps(), sleeps);
  testing::exec(other, "ROLLBACK");
  EXPECT_TRUE(rig.checkpoint().reset);
}

TEST(StoreCheckpoint, KeepsTheLogBoundedOverManyTransactions) {
  StoreRig rig;
  constexpr std::uint64_t kSoft = 256 << 10;
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(rig.write(8).ok());
    if (rig.store->wal_bytes() >= kSoft) rig.checkpoint();
  }
  EXPECT_GE(rig.store->wal_bytes_max(), kSoft);
  EXPECT_LT(rig.store->wal_bytes_max(), kSoft + (256 << 10));
  EXPECT_LT(rig.file_bytes("-wal"), kSoft + (256 << 10));
  rig.expect_whole();
}

TEST(StoreCheckpoint, IsRefusedInsideATransaction) {
  StoreRig rig;
  ASSERT_TRUE(rig.store->begin().ok());
  EXPECT_EQ(rig.store->checkpoint().status().code(), Code::kInternal);
}

// -- Free pages -------------------------------------------------------------------------------

void purge_all(StoreRig& rig, double now) {
  for (bool more = true; more;) {
    ASSERT_TRUE(rig.store->begin().ok());
    const auto report = rig.store->purge_some(testing::PurgeRig::at(now), 256);
    ASSERT_TRUE(report.ok()) << report.status().message();
    ASSERT_TRUE(rig.store->commit().ok());
    more = report->more;
  }
}

TEST(StoreReclaim, ShrinksTheFileInSteps) {
  StoreRig rig;
  ASSERT_TRUE(rig.store->can_reclaim());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(rig.write(100, kNow - 200 * 3600).ok());
  ASSERT_TRUE(rig.write(100).ok());
  purge_all(rig, kNow);
  rig.checkpoint();
  const std::uint64_t full = rig.file_bytes();
  const std::uint64_t free = rig.store->free_pages();
  ASSERT_GT(free, 200u);
  std::uint64_t given = 0;
  for (std::uint64_t left = free; left > 0;) {
    const auto step = rig.store->reclaim_some(16);
    ASSERT_TRUE(step.ok()) << step.status().message();
    EXPECT_EQ(step->pages, std::min<std::uint64_t>(16, left));
    EXPECT_EQ(step->pages_left, left - step->pages);
    EXPECT_EQ(rig.store->free_pages(), step->pages_left);
    given += step->pages;
    ASSERT_LT(step->pages_left, left);
    left = step->pages_left;
    rig.checkpoint();
    // Pages of the map of pages go too.
    EXPECT_LE(rig.file_bytes(), full - given * 4096);
  }
  EXPECT_EQ(given, free);
  const auto nothing = rig.store->reclaim_some(16);
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing->pages, 0u);
  auto db = open_db(rig.options.path);
  EXPECT_EQ(testing::integrity(db), "ok");
  EXPECT_EQ(*db.query_integer("SELECT count(*) FROM invocations"), 100);
}

TEST(StoreReclaim, SaysWhatIsNeededWhereTheFileCannot) {
  const StoreRig rig({}, false);
  EXPECT_FALSE(rig.store->can_reclaim());
  const auto refused = rig.store->reclaim_some(16);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kUnsupported);
  const std::string text(refused.status().message());
  EXPECT_TRUE(text.starts_with(rig.options.path)) << text;
  for (const char* word : {"auto_vacuum = INCREMENTAL", "VACUUM", "twice the file's size"}) {
    EXPECT_NE(text.find(word), std::string::npos) << text;
  }
  EXPECT_FALSE(rig.store->in_transaction());
}

TEST(StoreReclaim, UsesWhatTheFileWasMadeWith) {
  for (const bool incremental : {true, false}) {
    TempDir dir("/dev/shm");
    testing::BacklogPlan plan;
    plan.auto_vacuum = incremental;
    ASSERT_TRUE(testing::BacklogMaker::make(dir / "made.db", plan).ok());
    EXPECT_EQ(testing::open_store(dir / "made.db")->can_reclaim(), incremental);
  }
}

// -- A full disk ------------------------------------------------------------------------------

constexpr int kCannotMount = 77;

// Fills a disk of 2 MiB, of which a file of somebody else has 1 MiB.
void fill_the_disk(const std::string& disk) {
  const std::string filler = disk + "/filler";
  std::ofstream(filler) << std::string(1 << 20, 'f') << std::flush;
  StoreRig rig(disk);
  Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) status = rig.write(20, kNow - 200 * 3600);
  ASSERT_EQ(code_name(status.code()), "disk_full") << status.message();
  EXPECT_NE(status.message().find("history.db"), std::string::npos);
  EXPECT_FALSE(rig.store->in_transaction());
  rig.expect_whole();
  // It stays full, however often one tries, and nothing gets lost or comes twice.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(code_name(rig.write(20).code()), "disk_full");
    const auto checkpoint = rig.store->checkpoint();
    if (!checkpoint.ok()) {
      EXPECT_EQ(code_name(checkpoint.status().code()), "disk_full");
    }
  }
  rig.expect_whole();
  std::filesystem::remove(filler);
  for (int i = 0; i < 3; ++i) {
    const Status again = rig.write(20);
    EXPECT_TRUE(again.ok()) << again.message();
  }
  rig.expect_whole();
  EXPECT_TRUE(rig.checkpoint().reset);
  purge_all(rig, kNow);
  auto db = open_db(rig.options.path);
  EXPECT_EQ(*db.query_integer("SELECT count(*) FROM invocations"), 60);
}

TEST(StoreDiskFull, TakesItAllBackAndGoesOnWhenThereIsRoom) {
  const TempDir folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!testing::mount_small_disk(folder.path(), "2m")) ::_exit(kCannotMount);
    fill_the_disk(folder.path());
    std::fflush(nullptr);
    ::_exit(HasFailure() ? 1 : 0);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  ASSERT_TRUE(WIFEXITED(ended)) << ended;
  if (WEXITSTATUS(ended) == kCannotMount) GTEST_SKIP() << "mounts are not allowed here";
  EXPECT_EQ(WEXITSTATUS(ended), 0);
}

// -- Locks of others --------------------------------------------------------------------------

TEST(StoreBusy, IsToldAtOnceAndGoesOnByItself) {
  testing::FaultVfs watch;
  StoreRig rig;
  ASSERT_TRUE(rig.write(10).ok());
  auto other = open_db(rig.options.path);
  testing::exec(other, "BEGIN IMMEDIATE");
  const std::uint64_t sleeps = watch.sleeps();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(code_name(rig.store->begin().code()), "busy");
    EXPECT_FALSE(rig.store->in_transaction());
    EXPECT_EQ(code_name(rig.store->forget_ring(kOldRing).code()), "busy");
    EXPECT_EQ(code_name(rig.store->reclaim_some(1).status().code()), "busy");
  }
  EXPECT_EQ(watch.sleeps(), sleeps) << "it has waited";
  testing::exec(other, "COMMIT");
  ASSERT_TRUE(rig.write(10).ok());
  rig.expect_whole();
}

TEST(StoreBusy, IsNotCausedByReaders) {
  StoreRig rig;
  ASSERT_TRUE(rig.write(10).ok());
  auto reader = open_db(rig.options.path, sqlite::Access::kReadOnly);
  testing::exec(reader, "BEGIN");
  ASSERT_EQ(*reader.query_integer("SELECT count(*) FROM invocations"), 10);
  ASSERT_TRUE(rig.write(10).ok());
  purge_all(rig, kNow + 500 * 3600);
  EXPECT_EQ(*reader.query_integer("SELECT count(*) FROM invocations"), 10);
}

TEST(StoreBusy, DoesNotComeOnceATransactionHasBegun) {
  StoreRig rig;
  ASSERT_TRUE(rig.write(10).ok());
  auto other = open_db(rig.options.path);
  ASSERT_TRUE(rig.store->begin().ok());
  EXPECT_FALSE(other.exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(rig.fill(10, kNow).ok());
  ASSERT_TRUE(rig.store->commit().ok());
  rig.written += 10;
  testing::exec(other, "BEGIN IMMEDIATE; ROLLBACK");
  rig.expect_whole();
}

}  // namespace
}  // namespace phlower
