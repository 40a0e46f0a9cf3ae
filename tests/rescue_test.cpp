// Rows with times of every kind, of which a rescue copies what may be young.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "phlower/door/maintenance.hpp"
#include "support/purge_rig.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::BacklogPlan;
using testing::PurgeRig;
using testing::SegmentRig;

TEST(Rescue, CopiesWhateverIsNotCertainlyOlder) {
  BacklogPlan made;
  made.expired = made.thin = made.fresh = made.timeless = made.orphans = 0;
  made.fresh = 1;
  PurgeRig old(made);
  old.store.reset();
  const double hour = 3600;
  const auto date = [&](double at, const char* format) {
    const auto seconds = static_cast<std::time_t>(at);
    std::tm day{};
    ::gmtime_r(&seconds, &day);
    char text[32];
    std::strftime(text, sizeof text, format, &day);
    return "'" + std::string(text) + "'";
  };
  const double now = old.seconds();
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"young", std::to_string(now - 4 * hour)},
      {"old", std::to_string(now - 6 * hour)},
      {"none", "NULL"},
      {"soon", "'soon'"},
      {"zero", "0"},
      {"blob", "x'00'"},
      {"local-young", date(now - 18 * hour, "%Y-%m-%d %H:%M:%S")},  // 14 h of doubt
      {"local-old", date(now - 20 * hour, "%Y-%m-%d %H:%M:%S")},
      {"day", date(now - 24 * hour, "%Y-%m-%d")},
      {"day-old", date(now - 72 * hour, "%Y-%m-%d")}};
  {
    auto db = testing::open_db(old.path);
    testing::exec(db, "PRAGMA journal_mode = DELETE; DELETE FROM invocations");
    for (const auto& [id, time] : rows) {
      testing::exec(db,
                    "INSERT INTO invocations (task_id, task_name, state, finished_at, "
                    "runtime_ms) VALUES ('" +
                        id + "', 't', 'SUCCESS', " + time + ", 9e999)");
    }
  }
  SegmentRig rig;
  rig.clock = ManualClock(old.now, Nanoseconds(0));
  rig.options.store.adopt = {old.path};
  ASSERT_TRUE(rig.open().ok());
  rig.store.reset();
  MaintenanceOptions how;
  how.path = rig.options.store.path;
  how.rest = [&](Nanoseconds time) { rig.clock.advance(time); };
  Maintenance work(how, rig.clock);
  EXPECT_EQ(work.dry_rescue(Hours(5)).rescued, 7u);
  const MaintenanceReport done = work.rescue(Hours(5));
  ASSERT_EQ(done.end, MaintenanceEnd::kDone) << done.status.message();
  EXPECT_EQ(done.rescued, 7u);
  EXPECT_FALSE(std::filesystem::exists(old.path));
  rig.options.store.adopt.clear();
  rig.reopen();
  for (const auto& [id, time] : rows) {
    EXPECT_EQ(rig.get(id).has_value(), id.find("old") == std::string::npos) << id;
  }
}

TEST(Rescue, ThatIsStoppedKeepsTheFileAndGoesOnInAnotherRun) {
  PurgeRig old;
  old.store.reset();
  {
    auto db = testing::open_db(old.path);
    testing::exec(db, "PRAGMA journal_mode = DELETE");
  }
  SegmentRig rig;
  rig.clock = ManualClock(old.now, Nanoseconds(0));
  rig.options.store.adopt = {old.path};
  ASSERT_TRUE(rig.open().ok());
  rig.store.reset();
  MaintenanceOptions how;
  how.path = rig.options.store.path;
  how.rest = [&](Nanoseconds time) { rig.clock.advance(time); };
  how.wanted = [] { return false; };
  const MaintenanceReport stopped = Maintenance(how, rig.clock).rescue(Hours(5));
  EXPECT_EQ(stopped.end, MaintenanceEnd::kUnwanted) << stopped.status.message();
  EXPECT_FALSE(stopped.done);
  EXPECT_TRUE(stopped.unlinked.empty());
  ASSERT_TRUE(std::filesystem::exists(old.path));
  how.wanted = {};
  const MaintenanceReport done = Maintenance(how, rig.clock).rescue(Hours(5));
  ASSERT_EQ(done.end, MaintenanceEnd::kDone) << done.status.message();
  EXPECT_GT(done.rescued, 20u);
  EXPECT_FALSE(std::filesystem::exists(old.path));
}

}  // namespace
}  // namespace phlower
