// What the agent concludes from what it hears, and from what it does not.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/broker/hearing.hpp"
#include "agent/host/told_names.hpp"
#include "agent/source/worker_watch.hpp"

namespace phlower::agent {
namespace {

MonoTime at(int seconds) { return MonoTime() + Seconds(seconds); }

Event heartbeat(const char* worker, std::uint64_t processed) {
  Event event;
  event.kind = EventKind::kWorker;
  event.type = "worker-heartbeat";
  event.hostname = worker;
  event.processed = processed;
  return event;
}
Event of_worker(const char* type, const char* worker) {
  Event event = heartbeat(worker, 0);
  event.processed.reset();
  event.type = type;
  return event;
}
Event of_task(EventKind kind, const char* sender) {
  Event event;
  event.kind = kind;
  event.hostname = sender;
  return event;
}
using Names = std::vector<std::string>;

TEST(Hearing, IsSilentOnceASubscriptionThatStandsBringsNothing) {
  Hearing hearing(Seconds(60));
  EXPECT_FALSE(hearing.silent(at(1000)));  // not subscribed: that is told otherwise
  hearing.subscribed(at(100));
  EXPECT_FALSE(hearing.silent(at(159)));
  EXPECT_TRUE(hearing.silent(at(160)));
  EXPECT_FALSE(hearing.last().has_value());
  hearing.heard(at(161));
  EXPECT_FALSE(hearing.silent(at(220)));
  EXPECT_EQ(hearing.last(), at(161));
  EXPECT_TRUE(hearing.silent(at(221)));
  EXPECT_EQ(hearing.silence(at(231)), Seconds(70));
  hearing.lost();
  EXPECT_FALSE(hearing.silent(at(500)));
  hearing.subscribed(at(500));
  EXPECT_FALSE(hearing.silent(at(559)));
}

TEST(Hearing, ThePatternOfAChannelTakesItsNameWordForWord) {
  EXPECT_EQ(pattern_of_channel("shop:/3.celeryev/worker.heartbeat"), "shop:/3.celeryev/*");
  EXPECT_EQ(pattern_of_channel("/0.celeryev/task.multi"), "/0.celeryev/*");
  EXPECT_EQ(pattern_of_channel("a*b[1]?\\/0.ev/worker.online"), "a\\*b\\[1\\]\\?\\\\/0.ev/*");
  EXPECT_EQ(pattern_of_channel("/0.celeryev"), "/0.celeryev");  // without topics
  EXPECT_EQ(pattern_of_channel(""), "");
  EXPECT_EQ(yaml_text("it's/*"), "'it''s/*'");
}

TEST(WorkerWatch, KnowsWhoRunsTasksAndSendsNoEventsOfThem) {
  WorkerWatch watch;
  for (const char* worker : {"mute", "tells", "idle"}) watch.see(heartbeat(worker, 7), at(0));
  watch.see(heartbeat("mute", 9), at(2));
  watch.see(heartbeat("tells", 9), at(2));
  watch.see(heartbeat("idle", 7), at(2));
  EXPECT_EQ(watch.mute(), Names{});  // events may be under way
  watch.see(of_task(EventKind::kReceived, "tells"), at(3));
  for (const char* worker : {"mute", "tells", "idle"}) watch.see(heartbeat(worker, 9), at(4));
  EXPECT_EQ(watch.mute(), Names{"mute"});
  EXPECT_EQ(watch.count(), 3u);
  watch.see(of_task(EventKind::kSent, "mute"), at(5));  // a client's: says nothing of the worker
  watch.see(heartbeat("mute", 9), at(6));
  EXPECT_EQ(watch.mute(), Names{"mute"});
  watch.see(of_task(EventKind::kStarted, "mute"), at(7));  // its events were switched on
  watch.see(heartbeat("mute", 10), at(8));
  EXPECT_EQ(watch.mute(), Names{});
}

TEST(WorkerWatch, JudgesAnewWhoBeganAnewOrWasNotHeard) {
  WorkerWatch watch;
  const auto becomes_mute = [&watch] {
    for (const int processed : {0, 5, 5}) watch.see(heartbeat("w", processed), at(0));
    EXPECT_EQ(watch.mute(), Names{"w"});
  };
  becomes_mute();
  watch.see(heartbeat("w", 1), at(1));  // fewer: another process
  EXPECT_EQ(watch.mute(), Names{});
  watch.see(of_worker("worker-offline", "w"), at(1));
  EXPECT_EQ(watch.count(), 0u);
  becomes_mute();
  watch.see(of_worker("worker-online", "w"), at(1));
  EXPECT_EQ(watch.mute(), Names{});
  becomes_mute();
  watch.forget();
  EXPECT_EQ(watch.mute(), Names{});
  becomes_mute();
  watch.expire(at(119));
  EXPECT_EQ(watch.count(), 1u);
  watch.expire(at(121));
  EXPECT_EQ(watch.count(), 0u);
}

TEST(WorkerWatch, TakesAHeartbeatWithoutACountForNoTask) {
  WorkerWatch watch;
  for (int second = 0; second < 20; second += 4) {
    watch.see(of_worker("worker-heartbeat", "w"), at(second));
    watch.see(heartbeat("w", 7), at(second + 2));
  }
  EXPECT_EQ(watch.mute(), Names{});
  EXPECT_EQ(watch.count(), 1u);
}

TEST(ToldNames, AreToldOnceAndAgainAfterTheyWereGone) {
  ToldNames told;
  EXPECT_EQ(told.fresh({"a"}), Names{"a"});
  EXPECT_EQ(told.fresh({"a", "b"}), Names{"b"});
  EXPECT_EQ(told.fresh({"a", "b"}), Names{});
  EXPECT_EQ(told.fresh({"b"}), Names{});
  EXPECT_EQ(told.fresh({"a", "b"}), Names{"a"});
  EXPECT_EQ(few_names({}), "");
  EXPECT_EQ(few_names({"a"}), "a");
  EXPECT_EQ(few_names({"a", "b"}), "a and b");
  EXPECT_EQ(few_names({"a", "b", "c", "d"}), "a, b and 2 more");
}

}  // namespace
}  // namespace phlower::agent
