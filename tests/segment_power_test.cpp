// The power goes at any moment in the life of a data folder. With `durability: power` every
// committed record is there afterwards; with the default the last ones may be lost, and nothing
// else is: no file is damaged, no row shows details that are not its own.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "phlower/segment/remove_job.hpp"
#include "phlower/segment/verify.hpp"
#include "support/fault_vfs.hpp"
#include "support/power_cut.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::Fault;
using testing::FaultVfs;
using testing::PowerCut;
using testing::SegmentRig;
using testing::uuid_of;

class PoweredLife : public SegmentRig {
 public:
  explicit PoweredLife(Durability durability) : SegmentRig("/dev/shm"), power_(options.store.path) {
    options.store.segment_rows = 60;
    options.store.durability = durability;
    power_.when_off([this] { return faults_.failed(); });
  }
  PoweredLife(const PoweredLife&) = delete;
  PoweredLife& operator=(const PoweredLife&) = delete;
  ~PoweredLife() { store.reset(); }  // its files are the VFSs'

  /// Until the power goes before the k-th operation, or to the end. Whether it went.
  bool run(std::uint64_t k) {
    faults_.fail_at(k, Fault::kIo, /*for_ever=*/true);
    live();
    store.reset();
    const bool went = faults_.failed();
    Random random(k);
    faults_.heal();
    if (went) power_.cut(random);
    return went;
  }

  void verify() {
    const Status opened = open();
    ASSERT_TRUE(opened.ok()) << opened.message();
    tend();
    const bool all = options.store.durability == Durability::kPower;
    for (std::uint64_t i = 0; i < offered_; ++i) {
      const auto found = get(uuid_of(i));
      if (all && i < committed_) {
        ASSERT_TRUE(found) << i << " of " << committed_;
      }
      if (!found) continue;
      const bool lost_details = !all && found->args.empty() && found->kwargs.empty();
      EXPECT_TRUE(lost_details || found->args == args_of(i)) << i << ": " << found->args;
    }
    EXPECT_EQ(store->segments().totals().set_aside, 0u) << (said.empty() ? "" : said.back());
    const Catalog& catalog = store->segments().catalog();
    for (const SegmentInfo& info : catalog.segments()) {
      const Status status =
          info.state == SegmentState::kSealed ? verify_segment(catalog, info) : Status();
      EXPECT_TRUE(status.ok()) << status.message();
    }
    EXPECT_FALSE(std::filesystem::exists(options.store.path + "/quarantine"));
    check_listed_once();
    // And it goes on: the same records again, and new ones.
    for (std::uint64_t first = 0; first <= offered_; first += kRows) {
      ASSERT_TRUE(put_batch(first, 1).ok());
    }
    for (std::uint64_t i = 0; i < offered_; ++i) {
      const auto found = get(uuid_of(i));
      ASSERT_TRUE(found) << i;
      EXPECT_EQ(found->args, args_of(i));
    }
    check_listed_once();
  }

  std::uint64_t lost() const { return power_.lost_writes() + power_.lost_names(); }

 private:
  static constexpr std::uint64_t kRows = 25;

  void live() {
    if (!open().ok()) return;
    for (std::uint64_t batch = 0; batch < 8; ++batch) {
      // Some late, some so late that their segment expires in this life.
      const double age = batch % 3 == 1 ? 30 * 3600 : 1;
      offered_ += kRows;
      if (!put_batch(offered_ - kRows, age).ok()) return;
      committed_ = offered_;
      if (batch % 2 == 0 && !store->checkpoint().ok()) return;
      for (int i = 0; i < 40; ++i) {
        clock.advance(Seconds(1));
        if (!store->tend(clock.mono()).ok()) return;
      }
    }
  }

  static std::string args_of(std::uint64_t number) {
    return "(" + std::to_string(number) + ", 'two')";
  }
  Status put_batch(std::uint64_t first, double age) {
    std::vector<Record> records;
    for (std::uint64_t i = first; i < first + kRows; ++i) {
      records.push_back(a_record(uuid_of(i), now() - age));
      records.back().args = args_of(i);
    }
    return put(records);
  }

  void check_listed_once() {
    Query query;
    query.limit = 5000;
    std::set<std::string> seen;
    for (const std::string& id : list(query)) EXPECT_TRUE(seen.insert(id).second) << id;
  }

  PowerCut power_;  // below the other: what that one fails never reaches this
  FaultVfs faults_;
  std::uint64_t offered_ = 0;
  std::uint64_t committed_ = 0;
};

TEST(PowerAfterARemoval, BringsNoFileBackWhoseEntryMayBeGone) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const testing::TempDir dir("/dev/shm");
    PowerCut power(dir.path().string());
    const std::string path = dir / "inv-1.db";
    ASSERT_TRUE(segment_file::create(path, SegmentFamily::kRows, 1).ok());
    RemoveJob job({{1, path, false}}, dir / "pins");
    for (bool done = false; !done;) {
      const auto step = job.step();
      ASSERT_TRUE(step.ok()) << step.status().message();
      done = *step;
    }
    ASSERT_TRUE(job.result(0).ok());  // from now on the catalog forgets it
    Random random(seed);
    power.cut(random);
    EXPECT_FALSE(std::filesystem::exists(path)) << "the power went, seed " << seed;
  }
}

class SegmentPower : public ::testing::TestWithParam<Durability> {};

TEST_P(SegmentPower, MayGoBeforeAnyOperation) {
  const char* given = std::getenv("PHLOWER_K");
  const std::uint64_t only = given != nullptr ? std::strtoull(given, nullptr, 10) : 0;
  constexpr std::uint64_t kStride = 7;
  std::uint64_t cuts = 0;
  std::uint64_t lost = 0;
  for (std::uint64_t k = only != 0 ? only : 1;; k += kStride) {
    SCOPED_TRACE("PHLOWER_K=" + std::to_string(k));
    PoweredLife life(GetParam());
    if (!life.run(k)) break;
    life.verify();
    if (HasFailure() || only != 0) return;
    ++cuts;
    lost += life.lost();
  }
  EXPECT_GT(cuts, 50u) << "the life had too few operations to prove anything";
  EXPECT_GT(lost, 200u) << "the disk forgot nothing";
}

INSTANTIATE_TEST_SUITE_P(Durabilities, SegmentPower,
                         ::testing::Values(Durability::kProcess, Durability::kPower),
                         [](const auto& tested) {
                           return tested.param == Durability::kPower ? "Power" : "Process";
                         });

}  // namespace
}  // namespace phlower
