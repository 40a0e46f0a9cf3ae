// The pure parts of the agent's HTTP: what a request must be, who may ask, which path is which.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/host/plugin_engine.hpp"
#include "agent/http/http_access.hpp"
#include "agent/http/http_request.hpp"
#include "agent/http/http_routes.hpp"
#include "agent/http/page_reach.hpp"
#include "phlower/history/stop_rule.hpp"

namespace phlower::agent {
namespace {

HttpHead head_of(std::string method, std::string target) {
  return {std::move(method), std::move(target), "HTTP/1.1", {{"Host", "localhost:9808"}}};
}
int status_of(const HttpHead& head, HttpRequest& request) {
  const auto refusal = check_request(head, request);
  return refusal ? refusal->status : 200;
}
int status_of(const HttpHead& head) {
  HttpRequest request;
  return status_of(head, request);
}

TEST(PageReach, HasTheWordsOfTheLibrary) {
  for (const Ended ended :
       {Ended::kEnd, Ended::kLimit, Ended::kScanLimit, Ended::kDeadline, Ended::kUnwanted}) {
    EXPECT_EQ(stopped_name(static_cast<std::uint32_t>(ended)), ended_name(ended));
  }
  EXPECT_EQ(stopped_name(PHLOWER_STOPPED_UNWANTED), "unwanted");
  EXPECT_EQ(stopped_name(PHLOWER_STOPPED_VISITOR), "size");
  EXPECT_EQ(stopped_name(77), "unknown");
}

TEST(HttpRequest, HasItsPathAndParametersDecoded) {
  HttpRequest request;
  ASSERT_EQ(
      status_of(head_of("GET", "/tasks/a%20b+c/x?task=a+b%2B&limit=3&empty&&u=%c3%bc"), request),
      200);
  EXPECT_EQ(request.path, "/tasks/a b+c/x");
  const std::multimap<std::string, std::string> expected = {
      {"task", "a b+"}, {"limit", "3"}, {"empty", ""}, {"u", "\xc3\xbc"}};
  EXPECT_EQ(request.parameters, expected);
  EXPECT_EQ(request.host, "localhost:9808");
}

TEST(HttpRequest, TakesTheHostOfItsAddressBeforeThatOfItsHeader) {
  for (const auto& [target, host, path] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"/p", "localhost:9808", "/p"},
           {"http://127.0.0.1:1/p?x=1", "127.0.0.1:1", "/p"},
           {"HTTPS://[::1]/p", "[::1]", "/p"},
           {"http://other", "other", "/"},
           {"http://other?x=1", "other", "/"},
           {"/http://other/", "localhost:9808", "/http://other/"}}) {
    HttpRequest request;
    ASSERT_EQ(status_of(head_of("GET", target), request), 200) << target;
    EXPECT_EQ(request.host, host) << target;
    EXPECT_EQ(request.path, path) << target;
  }
}

TEST(HttpRequest, IsRefusedForAnAddressThatIsNone) {
  for (const char* target : {"",
                             "p",
                             "*",
                             "ftp://h/p",
                             "http://",
                             "http:///p",
                             "http://a b/p",
                             "http://u@h/p",
                             "/a b",
                             "/a#b",
                             "/%",
                             "/%1",
                             "/%g0",
                             "/%00",
                             "/%0a",
                             "/\x01",
                             "/\x7f",
                             "/\xff",
                             "/%ff",
                             "/%c3%28",
                             "/?a=%",
                             "/?%=a",
                             "/?a=%00",
                             "/?a=%ed%a0",
                             "/?a=%f8%88%80%80%80"}) {
    EXPECT_EQ(status_of(head_of("GET", target)), 400) << target;
  }
  EXPECT_EQ(status_of(head_of("OPTIONS", "*")), 200);
  EXPECT_EQ(status_of(head_of("GET", "/" + std::string(kHttpTargetMax - 1, 'x'))), 200);
  EXPECT_EQ(status_of(head_of("GET", "/" + std::string(kHttpTargetMax, 'x'))), 414);
}

TEST(HttpRequest, IsRefusedForItsMethod) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"}) {
    const auto refusal = [&] {
      HttpRequest request;
      return check_request(head_of(method, "/"), request);
    }();
    ASSERT_TRUE(refusal) << method;
    EXPECT_EQ(refusal->status, 405) << method;
    EXPECT_EQ(refusal->headers.at(0), std::pair(std::string("Allow"), std::string(kHttpMethods)));
  }
  for (const char* method : {"get", "", "FROB"}) {
    EXPECT_EQ(status_of(head_of(method, "/")), 501) << method;
  }
}

TEST(HttpRequest, MustSayWhereItEndsAndForWhichHost) {
  using Lines = std::vector<std::pair<std::string, std::string>>;
  const std::pair<std::string, std::string> host = {"Host", "h"};
  for (const auto& [version, lines, status] : std::vector<std::tuple<std::string, Lines, int>>{
           {"HTTP/1.1", {host}, 200},
           {"HTTP/1.0", {host}, 200},
           {"HTTP/1.0", {}, 200},
           {"HTTP/1.1", {}, 400},
           {"HTTP/1.2", {}, 400},
           {"HTTP/1.1", {host, {"hOsT", "h"}}, 400},
           {"HTTP/1.0", {host, host}, 400},
           {"HTTP/1.1", {{"Host", ""}}, 200},
           {"HTTP/1.1", {{"Host", "h:80 \t"}}, 200},
           {"HTTP/1.1", {{"Host", "h:80x"}}, 400},
           {"HTTP/1.1", {{"Host", "[::1"}}, 400},
           {"HTTP/1.1", {{"Host", "h/p"}}, 400},
           {"HTTP/1.1", {{"Host", "a,b"}}, 400},
           {"HTTP/1.1", {host, {"Content-Length", "0"}}, 200},
           {"HTTP/1.1", {host, {"Content-Length", "65536"}}, 200},
           {"HTTP/1.1", {host, {"Content-Length", "65537"}}, 413},
           {"HTTP/1.1", {host, {"Content-Length", "99999999999999999999"}}, 413},
           {"HTTP/1.1", {host, {"Content-Length", "+1"}}, 400},
           {"HTTP/1.1", {host, {"Content-Length", "1"}, {"content-length", "1"}}, 400},
           {"HTTP/1.1", {host, {"Transfer-Encoding", "Chunked"}}, 200},
           {"HTTP/1.1", {host, {"Transfer-Encoding", "chunked "}}, 501},
           {"HTTP/1.1", {host, {"Transfer-Encoding", "gzip, chunked"}}, 501},
           {"HTTP/1.1", {host, {"Transfer-Encoding", "identity"}}, 501},
           {"HTTP/1.0", {host, {"Transfer-Encoding", "chunked"}}, 400},
           {"HTTP/1.1", {host, {"Transfer-Encoding", "chunked"}, {"Content-Length", "1"}}, 400},
           {"HTTP/1.1", {host, {"Expect", "100-Continue"}}, 200},
           {"HTTP/1.1", {host, {"Expect", "tea"}}, 417},
           {"HTTP/1.0", {host, {"Expect", "tea"}}, 200},
           {"HTTP/1.1", {host, {"X ", "a"}}, 400},
           {"HTTP/1.1", {host, {"", "a"}}, 400},
           {"HTTP/1.1", {host, {"X", "a\tb\xff"}}, 200},
           {"HTTP/1.1", {host, {"X", "a\x01"}}, 400},
           {"HTTP/1.1", {host, {"Authorization", "Bearer a"}, {"Authorization", "Bearer b"}}, 400},
       }) {
    const HttpHead head{"GET", "/", version, lines};
    EXPECT_EQ(status_of(head), status)
        << version << " " << (lines.empty() ? "" : lines.back().first + ": " + lines.back().second);
  }
}

TEST(SameSecret, IsTheSameInEachByteAndInLength) {
  const std::string token = "0123456789abcdef";
  EXPECT_TRUE(same_secret(token, token));
  EXPECT_TRUE(same_secret("", ""));
  for (const std::string& other : {std::string(), token + "x", token + token, token.substr(0, 15),
                                   std::string("0"), std::string("0123456789abcdeg"),
                                   std::string("1123456789abcdef"), token + std::string(1, '\0')}) {
    EXPECT_FALSE(same_secret(token, other)) << other;
    EXPECT_FALSE(same_secret(other, token)) << other;
  }
  EXPECT_FALSE(same_secret("aaaa", "a"));  // which, repeated, has every byte right
  EXPECT_FALSE(same_secret("a", "aaaa"));
}

TEST(BearerToken, IsWhatStandsBehindTheScheme) {
  for (const auto& [given, token] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"Bearer abc", "abc"},
                                                                  {"bearer abc", "abc"},
                                                                  {"BEARER   abc", "abc"},
                                                                  {"Bearer a b", "a b"},
                                                                  {"Bearer", ""},
                                                                  {"Bearer ", ""},
                                                                  {"Basic abc", ""},
                                                                  {"Bearerabc", ""},
                                                                  {"abc", ""},
                                                                  {"", ""}}) {
    EXPECT_EQ(bearer_token(given), token) << given;
  }
}

TEST(HttpAccess, WantsTheTokenOrALocalName) {
  const auto status = [](const char* host, const char* authorization, const char* token,
                         bool anybody) {
    HttpRequest request;
    request.host = host;
    request.authorization = authorization;
    const auto refusal = check_access(request, token, anybody);
    return refusal ? refusal->status : 200;
  };
  EXPECT_EQ(status("evil.example", "Bearer t", "t", false), 200);
  EXPECT_EQ(status("localhost", "", "t", true), 401);
  EXPECT_EQ(status("localhost", "Bearer x", "t", true), 401);
  for (const char* host :
       {"", "localhost", "LOCALHOST:80", "127.0.0.1", "10.0.0.1:80", "[::1]:80"}) {
    EXPECT_EQ(status(host, "", "", false), 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example"}) {
    EXPECT_EQ(status(host, "", "", false), 421) << host;
    EXPECT_EQ(status(host, "", "", true), 200) << host;
  }
}

TEST(MatchPath, GivesWhatStandsForTheBraces) {
  EXPECT_EQ(match_path("/livez", "/livez"), "");
  EXPECT_EQ(match_path("/livez", "/livez/"), std::nullopt);
  EXPECT_EQ(match_path("/invocations/{id}", "/invocations/a/b"), "a/b");
  EXPECT_EQ(match_path("/invocations/{id}", "/invocations/"), std::nullopt);
  EXPECT_EQ(match_path("/tasks/{n}/invocations", "/tasks/a.b/invocations"), "a.b");
  EXPECT_EQ(match_path("/tasks/{n}/invocations", "/tasks//invocations"), std::nullopt);
  EXPECT_EQ(match_path("/tasks/{n}/invocations", "/tasks/invocations"), std::nullopt);
}

TEST(PluginCode, IsTheStatusOfTheSameNumber) {
  EXPECT_EQ(to_code(PHLOWER_E_REFUSED), Code::kRefused);
  EXPECT_EQ(to_code(PHLOWER_E_RELOAD), Code::kReload);
  EXPECT_EQ(to_code(PHLOWER_E_FORKED), Code::kForked);
  EXPECT_EQ(to_code(PHLOWER_E_HANDLE), Code::kBadHandle);
  EXPECT_EQ(to_code(PHLOWER_E_ABI), Code::kAbi);
  EXPECT_EQ(to_code(PHLOWER_E_STATE), Code::kWrongState);
  for (const int unknown : {-1, 1000}) EXPECT_EQ(to_code(unknown), Code::kInternal);
}

}  // namespace
}  // namespace phlower::agent
