// The reader of JSON: it takes all that JSON is, as another parser tells, and what Python adds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "phlower/ground/random.hpp"
#include "phlower/ground/text/base64.hpp"
#include "phlower/ground/text/json_scan.hpp"
#include "phlower/ground/text/line_reader.hpp"
#include "support/json_oracle.hpp"

namespace phlower {
namespace {

using ::testing::HasSubstr;
using testing::json_by_oracle;
using testing::json_by_scan;
using testing::json_skips;

std::string string_of(std::string_view json) {
  JsonScan scan(json);
  std::string out;
  return scan.string(out) && scan.at_end() ? out : "(refused)";
}

std::string error_of(std::string_view text) {
  JsonScan scan(text);
  if (scan.skip() && scan.at_end()) return "";
  return std::string(scan.error().message());
}

TEST(Json, NamesTheFirstBadByte) {
  EXPECT_EQ(error_of(R"({"a": 1, "b": nux})"), "not JSON at byte 16: 'x' cannot be here");
  EXPECT_EQ(error_of("[1, "), "not JSON at byte 4: it ends here");
  EXPECT_EQ(error_of("\x01"), "not JSON at byte 0: 0x01 cannot be here");
  EXPECT_LT(error_of("\"" + std::string(1 << 20, 'x')).size(), 300u);
}

TEST(Json, RefusesWhatPythonRefuses) {
  for (const char* text :
       {"",     " ",         "{",      "[1,",       "nul",         "{\"a\"}", "1 2",
        "{} x", "'a'",       "\"",     "\"\\\"",    "\"\\u12g4\"", "\"\\x\"", "\"\\u+123\"",
        "01",   "-",         "1.",     ".5",        "1e",          "+1",      "-NaN",
        "nan",  "Infinite",  "{1: 2}", "[1,]",      "[,1]",        "{,}",     "{\"a\":1,}",
        "[1}",  "{\"a\":1]", "]",      "\"\\ud800", "\xff{}"}) {
    EXPECT_THAT(error_of(text), HasSubstr("not JSON at byte ")) << text;
    EXPECT_EQ(json_by_scan(text), std::nullopt) << text;
  }
}

TEST(Json, ReadsPythonsWordsForNumbersAndNumbersOfAnySize) {
  const double huge = std::numeric_limits<double>::infinity();
  for (const auto& [text, value] : {std::pair{"Infinity", huge},
                                    {"-Infinity", -huge},
                                    {"1e999", huge},
                                    {"-1e99999", -huge},
                                    {"1e-999", 0.0},
                                    {"1e-99999", 0.0},
                                    {"-0.5", -0.5},
                                    {"123456789012345678901234567890", 1.2345678901234568e29},
                                    {"1E+2", 100.0},
                                    {"0", 0.0},
                                    {"10.5e99999", huge},
                                    {"1795469163.31725", 1795469163.31725}}) {
    JsonScan scan(text);
    double out = 5;
    EXPECT_TRUE(scan.real(out) && scan.at_end()) << text;
    EXPECT_EQ(out, value) << text;
  }
  for (const std::string& text :
       {"1" + std::string(5000, '0'), "0." + std::string(5000, '0') + "1"}) {
    JsonScan scan(text);
    double out = 5;
    EXPECT_TRUE(scan.real(out) && scan.at_end());
    EXPECT_EQ(out, text[0] == '1' ? huge : 0);
  }
  JsonScan scan(" NaN ");
  double out = 5;
  EXPECT_TRUE(scan.real(out) && scan.at_end());
  EXPECT_TRUE(std::isnan(out));
}

TEST(Json, ReadsEscapesAndPutsAReplacementWhereThereIsNoCharacter) {
  const std::string none = "\xef\xbf\xbd";
  for (const auto& [text, value] : std::vector<std::pair<std::string, std::string>>{
           {R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac")", "\"\\/\b\f\n\r\tA\u00e9\u20ac"},
           {R"("\ud83d\ude00")", "\U0001f600"},
           {R"("a\ud83dx")", "a" + none + "x"},
           {R"("\udcff")", none},
           {R"("\ude00\ud83d")", none + none},
           {R"("\ud83d\ud83d\ude00")", none + "\U0001f600"},
           {R"("\ud83d\n")", none + "\n"},
           {R"("\ud83d\u0041")", none + "A"},
           {R"("a\u0000b")", std::string("a\0b", 3)},
           {"\"a\xff\xc3(\xc3\"", "a" + none + none + "(" + none},
           {"\"\xed\xa0\x80\xc0\x80\"", none + none + none},
           {"\"\xf4\x90\x80\x80\"", none + none + none + none},
           {"\"Zo\u00eb \u4e2d \U0001f338\"", "Zo\u00eb \u4e2d \U0001f338"},
           {"\"a\nb\tc\"", "a\nb\tc"},
           {"\xef\xbb\xbf\"x\"", "x"}}) {
    EXPECT_EQ(string_of(text), value) << text;
    EXPECT_TRUE(json_skips(text)) << text;
  }
}

TEST(Json, GoesOverAnyDepth) {
  const std::size_t depth = 1 << 20;
  EXPECT_TRUE(json_skips(std::string(depth, '[') + std::string(depth, ']')));
  EXPECT_FALSE(json_skips(std::string(depth, '[')));
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":[1,";
  for (int i = 0; i < 1000; ++i) objects += "{}]}";
  EXPECT_FALSE(json_skips(objects));
  std::string good;
  for (int i = 0; i < 1000; ++i) good += "{\"a\":[1,";
  good += "2";
  for (int i = 0; i < 1000; ++i) good += "]}";
  EXPECT_TRUE(json_skips(good));
}

TEST(Json, ReadsAMembersNameWithEscapes) {
  JsonScan json(R"({"ty\u0070e" : 1})");
  std::string_view name;
  ASSERT_TRUE(json.take('{') && json.name(name));
  EXPECT_EQ(name, "type");
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
    const auto value = nlohmann::json::parse(line.text);
    all.envelopes.push_back(value["data"]);
    all.bodies.push_back(
        *decode_base64(nlohmann::json::parse(all.envelopes.back())["body"].get<std::string>()));
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

// What only this reader takes is one of the things that it adds.
bool has_an_addition(const std::string& text) {
  for (const char* word : {"NaN", "Infinity", "\\ud", "\\uD"}) {
    if (text.find(word) != std::string::npos) return true;
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x80) return true;
  }
  std::size_t digits = 0;  // a number that no double holds
  for (const char c : text) {
    digits = (c >= '0' && c <= '9') ? digits + 1 : 0;
    if (digits >= 3) return true;
  }
  return false;
}

void hold_against_oracle(const std::string& text, int& taken) {
  const auto oracle = json_by_oracle(text);
  const auto scan = json_by_scan(text);
  ASSERT_EQ(scan.has_value(), json_skips(text)) << text;
  if (oracle) {
    ASSERT_EQ(scan, oracle) << text;
    ++taken;
  } else if (scan) {
    ASSERT_TRUE(has_an_addition(text)) << text;
  }
}

TEST(Json, MeansWhatAnotherParserMeansByAllThatCeleryWrote) {
  const Captured all = captured();
  ASSERT_GT(all.bodies.size(), 400u);
  int taken = 0;
  for (const std::string& body : all.bodies) hold_against_oracle(body, taken);
  for (const std::string& envelope : all.envelopes) hold_against_oracle(envelope, taken);
  EXPECT_EQ(static_cast<std::size_t>(taken), all.bodies.size() + all.envelopes.size());
}

TEST(Json, MeansWhatAnotherParserMeansByDamagedText) {
  const Captured all = captured();
  Random random(20'261'124);
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto& from = random.chance(1, 3) ? all.envelopes : all.bodies;
    hold_against_oracle(damaged(from[random.below(from.size())], random), taken);
  }
  EXPECT_GT(taken, 1000);    // a changed letter of a name is no damage
  EXPECT_LT(taken, 18'000);  // and a lost quote is
}

// Short texts of the characters that mean something: most of what a grammar can do.
TEST(Json, MeansWhatAnotherParserMeansByShortTexts) {
  constexpr std::string_view kPieces = "[]{},:\"\"a\\u01-.e ";
  Random random(3);
  int taken = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    for (std::uint64_t left = 1 + random.below(9); left > 0; --left) {
      text += kPieces[random.below(kPieces.size())];
    }
    hold_against_oracle(text, taken);
  }
  EXPECT_GT(taken, 300);
}

}  // namespace
}  // namespace phlower
