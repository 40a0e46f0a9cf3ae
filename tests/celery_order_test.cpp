// Which of a task's events decides: Celery's rule for every order in which they can come, in the
// assembler and, where it has forgotten the task between two of them, in the store's upsert.
// celery_order_test.py holds the same against Celery's own State.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/history/merge.hpp"
#include "phlower/record/record.hpp"
#include "support/celery_events.hpp"

namespace phlower {
namespace {

using testing::for_each_order;
using testing::make_event;

struct Order {
  const char* name;
  std::vector<const char*> types;  // at the times 1, 2, 3...
  const char* state;
  double received, started, finished;
  bool same_when_forgotten = true;
};

const std::vector<Order> kOrders = {
    {"rejected after its failure",
     {"received", "started", "failed", "rejected"},
     "FAILURE",
     1,
     2,
     3},
    {"rejected before its failure",
     {"received", "started", "rejected", "failed"},
     "FAILURE",
     1,
     2,
     4},
    {"only rejected", {"received", "started", "rejected"}, "REJECTED", 1, 2, 3},
    {"rejected and delivered again",
     {"received", "rejected", "received", "started", "succeeded"},
     "SUCCESS",
     3,
     4,
     5},
    {"revoked, though it had succeeded",
     {"received", "started", "succeeded", "revoked"},
     "SUCCESS",
     1,
     2,
     3},
    {"revoked, and then it succeeded",
     {"received", "started", "revoked", "succeeded"},
     "SUCCESS",
     1,
     2,
     4},
    {"revoked and failed", {"received", "revoked", "started", "failed"}, "FAILURE", 1, 3, 4},
    {"delivered twice, failed the second time",
     {"received", "started", "succeeded", "received", "started", "failed"},
     "SUCCESS",
     1,
     2,
     3},
    {"delivered twice, succeeded the second time",
     {"received", "started", "failed", "received", "started", "succeeded"},
     "SUCCESS",
     4,
     5,
     6},
    {"done twice",
     {"received", "started", "succeeded", "received", "started", "succeeded"},
     "SUCCESS",
     4,
     5,
     6},
    {"failed twice", {"started", "failed", "received", "failed"}, "FAILURE", 3, 1, 4, false},
    {"retried, then failed",
     {"received", "started", "retried", "received", "started", "failed"},
     "FAILURE",
     4,
     5,
     6},
    {"retried, then revoked", {"received", "retried", "revoked"}, "REVOKED", 1, 0, 3},
    {"retried after its end",
     {"started", "succeeded", "retried", "started", "failed"},
     "SUCCESS",
     0,
     1,
     2},
    {"sent last", {"received", "started", "succeeded", "sent"}, "SUCCESS", 1, 2, 3},
    {"delivered again while it runs",
     {"received", "started", "received"},
     "STARTED",
     3,
     2,
     0,
     false},
    {"waits for its retry", {"received", "started", "retried"}, "RETRY", 1, 2, 0, false},
    {"received for its retry",
     {"received", "started", "retried", "received"},
     "RECEIVED",
     4,
     2,
     0,
     false},
    {"sent again, late", {"received", "retried", "sent"}, "RETRY", 1, 0, 0, false},
    {"a custom event", {"received", "progress", "revoked"}, "REVOKED", 1, 0, 3},
};

std::vector<Event> events_of(const Order& order) {
  std::vector<Event> events;
  for (const char* type : order.types) {
    events.push_back(make_event(type, static_cast<double>(events.size() + 1)));
  }
  return events;
}

/// The row of the task after its records were merged as the store merges them.
Record row_of(const std::vector<Event>& events, bool forget_at_once) {
  CeleryOptions options;
  if (forget_at_once) options.in_flight_max = 1;
  AssemblerLimits limits;
  if (forget_at_once) limits.ended_max = 0;
  Assembler assembler(options, limits);
  std::map<std::string, Record> rows;
  const auto give = [&rows](const RecordView& record) {
    Record& row = rows[std::string(record.task_id)];
    row = row.task_id.empty() ? owned(record) : owned(merge_versions(row.view(), record));
  };
  int others = 0;
  for (const Event& event : events) {
    assembler.add(event, MonoTime(), give);
    if (forget_at_once) {
      assembler.add(make_event("received", 1, "other" + std::to_string(++others)), MonoTime(),
                    give);
    }
  }
  assembler.flush(give);
  return rows["t1"];
}

TEST(Order, IsThatOfCeleryHoweverTheEventsCome) {
  for (const Order& order : kOrders) {
    const std::string exception = order.state == std::string("FAILURE") ? "KeyError('failed')"
                                  : order.state == std::string("RETRY") ? "KeyError('retried')"
                                                                        : "";
    for_each_order(events_of(order), [&](const std::vector<Event>& events) {
      const Record row = row_of(events, false);
      ASSERT_EQ(row.state, order.state) << order.name;
      ASSERT_EQ(row.received_at, order.received) << order.name;
      ASSERT_EQ(row.started_at, order.started) << order.name;
      ASSERT_EQ(row.finished_at, order.finished) << order.name;
      ASSERT_EQ(row.exception_type, exception) << order.name;
    });
  }
}

// Each event then makes a record of its own, as after a restart between any two.
TEST(Order, IsTheSameInTheStoreWhereTheTaskWasForgottenBetweenItsEvents) {
  for (const Order& order : kOrders) {
    if (!order.same_when_forgotten) continue;
    for_each_order(events_of(order), [&](const std::vector<Event>& events) {
      const Record row = row_of(events, true);
      ASSERT_EQ(row.state, order.state) << order.name;
      ASSERT_EQ(row.finished_at, order.finished) << order.name;
      ASSERT_EQ(row.exception_type,
                order.state == std::string("FAILURE") ? "KeyError('failed')" : "");
    });
  }
}

TEST(Order, OfStatesIsTheSameForEveryOrderOfTheirVersions) {
  const std::vector<const char*> ranked = {"RECEIVED", "REJECTED", "REVOKED",
                                           "ABORTED",  "FAILURE",  "SUCCESS"};
  for (std::size_t low = 0; low < ranked.size(); ++low) {
    for (std::size_t high = low + 1; high < ranked.size(); ++high) {
      RecordView lower;
      lower.state = ranked[low];
      (low == 0 ? lower.received_at : lower.finished_at) = 9;
      RecordView higher;
      higher.state = ranked[high];
      higher.finished_at = 5;
      EXPECT_EQ(merge_versions(lower, higher).state, ranked[high]);
      EXPECT_EQ(merge_versions(higher, lower).state, ranked[high]);
      EXPECT_EQ(merge_versions(higher, lower).finished_at, 5);
    }
  }
}

// Producers hand over in several lanes: what was given out last may come first.
TEST(Order, OfTheRecordsOfOneTaskDoesNotMatterEither) {
  for (const Order& order : kOrders) {
    if (order.finished == 0) continue;
    std::vector<Event> events = events_of(order);
    std::reverse(events.begin(), events.end());
    Assembler assembler{CeleryOptions()};
    std::vector<Record> given;
    for (const Event& event : events) assembler.add(event, MonoTime(), given);
    ASSERT_LE(given.size(), 6u);
    std::sort(given.begin(), given.end(), [](const Record& a, const Record& b) {
      return std::tie(a.started_at, a.state) < std::tie(b.started_at, b.state);
    });
    Record row = given.back();
    for (std::size_t i = given.size() - 1; i-- > 0;) {
      row = owned(merge_versions(row.view(), given[i].view()));
    }
    EXPECT_EQ(row.state, order.state) << order.name;
    EXPECT_EQ(row.received_at, order.received) << order.name;
    EXPECT_EQ(row.started_at, order.started) << order.name;
    EXPECT_EQ(row.finished_at, order.finished) << order.name;
  }
}

// Segments keep whole microseconds: of a row that came back from one, the end may seem to be later.
TEST(Order, OfVersionsIsNotTurnedByTheMicrosecondsOfWhatIsStored) {
  const double end = 1795634568.1476158;
  for (const double stored_end : {1795634568.147615, 1795634568.147616}) {
    RecordView stored;
    stored.state = "SUCCESS";
    stored.finished_at = stored_end;
    stored.started_at = 1795634568.0;
    RecordView incoming = stored;
    incoming.finished_at = end;
    incoming.started_at = 1795634568.1;
    incoming.worker = "w";
    const bool same = stored_end == 1795634568.147616;
    EXPECT_EQ(merge_versions(incoming, stored).started_at, 1795634568.1);
    EXPECT_TRUE(supersedes(incoming, stored));
    EXPECT_EQ(supersedes(stored, incoming), same);
    EXPECT_EQ(merge_versions(stored, incoming).started_at, 1795634568.1);
  }
}

TEST(MergedTimes, AreThoseOfTheRunThatEndedAndNeverLost) {
  struct Starts {
    UnixSeconds one, other, merged;
  };
  // Of a run that ended at 10.
  for (const Starts& at : {Starts{5, 8, 8}, Starts{5, 12, 5}, Starts{0, 8, 8}, Starts{0, 0, 0},
                           Starts{10, 12, 10},  // at its end
                           Starts{0, 12, 12},   // by a clock that is wrong, and all that is known
                           Starts{12, 13, 12}}) {
    EXPECT_EQ(time_up_to(10, at.one, at.other), at.merged) << at.one << " and " << at.other;
    EXPECT_EQ(time_up_to(10, at.other, at.one), at.merged) << at.other << " and " << at.one;
  }
}

std::vector<std::string> shown_in_flight(const Assembler& assembler) {
  std::vector<std::string> found;
  assembler.for_each_in_flight([&](const InFlightTask& task) {
    const RecordView& r = task.record;
    found.push_back(std::string(r.task_id) + " " + std::string(r.state) + " " +
                    std::to_string(static_cast<int>(r.received_at)) + " " +
                    std::to_string(static_cast<int>(r.started_at)) + " " +
                    std::to_string(static_cast<int>(r.finished_at)) +
                    std::string(r.exception_type));
    return true;
  });
  return found;
}

TEST(Assembler, HasATaskInFlightThatBeganAgainAfterItsEnd) {
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  const auto add = [&](const char* type, double at) {
    assembler.add(make_event(type, at), MonoTime(), out);
    return shown_in_flight(assembler);
  };
  using Tasks = std::vector<std::string>;
  add("started", 2);
  EXPECT_EQ(add("failed", 3), Tasks());
  EXPECT_EQ(add("received", 1), Tasks());  // late
  EXPECT_EQ(add("received", 5), Tasks{"t1 RECEIVED 5 0 0"});
  EXPECT_EQ(add("started", 6), Tasks{"t1 STARTED 5 6 0"});
  EXPECT_EQ(add("rejected", 4), Tasks{"t1 STARTED 5 6 0"});  // late: of the run before
  EXPECT_EQ(out.back().state, "FAILURE");
  EXPECT_EQ(add("succeeded", 7), Tasks());
  EXPECT_EQ(out.back().state, "SUCCESS");
  EXPECT_EQ(out.back().started_at, 6);
  assembler.flush(out);
  EXPECT_EQ(assembler.stats().bytes, 0u);
}

TEST(Assembler, HasNoTaskInFlightWhoseStartOnlySeemsToBeAfterItsEnd) {
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  for (const auto& [type, at] :
       {std::pair{"received", 9.0}, {"started", 10.0}, {"succeeded", 5.0}}) {
    assembler.add(make_event(type, at), MonoTime(), out);
  }
  EXPECT_TRUE(shown_in_flight(assembler).empty());
}

}  // namespace
}  // namespace phlower
