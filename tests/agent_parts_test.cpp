// The parts of phlower-agent that need neither plugin nor broker: options, addresses, pauses,
// lines.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "agent/broker/redis_protocol.hpp"
#include "agent/broker/retry_pause.hpp"
#include "agent/host/agent_options.hpp"
#include "agent/http/http_address.hpp"
#include "agent/http/http_query.hpp"
#include "agent/source/record_line.hpp"
#include "phlower/config/options_yaml.hpp"

namespace phlower::agent {
namespace {

std::string error_of(const std::string& yaml) {
  const auto options = parse_options<AgentOptions>(yaml, "a.yaml");
  return std::string(options.ok() ? "" : options.status().message());
}

TEST(AgentOptions, AnEmptyFileMeansTheDefaults) {
  const auto options = parse_options<AgentOptions>("", "a.yaml");
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->http.listen, "127.0.0.1:9808");
  EXPECT_TRUE(options->redis.url.empty());
}

TEST(AgentOptions, WhatIsDumpedReadsBackToTheSame) {
  AgentOptions options;
  options.redis.url = "redis://h/1";
  options.socket.access = Access::kGroup;
  options.loop.tick_budget = Milliseconds(7);
  const std::string text = dump_effective(options);
  const auto again = parse_options<AgentOptions>(text, "a.yaml");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(dump_effective(*again), text);
}

TEST(AgentOptions, TheShippedFileNamesEveryKeyWithItsDefault) {
  std::ifstream file(PHLOWER_AGENT_YAML);
  std::stringstream text;
  text << file.rdbuf();
  const auto options = parse_options<AgentOptions>(text.str(), "agent.yaml");
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(dump_effective(*options), dump_effective(AgentOptions{}));
  std::string section;
  std::set<std::string> keys;
  for (std::string line; std::getline(text, line);) {
    const std::size_t colon = line.find(':');
    if (line.empty() || line.find('#') < colon || colon == std::string::npos) continue;
    if (line[0] != ' ') section = line.substr(0, colon);
    if (line[0] == ' ') keys.insert(section + "." + line.substr(2, colon - 2));
  }
  for (const std::string_view key : option_keys<AgentOptions>()) {
    EXPECT_TRUE(keys.contains(std::string(key))) << key;
  }
}

TEST(AgentOptions, EachErrorHasItsPlaceAndTheNearestKey) {
  EXPECT_EQ(error_of("http:\n  lisen: x\n"),
            "a.yaml:2:3: 'lisen' is an unknown key of 'http'; did you mean 'listen'?");
  EXPECT_NE(
      error_of("redis:\n  silence: 10\n").find("a.yaml:2:12: redis.silence: '10' has no unit"),
      std::string::npos);
  EXPECT_NE(error_of("socket:\n  access: world\n").find("write one of owner, group, all"),
            std::string::npos);
}

TEST(AgentOptions, BeyondLoopbackATokenIsNeeded) {
  EXPECT_NE(error_of("http:\n  listen: 0.0.0.0:80\n"), "");
  EXPECT_NE(error_of("http:\n  listen: \"[::]:80\"\n"), "");
  EXPECT_EQ(error_of("http:\n  listen: 0.0.0.0:80\n  token_file: /t\n"), "");
  EXPECT_EQ(error_of("http:\n  listen: \"[::1]:80\"\n"), "");
  EXPECT_EQ(error_of("http:\n  listen: 127.9.9.9:80\n"), "");
  EXPECT_EQ(error_of("http:\n  listen: unix:/run/x\n"), "");
  EXPECT_NE(error_of("http:\n  listen: localhost:80\n"), "");  // a name may lead anywhere
}

TEST(RetryPause, DoublesUpToItsBoundAndIsDrawnFromTheUpperHalf) {
  RetryPause pause(Milliseconds(100), Milliseconds(1000), 7);
  std::set<std::int64_t> seen;
  for (const int longest : {100, 200, 400, 800, 1000, 1000, 1000}) {
    const Nanoseconds drawn = pause.failed();
    EXPECT_GE(drawn, Milliseconds(longest) / 2);
    EXPECT_LE(drawn, Milliseconds(longest));
    seen.insert(drawn.count());
  }
  EXPECT_EQ(seen.size(), 7u);
  pause.succeeded();
  EXPECT_LE(pause.failed(), Milliseconds(100));
}

TEST(RecordLine, HasTheFieldsOfARecord) {
  const auto record = parse_record_line(
      R"({"task_id":"a","task_name":"t","state":"FAILURE","finished_at":1.5,"runtime_ms":2,)"
      R"("worker":null,"args_preview":"[1]","details_cut":true})");
  ASSERT_TRUE(record.ok()) << record.status().message();
  EXPECT_EQ(record->task_id, "a");
  EXPECT_EQ(record->state, "FAILURE");
  EXPECT_EQ(record->finished_at, 1.5);
  EXPECT_EQ(record->runtime_ms, 2);
  EXPECT_EQ(record->args, "[1]");
  EXPECT_EQ(record->flags, kDetailsCut);
}

TEST(RecordLine, HasAReplacementWhereThereIsNoCharacter) {
  const auto record =
      parse_record_line("{\"task_id\":\"a\",\"args\":\"\xff\",\"traceback\":\"\\udcff\"}");
  ASSERT_TRUE(record.ok()) << record.status().message();
  EXPECT_EQ(record->args, "\xef\xbf\xbd");
  EXPECT_EQ(record->traceback, "\xef\xbf\xbd");
}

TEST(RecordLine, WhatDoesNotFitMakesTheLineBadAndIsNamed) {
  const auto error = [](const char* line) {
    const auto record = parse_record_line(line);
    return record.ok() ? std::string() : std::string(record.status().message());
  };
  EXPECT_NE(error("").find("not JSON"), std::string::npos);
  EXPECT_NE(error("[1]").find("not a JSON object"), std::string::npos);
  EXPECT_NE(error("{}").find("'task_id' is missing"), std::string::npos);
  EXPECT_NE(error(R"({"task_id":7})").find("'task_id' is no text"), std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a","sate":"x"})").find("did you mean 'state'?"),
            std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a","finished_at":"now"})").find("is no number"),
            std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a","finished_at":1e12})").find("is no time"), std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a","runtime_ms":-1})").find("out of range"), std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a","details_cut":1})").find("neither true"), std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a","finished_at":NaN})").find("is no time"), std::string::npos);
  EXPECT_NE(error(R"({"task_id":"a")").find("not JSON at byte 14"), std::string::npos);
  const auto of_length = [](std::size_t length) {
    return R"({"task_id":")" + std::string(length, 'x') + "\"}";
  };
  EXPECT_EQ(error(of_length(kTaskIdBytesMax).c_str()), "");
  EXPECT_NE(error(of_length(kTaskIdBytesMax + 1).c_str()).find("longer than 1024"),
            std::string::npos);
}

TEST(RedisParser, GivesRepliesOnceTheyAreWholeAndRefusesOtherProtocols) {
  RedisParser parser;
  RedisReply reply;
  parser.feed("*4\r\n$8\r\npmessage\r\n$1\r\np\r\n$1\r\nc\r\n$4\r\nda");
  EXPECT_FALSE(*parser.next(reply));
  parser.feed("ta\r\n+PONG\r\n-ERR no\r\n");
  ASSERT_TRUE(*parser.next(reply));
  ASSERT_EQ(reply.texts.size(), 4u);
  EXPECT_EQ(reply.texts[3], "data");
  ASSERT_TRUE(*parser.next(reply));
  EXPECT_FALSE(reply.error);
  ASSERT_TRUE(*parser.next(reply));
  EXPECT_TRUE(reply.error);
  RedisParser other;
  other.feed("HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_FALSE(other.next(reply).ok());
}

std::string reply_text(const RedisReply& reply) {
  std::string text(reply.error ? "error" : "");
  for (const std::string_view part : reply.texts) text += "|" + std::string(part);
  return text;
}

TEST(RedisParser, GivesTheSameRepliesHoweverTheirBytesCome) {
  const std::string message = "*4\r\n$8\r\npmessage\r\n$1\r\np\r\n$0\r\n\r\n$4\r\nd\r\na\r\n";
  const std::string bytes = "+OK\r\n" + message + "*3\r\n$10\r\npsubscribe\r\n$1\r\np\r\n:1\r\n" +
                            message + message + "*0\r\n*1\r\n$-1\r\n-ERR\r\n" + message;
  const std::string expected =
      "|OK;|pmessage|p||d\r\na;|psubscribe|p|;|pmessage|p||d\r\na;|pmessage|p||d\r\na;;|;error|ERR;"
      "|pmessage|p||d\r\na;";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    RedisParser parser;
    RedisReply reply;
    std::string seen;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      parser.feed(std::string_view(bytes).substr(at, step));
      while (*parser.next(reply)) seen += reply_text(reply) + ";";
    }
    EXPECT_EQ(seen, expected) << step;
  }
}

TEST(RedisParser, RefusesSizesThatAreNone) {
  for (const char* bytes : {"*4\r\n$8\r\npmessageXX$1\r\n", "*x\r\n",
                            "*2\r\n$99999999999999999999\r\n", "*2\r\n$1x\r\n", "*2\r\n$1\rX"}) {
    RedisParser parser;
    RedisReply reply;
    parser.feed(bytes);
    const Result<bool> whole = parser.next(reply);
    EXPECT_TRUE(!whole.ok() || !*whole) << bytes;
  }
}

TEST(RedisCommand, IsWrittenWithTheSizesOfItsWords) {
  EXPECT_EQ(redis_command({"AUTH", "a\r\nb"}), "*2\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n");
}

TEST(HttpQuery, TakesWhatItKnowsAndNamesWhatItDoesNot) {
  const WallTime now(Seconds(1'800'000'000));
  const auto query = read_http_query(
      {{"task", "t"}, {"since", "2h"}, {"until", "2027-01-15T08:00:00Z"}, {"limit", "7"}}, true, 10,
      Seconds(5), now);
  ASSERT_TRUE(query.ok()) << query.status().message();
  EXPECT_EQ(query->task, "t");
  EXPECT_EQ(query->limit, 7u);
  EXPECT_EQ(query->since_ns, (1'800'000'000 - 7200) * 1'000'000'000LL);
  EXPECT_EQ(query->until_ns, 1'800'000'000 * 1'000'000'000LL);
  for (const auto& [name, value] :
       std::multimap<std::string, std::string>{{"limit", "11"},
                                               {"limit", "0"},
                                               {"limit", ""},
                                               {"limit", "1e1"},
                                               {"limit", "7777777777777777777777777"},
                                               {"since", ""},
                                               {"since", "2026-13-01"},
                                               {"since", "2026-02-30"},
                                               {"since", "99999999999"},
                                               {"details", "no"},
                                               {"x", "1"},
                                               {"text", std::string(5000, 'x')}}) {
    EXPECT_FALSE(read_http_query({{name, value}}, true, 10, Seconds(5), now).ok())
        << name << value.substr(0, 20);
  }
  EXPECT_FALSE(read_http_query({{"task", "t"}}, false, 10, Seconds(5), now).ok());
}

TEST(HttpQuery, WaitsItsTurnWhereNoIndexLeadsToItsRows) {
  const WallTime now(Seconds(1'800'000'000));
  for (const auto& [name, scans] : std::vector<std::pair<std::string, bool>>{{"task", false},
                                                                             {"after", false},
                                                                             {"state", true},
                                                                             {"worker", true},
                                                                             {"queue", true},
                                                                             {"text", true}}) {
    const auto query = read_http_query({{name, "x"}, {"since", "2h"}}, true, 10, Seconds(5), now);
    ASSERT_TRUE(query.ok()) << query.status().message();
    EXPECT_EQ(query->scans(), scans) << name;
  }
}

TEST(HttpQuery, TakesTheMomentsThatPhlowerQueryTakesInUtc) {
  const WallTime now(Seconds(1'800'000'000));
  const auto query =
      read_http_query({{"since", "2026-11-23 18:30"}, {"until", "2026-11-23T18:30:00.5+01:00"}},
                      true, 10, Seconds(5), now);
  ASSERT_TRUE(query.ok()) << query.status().message();
  EXPECT_EQ(query->since_ns, 1'795'458'600'000'000'000);
  EXPECT_EQ(query->until_ns, 1'795'455'000'500'000'000);
}

}  // namespace
}  // namespace phlower::agent
