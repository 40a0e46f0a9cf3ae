// A real capture through reader, assembler and merging must come to what Celery's own State held.
// tests/data has a part of the capture; the whole of it is checked where it lies beside the tree.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/ground/random.hpp"
#include "support/celery_events.hpp"
#include "support/expected_rows.hpp"

namespace phlower {
namespace {

using testing::ExpectedRow;
using testing::History;
using testing::read_events;
using testing::read_expected;

struct Capture {
  std::vector<Event> events;
  std::map<std::string, ExpectedRow> expected;
};

Capture part() {
  return {read_events(PHLOWER_TEST_DATA "/celery_events.ndjson"),
          read_expected(PHLOWER_TEST_DATA "/celery_events.expected.csv")};
}

Capture whole() {
  const auto folder = std::filesystem::path(PHLOWER_TEST_DATA) / "../../../shared/data";
  return {read_events((folder / "celery-events.ndjson").string()),
          read_expected((folder / "celery-events.expected.csv").string())};
}

History history_from(const std::vector<Event>& events, const CeleryOptions& options = {}) {
  Assembler assembler(options);
  History history;
  std::vector<Record> out;
  for (const Event& event : events) {
    out.clear();
    assembler.add(event, MonoTime(), out);
    history.merge(out);
  }
  out.clear();
  assembler.flush(out);
  history.merge(out);
  return history;
}

double number(const std::string& text, double if_empty) {
  return text.empty() ? if_empty : std::strtod(text.c_str(), nullptr);
}

// The file holds the first 60 characters of an exception: no value is longer, and the only one that
// has 60 breaks off inside its quotes.
constexpr std::size_t kExceptionCut = 60;

enum class Known { kAll, kNotSent };  // kNotSent: task-sent may be forgotten

void expect_row(const Record& row, const ExpectedRow& expected, Known known = Known::kAll) {
  const std::string& id = row.task_id;
  EXPECT_EQ(row.state, expected.at("state")) << id;
  const bool name_lost =
      known == Known::kNotSent && row.state == "REVOKED" && row.task_name.empty();
  EXPECT_EQ(row.task_name, name_lost ? "" : expected.at("task_name")) << id;
  // Bit by bit: both sides hold the double that the event's JSON stands for.
  EXPECT_EQ(row.received_at, number(expected.at("received"), 0)) << id;
  EXPECT_EQ(row.started_at, number(expected.at("started"), 0)) << id;
  EXPECT_EQ(row.finished_at, number(expected.at("finished"), 0)) << id;
  const double runtime = number(expected.at("runtime"), -1);
  EXPECT_EQ(row.runtime_ms, runtime < 0 ? -1 : runtime * 1000) << id;
  EXPECT_EQ(row.worker, expected.at("worker")) << id;
  const bool queue_lost = known == Known::kNotSent && row.queue.empty();
  EXPECT_EQ(row.queue, queue_lost ? "" : expected.at("queue")) << id;
  if (row.state == "FAILURE") {
    EXPECT_EQ(row.exception_type.substr(0, kExceptionCut), expected.at("exception")) << id;
  } else {
    // The file may have the exception of an earlier try here; a row that succeeded has none.
    EXPECT_EQ(row.exception_type, "") << id;
  }
}

void expect_rows(const History& history, const Capture& capture, Known known = Known::kAll) {
  std::size_t compared = 0;
  for (const auto& [id, expected] : capture.expected) {
    const auto row = history.rows().find(id);
    ASSERT_NE(row, history.rows().end()) << id;
    expect_row(row->second, expected, known);
    ++compared;
  }
  EXPECT_EQ(compared, capture.expected.size());
}

std::vector<Event> shuffled(std::vector<Event> events, std::uint64_t seed) {
  Random random(seed);
  for (std::size_t i = events.size(); i > 1; --i) std::swap(events[i - 1], events[random.below(i)]);
  return events;
}

TEST(ExpectedRows, CoverEveryCaseThatTheCaptureHas) {
  const Capture capture = part();
  ASSERT_EQ(capture.expected.size(), 120u);
  std::set<std::string> orders;
  std::map<std::string, int> states;
  for (const auto& [id, row] : capture.expected) {
    orders.insert(row.at("events"));
    ++states[row.at("state")];
  }
  EXPECT_EQ(orders.size(), 7u);
  EXPECT_EQ(states["FAILURE"], 9);
  EXPECT_EQ(states["REVOKED"], 4);
  const bool unicode = std::any_of(
      capture.events.begin(), capture.events.end(),
      [](const Event& event) { return event.kwargs.find("Zo\u00eb") != std::string::npos; });
  EXPECT_TRUE(unicode);
}

TEST(ExpectedRows, AreMetInTheOrderOfTheFile) {
  const Capture capture = part();
  const History history = history_from(capture.events);
  expect_rows(history, capture);
  // The other tasks share a task.multi with one of these; what is known of them is kept as well.
  EXPECT_GT(history.rows().size(), capture.expected.size());
}

// No field differs when the order is random: the times of a task's events differ from each other,
// so they decide everything.
TEST(ExpectedRows, AreMetInAnyOrder) {
  const Capture capture = part();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_rows(history_from(shuffled(capture.events, seed)), capture);
  }
}

TEST(ExpectedRows, AreMetWhenEveryEventComesTwice) {
  Capture capture = part();
  const std::vector<Event> once = capture.events;
  capture.events.insert(capture.events.end(), once.begin(), once.end());
  expect_rows(history_from(shuffled(capture.events, 5)), capture);
}

// A task that was only sent makes no row, so forgetting it loses what task-sent alone has said: the
// queue, and the name of a task that was revoked before any worker received it.
TEST(ExpectedRows, AreMetButForWhatTaskSentSaidWhenTasksAreForgottenAtOnce) {
  const Capture capture = part();
  CeleryOptions options;
  options.in_flight_max = 1;
  expect_rows(history_from(capture.events, options), capture, Known::kNotSent);
}

TEST(ExpectedRows, AreMetByTheWholeCapture) {
  const Capture capture = whole();
  if (capture.expected.empty()) GTEST_SKIP() << "the whole capture is not beside the source tree";
  ASSERT_EQ(capture.expected.size(), 1'210u);
  const History history = history_from(capture.events);
  EXPECT_EQ(history.rows().size(), 1'210u);
  expect_rows(history, capture);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_rows(history_from(shuffled(capture.events, seed)), capture);
  }
  Assembler assembler{CeleryOptions()};
  std::vector<Record> out;
  for (const Event& event : capture.events) assembler.add(event, MonoTime(), out);
  EXPECT_EQ(out.size(), 1'210u + 37u);  // one a task, one a retry: nothing given out in vain
}

}  // namespace
}  // namespace phlower
