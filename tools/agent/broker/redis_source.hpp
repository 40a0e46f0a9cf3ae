// Celery's events live from Redis: a pattern subscription to the channels of the event exchange.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/broker/broker_source.hpp"
#include "agent/broker/broker_stream.hpp"
#include "agent/broker/redis_protocol.hpp"
#include "agent/host/agent_options.hpp"
#include "agent/source/celery_feed.hpp"

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
    if (!url.password.empty() || !url.user.empty()) {
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
class RedisSource final : public BrokerSource<RedisLink, CeleryFeed> {
 public:
  static Result<std::unique_ptr<RedisSource>> open(const SourceParts& parts) {
    auto urls = parse_broker_urls(parts.options.redis.url, BrokerKind::kRedis);
    if (!urls.ok()) return urls.status();
    return std::unique_ptr<RedisSource>(new RedisSource(parts, *std::move(urls)));
  }

  /// What the options say, or the channels of one database, or of all where the URL names none.
  static std::string pattern_for(const RedisOptions& options, const BrokerUrl& url) {
    if (!options.pattern.empty()) return options.pattern;
    return "/" + (url.database ? std::to_string(*url.database) : std::string("*")) + ".celeryev/*";
  }

 private:
  RedisSource(const SourceParts& parts, std::vector<BrokerUrl> urls)
      : BrokerSource(
            "redis", parts.options.redis, std::move(urls), parts,
            std::make_unique<CeleryFeed>(parts.options.celery, parts.counters, "redis", parts.log),
            opens(parts.options.redis, parts.clock)),
        options_(parts.options.redis) {}

  static Open opens(const RedisOptions& options, Clock& clock) {
    return [options, &clock](const BrokerUrl& url, const std::atomic<bool>& cancelled) {
      const ConnectLimit limit{clock, clock.mono() + options.connect_timeout, cancelled};
      return RedisLink::open(url, options, pattern_for(options, url), limit);
    };
  }

  void begun(MonoTime now) override {
    heard_at_ = now;
    pinged_ = false;
    looking_ = false;
    elsewhere_.clear();
    pattern_ = pattern_for(options_, url());
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
      heard_at_ = now;
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
      if (reply_.error && looking_) {  // who may listen here need not be allowed to elsewhere
        looking_ = false;
        continue;
      }
      if (reply_.error) return {Code::kIo, std::string(reply_.texts.at(0))};
      if (reply_.texts.size() != 4 || reply_.texts[0] != "pmessage") continue;  // pong and such
      if (reply_.texts[1] != pattern_) {
        found_elsewhere(link);
        continue;
      }
      const Status status = heard(now).envelope(reply_.texts[3], now, gives());
      if (!status.ok()) {
        log().warn_limited("message", "a message on {}: {}", reply_.texts[2].substr(0, 80),
                           status.message());
      }
    }
  }

  Result<bool> listen_to_silence(RedisLink& link, MonoTime now) {
    if (now - heard_at_ >= 2 * options_.silence)
      return Status(Code::kIo, "silent, though it was asked");
    if (now - heard_at_ < options_.silence || pinged_) return false;
    pinged_ = true;
    if (link.stream->write(redis_command({"PING"})) == BrokerStream::Io::kClosed) {
      return Status(Code::kIo, "the connection was closed");
    }
    return false;
  }

  // What Celery's channels are called wherever they are: by the default name of their exchange, or
  // by the topic of heartbeats, which every worker publishes every two seconds.
  static constexpr std::string_view kAnyEvents = "*celeryev*";
  static constexpr std::string_view kAnyHeartbeat = "*/worker.heartbeat";
  static constexpr Nanoseconds kLookAround = Seconds(5);

  void look_around(RedisLink& link) override {
    if (pattern_ == kAnyEvents || pattern_ == kAnyHeartbeat) return;
    looking_ = true;
    elsewhere_.clear();
    static_cast<void>(link.stream->write(redis_command({"PSUBSCRIBE", kAnyEvents, kAnyHeartbeat})));
  }

  // One message is enough to know; it is not for the history.
  void found_elsewhere(RedisLink& link) {
    if (!looking_) return;  // one that was under way
    looking_ = false;
    elsewhere_ = reply_.texts[2];
    static_cast<void>(
        link.stream->write(redis_command({"PUNSUBSCRIBE", kAnyEvents, kAnyHeartbeat})));
  }

  std::string silence(Nanoseconds lasts) const override {
    const std::string heard =
        "nothing is heard on " + pattern_ + " for " + exact_duration(options_.heard_within);
    if (!elsewhere_.empty()) {
      return heard + ", but Celery's events are on this Redis, on " + shown_text(elsewhere_) +
             ": write redis.pattern: " + yaml_text(pattern_of_channel(elsewhere_));
    }
    if (looking_ && lasts < options_.heard_within + kLookAround) return {};
    return heard +
           ", and no other events of Celery on this Redis: is a worker running, and is this "
           "its broker? Where Celery has a global_keyprefix or an event_exchange write "
           "redis.pattern: 'PREFIX/DB.celeryev/*'";
  }

  const RedisOptions options_;
  std::string pattern_;  // of the last subscription
  RedisReply reply_;
  bool pinged_ = false;
  bool looking_ = false;   // subscribed to what Celery's channels may be called
  std::string elsewhere_;  // a channel that was found so
  MonoTime heard_at_{};
};

}  // namespace phlower::agent
