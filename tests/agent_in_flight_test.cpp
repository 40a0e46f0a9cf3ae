// What is told of the tasks in flight of several sources.
#include "agent/source/in_flight.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/http/http_in_flight.hpp"

namespace phlower::agent {
namespace {

MonoTime at(int seconds) { return MonoTime() + Seconds(seconds); }

/// A source with tasks that were heard at these seconds; the task of second 7 has the id t-7.
class MadeSource final : public Source {
 public:
  MadeSource(std::string name, std::vector<int> heard)
      : name_(std::move(name)), heard_(std::move(heard)) {
    for (const int second : heard_) ids_.push_back("t-" + std::to_string(second));
  }
  std::string_view name() const override { return name_; }
  void watches(std::vector<pollfd>&) override {}
  bool turn(std::span<const pollfd>, MonoTime) override { return false; }
  SourceHealth health() const override { return {}; }
  void each_in_flight(const std::function<bool(const InFlightTask&)>& visit) const override {
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (!visit(task(i))) return;
    }
  }
  std::optional<InFlightTask> find_in_flight(std::string_view id) const override {
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (ids_[i] == id) return task(i);
    }
    return {};
  }
  void close() override {}
  bool hand_over(MonoTime) override { return true; }
  void give_up() override {}

 private:
  InFlightTask task(std::size_t i) const {
    InFlightTask task;
    task.record.task_id = ids_[i];
    task.record.task_name = heard_[i] % 2 == 0 ? "even" : "odd";
    task.record.state = "STARTED";
    task.heard = at(heard_[i]);
    return task;
  }

  std::string name_;
  std::vector<int> heard_;
  std::vector<std::string> ids_;
};

/// Two sources, and a thread that stands for the loop.
class TasksInFlight : public ::testing::Test {
 protected:
  void SetUp() override {
    sources_.push_back(std::make_unique<MadeSource>("one", std::vector<int>{1, 4, 6, 9}));
    sources_.push_back(std::make_unique<MadeSource>("two", std::vector<int>{2, 3, 5, 8}));
    loop_ = std::thread([this] {
      pollfd fd{errands_.fd(), POLLIN, 0};
      while (!over_.load()) {
        if (::poll(&fd, 1, 10) == 1) errands_.run();
      }
    });
  }
  void TearDown() override {
    over_.store(true);
    loop_.join();
  }

  std::vector<std::string> list(const InFlightFilter& filter) {
    std::vector<std::string> ids;
    const auto found = in_flight_.list(filter);
    EXPECT_TRUE(found.ok()) << found.status().message();
    if (found.ok()) {
      for (const TaskInFlight& task : *found) ids.push_back(task.record.task_id);
    }
    return ids;
  }
  /// How many tasks are answered with.
  std::size_t asked(std::uint32_t page_max,
                    const std::multimap<std::string, std::string>& parameters) {
    SystemClock clock;
    HttpOptions options;
    options.page_max = page_max;
    HttpRequest request;
    request.parameters = parameters;
    const HttpInFlight http(options, in_flight_, clock);
    const HttpPlan plan = http.page(request);
    HttpAsker asker(clock, clock.mono() + Seconds(60));
    const HttpAnswer answer = plan.question ? plan.question(asker) : plan.answer;
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body)["records"].size();
  }

  Errands errands_;
  InFlight::Sources sources_;
  InFlight in_flight_{errands_, sources_};
  std::atomic<bool> over_{false};
  std::thread loop_;
};

using Ids = std::vector<std::string>;

TEST_F(TasksInFlight, ComeLongestSilentFirstWhoeverHeardOfThem) {
  InFlightFilter filter;
  EXPECT_EQ(list(filter), (Ids{"t-1", "t-2", "t-3", "t-4", "t-5", "t-6", "t-8", "t-9"}));
  filter.limit = 3;
  EXPECT_EQ(list(filter), (Ids{"t-1", "t-2", "t-3"})) << "of all of them, not of each";
  filter.task = "even";
  EXPECT_EQ(list(filter), (Ids{"t-2", "t-4", "t-6"}));
}

TEST_F(TasksInFlight, AreFoundInEachSource) {
  for (const auto& [id, source] : {std::pair{"t-9", "one"}, {"t-2", "two"}}) {
    const auto found = in_flight_.find(id);
    ASSERT_TRUE(found.ok() && found->has_value()) << id;
    EXPECT_EQ((*found)->source, source);
  }
  const auto none = in_flight_.find("t-7");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
}

TEST_F(TasksInFlight, AreNoMoreThanAPageMayHaveAskedForOrNot) {
  EXPECT_EQ(asked(5, {}), 5u);
  EXPECT_EQ(asked(5, {{"limit", "4"}}), 4u);
  EXPECT_EQ(asked(1000, {}), 8u);
}

}  // namespace
}  // namespace phlower::agent
