// Addresses of brokers: what Celery's users write is read as Celery reads it, the rest is refused.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/broker/broker_url.hpp"

namespace phlower::agent {
namespace {

/// user:password@host:port and what follows, in one way for every address.
std::string read(const std::string& text, BrokerKind kind) {
  const auto url = parse_broker_url(text, kind);
  if (!url.ok()) return "refused";
  std::string out = url->tls ? "tls " : "";
  out += url->user + ":" + url->password + "@" + url->shown() + " ";
  if (kind == BrokerKind::kAmqp) return out + url->virtual_host;
  return out + (url->database ? std::to_string(*url->database) : "any");
}

struct Case {
  const char* url;
  const char* read;
};

TEST(BrokerUrl, RedisIsReadAsCeleryReadsIt) {
  for (const Case& one :
       std::vector<Case>{{"redis://h", ":@h:6379 any"},
                         {"redis://h/", ":@h:6379 any"},
                         {"redis://", ":@127.0.0.1:6379 any"},
                         {"redis:///2", ":@127.0.0.1:6379 2"},
                         {"redis://:6380/2", ":@127.0.0.1:6380 2"},
                         {"redis://h//3", ":@h:6379 3"},
                         {"redis://[::1]:7/0", ":@[::1]:7 0"},
                         {"redis://[::1]", ":@[::1]:6379 any"},
                         {"redis://:pw@h/1", ":pw@h:6379 1"},
                         {"redis://user@h", "user:@h:6379 any"},
                         {"redis://user:@h", "user:@h:6379 any"},
                         {"rediss://u%40x:p%3Aw@h.example:6380/5", "tls u@x:p:w@h.example:6380 5"},
                         {"redis://:p/w@h", ":p/w@h:6379 any"},
                         {"redis://:p#w@h/0", ":p#w@h:6379 0"},
                         {"redis://u:p?w@h/0", "u:p?w@h:6379 0"},
                         {"redis://:p@w@h/0", ":p@w@h:6379 0"},
                         {"redis://h/0?socket_timeout=5&max_connections=7", ":@h:6379 0"},
                         {"redis://h?health_check_interval=5", ":@h:6379 any"},
                         {"redis://h/0?", ":@h:6379 0"},
                         {"redis://h/0?ssl_ca_certs=/a@b", "tls :@h:6379 0"},
                         {"rediss://h/0?ssl_cert_reqs=required", "tls :@h:6379 0"},
                         {"redis+socket:///run/r.sock", ":@/run/r.sock any"},
                         {"redis+socket:///run/r.sock?virtual_host=3", ":@/run/r.sock 3"},
                         {"redis+socket://:pw@/run/r%20x.sock", ":pw@/run/r x.sock any"}}) {
    EXPECT_EQ(read(one.url, BrokerKind::kRedis), one.read) << one.url;
  }
}

TEST(BrokerUrl, AmqpIsReadAsCeleryReadsIt) {
  for (const Case& one : std::vector<Case>{
           {"amqp://h", "guest:guest@h:5672 /"},
           {"amqp://", "guest:guest@127.0.0.1:5672 /"},
           {"amqp://h/", "guest:guest@h:5672 /"},
           {"amqp://h//", "guest:guest@h:5672 /"},
           {"amqp://h/%2F", "guest:guest@h:5672 /"},
           {"amqp://h/shop", "guest:guest@h:5672 shop"},
           {"amqp://h//shop", "guest:guest@h:5672 /shop"},
           {"amqp://h/a/b", "guest:guest@h:5672 a/b"},
           {"amqp://user@h", "user:guest@h:5672 /"},
           {"amqp://:pw@h", "guest:pw@h:5672 /"},
           {"pyamqp://u:p@h:1/v", "u:p@h:1 v"},
           {"librabbitmq://h", "guest:guest@h:5672 /"},
           {"amqps://h", "tls guest:guest@h:5671 /"},
           {"amqp://h?heartbeat=30", "guest:guest@h:5672 /"},
           {"amqp://h?ssl=true", "tls guest:guest@h:5671 /"},
           {"amqp://h:5672/v?ssl_cert_reqs=CERT_REQUIRED", "tls guest:guest@h:5672 v"}}) {
    EXPECT_EQ(read(one.url, BrokerKind::kAmqp), one.read) << one.url;
  }
}

TEST(BrokerUrl, OptionsOfTlsAreHonoured) {
  const auto url = parse_broker_url(
      "rediss://h?ssl_ca_certs=%2Fca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&"
      "ssl_check_hostname=false",
      BrokerKind::kRedis);
  ASSERT_TRUE(url.ok()) << url.status().message();
  EXPECT_EQ(url->ca_file, "/ca.pem");
  EXPECT_EQ(url->certificate_file, "/c.pem");
  EXPECT_EQ(url->key_file, "/k.pem");
  EXPECT_TRUE(url->check_certificate);
  EXPECT_FALSE(url->check_host);
  for (const char* value : {"none", "CERT_NONE"}) {
    const auto none =
        parse_broker_url(std::string("rediss://h?ssl_cert_reqs=") + value, BrokerKind::kRedis);
    ASSERT_TRUE(none.ok());
    EXPECT_FALSE(none->check_certificate || none->check_host) << value;
  }
  const auto optional = parse_broker_url("rediss://h?ssl_cert_reqs=optional", BrokerKind::kRedis);
  EXPECT_TRUE(optional->check_certificate && optional->check_host);
  EXPECT_EQ(parse_broker_url("amqp://h?heartbeat=30", BrokerKind::kAmqp)->heartbeat_seconds, 30u);
}

TEST(BrokerUrl, WhatCannotBeHonouredIsRefusedWithWhatToWrite) {
  struct Refused {
    BrokerKind kind;
    const char* url;
    const char* why;
  };
  constexpr BrokerKind kRedis = BrokerKind::kRedis;
  constexpr BrokerKind kAmqp = BrokerKind::kAmqp;
  for (const Refused& one : std::vector<Refused>{
           {kRedis, "h:6379", "write redis://HOST:6379/0"},
           {kRedis, "http://hunter2@h", "write redis://HOST:6379/0"},
           {kRedis, "amqp://h", "write redis://HOST:6379/0"},
           {kAmqp, "redis://h", "write amqp://USER:PASSWORD@HOST:5672/VHOST"},
           {kRedis, "sentinel://:hunter2@a:26379", "redis://A:6379/0;redis://B:6379/0"},
           {kRedis, "redis://h:0", "write one from 1 to 65535"},
           {kRedis, "redis://h:70000", "write one from 1 to 65535"},
           {kRedis, "redis://:hunter2@h:12x", "write one from 1 to 65535"},
           {kRedis, "redis://::1/0", "write [::1]:6379"},
           {kRedis, "redis://[::1", "write [::1]:6379"},
           {kRedis, "redis://[::1]x", "write [::1]:6379"},
           {kRedis, "redis://[]:1", "write [::1]:6379"},
           {kRedis, "redis://h/x", "write a number, as in /0"},
           {kRedis, "redis://h/0/1", "write a number, as in /0"},
           {kRedis, "redis://h/db?x=y", "write a number, as in /0"},
           {kRedis, "redis://h/0#x", "write %23"},
           {kRedis, "redis://a:hunter2%zz@h", "write %25"},
           {kRedis, "redis://h%zz", "write %25"},
           {kRedis, "redis://h/0?x=hunter2", "leave it out"},
           {kRedis, "redis://h/0?hunter2", "write it as NAME=VALUE"},
           {kRedis, "redis://h/0?heartbeat=30", "leave it out"},
           {kRedis, "rediss://h?ssl_cert_reqs=never", "write required"},
           {kRedis, "rediss://h?ssl_certfile=/c", "write both"},
           {kRedis, "rediss://h?ssl_ciphers=ALL", "known are ssl_cert_reqs"},
           {kRedis, "rediss://h?ssl_ca_certs=", "without a name"},
           {kAmqp, "amqp://h?ssl=maybe", "neither true nor false"},
           {kAmqp, "amqp://h?heartbeat=0", "write seconds, 2 to 600"},
           {kAmqp, "amqp://h?heartbeat=x", "write seconds, 2 to 600"},
           {kAmqp, "amqp://h/%zz", "write %25"},
           {kRedis, "redis+socket://run", "write redis+socket:///run/redis/redis.sock"},
           {kRedis, "redis+socket:///r?virtual_host=x", "that is no number"},
           {kRedis, "redis+socket:///r?ssl_cert_reqs=none", "leave ssl out"}}) {
    const auto url = parse_broker_url(one.url, one.kind);
    ASSERT_FALSE(url.ok()) << one.url;
    const std::string why(url.status().message());
    EXPECT_NE(why.find(one.why), std::string::npos) << one.url << ": " << why;
    EXPECT_EQ(why.find("hunter2"), std::string::npos) << why;
  }
}

TEST(BrokerUrls, AreSeveralWithSemicolonsBetween) {
  const auto urls = parse_broker_urls("amqp://A//;amqp://u:p@B:7/v;", BrokerKind::kAmqp);
  ASSERT_TRUE(urls.ok()) << urls.status().message();
  ASSERT_EQ(urls->size(), 2u);
  EXPECT_EQ((*urls)[0].shown(), "A:5672");
  EXPECT_EQ((*urls)[0].virtual_host, "/");
  EXPECT_EQ((*urls)[1].shown(), "B:7");
  EXPECT_EQ((*urls)[1].virtual_host, "v");
  EXPECT_EQ(parse_broker_urls("redis://h/0", BrokerKind::kRedis)->size(), 1u);
}

TEST(BrokerUrls, OfAnotherFormAreRefusedWithTheNumberOfTheBroker) {
  for (const Case& one :
       std::vector<Case>{{"amqp://A;B", "broker 2 of those between ; begins with no known scheme"},
                         {"amqp://u:hunter2;x@A", "a ; of a password is %3B"},
                         {"amqp://A;redis://B", "broker 2 of those between ;"},
                         {"['amqp://A', 'amqp://B']", "write one text with ; between the brokers"},
                         {"amqp://A,amqp://B", "write one text with ; between the brokers"},
                         {";", "names no broker"}}) {
    const auto urls = parse_broker_urls(one.url, BrokerKind::kAmqp);
    ASSERT_FALSE(urls.ok()) << one.url;
    const std::string why(urls.status().message());
    EXPECT_NE(why.find(one.read), std::string::npos) << one.url << ": " << why;
    EXPECT_EQ(why.find("hunter2"), std::string::npos) << why;
  }
}

}  // namespace
}  // namespace phlower::agent
