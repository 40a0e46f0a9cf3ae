// The quick reader of events takes nothing that the thorough one does not take, and means the same
// by it: held against each other on a capture, and on damaged pieces of it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "phlower/celery/capture_reader.hpp"
#include "phlower/celery/message.hpp"
#include "phlower/celery/quick_event.hpp"
#include "phlower/ground/random.hpp"

namespace phlower {
namespace {

// The thorough way alone.
bool thorough(const std::string& body, EventBatch& out) {
  out.clear();
  const auto value = parse_json(body);
  return value.ok() && message_detail::add_events(*value, out).ok();
}

void expect_same(const Event& a, const Event& b, const std::string& body) {
  EXPECT_EQ(a.kind, b.kind) << body;
  for (const auto member :
       {&Event::type, &Event::uuid, &Event::hostname, &Event::name, &Event::args, &Event::kwargs,
        &Event::queue, &Event::routing_key, &Event::exception, &Event::traceback}) {
    EXPECT_EQ(a.*member, b.*member) << body;
  }
  EXPECT_EQ(a.timestamp, b.timestamp) << body;
  EXPECT_EQ(a.utcoffset_hours, b.utcoffset_hours) << body;
  EXPECT_EQ(a.runtime_seconds, b.runtime_seconds) << body;
  EXPECT_EQ(a.clock, b.clock) << body;
  EXPECT_EQ(a.retries, b.retries) << body;
  EXPECT_EQ(a.processed, b.processed) << body;
}

// True if the quick reader took it; then it must be right.
bool compare(const std::string& body) {
  EventList quick;
  if (!quick_events(body, quick)) return false;
  EventBatch batch;
  EXPECT_TRUE(thorough(body, batch)) << body;
  EXPECT_EQ(batch.refused_events + batch.wrong_fields, 0u) << body;
  EXPECT_EQ(batch.events.size(), quick.size()) << body;
  for (std::size_t i = 0; i < quick.size() && i < batch.events.size(); ++i) {
    expect_same(quick[i], batch.events[i], body);
  }
  return true;
}

struct Captured {
  std::vector<std::string> envelopes;
  std::vector<std::string> bodies;
};

Captured captured() {
  Captured all;
  auto lines = LineReader::open(PHLOWER_TEST_DATA "/celery_events.ndjson", 1 << 20);
  EXPECT_TRUE(lines.ok());
  for (TextLine line; lines.ok() && *lines->next(line);) {
    const auto value = parse_json(line.text);
    const std::string envelope = *json_text(*json_member(*value, "data"));
    const auto parsed = parse_json(envelope);
    all.envelopes.push_back(envelope);
    all.bodies.push_back(*decode_base64(*json_text(*json_member(*parsed, "body"))));
  }
  return all;
}

std::string damaged(std::string text, Random& random) {
  constexpr std::string_view kPieces =
      "\"\\{}[]:,.0123456789-+eEnulltruefalse \t\n\x01\x7f\x80\xc3";
  for (std::uint64_t changes = 1 + random.below(3); changes > 0 && !text.empty(); --changes) {
    const std::size_t at = random.below(text.size());
    switch (random.below(4)) {
      case 0: text[at] = kPieces[random.below(kPieces.size())]; break;
      case 1: text.erase(at, 1 + random.below(4)); break;
      case 2: text.insert(at, 1, kPieces[random.below(kPieces.size())]); break;
      default: text.insert(at, text.substr(random.below(text.size()), random.below(40))); break;
    }
  }
  return text;
}

TEST(QuickEvent, TakesEveryBodyAndEnvelopeThatCeleryWroteAndMeansTheSame) {
  const Captured all = captured();
  ASSERT_GT(all.bodies.size(), 400u);
  for (const std::string& body : all.bodies) EXPECT_TRUE(compare(body)) << body;
  for (std::size_t i = 0; i < all.envelopes.size(); ++i) {
    QuickEnvelope quick;
    ASSERT_TRUE(quick_envelope(all.envelopes[i], quick)) << all.envelopes[i];
    EXPECT_EQ(*decode_base64(quick.body), all.bodies[i]);
  }
}

TEST(QuickEvent, OfDamagedBodiesItTakesOnlyWhatIsStillRight) {
  const Captured all = captured();
  Random random(20'261'124);
  int taken = 0;
  for (int i = 0; i < 60'000; ++i) {
    taken += compare(damaged(all.bodies[random.below(all.bodies.size())], random)) ? 1 : 0;
  }
  EXPECT_GT(taken, 1000);    // a changed letter of a name is no damage
  EXPECT_LT(taken, 55'000);  // and a lost quote is
}

TEST(QuickEvent, OfDamagedEnvelopesItTakesOnlyWhatIsStillRight) {
  const Captured all = captured();
  Random random(7);
  int taken = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::string text = damaged(all.envelopes[random.below(all.envelopes.size())], random);
    QuickEnvelope quick;
    if (!quick_envelope(text, quick)) continue;
    ++taken;
    const auto value = parse_json(text);
    ASSERT_TRUE(value.ok()) << text;
    EXPECT_TRUE(message_detail::check_envelope(*value).ok()) << text;
    EXPECT_EQ(*json_text(*json_member(*value, "body")), quick.body) << text;
    EXPECT_EQ((*value)["properties"]["body_encoding"], "base64") << text;
  }
  EXPECT_GT(taken, 1000);
}

TEST(QuickEvent, EscapesMeanWhatTheyMeanInJson) {
  EXPECT_TRUE(
      compare(R"({"type":"task-sent","uuid":"a","args":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac"})"));
  EXPECT_TRUE(compare(R"({"type":"task-sent","uuid":"a","args":"\ud83d\ude00"})"));
  EXPECT_FALSE(compare(R"({"type":"task-sent","uuid":"a","args":"\ud83dx"})"));
  EXPECT_FALSE(compare(R"({"type":"task-sent","uuid":"a","args":"\ude00\ud83d"})"));
  EXPECT_FALSE(compare(R"({"type":"task-sent","uuid":"a","args":"\x"})"));
  EXPECT_FALSE(compare(R"({"type":"task-sent","uuid":"a","clock":01})"));
  EXPECT_FALSE(compare(R"({"type":"task-sent","uuid":"a","clock":1,"clock":2})"));
  EXPECT_TRUE(
      compare(R"( [ {"type":"task-sent","uuid":"a","eta":null,"x":[{"y":[1,-2.5e3,true]}]} ] )"));
}

}  // namespace
}  // namespace phlower
