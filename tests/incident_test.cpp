// The three ways in which stores of this kind died, by the number of the change that was to save
// them. Each is replayed on a small file system of its own: it must be no incident here.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>

#include "phlower/segment/verify.hpp"
#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"
#include "support/made_backlog.hpp"
#include "support/small_disk.hpp"

namespace phlower {
namespace {

using testing::EngineRig;
using testing::TempDir;

constexpr int kCannotMount = 77;

/// Runs a body in a child that has a file system of `size` on `folder`; skips where that may not
/// be.
void on_a_small_disk(const std::string& folder, const std::string& size,
                     const std::function<void()>& body) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!testing::mount_small_disk(folder, size)) ::_exit(kCannotMount);
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  ASSERT_TRUE(WIFEXITED(ended)) << ended;
  if (WEXITSTATUS(ended) == kCannotMount) GTEST_SKIP() << "mounts are not allowed here";
  EXPECT_EQ(WEXITSTATUS(ended), 0);
}

void set_up(EngineRig& rig, const std::string& folder) {
  rig.options.store.layout = Layout::kSegmented;
  rig.options.store.path = folder + "/data";
  rig.options.store.segment_rows = 2000;
  rig.options.store.helper_thread = false;
  rig.options.store.wal_soft_bytes = 1 << 20;
  rig.options.store.wal_hard_bytes = 4 << 20;
}

std::uint64_t free_bytes(const std::string& folder) {
  struct statvfs disk {};
  return ::statvfs(folder.c_str(), &disk) == 0
             ? static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize
             : 0;
}

/// Takes room until `left` bytes are free.
void take_room(const std::string& path, const std::string& folder, std::uint64_t left) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  const std::string piece(4096, 'b');
  while (free_bytes(folder) > left) {
    if (::write(file, piece.data(), piece.size()) <= 0) break;
  }
  ::close(file);
}

/// `count` accepted records, flushed on the way.
void submit_many(EngineRig& rig, const std::string& name, int count) {
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(rig.submit(name + std::to_string(i), rig.now() - 1).ok()) << name << i;
    if (i % 100 == 99) rig.settle(30);
  }
  rig.settle(200);
}

void expect_all(EngineRig& rig, const std::string& name, int count) {
  EXPECT_TRUE(rig.engine->drained());
  auto history = rig.engine->history();
  ASSERT_TRUE(history.ok()) << history.status().message();
  for (int i = 0; i < count; ++i) {
    const auto found = history->get(name + std::to_string(i));
    ASSERT_TRUE(found.ok()) << found.status().message();
    ASSERT_TRUE(found->has_value()) << name << i;
  }
  const RingStats ring = rig.engine->ring_stats();
  EXPECT_EQ(ring.accepted, ring.delivered + ring.unread);
}

// A backlog of expired rows, and a flush that must not wait for its purge: deletions in batches of
// 50,000 held the lock for seconds. Here no row is deleted, so nothing is locked or logged for it.
TEST(Incident, pr24_batched_delete) {
  EngineRig rig;
  set_up(rig, rig.dir.path());
  rig.open();
  rig.attach();
  submit_many(rig, "old-", 10'000);
  rig.clock.advance(Hours(6));
  rig.settle(300);
  rig.clock.advance(Hours(120));
  const std::uint64_t written = rig.engine->figures().log_bytes_max;
  // The first ticks of the new day: the purge is due, and records come.
  ASSERT_TRUE(rig.submit("new-first", rig.now()).ok());
  rig.clock.advance(Milliseconds(60));
  const TickReport first = rig.engine->tick(Milliseconds(20));
  EXPECT_EQ(first.flushed, 1u) << "the flush waited for the purge";
  submit_many(rig, "new-", 500);
  expect_all(rig, "new-", 500);
  EXPECT_EQ(rig.engine->figures().purged_invocations, 10'000u);
  EXPECT_EQ(rig.engine->stats().of("purge").slices, 0u) << "rows were deleted one by one";
  EXPECT_LE(rig.engine->figures().log_bytes_max, written) << "the purge went through the log";
  EXPECT_EQ(rig.engine->counts().invocations, 501u);
}

// A file with a table for each day, and most of a disk. Dropping its tables needed a log of their
// size and held the lock for all of it. Here the file is adopted and leaves by one unlink.
TEST(Incident, pr26_drop_26gb) {
  EngineRig rig;
  const TempDir disk;
  on_a_small_disk(disk.path(), "48m", [&] {
    set_up(rig, disk.path());
    const std::string old = disk / "old.db";
    testing::BacklogPlan plan;
    plan.schema = testing::MadeSchema::kPartitioned;
    plan.legacy = true;
    plan.now = rig.now() - 130 * 3600;
    plan.details_bytes = 24'000;
    ASSERT_TRUE(testing::BacklogMaker::make(old, plan).ok());
    rig.options.store.adopt = old;
    take_room(disk / "ballast", disk.path(), 6 << 20);
    ASSERT_GT(std::filesystem::file_size(old), 2 * free_bytes(disk.path()))
        << "a DROP would have to fit";
    rig.open();
    rig.attach();
    submit_many(rig, "new-", 300);
    EXPECT_FALSE(std::filesystem::exists(old));
    EXPECT_GT(free_bytes(disk.path()), 15u << 20) << "its room is not free again";
    EXPECT_EQ(rig.engine->stats().failures, 0u);
    EXPECT_EQ(rig.engine->health().reason, "");
    expect_all(rig, "new-", 300);
  });
}

// The disk is full, by somebody else's doing: 14 hours of records were lost. Here they wait in the
// ring, what has expired goes all the same, and when there is room everything goes on by itself.
TEST(Incident, pr27_disk_full) {
  EngineRig rig;
  const TempDir disk;
  on_a_small_disk(disk.path(), "24m", [&] {
    set_up(rig, disk.path());
    rig.open();
    rig.attach();
    submit_many(rig, "old-", 12'000);
    rig.clock.advance(Hours(6));
    rig.settle(300);
    take_room(disk / "ballast", disk.path(), 0);
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(rig.submit("waits-" + std::to_string(i), rig.now()).ok());
    }
    rig.settle(100);
    EXPECT_FALSE(rig.engine->drained()) << "there was room: nothing is shown";
    EXPECT_EQ(rig.engine->health().health, Health::kDegraded);
    const RingStats waiting = rig.engine->ring_stats();
    EXPECT_EQ(waiting.accepted, waiting.delivered + waiting.unread);
    EXPECT_GT(waiting.unread, 0u);
    // Five days later the old segments go, on a disk that is as full as ever.
    rig.clock.advance(Hours(114));
    rig.settle(3000);
    EXPECT_EQ(rig.engine->figures().purged_invocations, 12'000u);
    EXPECT_EQ(rig.engine->health().health, Health::kOk) << rig.engine->health().reason;
    expect_all(rig, "waits-", 200);
    // And again full, until somebody makes room.
    take_room(disk / "more-ballast", disk.path(), 0);
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(rig.submit("again-" + std::to_string(i), rig.now()).ok());
    }
    rig.settle(100);
    EXPECT_FALSE(rig.engine->drained());
    std::filesystem::remove(disk / "more-ballast");
    rig.settle(3000);
    expect_all(rig, "again-", 200);
    EXPECT_EQ(rig.engine->health().health, Health::kOk) << rig.engine->health().reason;
    rig.engine.reset();
    auto catalog = Catalog::open(rig.options.store.path, false);
    ASSERT_TRUE(catalog.ok());
    for (const SegmentInfo& info : catalog->segments()) {
      EXPECT_TRUE(!info.readable() || verify_segment(*catalog, info).ok()) << info.seq;
    }
  });
}

// What would have kept the disk from filling by our own doing: a share of it is the most we take.
TEST(Incident, pr27_never_takes_more_than_its_share) {
  EngineRig rig;
  const TempDir disk;
  on_a_small_disk(disk.path(), "24m", [&] {
    set_up(rig, disk.path());
    rig.options.disk.cap_percent = 10;
    rig.options.disk.floor = Hours(2);
    rig.open();
    rig.attach();
    const std::uint64_t whole = free_bytes(disk.path());
    for (int hour = 0; hour < 20; ++hour) {
      submit_many(rig, "h" + std::to_string(hour) + "-", 2500);
      rig.clock.advance(Hours(1));
      rig.settle(200);
    }
    rig.settle(300);
    EXPECT_GT(rig.engine->figures().dropped_invocations, 0u);
    EXPECT_LT(whole - free_bytes(disk.path()), whole / 10 + (1 << 20));
    EXPECT_EQ(rig.engine->stats().failures, 0u);
    expect_all(rig, "h19-", 2500);
  });
}

// The same where mounts are not allowed: a disk that says "full" to every write until it is healed.
TEST(Incident, pr27_disk_full_of_a_disk_that_says_so) {
  testing::FaultVfs faults;
  EngineRig rig;
  set_up(rig, rig.dir.path());
  rig.open();
  rig.attach();
  submit_many(rig, "old-", 300);
  faults.fail_at(1, testing::Fault::kFull, true);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(rig.submit("waits-" + std::to_string(i), rig.now()).ok());
  }
  rig.settle(100);
  EXPECT_FALSE(rig.engine->drained());
  EXPECT_EQ(rig.engine->health().health, Health::kDegraded);
  faults.heal();
  rig.settle(3000);
  expect_all(rig, "old-", 300);
  expect_all(rig, "waits-", 200);
  EXPECT_EQ(rig.engine->health().health, Health::kOk) << rig.engine->health().reason;
  rig.engine.reset();
}

}  // namespace
}  // namespace phlower
