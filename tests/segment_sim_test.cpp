// The engine over segments in a simulation: everything that can happen to it in its life, from one
// seed. Clocks leap by hours and by years, the disk is slow, full or broken, records come late and
// from the future, readers stay, the process is killed. A model keeps what must come out.
//
//   PHLOWER_SEED=7 build/tests/engine_tests segment_sim_test    replays one run
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "phlower/engine/engine.hpp"
#include "phlower/ground/random.hpp"
#include "phlower/segment/history_folder.hpp"
#include "phlower/segment/verify.hpp"
#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"
#include "support/killed_folder.hpp"
#include "support/record_model.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::EngineRig;
using testing::RecordModel;

constexpr Hours kLifetime{24};

/// One run. Everything random comes from `random_`; the cost of work is what the clock's steps say.
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed)
      : random_(seed), rig_(Microseconds(random_.between(2, 400)), "/dev/shm"), model_(kLifetime) {
    Options& options = rig_.options;
    options.retention.invocations = kLifetime;
    options.retention.details = Hours(12);
    options.ring.size_bytes = 128 << 10;  // so small that it fills
    options.store.layout = Layout::kSegmented;
    options.store.path = rig_.dir / "data";
    options.store.helper_thread = false;
    options.store.segment_rows = static_cast<std::uint32_t>(random_.between(80, 900));
    options.store.segment_bytes = random_.chance(1, 4) ? 128 << 10 : 64 << 20;
    options.store.wal_soft_bytes = 128 << 10;
    options.store.wal_hard_bytes = 512 << 10;
    years_ = random_.chance(1, 3);
    const auto say = [this](LogLevel, std::string_view text) { said_ += std::string(text) + "\n"; };
    rig_.log = Log(say, rig_.clock, LogLevel::kError);
    faults_.at_sync(
        [this] { rig_.clock.advance(Milliseconds(random_.below(slow_disk_ ? 200 : 3))); });
  }

  void run(int steps) {
    restart();
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) {
      act();
      model_.saw(rig_.now(), mono());
      look_at_names();
    }
    calm();
    if (!::testing::Test::HasFatalFailure()) verify();
    if (!::testing::Test::HasFatalFailure()) outlive();
    take_sums();
    rig_.engine.reset();
    verify_files();
  }

  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t failures() const { return failures_; }
  const StoreFigures& files() const { return files_; }
  std::uint64_t too_old() const { return too_old_; }
  std::size_t names() const { return names_.size(); }
  std::uint64_t asked() const { return asked_; }

 private:
  double mono() { return to_unix_seconds(WallTime(rig_.clock.mono().time_since_epoch())); }

  void act() {
    switch (random_.below(24)) {
      case 0: return restart();
      case 1: return fail_or_heal_disk();
      case 2: slow_disk_ = !slow_disk_; return;
      case 3: return rig_.clock.advance(Seconds(random_.between(1, 1800)));
      case 4: return rig_.clock.advance(Seconds(random_.between(1, 3 * 3600)));
      case 5: return leap();
      case 6: return change_producer();
      case 7: return come_or_go_reader();
      case 8:
      case 9: return ask();
      case 10:
      case 11:
      case 12:
      case 13:
      case 14:
      case 15: return submit_some();
      default: return tick();
    }
  }

  // Half of the time as after SIGKILL: the files are what they were, logs and all.
  void restart() {
    take_sums();
    reader_.reset();
    const std::string data = rig_.options.store.path;
    const bool killed = rig_.engine != nullptr && random_.chance(1, 2);
    if (killed) testing::copy_as_it_is(data, data + "-killed");
    rig_.engine.reset();
    heal_disk();
    if (killed) testing::replace_folder(data, data + "-killed");
    model_.restarted(rig_.now());
    rig_.open();
    if (!rig_.producer) rig_.attach();
  }

  void change_producer() {
    rig_.producer.reset();
    rig_.attach();
  }

  void leap() {
    const std::uint64_t kind = random_.below(8);
    if (kind < 3) return rig_.clock.jump_wall(Seconds(random_.below(600)) - Seconds(300));
    if (kind < 6) return rig_.clock.jump_wall(Hours(random_.below(17)) - Hours(8));
    if (kind == 6 || leapt_ != Nanoseconds(0)) {  // and what leapt by years comes back
      rig_.clock.jump_wall(-leapt_);
      leapt_ = Nanoseconds(0);
      return;
    }
    if (!years_) return;
    leapt_ =
        Hours(24 * 365) * (random_.chance(1, 2) ? 1 : -1) * static_cast<int>(random_.between(1, 9));
    rig_.clock.jump_wall(leapt_);
  }

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

  double some_age() {
    const std::uint64_t kind = random_.below(40);
    if (kind == 0) return -static_cast<double>(random_.between(1, 72)) * 3600;  // from the future
    if (kind == 1) return -86400.0 * 365 * 20;
    if (kind < 8) return static_cast<double>(random_.below(40 * 3600));
    return static_cast<double>(random_.below(600));
  }

  void submit_some() {
    const std::uint64_t count = random_.between(1, 120);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string id = testing::task_id_of(random_.below(6000));
      const double at = rig_.now() - some_age() + random_.unit();
      submit(id, at, random_.chance(1, 5) ? "RETRY" : "SUCCESS");
    }
  }

  void submit(const std::string& id, double at, const std::string& state) {
    at = std::floor(at * 1e6) / 1e6;
    const Status status = rig_.producer->submit(a_record(id, at, state).view());
    if (!status.ok()) {
      ASSERT_EQ(status.code(), Code::kRefused) << status.message();
      ++refused_;
      return;
    }
    ++accepted_;
    model_.accepted(id, state, at, rig_.now(), mono());
  }

  void tick() {
    const TickReport report = rig_.engine->tick(Milliseconds(random_.between(1, 40)));
    ASSERT_FALSE(is_fatal(report.status)) << report.status.message();
    if (report.may_wait) {
      rig_.clock.advance(std::max(report.next_due - rig_.clock.mono(), Nanoseconds(0)));
    }
  }

  // -- Readers ------------------------------------------------------------------------------------
  void come_or_go_reader() {
    if (reader_) return reader_.reset();
    auto opened =
        HistoryFolder::open(rig_.options.store.path, [](std::int64_t seq, const Status& s) {
          ADD_FAILURE() << "segment " << seq << ": " << s.message();
        });
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    reader_ = *std::move(opened);
  }

  // The reader keeps its view until it asks again: nothing of it may go away meanwhile.
  void ask() {
    if (!reader_) return;
    ++asked_;
    auto view = reader_->history(cutoffs_at(rig_.options.retention, rig_.clock.wall()));
    if (view.status().code() == Code::kReload) return;
    ASSERT_TRUE(view.ok()) << view.status().message();
    check_list(*view, nullptr);
  }

  // Newest first, each task once, nothing past its time; in pages.
  void check_list(History& history, std::set<std::string>* all) {
    const double oldest = rig_.now() - static_cast<double>(kLifetime.count()) * 3600;
    Query query;
    query.limit = 700;
    std::set<std::string> seen;
    std::int64_t last_us = std::numeric_limits<std::int64_t>::max();
    for (;;) {
      const auto answer = history.list(query);
      if (answer.status().code() == Code::kReload) return;
      ASSERT_TRUE(answer.ok()) << answer.status().message();
      for (const auto& [record, at_us] : answer->rows) {
        EXPECT_TRUE(seen.insert(record.task_id).second) << record.task_id << " twice";
        EXPECT_GT(record.finished_at, oldest - 1e-6) << record.task_id;
        EXPECT_LE(at_us, last_us) << record.task_id;
        EXPECT_TRUE(model_.knows(record.task_id, record.state, record.finished_at));
        last_us = at_us;
      }
      if (!answer->next) break;
      query.after = answer->next;
    }
    if (all != nullptr) *all = std::move(seen);
  }

  // -- The end
  // -------------------------------------------------------------------------------------- Whatever
  // was wrong is over: the engine must come to rest without help.
  void calm() {
    heal_disk();
    slow_disk_ = false;
    reader_.reset();
    rig_.clock.advance(Seconds(5));
    rig_.settle(20'000);
    model_.saw(rig_.now(), mono());
    ASSERT_TRUE(rig_.engine->drained());
    EXPECT_EQ(rig_.engine->health().health, Health::kOk) << rig_.engine->health().reason;
  }

  void verify() {
    const RingStats ring = rig_.engine->ring_stats();
    EXPECT_EQ(ring.offered, accepted_ + refused_);
    EXPECT_EQ(ring.accepted, accepted_);
    EXPECT_EQ(ring.delivered, accepted_);
    EXPECT_EQ(ring.corrupt_records + ring.torn, 0u);
    model_.saw(rig_.now(), mono());
    const double now = rig_.now();
    std::set<std::string> shown;
    auto history = rig_.engine->history();
    ASSERT_TRUE(history.ok()) << history.status().message();
    model_.each([&](const std::string& id, const RecordModel::Answer& expected) {
      const auto found = history->get(id);
      ASSERT_TRUE(found.ok()) << found.status().message();
      if (found->has_value()) {
        shown.insert(id);
        EXPECT_TRUE(expected.may_be((*found)->state, (*found)->finished_at))
            << id << " is " << (*found)->state << " " << now - (*found)->finished_at
            << " s ago: " << expected.text;
      } else {
        EXPECT_TRUE(expected.may_be_absent) << id << " is lost: " << expected.text;
      }
    });
    std::set<std::string> listed;
    check_list(*history, &listed);
    EXPECT_EQ(listed, shown);
    const auto counts = history->count({}, false);
    ASSERT_TRUE(counts.ok());
    std::uint64_t sum = 0;
    for (const auto& [key, count] : counts->counts) sum += count;
    EXPECT_EQ(sum, shown.size());
  }

  // A lifetime later, with no more records, nothing is left: no wrong time keeps a file.
  void outlive() {
    for (int i = 0; i < 2 * (kLifetime.count() + 4); ++i) {
      rig_.clock.advance(std::chrono::minutes(30));
      rig_.settle(60);
    }
    rig_.settle(400);
    EXPECT_EQ(rig_.engine->counts().invocations, 0u);
    EXPECT_LE(segment_files().size(), 4u);
  }

  void verify_files() {
    auto catalog = Catalog::open(rig_.options.store.path, false);
    ASSERT_TRUE(catalog.ok()) << catalog.status().message();
    for (const SegmentInfo& info : catalog->segments()) {
      EXPECT_NE(info.state, SegmentState::kSetAside) << info.seq;
      const Status status = info.readable() ? verify_segment(*catalog, info) : Status();
      EXPECT_TRUE(status.ok()) << status.message();
    }
    EXPECT_FALSE(std::filesystem::exists(rig_.options.store.path + "/quarantine"));
  }

  std::set<std::string> segment_files() {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(rig_.options.store.path)) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".db") && name != Catalog::kFile) files.insert(name);
    }
    return files;
  }

  // A name that has gone never comes back.
  void look_at_names() {
    const std::set<std::string> present = segment_files();
    for (auto& [name, there] : names_) {
      EXPECT_TRUE(there || !present.contains(name)) << name << " was used twice";
      there = there && present.contains(name);
    }
    for (const std::string& name : present) names_.emplace(name, true);
  }

  void take_sums() {
    if (!rig_.engine) return;
    const EngineStats& stats = rig_.engine->stats();
    const StoreFigures figures = rig_.engine->figures();
    failures_ += stats.failures;
    files_.purged_invocations += figures.purged_invocations;
    files_.late += figures.late;
    too_old_ += stats.too_old;
    // A file that went while the disk had no room to note it, and that is not expired any more by a
    // clock that was set back, is called missing; whether anything is, the model knows.
    EXPECT_EQ(said_.find("damaged"), std::string::npos) << said_;
    EXPECT_EQ(said_.find("quarantine"), std::string::npos) << said_;
    EXPECT_EQ(stats.poisoned, 0u);
    EXPECT_LE(too_old_, model_.too_old_at_most());
  }

  Random random_;
  testing::FaultVfs faults_;  // the default VFS while this lives
  EngineRig rig_;
  std::string said_;  // errors that the engine logged
  std::unique_ptr<HistoryFolder> reader_;
  RecordModel model_;
  bool disk_fails_ = false;
  bool slow_disk_ = false;
  bool years_ = false;
  Nanoseconds leapt_{0};               // by years, to be taken back
  std::map<std::string, bool> names_;  // of segments, and whether they are there
  StoreFigures files_;
  std::uint64_t too_old_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t asked_ = 0;
};

TEST(SegmentSimulation, KeepsEveryAcceptedRecordOnceFromAnySeed) {
  const char* given = std::getenv("PHLOWER_SEED");
  const char* last_given = std::getenv("PHLOWER_SEED_LAST");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const std::uint64_t last = last_given != nullptr ? std::strtoull(last_given, nullptr, 10)
                             : given != nullptr    ? first
                                                   : first + 23;
  StoreFigures files;
  std::uint64_t too_old = 0;
  std::uint64_t failures = 0;
  std::uint64_t asked = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("PHLOWER_SEED=" + std::to_string(seed));
    Simulation simulation(seed);
    simulation.run(400);
    if (HasFailure()) return;
    ASSERT_GT(simulation.accepted(), 1000u) << "too little happened";
    ASSERT_GT(simulation.names(), 6u) << "too little happened";
    failures += simulation.failures();
    asked += simulation.asked();
    files.purged_invocations += simulation.files().purged_invocations;
    files.late += simulation.files().late;
    too_old += simulation.too_old();
  }
  if (given != nullptr) return;
  EXPECT_GT(failures, 0u) << "no run met a failing disk";
  EXPECT_GT(asked, 100u) << "nobody read";
  EXPECT_GT(files.purged_invocations, 1000u) << "nothing expired";
  EXPECT_GT(files.late, 100u) << "nothing came late";
  EXPECT_GT(too_old, 10u) << "nothing came too late";
}

TEST(SegmentSimulation, IsTheSameTwiceFromOneSeed) {
  const auto fingerprint = [](std::uint64_t seed) {
    Simulation simulation(seed);
    simulation.run(150);
    return std::tuple(simulation.accepted(), simulation.failures(),
                      simulation.files().purged_invocations, simulation.files().late,
                      simulation.too_old(), simulation.names());
  };
  EXPECT_EQ(fingerprint(5), fingerprint(5));
}

}  // namespace
}  // namespace phlower
