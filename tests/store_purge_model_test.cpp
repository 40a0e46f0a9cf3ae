// Purges among everything else that happens to a store, out of one seed, against a model.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "phlower/ground/random.hpp"
#include "support/engine_rig.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::BacklogPlan;
using testing::open_db;
using testing::PurgeRig;

// A model of what must be there, and everything that happens out of one seed. Rows come late and
// early, finished or not, twice or once; slices are committed or taken back; the store is reopened.
class RandomPurge {
 public:
  explicit RandomPurge(std::uint64_t seed) : random_(seed) {}

  void run() {
    for (int i = 0; i < 400 && !::testing::Test::HasFailure(); ++i) act();
    for (int i = 0; i < 100 && rig_.due(); ++i) rig_.purge_all(64);
    EXPECT_FALSE(rig_.due());
    verify();
  }

 private:
  void act() {
    switch (random_.below(8)) {
      case 0: return rig_.reopen();
      case 1: rig_.now += Seconds(random_.below(4 * 3600)); return;
      case 2: return purge_and_take_back();
      case 3:
      case 4:
        if (rig_.due()) rig_.slice(*rig_.store, rows());
        return;
      default: return write();
    }
  }
  std::uint32_t rows() { return static_cast<std::uint32_t>(random_.between(1, 40)); }

  void purge_and_take_back() {
    ASSERT_TRUE(rig_.store->begin().ok());
    ASSERT_TRUE(rig_.store->purge_some(rig_.now, rows()).ok());
    rig_.store->rollback();
  }

  void write() {
    const bool commit = !random_.chance(1, 6);
    auto next = times_;
    ASSERT_TRUE(rig_.store->begin().ok());
    for (std::uint32_t i = rows(); i > 0; --i) {
      const std::string id = "task-" + std::to_string(random_.below(3000));
      const double at = rig_.seconds() - static_cast<double>(random_.below(135 * 3600));
      if (const auto known = next.find(id); known != next.end() && known->second >= at) continue;
      const bool finished = !random_.chance(1, 4);
      if (next.count(id) != 0 && !finished) continue;  // it would lose against a finished one
      Record record = a_record(id, finished ? at : 0, finished ? "SUCCESS" : "STARTED");
      record.received_at = record.started_at = at;
      ASSERT_TRUE(rig_.store->upsert(record.view()).ok());
      next[id] = at;
    }
    if (!commit) return rig_.store->rollback();
    ASSERT_TRUE(rig_.store->commit().ok());
    times_ = std::move(next);
  }

  void verify() {
    const Cutoffs cutoffs = cutoffs_at(rig_.retention, rig_.now);
    std::set<std::string> expected_rows;
    std::set<std::string> expected_details;
    for (const auto& [id, time] : times_) {
      if (time > cutoffs.invocations) expected_rows.insert(id + "|");
      if (time > cutoffs.details) expected_details.insert(id + "|");
    }
    auto db = open_db(rig_.path);
    const auto found = [&](const char* sql) {
      const auto lines = testing::lines(db, sql, 1);
      return std::set<std::string>(lines.begin(), lines.end());
    };
    EXPECT_EQ(found("SELECT task_id FROM invocations"), expected_rows);
    EXPECT_EQ(found("SELECT task_id FROM invocation_details"), expected_details);
  }

  static BacklogPlan empty() {
    BacklogPlan plan;
    plan.expired = plan.thin = plan.fresh = plan.orphans = 0;
    plan.timeless = 0;
    return plan;
  }

  Random random_;
  PurgeRig rig_{empty()};
  std::map<std::string, double> times_;  // by which each task expires
};

TEST(StorePurgeModel, LeavesTheSameFromAnySeed) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomPurge(seed).run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace phlower
