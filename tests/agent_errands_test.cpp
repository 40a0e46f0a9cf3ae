// What other threads ask of the loop, and what becomes of it when the loop is late or gone.
#include "agent/host/errands.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>
#include <vector>

namespace phlower::agent {
namespace {

bool readable(const Errands& errands, int timeout_ms) {
  pollfd fd{errands.fd(), POLLIN, 0};
  return ::poll(&fd, 1, timeout_ms) == 1;
}

TEST(Errands, AreRunByTheLoopWhileTheirAskersWait) {
  Errands errands;
  std::atomic<int> answered{0};
  int sum = 0;  // the loop's: no lock
  std::vector<std::thread> askers;
  askers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    askers.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        int got = -1;
        if (errands.ask([&] { got = ++sum; }, Seconds(60)) && got > 0) ++answered;
      }
    });
  }
  while (sum < 800) {
    if (readable(errands, 1000)) errands.run();
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(answered.load(), 800);
  errands.run();  // it may have run the last ones before it read that they wait
  EXPECT_FALSE(readable(errands, 0));
}

TEST(Errands, AreNotRunAnyMoreOnceTheirAskerHasGone) {
  Errands errands;
  bool ran = false;
  EXPECT_FALSE(errands.ask([&] { ran = true; }, Milliseconds(1)));
  errands.run();
  EXPECT_FALSE(ran);
}

TEST(Errands, LetTheirAskersGoWhenTheLoopEnds) {
  Errands errands;
  std::atomic<bool> answered{true};
  std::thread asker([&] { answered = errands.ask([] {}, Seconds(600)); });
  while (!readable(errands, 1000)) continue;
  errands.close();
  asker.join();
  EXPECT_FALSE(answered.load());
  EXPECT_FALSE(errands.ask([] {}, Seconds(600)));
}

}  // namespace
}  // namespace phlower::agent
