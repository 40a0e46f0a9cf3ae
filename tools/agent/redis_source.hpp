// Celery's events live from Redis: a pattern subscription to the channels of the event exchange.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent_options.hpp"
#include "broker_source.hpp"
#include "broker_stream.hpp"
#include "redis_protocol.hpp"

namespace phlower::agent {

/// A subscribed connection: what the connecting thread hands to the loop.
struct RedisLink {
  std::unique_ptr<BrokerStream> stream;
  RedisParser parser;

  int fd() const { return stream->fd(); }

  /// Connects, says who it is, subscribes. Blocks: until the limit.
  static Result<std::unique_ptr<RedisLink>> open(const BrokerUrl& url, const RedisOptions& options,
                                                 const std::string& pattern,
                                                 const ConnectLimit& limit) {
    auto stream = BrokerStream::connect(url, options.ca_file, limit);
    if (!stream.ok()) return stream.status();
    auto link = std::make_unique<RedisLink>();
    link->stream = *std::move(stream);
    Status status;
    if (!url.password.empty()) {
      std::vector<std::string_view> words = {"AUTH", url.password};
      if (!url.user.empty()) words.insert(words.begin() + 1, url.user);
      status = link->ask(words, limit).with_context("AUTH");
    }
    if (status.ok()) status = link->ask({"PSUBSCRIBE", pattern}, limit).with_context("PSUBSCRIBE");
    if (!status.ok()) return status.with_context(url.shown());
    return link;
  }

 private:
  Status ask(const std::vector<std::string_view>& words, const ConnectLimit& limit) {
    if (stream->write(redis_command(words)) != BrokerStream::Io::kDone) {
      return {Code::kIo, "the connection was closed"};
    }
    RedisReply reply;
    for (;;) {
      const Result<bool> whole = parser.next(reply);
      if (!whole.ok()) return whole.status();
      if (*whole) break;
      const std::span<char> room = parser.room();
      std::size_t got = 0;
      const auto how = stream->read(room.data(), room.size(), got);
      if (how == BrokerStream::Io::kClosed) return {Code::kIo, "the connection was closed"};
      if (how == BrokerStream::Io::kNotNow && !stream->wait(POLLIN, limit)) {
        return {Code::kIo, "no answer within connect_timeout"};
      }
      parser.took(got);
    }
    if (!reply.error) return {};
    return {Code::kPermission, std::string(reply.texts.empty() ? "" : reply.texts[0])};
  }
};

/// Redis drops a subscriber that reads too slowly, and a dead connection and a queue without work
/// look the same until one asks.
class RedisSource final : public BrokerSource<RedisLink> {
 public:
  static Result<std::unique_ptr<RedisSource>> open(const BrokerParts& parts) {
    Result<BrokerUrl> url = parse_broker_url(parts.options.redis.url, BrokerKind::kRedis);
    if (!url.ok()) return url.status();
    std::string pattern = parts.options.redis.pattern;
    if (pattern.empty()) pattern = default_pattern(*url);
    return std::unique_ptr<RedisSource>(new RedisSource(parts, *std::move(url), pattern));
  }

  /// The channels of one database, or of all where the URL names none.
  static std::string default_pattern(const BrokerUrl& url) {
    return "/" + (url.database ? std::to_string(*url.database) : std::string("*")) + ".celeryev/*";
  }

 private:
  RedisSource(const BrokerParts& parts, BrokerUrl url, const std::string& pattern)
      : BrokerSource("redis", parts.options.redis, std::move(url), parts,
                     opens(parts.options.redis, pattern, parts.clock)),
        silence_(parts.options.redis.silence),
        pattern_(pattern) {}

  static Open opens(const RedisOptions& options, const std::string& pattern, Clock& clock) {
    return [options, pattern, &clock](const BrokerUrl& url, const std::atomic<bool>& cancelled) {
      const ConnectLimit limit{clock, clock.mono() + options.connect_timeout, cancelled};
      return RedisLink::open(url, options, pattern, limit);
    };
  }

  void begun(MonoTime now) override {
    heard_ = now;
    pinged_ = false;
    log().info("{}: subscribed to {}", url().shown(), pattern_);
  }

  Result<bool> take(RedisLink& link, bool readable, bool, MonoTime now) override {
    if (!readable) return listen_to_silence(link, now);
    if (Status status = take_messages(link, now); !status.ok()) return status;
    for (std::size_t taken = 0; taken < kTurnBytes && !full();) {
      const std::span<char> room = link.parser.room();
      std::size_t got = 0;
      const auto how = link.stream->read(room.data(), room.size(), got);
      if (how == BrokerStream::Io::kClosed) return Status(Code::kIo, "the connection was closed");
      if (how != BrokerStream::Io::kDone) return false;
      heard_ = now;
      pinged_ = false;
      link.parser.took(got);
      if (Status status = take_messages(link, now); !status.ok()) return status;
      taken += got;
      if (got < room.size() && link.stream->tells_all()) return false;
    }
    return true;
  }

  Status take_messages(RedisLink& link, MonoTime now) {
    for (;;) {
      const Result<bool> whole = link.parser.next(reply_);
      if (!whole.ok()) return whole.status();
      if (!*whole) return {};
      if (reply_.error) return {Code::kIo, std::string(reply_.texts.at(0))};
      if (reply_.texts.size() != 4 || reply_.texts[0] != "pmessage") continue;  // pong and such
      const Status status = feed().envelope(reply_.texts[3], now, gives());
      if (!status.ok()) {
        log().warn_limited("message", "a message on {}: {}", reply_.texts[2].substr(0, 80),
                           status.message());
      }
    }
  }

  Result<bool> listen_to_silence(RedisLink& link, MonoTime now) {
    if (now - heard_ >= 2 * silence_) return Status(Code::kIo, "silent, though it was asked");
    if (now - heard_ < silence_ || pinged_) return false;
    pinged_ = true;
    if (link.stream->write(redis_command({"PING"})) == BrokerStream::Io::kClosed) {
      return Status(Code::kIo, "the connection was closed");
    }
    return false;
  }

  const Milliseconds silence_;
  const std::string pattern_;
  RedisReply reply_;
  bool pinged_ = false;
  MonoTime heard_{};
};

}  // namespace phlower::agent
