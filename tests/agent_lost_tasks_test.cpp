// What is said of tasks whose events never came, by what workers tell.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "agent/source/counters.hpp"
#include "agent/source/lost_tasks.hpp"
#include "phlower/celery/event.hpp"

namespace phlower::agent {
namespace {

Event started(const char* worker) {
  Event event;
  event.kind = EventKind::kStarted;
  event.hostname = worker;
  return event;
}
Event heartbeat(const char* worker, std::uint64_t processed) {
  Event event;
  event.kind = EventKind::kWorker;
  event.type = "worker-heartbeat";
  event.hostname = worker;
  event.processed = processed;
  return event;
}

/// What was counted of a worker's tasks.
struct Lost {
  std::uint64_t missed() const { return counters.entries()[0].count.get(); }
  std::uint64_t unaccounted() const { return counters.entries()[1].count.get(); }
  Counters counters;
  LostTasks tasks{counters, "test"};
};

TEST(LostTasks, AreUnaccountedIfAWorkerBeganThemWithoutAnEventUntilItsNextHeartbeat) {
  Lost lost;
  lost.tasks.see(heartbeat("w", 100));
  lost.tasks.see(started("w"));
  lost.tasks.see(heartbeat("w", 104));
  EXPECT_EQ(lost.unaccounted(), 0u);  // their events may be under way
  for (int i = 0; i < 3; ++i) lost.tasks.see(started("w"));
  lost.tasks.see(heartbeat("w", 106));
  EXPECT_EQ(lost.unaccounted(), 0u);
  lost.tasks.see(started("w"));
  lost.tasks.see(heartbeat("w", 106));
  EXPECT_EQ(lost.unaccounted(), 1u);
  lost.tasks.see(heartbeat("w", 106));
  EXPECT_EQ(lost.unaccounted(), 1u);  // told once
  EXPECT_EQ(lost.missed(), 0u);       // it may be a task that sends no events
}

TEST(LostTasks, AreNotCountedByHeartbeatsThatSayNoNumber) {
  Lost lost;
  Event silent = heartbeat("w", 0);
  silent.processed.reset();
  lost.tasks.see(heartbeat("w", 868));
  lost.tasks.see(started("w"));
  for (int i = 0; i < 3; ++i) {
    lost.tasks.see(silent);
    lost.tasks.see(heartbeat("w", 869));
  }
  EXPECT_EQ(lost.unaccounted(), 0u);
}

TEST(LostTasks, AreNotCountedOfAWorkerThatSendsNoTaskEvents) {
  Lost lost;
  for (int i = 0; i < 10; ++i) lost.tasks.see(heartbeat("w", 100u * i));
  EXPECT_EQ(lost.unaccounted(), 0u);
  lost.tasks.see(started("w"));  // told to send them now
  lost.tasks.see(heartbeat("w", 901));
  lost.tasks.see(heartbeat("w", 901));
  EXPECT_EQ(lost.unaccounted(), 0u);
}

TEST(LostTasks, AreCountedAnewWhenAWorkerBeginsAnew) {
  Lost lost;
  Event online = heartbeat("w", 0);
  online.type = "worker-online";
  lost.tasks.see(heartbeat("w", 500));
  lost.tasks.see(started("w"));
  lost.tasks.see(heartbeat("w", 501));
  lost.tasks.see(online);
  lost.tasks.see(heartbeat("w", 0));
  lost.tasks.see(started("w"));
  for (int i = 0; i < 2; ++i) lost.tasks.see(heartbeat("w", 3));
  EXPECT_EQ(lost.unaccounted(), 2u);
}

TEST(LostTasks, AreNotCountedOfTwoWorkersOfOneName) {
  Lost lost;
  for (std::uint64_t i = 0; i < 10; ++i) {
    lost.tasks.see(started("w"));
    lost.tasks.see(heartbeat("w", 1000 + i));
    lost.tasks.see(heartbeat("w", 5));
  }
  EXPECT_EQ(lost.unaccounted(), 0u);
}

RecordView success(double start, double end, double runtime) {
  RecordView record;
  record.state = "SUCCESS";
  record.worker = "w";
  record.started_at = start;
  record.finished_at = end;
  record.runtime_ms = runtime * 1000;
  return record;
}

TEST(LostTasks, AreMissedIfTheyEndedWithoutAStartThatCanHaveBeenHeard) {
  Lost lost;
  lost.tasks.see(success(0, 100, 1));  // of a worker that was not heard of
  Event beat = heartbeat("w", 1);
  beat.timestamp = 100;
  lost.tasks.see(beat);
  lost.tasks.see(success(0, 103, 5));    // it began before
  lost.tasks.see(success(104, 105, 1));  // its start is known
  lost.tasks.see(success(0, 105, -1));   // it is not told when it began
  RecordView failed = success(0, 105, 1);
  failed.state = "FAILURE";  // not registered, perhaps: it never began
  lost.tasks.see(failed);
  EXPECT_EQ(lost.missed(), 0u);
  lost.tasks.see(success(0, 105, 1));
  EXPECT_EQ(lost.missed(), 1u);
  RecordView forgotten = success(110, 0, -1);
  forgotten.state = "STARTED";
  lost.tasks.see(forgotten);
  lost.tasks.see(success(0, 112, 3));  // perhaps one that was forgotten
  EXPECT_EQ(lost.missed(), 1u);
  lost.tasks.see(success(0, 120, 3));
  EXPECT_EQ(lost.missed(), 2u);
  lost.tasks.forget();
  lost.tasks.see(success(0, 130, 1));
  EXPECT_EQ(lost.missed(), 2u);
}

}  // namespace
}  // namespace phlower::agent
