// The engine killed with SIGKILL at every operation on its files, one after the other: whatever it
// was doing, the next engine has each accepted record exactly once.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "phlower/engine/engine.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"

namespace phlower {
namespace {

using testing::EngineRig;

constexpr int kSubmitted = 60;
constexpr int kOldOnes = 20;

/// What the child reached, in memory that outlives it. Plain seq_cst atomics.
struct Progress {
  std::atomic<int> accepted{0};
  std::atomic<bool> finished{false};
};

// The child: an engine that stores, purges and checkpoints, and a disk that kills at operation k.
void live_and_die(EngineRig& rig, std::uint64_t k, Progress& reached) {
  testing::FaultVfs faults;
  faults.fail_at(k, testing::Fault::kKill, false);
  rig.open();
  rig.attach();
  for (int i = 0; i < kSubmitted; ++i) {
    // Young enough to be stored, and expired a round later.
    const double age = i < kOldOnes ? 120 * 3600.0 - 2 : 60.0;
    if (rig.submit("task-" + std::to_string(i), rig.now() - age).ok()) ++reached.accepted;
    if (i % 20 == 19) {
      rig.clock.advance(Seconds(1));
      rig.settle(50);
    }
  }
  rig.settle(200);
  rig.engine.reset();  // closes the database: its own checkpoint, its own deletion of the WAL
  reached.finished = true;
}

// Expects that everything accepted is there once, and only that.
void expect_once(EngineRig& rig, int accepted) {
  rig.clock.advance(std::chrono::hours(1));
  ASSERT_NO_FATAL_FAILURE(rig.open());
  rig.settle();
  EXPECT_TRUE(rig.engine->drained());
  const RingStats ring = rig.engine->ring_stats();
  EXPECT_EQ(ring.accepted, static_cast<std::uint64_t>(accepted));
  EXPECT_EQ(ring.delivered, static_cast<std::uint64_t>(accepted));
  EXPECT_EQ(ring.corrupt_records, 0u);
  for (int i = 0; i < accepted; ++i) {
    const auto found = rig.engine->get("task-" + std::to_string(i));
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_EQ(found->has_value(), i >= kOldOnes) << i;
  }
  EXPECT_EQ(rig.engine->counts().invocations,
            static_cast<std::uint64_t>(std::max(0, accepted - kOldOnes)));
  rig.engine.reset();
  auto db = sqlite::Connection::open(rig.options.store.path, sqlite::Access::kReadOnly);
  ASSERT_TRUE(db.ok());
  EXPECT_EQ(*db->query_text("PRAGMA integrity_check"), "ok");
}

TEST(EngineKill, LosesAndDoublesNothingAtAnyFileOperation) {
  void* memory =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::uint64_t kills = 0;
  for (std::uint64_t k = 1;; ++k) {
    SCOPED_TRACE("killed at operation " + std::to_string(k));
    EngineRig rig;
    auto& reached = *new (memory) Progress;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      live_and_die(rig, k, reached);
      ::_exit(0);
    }
    int ended = 0;
    ASSERT_EQ(::waitpid(child, &ended, 0), child);
    if (!reached.finished) {
      ASSERT_TRUE(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL) << ended;
      ++kills;
    }
    expect_once(rig, reached.accepted);
    if (reached.finished || HasFailure()) break;
  }
  ::munmap(memory, sizeof(Progress));
  EXPECT_GT(kills, 40u) << "the run had too few operations to prove anything";
}

}  // namespace
}  // namespace phlower
