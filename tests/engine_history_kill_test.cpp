// An engine that takes over the ring of another history, killed before each of its system calls
// that change a file: whatever it was doing, each accepted record is in one of the two, once.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "phlower/engine/engine.hpp"
#include "support/history_rig.hpp"
#include "support/syscall_killer.hpp"

namespace phlower {
namespace {

using testing::HistoryRig;

void expect_each_once(HistoryRig& rig) {
  const auto first = rig.ids("a");
  const auto second = rig.ids("b");
  std::vector<std::string> both;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                        std::back_inserter(both));
  EXPECT_TRUE(both.empty()) << both.size() << " in both, as " << both.front();
  EXPECT_EQ(first.size() + second.size(), static_cast<std::size_t>(rig.submitted));
}

/// Leaves a ring with 30 records of "a" and 20 that wait; "b" is killed at its k-th change. False:
/// it came to its end.
bool take_over_and_die(HistoryRig& rig, std::uint64_t k, std::uint64_t& kills) {
  rig.start("a");
  rig.submit_more(30);
  rig.settle();
  rig.submit_more(20);
  rig.stop();
  const auto changes = testing::run_and_kill(k, [&rig] {
    rig.start("b");
    rig.settle(300);
    rig.engine.reset();
  });
  EXPECT_TRUE(changes.has_value());
  if (!changes || *changes < k) return false;
  ++kills;
  return true;
}

TEST(TakingOverARing, PutsEachRecordIntoOneHistoryWhereverItIsKilled) {
  for (const Layout layout : {Layout::kSingle, Layout::kSegmented}) {
    std::uint64_t kills = 0;
    for (std::uint64_t k = 1;; ++k) {
      SCOPED_TRACE("killed at change " + std::to_string(k));
      HistoryRig rig(layout);
      const bool died = take_over_and_die(rig, k, kills);
      if (HasFailure()) return;
      // Whoever comes next, and the other after it.
      for (const char* name : k % 2 == 0 ? std::array{"a", "b", "a"} : std::array{"b", "a", "b"}) {
        rig.start(name);
        rig.settle();
        rig.stop();
      }
      expect_each_once(rig);
      if (!died || HasFailure()) break;
    }
    if (kills == 0) GTEST_SKIP() << "ptrace is not permitted here";
    EXPECT_GT(kills, 15u) << "the run had too few changes to prove anything";
  }
}

}  // namespace
}  // namespace phlower
