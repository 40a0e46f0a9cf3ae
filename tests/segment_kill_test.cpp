// The engine killed with SIGKILL before a call of the system that changes a file, all over the life
// of its segments: made, written, rotated, sealed, adopted, expired, unlinked. Whatever it was
// doing, the next engine has each accepted record exactly once, and no file too many.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include "phlower/segment/verify.hpp"
#include "support/engine_rig.hpp"
#include "support/made_backlog.hpp"
#include "support/syscall_killer.hpp"

namespace phlower {
namespace {

using testing::EngineRig;

constexpr int kRecords = 120;
constexpr int kExpired = 30;  // the first of them
constexpr int kRuns = 100;

/// What the child reached, in memory that outlives it. Plain seq_cst atomics.
struct Reached {
  std::atomic<int> accepted{0};
  std::atomic<bool> finished{false};
};

void set_up(EngineRig& rig) {
  rig.options.store.layout = Layout::kSegmented;
  rig.options.store.path = rig.dir / "data";
  rig.options.store.segment_rows = 40;
  rig.options.store.helper_thread = false;
  rig.options.store.adopt = rig.dir / "old.db";
}

void submit(EngineRig& rig, int first, int last, double age_s, Reached& reached) {
  for (int i = first; i < last; ++i) {
    if (rig.submit("task-" + std::to_string(i), rig.now() - age_s).ok()) ++reached.accepted;
    if (i % 10 == 9) rig.settle(30);
  }
}

constexpr Hours kExpire{25};
constexpr Hours kRotate{6};

void live(EngineRig& rig, Reached& reached) {
  rig.open();
  rig.attach();
  submit(rig, 0, kExpired, 100 * 3600.0, reached);
  submit(rig, kExpired, 70, 60, reached);
  rig.clock.advance(Seconds(40));
  rig.settle(100);
  rig.clock.advance(kExpire);
  rig.settle(100);
  submit(rig, 70, 100, 60, reached);
  rig.clock.advance(kRotate);
  rig.settle(100);
  submit(rig, 100, kRecords, 60, reached);
  rig.settle(100);
  rig.engine.reset();
  reached.finished = true;
}

std::string adopted_id(int i) { return "old-" + std::to_string(i); }

// A file of the other layout with ten rows that stay and ten that have expired at the end.
void make_old_file(EngineRig& rig) {
  StoreOptions options;
  options.path = rig.dir / "old.db";
  auto store = SingleStore::open(options, rig.options.retention);
  ASSERT_TRUE(store.ok()) << store.status().message();
  ASSERT_TRUE((*store)->begin().ok());
  for (int i = 0; i < 20; ++i) {
    const double age = i < 10 ? 100 * 3600.0 : 3600.0;
    const Record record = testing::a_record(adopted_id(i), rig.now() - age);
    ASSERT_TRUE((*store)->upsert(record.view()).ok());
  }
  ASSERT_TRUE((*store)->commit().ok());
}

void expect_whole(EngineRig& rig) {
  auto catalog = Catalog::open(rig.options.store.path, false);
  ASSERT_TRUE(catalog.ok()) << catalog.status().message();
  std::set<std::string> known{"meta.db"};
  for (const SegmentInfo& info : catalog->segments()) {
    EXPECT_NE(info.state, SegmentState::kSetAside);
    known.insert(std::filesystem::path(catalog->path_of(info)).filename());
    const Status status = info.readable() ? verify_segment(*catalog, info) : Status();
    EXPECT_TRUE(status.ok()) << status.message();
  }
  for (const auto& entry : std::filesystem::directory_iterator(rig.options.store.path)) {
    const std::string name = entry.path().filename();
    EXPECT_NE(name, "quarantine");
    const auto read = read_segment_name(name);
    EXPECT_FALSE(read && read->unfinished) << name;
    if (read && !read->side.empty()) {
      EXPECT_TRUE(known.contains(segment_name(read->family, read->seq))) << name;
    }
    if (name.ends_with(".db")) {
      EXPECT_TRUE(known.contains(name)) << name;
    }
  }
}

void verify(EngineRig& rig, int accepted) {
  rig.clock.advance(Seconds(40) + kExpire + kRotate + Hours(1));
  ASSERT_NO_FATAL_FAILURE(rig.open());
  rig.settle(300);
  EXPECT_TRUE(rig.engine->drained());
  const RingStats ring = rig.engine->ring_stats();
  EXPECT_EQ(ring.accepted, static_cast<std::uint64_t>(accepted));
  EXPECT_EQ(ring.delivered, static_cast<std::uint64_t>(accepted));
  auto history = rig.engine->history();
  ASSERT_TRUE(history.ok()) << history.status().message();
  for (int i = 0; i < accepted; ++i) {
    const auto found = history->get("task-" + std::to_string(i));
    ASSERT_TRUE(found.ok()) << found.status().message();
    ASSERT_EQ(found->has_value(), i >= kExpired) << i;
    if (*found) {
      EXPECT_EQ((*found)->args, "(1, 'two')") << i;
    }
  }
  for (int i = 0; i < 20; ++i) {
    const auto found = history->get(adopted_id(i));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->has_value(), i >= 10) << i;
  }
  const auto counts = history->count({}, false);
  ASSERT_TRUE(counts.ok());
  std::uint64_t sum = 0;
  for (const auto& [key, count] : counts->counts) sum += count;
  EXPECT_EQ(sum, static_cast<std::uint64_t>(std::max(0, accepted - kExpired)) + 10);
  rig.engine.reset();
  expect_whole(rig);
}

// A life in a child, killed before its k-th change of a file. The changes that it came to.
std::uint64_t run_once(std::uint64_t k, Reached& reached) {
  SCOPED_TRACE("killed before change " + std::to_string(k));
  EngineRig rig;
  set_up(rig);
  make_old_file(rig);
  const auto killed = testing::run_and_kill(k, [&] { live(rig, reached); });
  EXPECT_TRUE(killed.has_value());
  if (killed && (k == 0 || !reached.finished)) verify(rig, reached.accepted);
  return killed.value_or(0);
}

// A sanitizer's own threads and memory do not go together with ptrace and SIGKILL.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST(SegmentKill, LosesAndDoublesNothingBeforeAnyChangeOfAFile) {
  if (kSanitized) GTEST_SKIP() << "is run without a sanitizer";
  void* memory =
      ::mmap(nullptr, sizeof(Reached), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::uint64_t changes = run_once(0, *new (memory) Reached);
  if (changes == 0) GTEST_SKIP() << "ptrace is not allowed here";
  ASSERT_FALSE(HasFailure()) << "the life itself, without a kill";
  ASSERT_GT(changes, 300u) << "the life had too few changes to prove anything";
  const char* const given = std::getenv("PHLOWER_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("PHLOWER_SEED=%llu, %llu changes\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(changes));
  const double stride = std::max(1.0, static_cast<double>(changes) / kRuns);
  const double offset = static_cast<double>(seed % 1000) / 1000 * stride;
  for (double at = 1 + offset; at <= static_cast<double>(changes) && !HasFailure(); at += stride) {
    run_once(static_cast<std::uint64_t>(at), *new (memory) Reached);
  }
  ::munmap(memory, sizeof(Reached));
}

}  // namespace
}  // namespace phlower
