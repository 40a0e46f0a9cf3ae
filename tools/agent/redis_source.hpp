// Celery's events live from Redis: a pattern subscription to the channels of the event exchange.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent_options.hpp"
#include "broker_stream.hpp"
#include "celery_feed.hpp"
#include "connecting.hpp"
#include "link_state.hpp"
#include "redis_protocol.hpp"
#include "source.hpp"

namespace phlower::agent {

/// A subscribed connection: what the connecting thread hands to the loop.
struct RedisLink {
  std::unique_ptr<BrokerStream> stream;
  RedisParser parser;

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
      char buffer[4096];
      std::size_t got = 0;
      const auto how = stream->read(buffer, sizeof buffer, got);
      if (how == BrokerStream::Io::kClosed) return {Code::kIo, "the connection was closed"};
      if (how == BrokerStream::Io::kNotNow && !stream->wait(POLLIN, limit)) {
        return {Code::kIo, "no answer within connect_timeout"};
      }
      if (Status status = parser.feed({buffer, got}); !status.ok()) return status;
    }
    if (!reply.error) return {};
    return {Code::kPermission, std::string(reply.texts.empty() ? "" : reply.texts[0])};
  }
};

/// Redis keeps nothing for who is not there, and drops a subscriber that reads too slowly: so this
/// source never waits. What the ring refuses is counted, and so is every gap.
class RedisSource final : public Source {
 public:
  static Result<std::unique_ptr<RedisSource>> open(const AgentOptions& options,
                                                   PluginEngine& engine, Counters& counters,
                                                   Clock& clock, const Log& log) {
    Result<BrokerUrl> url = parse_broker_url(options.redis.url, BrokerKind::kRedis);
    if (!url.ok()) return url.status();
    return std::unique_ptr<RedisSource>(
        new RedisSource(options, *std::move(url), engine, counters, clock, log));
  }

  /// The channels of one database, or of all where the URL names none.
  static std::string default_pattern(const BrokerUrl& url) {
    return "/" + (url.database ? std::to_string(*url.database) : std::string("*")) + ".celeryev/*";
  }

  std::string_view name() const override { return "redis"; }

  void watches(std::vector<pollfd>& out) override {
    if (connecting_.running()) out.push_back({connecting_.fd(), POLLIN, 0});
    if (link_) out.push_back({link_->stream->fd(), POLLIN, 0});
  }

  bool turn(std::span<const pollfd> found, MonoTime now) override {
    if (closed_) return false;
    state_.pass(now);
    if (now >= expire_at_) {
      expire_at_ = now + Seconds(1);
      feed_.expire(now, records_);
      push();
    }
    if (link_) return read((!found.empty() && found[0].revents != 0) || more_, now);
    if (connecting_.running()) {
      connected(now);
    } else if (now >= state_.retry_at()) {
      connect();
    }
    return false;
  }

  std::optional<MonoTime> due() const override {
    if (closed_) return std::nullopt;
    if (link_ || connecting_.running()) return expire_at_;
    return std::min(expire_at_, state_.retry_at());
  }

  void close() override {
    closed_ = true;
    feed_.flush(records_);
    push();
    link_.reset();
  }

 private:
  static constexpr std::size_t kTurnBytes = 256 << 10;

  RedisSource(const AgentOptions& options, BrokerUrl url, PluginEngine& engine, Counters& counters,
              Clock& clock, const Log& log)
      : options_(options.redis),
        url_(std::move(url)),
        pattern_(options_.pattern.empty() ? default_pattern(url_) : options_.pattern),
        clock_(clock),
        log_(log),
        outlet_(engine, counters, "redis", log),
        feed_(options.celery, counters, "redis"),
        state_(counters, "redis",
               RetryPause(options_.retry_first, options_.retry_longest,
                          static_cast<std::uint64_t>(clock.wall().time_since_epoch().count())),
               clock.mono()) {}

  void connect() {
    connecting_.start([this](const std::atomic<bool>& cancelled) -> Connecting<RedisLink>::Made {
      BrokerUrl url = url_;
      if (!options_.password_file.empty()) {
        Result<std::string> secret = read_secret(options_.password_file);
        if (!secret.ok()) return secret.status();
        url.password = *std::move(secret);
      }
      const ConnectLimit limit{clock_, clock_.mono() + options_.connect_timeout, cancelled};
      return RedisLink::open(url, options_, pattern_, limit);
    });
  }

  void connected(MonoTime now) {
    auto made = connecting_.take();
    if (!made) return;
    if (!made->ok()) {
      state_.failed(now);
      log_.warn_limited("connect", "not connected, tries again: {}", made->status().message());
      return;
    }
    link_ = *std::move(*made);
    heard_ = now;
    pinged_ = false;
    more_ = true;  // what came with the answer to PSUBSCRIBE
    state_.up(now);
    log_.info("{}: subscribed to {}", url_.shown(), pattern_);
  }

  bool read(bool readable, MonoTime now) {
    if (!readable) return listen_to_silence(now);
    more_ = false;
    std::size_t taken = 0;
    Status status = take_messages(now);
    while (status.ok()) {
      std::size_t got = 0;
      const auto how = link_->stream->read(buffer_, sizeof buffer_, got);
      if (how == BrokerStream::Io::kClosed) status = Status(Code::kIo, "the connection was closed");
      if (how != BrokerStream::Io::kDone) break;
      heard_ = now;
      pinged_ = false;
      status = link_->parser.feed({buffer_, got});
      if (status.ok()) status = take_messages(now);
      taken += got;
      if (taken >= kTurnBytes) {
        more_ = true;
        break;
      }
    }
    if (!status.ok()) lose(status, now);
    return more_ && link_ != nullptr;
  }

  Status take_messages(MonoTime now) {
    for (;;) {
      const Result<bool> whole = link_->parser.next(reply_);
      if (!whole.ok()) return whole.status();
      if (!*whole) return {};
      if (reply_.error) return {Code::kIo, std::string(reply_.texts.at(0))};
      if (reply_.texts.size() != 4 || reply_.texts[0] != "pmessage") continue;  // pong and such
      const Status status = feed_.envelope(reply_.texts[3], now, records_);
      if (!status.ok()) {
        log_.warn_limited("message", "a message on {}: {}", reply_.texts[2].substr(0, 80),
                          status.message());
      }
      push();
    }
  }

  // A dead connection and a queue without work look the same until one asks.
  bool listen_to_silence(MonoTime now) {
    if (now - heard_ >= 2 * options_.silence) {
      lose(Status(Code::kIo, "silent, though it was asked"), now);
    } else if (now - heard_ >= options_.silence && !pinged_) {
      pinged_ = true;
      if (link_->stream->write(redis_command({"PING"})) == BrokerStream::Io::kClosed) {
        lose(Status(Code::kIo, "the connection was closed"), now);
      }
    }
    return false;
  }

  void lose(const Status& why, MonoTime now) {
    log_.warn("{}: connection lost: {}; connects again", url_.shown(), why.message());
    link_.reset();
    more_ = false;
    feed_.gap();
    state_.down(now);
  }

  void push() {
    for (const Record& record : records_) outlet_.push(record);
    records_.clear();
  }

  const RedisOptions options_;
  const BrokerUrl url_;
  const std::string pattern_;
  Clock& clock_;
  Log log_;
  Outlet outlet_;
  CeleryFeed feed_;
  LinkState state_;
  std::unique_ptr<RedisLink> link_;
  RedisReply reply_;
  std::vector<Record> records_;
  bool more_ = false;
  bool pinged_ = false;
  bool closed_ = false;
  MonoTime heard_{};
  MonoTime expire_at_{};
  char buffer_[64 << 10];
  Connecting<RedisLink> connecting_;  // last: its thread uses what is above
};

}  // namespace phlower::agent
