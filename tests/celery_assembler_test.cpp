// Events to records: every order, every case comes to the same row.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/celery/task_index.hpp"
#include "phlower/ground/random.hpp"
#include "support/celery_events.hpp"

namespace phlower {
namespace {

using testing::for_each_order;
using testing::History;
using testing::make_event;

std::vector<Record> assemble(const std::vector<Event>& events, const CeleryOptions& options = {}) {
  Assembler assembler(options);
  std::vector<Record> out;
  for (const Event& event : events) assembler.add(event, MonoTime(), out);
  assembler.flush(out);
  return out;
}

/// One field after another, for comparisons that show what differs.
std::string text_of(const Record& r) {
  const auto number = [](double value) { return std::to_string(value) + "|"; };
  return r.task_id + "|" + r.task_name + "|" + r.state + "|" + number(r.received_at) +
         number(r.started_at) + number(r.finished_at) + number(r.runtime_ms) + r.worker + "|" +
         r.queue + "|" + r.exception_type + "|" + r.args + "|" + r.kwargs + "|" + r.traceback;
}

std::string history_of(const std::vector<Event>& events) {
  History history;
  history.merge(assemble(events));
  return history.rows().empty() ? "" : text_of(history.row("t1"));
}

struct Named {
  std::string id;
  const std::string& task_id() const { return id; }
};

TEST(TaskIndex, FindsWhatIsInItAfterAnyChanges) {
  TaskIndex<Named> index;
  std::map<std::string, Named> all;
  Random random(3);
  for (int i = 0; i < 60'000; ++i) {
    // It grows to some thousands, then shrinks again.
    const std::string id = "task-" + std::to_string(random.below(6000));
    const auto found = all.find(id);
    ASSERT_EQ(index.find(id), found == all.end() ? nullptr : &found->second);
    if (found == all.end() && random.chance(i < 30'000 ? 9 : 1, 10)) {
      index.insert(all.emplace(id, Named{id}).first->second);
    } else if (found != all.end() && random.chance(i < 30'000 ? 1 : 9, 10)) {
      index.erase(found->second);
      all.erase(found);
    }
  }
  for (auto& [id, named] : all) EXPECT_EQ(index.find(id), &named);
}

TEST(Assembler, MakesOneRecordOfASuccessInOrder) {
  const std::vector<Record> records =
      assemble({make_event("sent", 1), make_event("received", 2), make_event("started", 3),
                make_event("succeeded", 4)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(text_of(records[0]),
            "t1|shop.pack|SUCCESS|2.000000|3.000000|4.000000|250.000000|worker@a|orders||(1,)|"
            "{'a': 2}|");
}

struct Case {
  const char* name;
  std::vector<Event> events;
  const char* state;
  double received, started, finished;
  const char* exception;
};

Event received_by(const std::string& worker, double at) {
  Event event = make_event("received", at);
  event.hostname = worker;
  return event;
}

std::vector<Case> common_cases() {
  const auto e = [](const char* type, double at) { return make_event(type, at); };
  return {
      {"success",
       {e("sent", 1), e("received", 2), e("started", 3), e("succeeded", 4)},
       "SUCCESS",
       2,
       3,
       4,
       ""},
      {"failure",
       {e("sent", 1), e("received", 2), e("started", 3), e("failed", 4)},
       "FAILURE",
       2,
       3,
       4,
       "KeyError('failed')"},
      {"never registered",
       {e("sent", 1), e("failed", 2)},
       "FAILURE",
       0,
       0,
       2,
       "KeyError('failed')"},
      {"revoked before received", {e("sent", 1), e("revoked", 2)}, "REVOKED", 0, 0, 2, ""},
      {"revoked while running",
       {e("received", 2), e("started", 3), e("revoked", 4)},
       "REVOKED",
       2,
       3,
       4,
       ""},
      {"rejected, then done elsewhere",
       {e("received", 2), e("rejected", 3), e("received", 4), e("started", 5), e("succeeded", 6)},
       "SUCCESS",
       4,
       5,
       6,
       ""},
      {"retried, then done",
       {e("sent", 1), e("received", 2), e("started", 3), e("sent", 4), e("retried", 5),
        e("received", 6), e("started", 7), e("succeeded", 8)},
       "SUCCESS",
       6,
       7,
       8,
       ""},
      {"retried, then failed",
       {e("received", 2), e("started", 3), e("retried", 4), e("received", 5), e("started", 6),
        e("failed", 7)},
       "FAILURE",
       5,
       6,
       7,
       "KeyError('failed')"},
  };
}

std::vector<Case> odd_cases() {
  const auto e = [](const char* type, double at) { return make_event(type, at); };
  return {
      {"waits for its retry",
       {e("received", 2), e("started", 3), e("retried", 4)},
       "RETRY",
       2,
       3,
       0,
       "KeyError('retried')"},
      {"second try runs",
       {e("received", 2), e("started", 3), e("retried", 4), e("received", 5), e("started", 6)},
       "STARTED",
       5,
       6,
       0,
       ""},
      {"delivered again after its end, and running",
       {e("received", 2), e("started", 3), e("succeeded", 4), e("received", 5), e("started", 6)},
       "SUCCESS",
       2,
       3,
       4,
       ""},
      {"done twice",
       {e("received", 2), e("started", 3), e("failed", 4), e("received", 5), e("started", 6),
        e("succeeded", 7)},
       "SUCCESS",
       5,
       6,
       7,
       ""},
      {"all at one time",
       {e("received", 5), e("started", 5), e("retried", 5), e("succeeded", 5)},
       "SUCCESS",
       5,
       5,
       5,
       ""},
      {"clock went back",
       {e("received", 9), e("started", 10), e("succeeded", 5)},
       "SUCCESS",
       9,
       10,
       5,
       ""},
      {"only begun", {e("sent", 1), e("received", 2)}, "RECEIVED", 2, 0, 0, ""},
      {"only ended", {e("succeeded", 4)}, "SUCCESS", 0, 0, 4, ""},
  };
}

std::vector<Case> cases() {
  std::vector<Case> all = common_cases();
  for (Case& test : odd_cases()) all.push_back(std::move(test));
  return all;
}

TEST(Assembler, ComesToTheSameRowWhateverTheOrder) {
  for (const Case& test : cases()) {
    std::string first;
    for_each_order(test.events, [&](const std::vector<Event>& events) {
      History history;
      history.merge(assemble(events));
      const Record& row = history.row("t1");
      ASSERT_EQ(row.state, test.state) << test.name;
      ASSERT_EQ(row.received_at, test.received) << test.name;
      ASSERT_EQ(row.started_at, test.started) << test.name;
      ASSERT_EQ(row.finished_at, test.finished) << test.name;
      ASSERT_EQ(row.exception_type, test.exception) << test.name;
      if (first.empty()) first = text_of(row);
      ASSERT_EQ(text_of(row), first) << test.name;
    });
  }
}

TEST(Assembler, ComesToTheSameRowWhenEventsAreDeliveredTwice) {
  for (const Case& test : cases()) {
    std::vector<Event> twice = test.events;
    twice.insert(twice.end(), test.events.begin(), test.events.end());
    EXPECT_EQ(history_of(twice), history_of(test.events)) << test.name;
    EXPECT_EQ(assemble(twice).size(), assemble(test.events).size()) << test.name;
  }
}

// With room for one task and another one in between, each event is forgotten at once: the rows must
// then come out of the versions alone. Three cases cannot: a retry has no time of its own in a
// record and so cannot beat the start of its try; what a new delivery begins is taken for the late
// events of an end whose own are forgotten.
bool survives_forgetting(const Case& test) {
  const std::string name = test.name;
  return name != "waits for its retry" && name != "second try runs" &&
         name != "delivered again after its end, and running";
}

TEST(Assembler, ComesToTheSameEndsWhenItForgetsEveryTaskAtOnce) {
  CeleryOptions options;
  options.in_flight_max = 1;
  for (const Case& test : cases()) {
    if (!survives_forgetting(test)) continue;
    std::vector<Event> events;
    for (const Event& event : test.events) {
      events.push_back(event);
      events.push_back(make_event("received", 1, "other" + std::to_string(events.size())));
    }
    History history;
    history.merge(assemble(events, options));
    const Record& row = history.row("t1");
    EXPECT_EQ(row.state, test.state) << test.name;
    EXPECT_EQ(row.finished_at, test.finished) << test.name;
    EXPECT_EQ(row.exception_type, test.exception) << test.name;
    EXPECT_EQ(row.received_at, test.received) << test.name;
    EXPECT_EQ(row.started_at, test.started) << test.name;
  }
}

TEST(Assembler, GivesOutAnEndAtOnceAndAgainWhenALateEventCompletesIt) {
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  assembler.add(make_event("succeeded", 4), MonoTime(), out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].task_name, "");
  assembler.add(make_event("received", 2), MonoTime(), out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[1].state, "SUCCESS");
  EXPECT_EQ(out[1].task_name, "shop.pack");
  EXPECT_EQ(out[1].received_at, 2);
  assembler.add(make_event("started", 3), MonoTime(), out);
  assembler.add(make_event("sent", 1), MonoTime(), out);
  ASSERT_EQ(out.size(), 4u);
  EXPECT_EQ(out[3].queue, "orders");
  EXPECT_EQ(assembler.stats().updates, 3u);
  assembler.add(make_event("sent", 1), MonoTime(), out);
  assembler.add(make_event("started", 3), MonoTime(), out);
  EXPECT_EQ(out.size(), 4u);
  EXPECT_EQ(assembler.stats().redundant_events, 2u);
}

TEST(Assembler, GivesOutEachRetryAsUnfinished) {
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  for (int attempt = 0; attempt < 500; ++attempt) {
    const double at = 10.0 * attempt + 1;
    assembler.add(make_event("received", at), MonoTime(), out);
    assembler.add(make_event("started", at + 1), MonoTime(), out);
    assembler.add(make_event("retried", at + 2), MonoTime(), out);
    ASSERT_EQ(out.size(), static_cast<std::size_t>(attempt + 1));
    EXPECT_EQ(out.back().state, "RETRY");
    EXPECT_EQ(out.back().finished_at, 0);
    EXPECT_EQ(out.back().started_at, at + 1);
    EXPECT_EQ(out.back().traceback, "Traceback of retried");
  }
  EXPECT_LT(assembler.stats().bytes, 8'000u);
  assembler.add(make_event("succeeded", 9'999), MonoTime(), out);
  EXPECT_EQ(out.back().state, "SUCCESS");
  EXPECT_EQ(out.back().received_at, 4'991);
  EXPECT_EQ(out.back().exception_type, "");
  EXPECT_EQ(out.back().traceback, "");
}

TEST(Assembler, KeepsWhatItKnowsWhenAnEventIsDeliveredManyTimes) {
  std::vector<Event> events(100, make_event("started", 3));
  events.insert(events.begin(), make_event("received", 2));
  events.push_back(make_event("succeeded", 4));
  EXPECT_EQ(assemble(events).back().received_at, 2);
}

TEST(Assembler, TakesTheWorkerThatEndedTheTask) {
  History history;
  Event end = make_event("succeeded", 9);
  end.hostname = "worker@b";
  history.merge(assemble({received_by("worker@a", 1), end, received_by("worker@c", 8)}));
  EXPECT_EQ(history.row("t1").worker, "worker@b");
  end.hostname.clear();
  EXPECT_EQ(assemble({received_by("worker@a", 1), end}).back().worker, "worker@a");
  EXPECT_EQ(assemble({make_event("sent", 1), end}).back().worker, "");
}

TEST(Assembler, TakesTheQueueFromTheRoutingKeyElseTheQueue) {
  Event sent = make_event("sent", 1);
  sent.queue = "q";
  sent.routing_key = "orders.high";
  EXPECT_EQ(assemble({sent, make_event("succeeded", 2)}).back().queue, "orders.high");
  sent.routing_key.clear();
  EXPECT_EQ(assemble({sent, make_event("succeeded", 2)}).back().queue, "q");
}

TEST(Assembler, FindsTheNameOfAnUnregisteredTaskInItsException) {
  Event failed = make_event("failed", 2);
  failed.exception = "NotRegistered('shop.gone')";
  EXPECT_EQ(assemble({failed}).back().task_name, "shop.gone");
  failed.exception = "NotRegistered('shop.go";
  EXPECT_EQ(assemble({failed}).back().task_name, "");
}

TEST(Assembler, DatesAnEventWithoutTimeByTheOneBefore) {
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  assembler.add(make_event("succeeded", 0), MonoTime(), out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(assembler.stats().undated_events, 1u);
  assembler.add(make_event("received", 7, "t2"), MonoTime(), out);
  assembler.add(make_event("succeeded", 0), MonoTime(), out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].finished_at, 7);
  EXPECT_EQ(assembler.stats().dated_by_neighbour, 1u);
}

TEST(Assembler, LeavesWorkersAndCustomEventsAlone) {
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  Event heartbeat;
  heartbeat.kind = EventKind::kWorker;
  heartbeat.timestamp = 1;
  assembler.add(heartbeat, MonoTime(), out);
  assembler.add(make_event("custom", 2), MonoTime(), out);
  assembler.flush(out);
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(assembler.stats().worker_events, 1u);
  EXPECT_EQ(assembler.stats().other_events, 1u);
}

TEST(Assembler, GivesARetryOutOnceThoughItIsForgottenLater) {
  EXPECT_EQ(assemble({make_event("started", 1), make_event("retried", 2)}).size(), 1u);
  EXPECT_EQ(assemble({make_event("retried", 2), make_event("received", 3)}).size(), 2u);
}

}  // namespace
}  // namespace phlower
