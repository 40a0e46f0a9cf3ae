// The threads that ask the history: who is answered beside whom, and who makes room.
#include "agent/http/http_workers.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace phlower::agent {
namespace {

/// Workers whose questions stand before a gate if they are told to, and say when they are done.
class HttpThreads : public ::testing::Test {
 protected:
  static constexpr Seconds kGuard{60};  // never a measurement

  void start(std::uint32_t threads, std::uint32_t waiting_max) {
    HttpOptions options;
    options.threads = threads;
    options.waiting_max = waiting_max;
    workers_ =
        std::make_unique<HttpWorkers>(options, [this](const HttpWorkers::Question& question) {
          const std::lock_guard lock(mutex_);
          done_.insert(question->answer.body);
          changed_.notify_all();
        });
    workers_->start();
  }
  void TearDown() override {
    open_gate();
    workers_.reset();
  }

  HttpWorkers::Question question(const std::string& name, bool scans, bool at_gate) {
    HttpPlan plan(
        [this, name, at_gate](HttpAsker&) {
          if (at_gate) stand_in_gate();
          HttpAnswer answer;
          answer.body = name;
          return answer;
        },
        scans, kGuard);
    return std::make_shared<HttpQuestion>(std::move(plan), 1, clock_);
  }
  void stand_in_gate() {
    std::unique_lock lock(mutex_);
    ++in_gate_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --in_gate_;
  }
  void open_gate() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  template <class Condition>
  bool wait(Condition&& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kGuard, condition);
  }
  bool wait_in_gate(int count) {
    return wait([&] { return in_gate_ == count; });
  }
  bool wait_done(const std::string& name) {
    return wait([&] { return done_.contains(name); });
  }

  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int in_gate_ = 0;
  std::multiset<std::string> done_;
  std::unique_ptr<HttpWorkers> workers_;
};

TEST_F(HttpThreads, LeaveOneForWhatIsFoundAtOnce) {
  start(3, 16);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(workers_->push(question("scan", true, true)));
  ASSERT_TRUE(wait_in_gate(2));
  for (const char* name : {"first", "second"}) {
    ASSERT_TRUE(workers_->push(question(name, false, false)));
    EXPECT_TRUE(wait_done(name));
  }
  EXPECT_EQ(workers_->load().waiting, 3u);
  open_gate();
  EXPECT_TRUE(wait([this] { return done_.count("scan") == 5; }));
}

TEST_F(HttpThreads, TakeMoreThanMayWaitWhereSomebodyHasLeft) {
  start(2, 2);
  ASSERT_TRUE(workers_->push(question("runs", true, true)));
  ASSERT_TRUE(wait_in_gate(1));
  const auto left = question("left", true, false);
  ASSERT_TRUE(workers_->push(left));
  ASSERT_TRUE(workers_->push(question("stays", true, false)));
  EXPECT_FALSE(workers_->push(question("comes", true, false)));
  left->asker.leave();
  EXPECT_TRUE(workers_->push(question("comes", true, false)));
  EXPECT_EQ(left->answer.status, 503);
  open_gate();
  for (const char* name : {"runs", "stays", "comes"}) EXPECT_TRUE(wait_done(name)) << name;
  EXPECT_FALSE(done_.contains("left"));
}

}  // namespace
}  // namespace phlower::agent
