// The whole engine in a simulation: real ring, real SQLite, a clock that only the test moves, and
// one seed that decides everything that happens. A model keeps what must come out.
//
//   PHLOWER_SEED=7 build/tests/engine_tests engine_sim_test    replays one run
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "phlower/engine/engine.hpp"
#include "phlower/ground/random.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::EngineRig;

/// One run. Everything random comes from `random_`; SQLite's cost is what ManualClock's steps say.
class EngineLife {
 public:
  explicit EngineLife(std::uint64_t seed)
      : random_(seed), rig_(Microseconds(random_.between(2, 400))) {
    rig_.options.retention.invocations = std::chrono::hours(10);
    rig_.options.retention.details = std::chrono::hours(5);
    rig_.options.ring.size_bytes = 128 << 10;  // so small that it fills
    rig_.options.store.wal_soft_bytes = 1 << 20;
    rig_.options.store.wal_hard_bytes = 2 << 20;
  }

  void run(int steps) {
    restart();
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) act();
    calm();
    verify();
  }

  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t failures() const { return failures_; }
  std::uint64_t restarts() const { return restarts_; }

 private:
  struct Expected {
    double finished_at = 0;
    std::string state;
    double latest = 0;  // of any version
  };

  void act() {
    switch (random_.below(12)) {
      case 0: return restart();
      case 1: return hold_or_release_lock();
      case 2: return fail_or_heal_disk();
      case 3: return rig_.clock.advance(Seconds(random_.between(1, 1200)));
      case 4: return jump_wall();
      case 5: return change_producer();
      case 6:
      case 7:
      case 8: return submit_some();
      default: return tick();
    }
  }

  // As after a kill: nothing is closed in order but what the kernel closes.
  void restart() {
    if (rig_.engine) failures_ += rig_.engine->stats().failures;
    rig_.engine.reset();
    heal_disk();
    release_lock();
    rig_.open();
    if (!rig_.producer) rig_.attach();
    ++restarts_;
  }

  void jump_wall() {
    furthest_ = std::max(furthest_, rig_.now());
    rig_.clock.jump_wall(Seconds(random_.below(240)) - Seconds(120));
  }

  void change_producer() {
    rig_.producer.reset();
    rig_.attach();
  }

  void hold_or_release_lock() {
    if (other_) return release_lock();
    auto other = sqlite::Connection::open(rig_.options.store.path, sqlite::Access::kReadWrite);
    ASSERT_TRUE(other.ok()) << other.status().message();
    if (other->exec("BEGIN IMMEDIATE").ok()) other_ = *std::move(other);
  }
  void release_lock() { other_ = sqlite::Connection(); }

  void fail_or_heal_disk() {
    if (disk_fails_) return heal_disk();
    faults_.fail_at(random_.below(40),
                    random_.chance(1, 2) ? testing::Fault::kFull : testing::Fault::kIo,
                    /*for_ever=*/true);
    disk_fails_ = true;
  }
  void heal_disk() {
    faults_.heal();
    disk_fails_ = false;
  }

  void submit_some() {
    const std::uint64_t count = random_.between(1, 120);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string id = "task-" + std::to_string(random_.below(4000));
      const double age = static_cast<double>(random_.below(100)) * (random_.chance(1, 8) ? 600 : 6);
      const bool retry = random_.chance(1, 5);
      submit(id, rig_.now() - age, retry ? "RETRY" : "SUCCESS");
    }
  }

  void submit(const std::string& id, double finished_at, const std::string& state) {
    const Status status = rig_.producer->submit(a_record(id, finished_at, state).view());
    if (!status.ok()) {
      ASSERT_EQ(status.code(), Code::kRefused) << status.message();
      ++refused_;
      return;
    }
    ++accepted_;
    Expected& expected = model_[id];
    expected.latest = std::max(expected.latest, finished_at);
    const auto order = [](const std::string& s, double time) {
      return std::pair(s.empty() ? -1 : static_cast<int>(state_rank(s)), time);
    };
    if (order(state, finished_at) >= order(expected.state, expected.finished_at)) {
      expected.finished_at = finished_at;
      expected.state = state;
    }
  }

  void tick() {
    const TickReport report = rig_.engine->tick(Milliseconds(random_.between(1, 40)));
    ASSERT_FALSE(is_fatal(report.status)) << report.status.message();
    if (report.may_wait) {
      rig_.clock.advance(std::max(report.next_due - rig_.clock.mono(), Nanoseconds(0)));
    }
  }

  // Whatever was wrong is over: the engine must come to rest without help.
  void calm() {
    heal_disk();
    release_lock();
    rig_.clock.advance(Seconds(5));
    rig_.settle(20'000);
    failures_ += rig_.engine->stats().failures;
    ASSERT_TRUE(rig_.engine->drained());
    EXPECT_EQ(rig_.engine->health().health, Health::kOk) << rig_.engine->health().reason;
  }

  void verify() {
    const RingStats ring = rig_.engine->ring_stats();
    EXPECT_EQ(ring.offered, accepted_ + refused_);
    EXPECT_EQ(ring.accepted, accepted_);
    EXPECT_EQ(ring.delivered, accepted_);
    EXPECT_EQ(ring.corrupt_records + ring.torn, 0u);
    const double oldest = rig_.now() - 10 * 3600;
    std::uint64_t shown = 0;
    std::uint64_t just_expired = 0;  // since the engine last looked whether something has
    for (const auto& [id, expected] : model_) {
      const auto found = rig_.engine->get(id);
      ASSERT_TRUE(found.ok()) << found.status().message();
      if (expected.finished_at <= oldest) {
        // Only a version that came after the purge of the winner can be there.
        EXPECT_TRUE(!found->has_value() || expected.latest > oldest) << id;
        shown += found->has_value() ? 1 : 0;
        just_expired += !found->has_value() && expected.finished_at > oldest - 1 ? 1 : 0;
        continue;
      }
      if (expected.finished_at <= furthest_ - 10 * 3600) {
        shown += found->has_value() ? 1 : 0;
        continue;
      }
      ASSERT_TRUE(found->has_value()) << id;
      EXPECT_EQ((*found)->state, expected.state) << id;
      EXPECT_DOUBLE_EQ((*found)->finished_at, expected.finished_at) << id;
      ++shown;
    }
    const Counts counts = rig_.engine->counts();
    EXPECT_TRUE(counts.exact);
    EXPECT_GE(counts.invocations, shown);
    EXPECT_LE(counts.invocations, shown + just_expired);
    rig_.engine.reset();
    auto db = sqlite::Connection::open(rig_.options.store.path, sqlite::Access::kReadOnly);
    ASSERT_TRUE(db.ok());
    EXPECT_EQ(*db->query_text("PRAGMA integrity_check"), "ok");
    EXPECT_EQ(*db->query_integer("SELECT count(*) FROM invocations"),
              static_cast<std::int64_t>(counts.invocations));
  }

  Random random_;
  testing::FaultVfs faults_;  // the default VFS while this lives
  EngineRig rig_;
  sqlite::Connection other_;
  bool disk_fails_ = false;
  double furthest_ = 0;  // that the wall clock was before it was set back
  std::map<std::string, Expected> model_;
  std::uint64_t accepted_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t restarts_ = 0;
};

TEST(EngineSimulation, KeepsEveryAcceptedRecordOnceFromAnySeed) {
  const char* given = std::getenv("PHLOWER_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const char* last_given = std::getenv("PHLOWER_SEED_LAST");
  const std::uint64_t last = last_given != nullptr ? std::strtoull(last_given, nullptr, 10)
                             : given != nullptr    ? first
                                                   : first + 11;
  std::uint64_t refused = 0;
  std::uint64_t failures = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("PHLOWER_SEED=" + std::to_string(seed));
    EngineLife simulation(seed);
    simulation.run(300);
    ASSERT_GT(simulation.accepted(), 1000u) << "too little happened";
    ASSERT_GT(simulation.restarts(), 5u) << "too little happened";
    refused += simulation.refused();
    failures += simulation.failures();
    if (HasFailure()) return;
  }
  if (given == nullptr) {
    EXPECT_GT(refused, 0u) << "no run filled the ring";
    EXPECT_GT(failures, 0u) << "no run met a failing disk";
  }
}

TEST(EngineSimulation, IsTheSameTwiceFromOneSeed) {
  const auto fingerprint = [](std::uint64_t seed) {
    EngineLife simulation(seed);
    simulation.run(120);
    return std::tuple(simulation.accepted(), simulation.refused(), simulation.failures(),
                      simulation.restarts());
  };
  EXPECT_EQ(fingerprint(5), fingerprint(5));
}

}  // namespace
}  // namespace phlower
