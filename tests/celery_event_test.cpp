// Base64, one event and one message: what is read, and what is refused with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "phlower/celery/event.hpp"
#include "phlower/celery/message.hpp"
#include "phlower/ground/random.hpp"
#include "phlower/ground/text/base64.hpp"
#include "support/celery_events.hpp"

namespace phlower {
namespace {

using testing::encode_base64;
using ::testing::HasSubstr;
using testing::make_message;

std::string message_of(const Status& status) { return std::string(status.message()); }

TEST(Base64, DecodesTheVectorsOfTheStandard) {
  for (const auto& [text, bytes] : {std::pair{"", ""},
                                    {"Zg==", "f"},
                                    {"Zm8=", "fo"},
                                    {"Zm9v", "foo"},
                                    {"Zm9vYg==", "foob"},
                                    {"Zm9vYmE=", "fooba"},
                                    {"Zm9vYmFy", "foobar"}}) {
    const Result<std::string> decoded = decode_base64(text);
    ASSERT_TRUE(decoded.ok()) << text;
    EXPECT_EQ(*decoded, bytes);
  }
}

TEST(Base64, GivesBackWhatWasEncoded) {
  Random random(11);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random.below(256));
    const Result<std::string> decoded = decode_base64(encode_base64(bytes));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, bytes);
  }
}

TEST(Base64, NamesTheFirstBadCharacterOfALongTextWhereverItIs) {
  const std::string good = encode_base64(std::string(150, '\xb7'));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char bad :
         {'!', '-', '_', '\0', '\x80', '\xff', '@', '[', '`', '{', ':', '.', ','}) {
      std::string text = good;
      text[at] = bad;
      const Result<std::string> decoded = decode_base64(text);
      ASSERT_FALSE(decoded.ok()) << at << bad;
      EXPECT_THAT(message_of(decoded.status()), HasSubstr("at byte " + std::to_string(at)));
    }
  }
}

TEST(Base64, NamesTheFirstBadCharacterAndItsOffset) {
  for (const auto& [text, said] : {std::pair{"Zm9!YmFy", "'!' at byte 3"},
                                   {"Zm9v\nYmFy", "0x0a at byte 4"},
                                   {"Zm=vYmFy", "'=' at byte 2"},
                                   {"=m9v", "'=' at byte 0"},
                                   {"Z===", "'=' at byte 1"},
                                   {"Zm-_", "'-' at byte 2"},
                                   {"Zm9\xc3", "0xc3 at byte 3"},
                                   {"Zh==", "'h' at byte 1"},
                                   {"Zm9=", "'9' at byte 2"},
                                   {"Zm9vY", "5 characters"},
                                   {"Zm9vYg=", "7 characters"}}) {
    const Result<std::string> decoded = decode_base64(text);
    ASSERT_FALSE(decoded.ok()) << text;
    EXPECT_THAT(message_of(decoded.status()), HasSubstr(said));
  }
}

/// One event alone; what is wrong with its fields is in `batch`.
Result<Event> event_of(std::string_view text, EventBatch& batch) {
  const Status status = parse_body(text, batch);
  if (!status.ok()) return status;
  return batch.events[0];
}

TEST(Event, TakesEveryFieldItKnows) {
  EventBatch batch;
  const Result<Event> event = event_of(
      R"json({"type": "task-failed", "uuid": "u", "hostname": "h", "timestamp": 12.5,
          "utcoffset": -2, "clock": 9, "retries": 3, "processed": 8, "name": "n", "args": "(1,)",
          "kwargs": "{}", "queue": "q", "routing_key": "r", "runtime": 0.5,
          "exception": "E('x')", "traceback": "T"})json",
      batch);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(batch.wrong_fields, 0u);
  EXPECT_EQ(event->kind, EventKind::kFailed);
  EXPECT_EQ(event->uuid, "u");
  EXPECT_EQ(event->hostname, "h");
  EXPECT_EQ(event->timestamp, 12.5);
  EXPECT_EQ(event->utcoffset_hours, -2);
  EXPECT_EQ(event->clock, 9u);
  EXPECT_EQ(event->retries, 3u);
  EXPECT_EQ(event->processed, 8u);
  EXPECT_EQ(event->name, "n");
  EXPECT_EQ(event->args, "(1,)");
  EXPECT_EQ(event->kwargs, "{}");
  EXPECT_EQ(event->queue, "q");
  EXPECT_EQ(event->routing_key, "r");
  EXPECT_EQ(event->runtime_seconds, 0.5);
  EXPECT_EQ(event->exception, "E('x')");
  EXPECT_EQ(event->traceback, "T");
}

TEST(Event, LeavesMissingAndNullFieldsEmptyWithoutCounting) {
  EventBatch batch;
  const Result<Event> event =
      event_of(R"({"type": "task-started", "uuid": "u", "hostname": null, "runtime": null,
                   "timestamp": null, "processed": null, "args": null})",
               batch);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(batch.wrong_fields, 0u);
  EXPECT_EQ(event->hostname + event->name + event->args, "");
  EXPECT_EQ(event->timestamp, 0);
  EXPECT_EQ(event->processed, std::nullopt);
  EXPECT_LT(event->runtime_seconds, 0);
}

TEST(Event, CountsAndNamesFieldsOfAWrongTypeOrOutOfRange) {
  for (const auto& [field, said] : {std::pair{R"("name": 1)", "task-started: name 1 is no text"},
                                    {R"("hostname": true)", "hostname true is no text"},
                                    {R"("queue": {"a": 1})", R"(queue {"a": 1} is no text)"},
                                    {R"("runtime": -0.1)", "runtime -0.1 is no runtime in seconds"},
                                    {R"("runtime": NaN)", "runtime NaN is no runtime"},
                                    {R"("runtime": 1e999)", "runtime 1e999 is no runtime"},
                                    {R"("runtime": "soon")", "runtime 'soon' is no runtime"},
                                    {R"("clock": -1)", "clock -1 is no count"},
                                    {R"("retries": 1.5)", "retries 1.5 is no count"},
                                    {R"("retries": [])", "retries [] is no count"},
                                    {R"("processed": Infinity)", "processed Infinity is no count"},
                                    {R"("utcoffset": "x")", "utcoffset 'x' is no number"}}) {
    EventBatch batch;
    const Result<Event> event =
        event_of(R"({"type": "task-started", "uuid": "u", )" + std::string(field) + "}", batch);
    ASSERT_TRUE(event.ok()) << field;
    EXPECT_EQ(batch.wrong_fields, 1u) << field;
    EXPECT_THAT(batch.first_wrong_field, HasSubstr(said));
    EXPECT_EQ(event->name + event->hostname + event->queue, "") << field;
    EXPECT_LT(event->runtime_seconds, 0) << field;
    EXPECT_EQ(event->clock + event->retries, 0u) << field;
    EXPECT_EQ(event->processed, std::nullopt) << field;
  }
}

TEST(Event, TakesWhatIsCertainFromFieldsOfAnotherType) {
  EventBatch batch;
  const Result<Event> event = event_of(
      R"({"type": "task-failed", "uuid": 123456789012345678901, "args": [1, "\u00eb", NaN],
          "kwargs": {"a": 1}, "exception": 5, "traceback": ["x"], "runtime": "0.5",
          "clock": 7.0, "retries": "2", "processed": 1e3, "timestamp": " 12.5 "})",
      batch);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(batch.wrong_fields, 0u) << batch.first_wrong_field;
  EXPECT_EQ(event->uuid, "123456789012345678901");
  EXPECT_EQ(event->args, R"([1, "\u00eb", NaN])");
  EXPECT_EQ(event->kwargs, R"({"a": 1})");
  EXPECT_EQ(event->exception, "5");
  EXPECT_EQ(event->traceback, R"(["x"])");
  EXPECT_EQ(event->runtime_seconds, 0.5);
  EXPECT_EQ(event->clock, 7u);
  EXPECT_EQ(event->retries, 2u);
  EXPECT_EQ(event->processed, 1000u);
  EXPECT_EQ(event->timestamp, 12.5);
}

TEST(Event, TakesTheLastOfTwoMembersOfOneName) {
  EventBatch batch;
  const Result<Event> event = event_of(
      R"({"type": "task-sent", "uuid": true, "uuid": "u", "type": "task-failed", "name": "a",
          "name": null, "args": [1], "args": [2], "timestamp": "x", "timestamp": 5,
          "runtime": 1, "runtime": null, "clock": 1, "clock": 2})",
      batch);
  ASSERT_TRUE(event.ok()) << message_of(event.status());
  EXPECT_EQ(event->kind, EventKind::kFailed);
  EXPECT_EQ(event->uuid, "u");
  EXPECT_EQ(event->name, "");
  EXPECT_EQ(event->args, "[2]");
  EXPECT_EQ(event->timestamp, 5);
  EXPECT_LT(event->runtime_seconds, 0);
  EXPECT_EQ(event->clock, 2u);
}

TEST(Event, ReadsATimeInAnyUnitByItsValue) {
  const double second = 1795469163;
  for (const auto& [value, time] : {std::pair{second, second},
                                    {second + 0.5, second + 0.5},
                                    {second * 1e3, second},
                                    {second * 1e6, second},
                                    {second * 1e9, second},
                                    {1e-3, 1e-3},
                                    {1e11, 1e8},
                                    {1e14, 1e8},
                                    {1e17, 1e8},
                                    {9e19, 9e10},
                                    {1e20, 0.0},
                                    {0.0, 0.0},
                                    {-second, 0.0},
                                    {std::nan(""), 0.0},
                                    {HUGE_VAL, 0.0},
                                    {-HUGE_VAL, 0.0}}) {
    EXPECT_EQ(time_by_value(value), time) << value;
  }
}

TEST(Event, RefusesAnEventOfATaskWhoseTimeIsOfNoUse) {
  for (const char* time : {"\"now\"", "\"2026-11-25T10:00:00Z\"", "-1", "0", "NaN", "Infinity",
                           "1e300", "true", "[5]", "\"\"", "\"1 2\""}) {
    EventBatch batch;
    const std::string fields = ", \"uuid\": \"u\", \"timestamp\": " + std::string(time) + "}";
    const Result<Event> event = event_of("{\"type\": \"task-started\"" + fields, batch);
    ASSERT_FALSE(event.ok()) << time;
    EXPECT_THAT(message_of(event.status()), HasSubstr("task-started: timestamp "));
    EXPECT_THAT(message_of(event.status()), HasSubstr("is no time since 1970"));
    // Nothing is dated by these.
    for (const char* type : {"worker-heartbeat", "task-progress"}) {
      ASSERT_TRUE(event_of("{\"type\": \"" + std::string(type) + "\"" + fields, batch).ok());
      EXPECT_EQ(batch.events[0].timestamp, 0);
      EXPECT_EQ(batch.wrong_fields, 1u);
    }
  }
}

TEST(Event, RefusesWhatCannotBeAnEvent) {
  EventBatch longest;
  const std::string most(kTaskIdBytesMax, 'u');
  EXPECT_EQ(event_of(R"({"type": "task-sent", "uuid": ")" + most + "\"}", longest)->uuid, most);
  const std::string long_id(kTaskIdBytesMax + 1, 'u');
  for (const auto& [text, said] :
       {std::pair<std::string, std::string>{"3", "not a JSON object: 3"},
        {"\"x\"", "not a JSON object: 'x'"},
        {"{}", "no type"},
        {R"({"uuid": "u"})", "no type"},
        {R"({"type": 4, "uuid": "u"})", "no type"},
        {R"({"type": "task-sent"})", "no uuid: task-sent"},
        {R"({"type": "task-sent", "uuid": ""})", "no uuid"},
        {R"({"type": "task-sent", "uuid": 1.5})", "task-sent: uuid 1.5 is no task id"},
        {R"({"type": "task-sent", "uuid": ["u"]})", R"(uuid ["u"] is no task id)"},
        {R"({"type": "task-sent", "uuid": ")" + long_id + "\"}",
         "has 1025 bytes, more than 1024"}}) {
    EventBatch batch;
    const Result<Event> event = event_of(text, batch);
    ASSERT_FALSE(event.ok()) << text;
    EXPECT_THAT(message_of(event.status()), HasSubstr(said));
    EXPECT_LT(event.status().message().size(), 300u);
    EXPECT_EQ(batch.refused_events, 0u);
  }
}

TEST(Event, KnowsItsKindsAndTheirStates) {
  for (const auto& [type, kind, state, ends] :
       {std::tuple{"task-sent", EventKind::kSent, "PENDING", false},
        {"task-received", EventKind::kReceived, "RECEIVED", false},
        {"task-started", EventKind::kStarted, "STARTED", false},
        {"task-retried", EventKind::kRetried, "RETRY", false},
        {"task-rejected", EventKind::kRejected, "REJECTED", true},
        {"task-revoked", EventKind::kRevoked, "REVOKED", true},
        {"task-failed", EventKind::kFailed, "FAILURE", true},
        {"task-succeeded", EventKind::kSucceeded, "SUCCESS", true},
        {"task-custom", EventKind::kOther, "", false},
        {"worker-heartbeat", EventKind::kWorker, "", false}}) {
    EXPECT_EQ(event_kind(type), kind) << type;
    EXPECT_EQ(event_state(kind), state) << type;
    EXPECT_EQ(ends_task(kind), ends) << type;
    if (*state != '\0') {
      EXPECT_EQ(state_rank(state) != StateRank::kUnfinished, ends) << type;
    }
  }
}

constexpr std::string_view kStarted = R"({"type": "task-started", "uuid": "u", "timestamp": 5})";

TEST(Message, ReadsOneEventOrAList) {
  EventBatch batch;
  ASSERT_TRUE(parse_message(make_message(kStarted), batch).ok());
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_EQ(batch.events[0].uuid, "u");
  const std::string list = "[" + std::string(kStarted) + "," + std::string(kStarted) + "]";
  ASSERT_TRUE(parse_message(make_message(list), batch).ok());
  EXPECT_EQ(batch.events.size(), 2u);
  ASSERT_TRUE(parse_message(make_message("[]"), batch).ok());
  EXPECT_TRUE(batch.events.empty());
}

TEST(Message, ReadsPlainBodiesAndBareEvents) {
  EventBatch batch;
  const std::string bare(kStarted);
  for (const std::string& message :
       {std::string(R"({"body": "{\"type\": \"task-started\", \"uuid\": \"u\"}"})"),
        R"({"body": )" + bare + "}", bare, "[" + bare + "]",
        std::string(R"({"body": "{\"type\": \"task-started\", \"uuid\": \"u\"}",
                       "properties": {"body_encoding": null}})")}) {
    ASSERT_TRUE(parse_message(message, batch).ok()) << message;
    ASSERT_EQ(batch.events.size(), 1u) << message;
    EXPECT_EQ(batch.events[0].kind, EventKind::kStarted);
  }
  ASSERT_TRUE(parse_body(kStarted, batch).ok());
  EXPECT_EQ(batch.events.size(), 1u);
}

TEST(Message, KeepsTheGoodEventsOfAListAndCountsTheOthers) {
  EventBatch batch;
  const std::string good(kStarted);
  ASSERT_TRUE(parse_message(make_message("[" + good + R"(, 3, {"type": "task-sent"}, )" + good +
                                         R"(, {"type": "task-sent", "uuid": "v", "name": 1}])"),
                            batch)
                  .ok());
  EXPECT_EQ(batch.events.size(), 3u);
  EXPECT_EQ(batch.refused_events, 2u);
  EXPECT_EQ(batch.wrong_fields, 1u);
  EXPECT_THAT(message_of(batch.first_problem), HasSubstr("not a JSON object"));
  EXPECT_EQ(batch.first_wrong_field, "task-sent: name 1 is no text");
}

TEST(Message, KeepsWhatCameBeforeAPlaceWhereAListIsBroken) {
  EventBatch batch;
  const std::string good(kStarted);
  for (const std::string& rest :
       {std::string("]"), std::string(", {\"type\": \"task-se"), ", " + good + " " + good + "]",
        std::string(", {\"type\": nil}, "), std::string()}) {
    ASSERT_TRUE(parse_message(make_message("[" + good + rest), batch).ok()) << rest;
    EXPECT_GE(batch.events.size(), 1u) << rest;
    EXPECT_EQ(batch.refused_events, rest == "]" ? 0u : 1u) << rest;
    EXPECT_EQ(batch.first_problem.ok(), rest == "]");
  }
  ASSERT_TRUE(parse_message(make_message("[" + good + ", 3, nil"), batch).ok());
  EXPECT_EQ(batch.refused_events, 2u);
  EXPECT_THAT(message_of(batch.first_problem), HasSubstr("not a JSON object")) << "the first";
}

// As reports of others have it: an odd value in one event of many.
TEST(Message, LosesNoEventToAnOddValue) {
  EventBatch batch;
  const std::string good(kStarted);
  const std::string deep = std::string(2000, '[') + std::string(2000, ']');
  for (const std::string& odd :
       {std::string(R"json("traceback": "cannot open 'invoice-\udcff.pdf'")json"),
        std::string(R"json("args": "('half \ud83d',)")json"),
        std::string(R"json("loss": NaN, "x": -Infinity)json"),
        std::string(R"json("n": 1e999, "big": -123456789012345678901234567890)json"),
        std::string("\"args\": \"\xff\xfe\x01\""), "\"x\": " + deep,
        std::string(R"json("x": {"": {"a": [1, {"b": null}]}}, "hostname": null)json"),
        std::string(R"json("args": "nul \u0000")json")}) {
    const std::string event = R"({"type": "task-failed", "uuid": "odd", )" + odd + "}";
    ASSERT_TRUE(
        parse_message(make_message("[" + good + "," + event + "," + good + "]"), batch).ok())
        << odd;
    EXPECT_EQ(batch.events.size(), 3u) << odd;
    EXPECT_EQ(batch.refused_events + batch.wrong_fields, 0u) << odd;
    EXPECT_EQ(batch.events[1].uuid, "odd");
  }
}

TEST(Message, RefusesWhatItCannotReadAndSaysWhy) {
  EventBatch batch;
  for (const auto& [message, said] :
       {std::pair<std::string, std::string>{"{", "message: not JSON at byte 1"},
        {"7", "has no body"},
        {"{}", "has no body"},
        {R"({"body": null})", "has no body"},
        {R"({"body": "x!==", "properties": {"body_encoding": "base64"}})",
         "body: not base64: '!' at byte 1"},
        {make_message("{\"type\""), "body: not JSON at byte 7"},
        {make_message("\xff"), "body: not JSON at byte 0: 0xff cannot be here"},
        {make_message("[3, {}"), "body: not JSON at byte 6"},
        {"", "message: not JSON at byte 0"},
        {make_message("{}"), "no type"},
        {R"({"body": "gAN9", "content-type": "application/x-python-serialize"})",
         "content-type 'application/x-python-serialize' is not supported"},
        {R"({"body": "x", "content-encoding": "utf-16"})", "content-encoding 'utf-16'"},
        {R"({"body": "x", "headers": {"compression": "application/x-gzip"}})", "compression"},
        {R"({"body": "x", "properties": {"body_encoding": "hex"}})", "body_encoding 'hex'"}}) {
    const Status status = parse_message(message, batch);
    EXPECT_FALSE(status.ok()) << message;
    EXPECT_THAT(message_of(status), HasSubstr(said)) << message;
    EXPECT_TRUE(batch.events.empty());
  }
}

}  // namespace
}  // namespace phlower
