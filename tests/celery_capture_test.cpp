// The reader of captures among hostile lines: each is named, counted and skipped, the others come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/celery/capture_reader.hpp"
#include "phlower/ground/random.hpp"
#include "support/celery_events.hpp"
#include "support/temp_dir.hpp"

namespace phlower {
namespace {

using ::testing::HasSubstr;
using testing::make_line;
using testing::make_message;
using testing::TempDir;
using testing::write_file;

const std::string& good_line() {
  static const std::string& line = *new std::string(
      make_line(make_message(R"({"type": "task-started", "uuid": "u", "timestamp": 5})")));
  return line;
}

struct Outcome {
  CaptureStats stats;
  std::vector<std::string> problems;
  Status status;
};

Outcome read_all(const std::string& path, std::size_t max_line_bytes = kCaptureLineMaxBytes) {
  Outcome outcome;
  Result<CaptureReader> reader = CaptureReader::open(path, max_line_bytes);
  outcome.status = reader.status();
  CaptureLine line;
  while (reader.ok()) {
    const Result<bool> more = reader->next(line);
    outcome.status = more.status();
    if (!more.ok() || !*more) break;
    if (!line.problem.ok()) outcome.problems.emplace_back(line.problem.message());
  }
  if (reader.ok()) outcome.stats = reader->stats();
  return outcome;
}

Outcome read_text(std::string_view text, std::size_t max_line_bytes = kCaptureLineMaxBytes) {
  TempDir dir;
  write_file(dir / "c.ndjson", text);
  return read_all(dir / "c.ndjson", max_line_bytes);
}

void expect_sums(const CaptureStats& stats) {
  EXPECT_EQ(stats.lines, stats.messages + stats.blank + stats.bad);
  EXPECT_EQ(stats.bad, stats.bad_json + stats.bad_message + stats.too_long + stats.truncated);
}

TEST(CaptureReader, ReadsEveryLineOfARealCapture) {
  const Outcome outcome = read_all(PHLOWER_TEST_DATA "/celery_events.ndjson");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_TRUE(outcome.problems.empty());
  EXPECT_EQ(outcome.stats.lines, 437u);
  EXPECT_EQ(outcome.stats.messages, 437u);
  EXPECT_GT(outcome.stats.events, outcome.stats.messages);  // task.multi
  EXPECT_EQ(outcome.stats.wrong_fields, 0u);
}

TEST(CaptureReader, NamesCountsAndSkipsBadLinesAndGoesOn) {
  const std::string good = good_line() + "\n";
  const Outcome outcome = read_text(
      good + "not json\n" + good +
      R"({"channel": "x"})"
      "\n" +
      R"({"data": 5})"
      "\n" +
      "[]\n" + make_line(R"({"body": "ab!d", "properties": {"body_encoding": "base64"}})") + "\n" +
      "\n" + make_line(make_message("{")) + "\n" + std::string("\0\n", 2) + good);
  ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.stats.messages, 3u);
  EXPECT_EQ(outcome.stats.events, 3u);
  EXPECT_EQ(outcome.stats.bad_json, 5u);
  EXPECT_EQ(outcome.stats.bad_message, 2u);
  EXPECT_EQ(outcome.stats.blank, 1u);
  expect_sums(outcome.stats);
  ASSERT_EQ(outcome.problems.size(), 7u);
  EXPECT_THAT(outcome.problems[0], HasSubstr("c.ndjson:2: not JSON at byte 1"));
  EXPECT_THAT(outcome.problems[1], HasSubstr("c.ndjson:4: no \"data\""));
  EXPECT_THAT(outcome.problems[2], HasSubstr("c.ndjson:5: \"data\" is no string"));
  EXPECT_THAT(outcome.problems[3], HasSubstr("c.ndjson:6: not a JSON object"));
  EXPECT_THAT(outcome.problems[4], HasSubstr("c.ndjson:7: body: not base64: '!' at byte 2"));
  EXPECT_THAT(outcome.problems[5], HasSubstr("c.ndjson:9: body: not JSON at byte 1"));
  EXPECT_THAT(outcome.problems[6], HasSubstr("c.ndjson:10: not JSON at byte 0"));
}

TEST(CaptureReader, SaysWhenTheFileEndsInTheMiddleOfALine) {
  const std::string cut = good_line().substr(0, good_line().size() / 2);
  const Outcome outcome = read_text(good_line() + "\n" + cut);
  EXPECT_EQ(outcome.stats.messages, 1u);
  EXPECT_EQ(outcome.stats.truncated, 1u);
  expect_sums(outcome.stats);
  ASSERT_EQ(outcome.problems.size(), 1u);
  EXPECT_THAT(outcome.problems[0],
              HasSubstr("c.ndjson:2: the file ends in the middle of this line"));
}

TEST(CaptureReader, TakesALastLineThatOnlyLacksItsEnd) {
  const Outcome outcome = read_text(good_line() + "\r\n" + good_line());
  EXPECT_EQ(outcome.stats.messages, 2u);
  EXPECT_TRUE(outcome.problems.empty());
}

TEST(CaptureReader, SkipsALineOverTheBoundAndReadsTheNext) {
  const std::string good = good_line() + "\n";
  const std::size_t bound = good_line().size();
  const Outcome outcome = read_text(
      good + std::string(300'000, 'x') + "\n" + good + std::string(bound + 1, 'y'), bound);
  EXPECT_EQ(outcome.stats.messages, 2u);
  EXPECT_EQ(outcome.stats.too_long, 2u);
  expect_sums(outcome.stats);
  ASSERT_EQ(outcome.problems.size(), 2u);
  EXPECT_THAT(outcome.problems[0], HasSubstr("c.ndjson:2: line of 300000 bytes, more than"));
  EXPECT_THAT(outcome.problems[1], HasSubstr("c.ndjson:4: line of"));
}

TEST(CaptureReader, ReportsAPartlyReadTaskMulti) {
  const Outcome outcome = read_text(
      make_line(make_message(R"([{"type": "task-sent"}, {"type": "task-started", "uuid": "u"}])")) +
      "\n");
  EXPECT_EQ(outcome.stats.messages, 1u);
  EXPECT_EQ(outcome.stats.bad, 0u);
  EXPECT_EQ(outcome.stats.events, 1u);
  EXPECT_EQ(outcome.stats.refused_events, 1u);
  ASSERT_EQ(outcome.problems.size(), 1u);
  EXPECT_THAT(outcome.problems[0], HasSubstr("c.ndjson:1: an event of a task has no uuid"));
}

TEST(CaptureReader, ReadsAnEmptyFileAsNothing) {
  const Outcome outcome = read_text("");
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.stats.lines, 0u);
}

TEST(CaptureReader, RefusesAFileThatIsNotThereAndAFolder) {
  TempDir dir;
  EXPECT_EQ(CaptureReader::open(dir / "gone").status().code(), Code::kNotFound);
  const Outcome outcome = read_all(dir.path().string());
  EXPECT_EQ(outcome.status.code(), Code::kIo);
}

// Lines of a real capture with bytes changed, lost and doubled: whatever comes, the sums hold, and
// what could be read goes through the assembler.
TEST(CaptureReader, SurvivesChangedBytesAndCuts) {
  const std::string text = testing::read_file(PHLOWER_TEST_DATA "/celery_events.ndjson");
  const std::string start = text.substr(0, 60'000);
  Random random(20'240);
  std::uint64_t bad = 0;
  std::uint64_t events = 0;
  for (int round = 0; round < 150; ++round) {
    std::string damaged = start;
    for (std::uint64_t i = random.below(40); i > 0; --i) {
      const std::size_t at = random.below(damaged.size());
      switch (random.below(4)) {
        case 0: damaged[at] = static_cast<char>(random.below(256)); break;
        case 1: damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8))); break;
        case 2: damaged.erase(at, random.below(50)); break;
        default: damaged.insert(at, damaged.substr(random.below(damaged.size()), 20)); break;
      }
    }
    damaged.resize(random.between(1, damaged.size()));
    TempDir dir;
    write_file(dir / "c.ndjson", damaged);
    Result<CaptureReader> reader = CaptureReader::open(dir / "c.ndjson", 8'000);
    ASSERT_TRUE(reader.ok());
    Assembler assembler{CeleryOptions()};
    std::vector<Record> records;
    CaptureLine line;
    for (Result<bool> more = reader->next(line); more.ok() && *more; more = reader->next(line)) {
      for (const Event& event : line.batch.events) assembler.add(event, MonoTime(), records);
    }
    assembler.flush(records);
    expect_sums(reader->stats());
    bad += reader->stats().bad;
    events += reader->stats().events;
  }
  EXPECT_GT(bad, 500u);
  EXPECT_GT(events, 1'000u);
}

// The same one level down: the body as the worker wrote it.
TEST(Message, SurvivesChangedBytesInItsBody) {
  const std::string body =
      R"json([{"hostname": "w@a", "utcoffset": 0, "pid": 1, "clock": 7, "uuid": "6a45c1e2",)json"
      R"json("name": "shop.pack", "args": "('Zo\u00eb', 1)", "kwargs": "{}", "retries": 0,)json"
      R"json("eta": null, "timestamp": 1795469163.5, "type": "task-received"}, {"uuid":)json"
      R"json("6a45c1e2", "runtime": 1.5e-05, "timestamp": 1795469164.25, "type":)json"
      R"json("task-succeeded", "result": "[1, 2]"}])json";
  EventBatch batch;
  Random random(77);
  std::uint64_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = body;
    for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    }
    if (random.chance(1, 4)) damaged.resize(random.below(damaged.size()));
    const Status status = parse_message(make_message(damaged), batch);
    refused += status.ok() ? 0 : 1;
    ASSERT_LE(batch.events.size(), 2u);
    for (const Event& event : batch.events) ASSERT_FALSE(event.uuid.empty());
  }
  EXPECT_GT(refused, 1'000u);
  EXPECT_LT(refused, 20'000u);
}

}  // namespace
}  // namespace phlower
