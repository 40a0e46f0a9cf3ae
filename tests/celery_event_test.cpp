// JSON, base64, one event and one message: what is read, and what is refused with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <tuple>

#include "phlower/celery/base64.hpp"
#include "phlower/celery/event.hpp"
#include "phlower/celery/json.hpp"
#include "phlower/celery/message.hpp"
#include "phlower/ground/random.hpp"
#include "support/celery_events.hpp"

namespace phlower {
namespace {

using testing::encode_base64;
using ::testing::HasSubstr;
using testing::make_message;

std::string message_of(const Status& status) { return std::string(status.message()); }

TEST(Json, NamesTheFirstBadByte) {
  const Result<JsonValue> value = parse_json(R"({"a": 1, "b": nux})");
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(message_of(value.status()), HasSubstr("not JSON at byte 16"));
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", " ", "{", "[1,", "nul", "{\"a\"}", "1 2", "{} x", "\"\xff\"", "\"\n\"", "\"\\ud800\"",
        "1e999", "NaN", "[Infinity]", "[-Infinity]", "'a'"}) {
    const Result<JsonValue> value = parse_json(text);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_THAT(message_of(value.status()), HasSubstr("not JSON at byte ")) << text;
    EXPECT_LT(value.status().message().size(), 300u);
  }
}

TEST(Json, SaysThatPythonsWordsForNumbersAreNoJson) {
  EXPECT_THAT(message_of(parse_json(R"({"runtime": NaN})").status()),
              HasSubstr("at byte 12: NaN is Python's, not JSON"));
  EXPECT_THAT(message_of(parse_json(R"([-Infinity])").status()),
              HasSubstr("-Infinity is Python's, not JSON"));
}

TEST(Json, KeepsAnErrorShortWhenTheTextIsLong) {
  const Result<JsonValue> value = parse_json("\"" + std::string(1 << 20, 'x'));
  ASSERT_FALSE(value.ok());
  EXPECT_LT(value.status().message().size(), 300u);
}

TEST(Json, BoundsDepth) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(parse_json(nested(kJsonMaxDepth)).ok());
  const Result<JsonValue> value = parse_json(nested(kJsonMaxDepth + 1));
  ASSERT_FALSE(value.ok());
  EXPECT_THAT(message_of(value.status()), HasSubstr("nested more than 32 deep"));
  EXPECT_FALSE(parse_json(std::string(1 << 20, '[')).ok());
}

TEST(Json, BuildsTheSameValueAsItWasWritten) {
  const std::string text =
      R"({"a":[1,-2,2.5,true,null,"x",{"b":{}},[]],"c":"Zo\u00eb \ud83c\udf38","d":{"e":[[1]]}})";
  const Result<JsonValue> value = parse_json(text);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->dump(-1, ' ', true), text);
}

TEST(Json, ReadsMembersByTypeOnly) {
  const Result<JsonValue> value =
      parse_json(R"({"text": "x", "number": -1.5, "count": 7, "no": null, "yes": true})");
  ASSERT_TRUE(value.ok());
  std::string text;
  double number = 0;
  std::uint64_t count = 0;
  EXPECT_EQ(json_read(*value, "text", text), JsonRead::kRead);
  EXPECT_EQ(text, "x");
  EXPECT_EQ(json_read(*value, "number", number), JsonRead::kRead);
  EXPECT_EQ(number, -1.5);
  EXPECT_EQ(json_read(*value, "count", number), JsonRead::kRead);
  EXPECT_EQ(number, 7);
  EXPECT_EQ(json_read(*value, "count", count), JsonRead::kRead);
  EXPECT_EQ(count, 7u);
  EXPECT_EQ(json_read(*value, "number", count), JsonRead::kWrongType);
  EXPECT_EQ(json_read(*value, "yes", number), JsonRead::kWrongType);
  EXPECT_EQ(json_read(*value, "count", text), JsonRead::kWrongType);
  EXPECT_EQ(json_read(*value, "no", text), JsonRead::kMissing);
  EXPECT_EQ(json_read(*value, "gone", text), JsonRead::kMissing);
  EXPECT_EQ(json_read(JsonValue(3), "gone", text), JsonRead::kMissing);
  EXPECT_EQ(text, "x");
}

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

Result<Event> event_of(std::string_view text, std::uint64_t& wrong_fields) {
  const Result<JsonValue> value = parse_json(text);
  return value.ok() ? parse_event(*value, wrong_fields) : Result<Event>(value.status());
}

TEST(Event, TakesEveryFieldItKnows) {
  std::uint64_t wrong = 0;
  const Result<Event> event = event_of(
      R"json({"type": "task-failed", "uuid": "u", "hostname": "h", "timestamp": 12.5,
          "utcoffset": -2, "clock": 9, "retries": 3, "name": "n", "args": "(1,)",
          "kwargs": "{}", "queue": "q", "routing_key": "r", "runtime": 0.5,
          "exception": "E('x')", "traceback": "T"})json",
      wrong);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(event->kind, EventKind::kFailed);
  EXPECT_EQ(event->uuid, "u");
  EXPECT_EQ(event->hostname, "h");
  EXPECT_EQ(event->timestamp, 12.5);
  EXPECT_EQ(event->utcoffset_hours, -2);
  EXPECT_EQ(event->clock, 9u);
  EXPECT_EQ(event->retries, 3u);
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
  std::uint64_t wrong = 0;
  const Result<Event> event =
      event_of(R"({"type": "task-started", "uuid": "u", "name": null, "runtime": null})", wrong);
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(event->name, "");
  EXPECT_EQ(event->timestamp, 0);
  EXPECT_LT(event->runtime_seconds, 0);
}

TEST(Event, CountsFieldsOfAWrongTypeOrOutOfRange) {
  for (const char* field :
       {R"("name": 1)", R"("args": [1])", R"("kwargs": {})", R"("hostname": true)",
        R"("timestamp": "now")", R"("timestamp": -1)", R"("timestamp": 1795469163317)",
        R"("runtime": -0.1)", R"("runtime": "1")", R"("clock": -1)", R"("retries": 1.5)"}) {
    std::uint64_t wrong = 0;
    const Result<Event> event =
        event_of(R"({"type": "task-started", "uuid": "u", )" + std::string(field) + "}", wrong);
    ASSERT_TRUE(event.ok()) << field;
    EXPECT_EQ(wrong, 1u) << field;
    EXPECT_EQ(event->name + event->args + event->kwargs + event->hostname, "") << field;
    EXPECT_EQ(event->timestamp, 0) << field;
    EXPECT_LT(event->runtime_seconds, 0) << field;
  }
}

TEST(Event, RefusesWhatCannotBeAnEvent) {
  const std::string long_id(kTaskIdMaxBytes + 1, 'u');
  for (const auto& [text, said] :
       {std::pair<std::string, std::string>{"[]", "not a JSON object"},
        {"3", "not a JSON object"},
        {R"({"uuid": "u"})", "no type"},
        {R"({"type": 4, "uuid": "u"})", "no type"},
        {R"({"type": "task-sent"})", "no uuid"},
        {R"({"type": "task-sent", "uuid": ""})", "no uuid"},
        {R"({"type": "task-sent", "uuid": 7})", "no uuid"},
        {R"({"type": "task-sent", "uuid": ")" + long_id + "\"}", "uuid of 256 bytes"}}) {
    std::uint64_t wrong = 0;
    const Result<Event> event = event_of(text, wrong);
    ASSERT_FALSE(event.ok()) << text;
    EXPECT_THAT(message_of(event.status()), HasSubstr(said));
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
      EXPECT_EQ(state_class(state) == StateClass::kFinished, ends) << type;
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
        {make_message("\xff"), "body: not JSON at byte 0"},
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
