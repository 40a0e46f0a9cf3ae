// Celery's events live from RabbitMQ: a queue of its own at the event exchange.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent_options.hpp"
#include "celery_feed.hpp"
#include "connecting.hpp"
#include "link_state.hpp"
#include "rabbitmq_link.hpp"
#include "source.hpp"

namespace phlower::agent {

/// Like other receivers of Celery's events its queue lives as long as the connection: what is
/// published while there is none is not here. A backlog would fill the broker's memory, so this
/// source never waits; what the ring refuses is counted.
class RabbitmqSource final : public Source {
 public:
  static Result<std::unique_ptr<RabbitmqSource>> open(const AgentOptions& options,
                                                      PluginEngine& engine, Counters& counters,
                                                      Clock& clock, const Log& log) {
    Result<BrokerUrl> url = parse_broker_url(options.rabbitmq.url, BrokerKind::kAmqp);
    if (!url.ok()) return url.status();
    return std::unique_ptr<RabbitmqSource>(
        new RabbitmqSource(options, *std::move(url), engine, counters, clock, log));
  }

  std::string_view name() const override { return "rabbitmq"; }

  void watches(std::vector<pollfd>& out) override {
    if (connecting_.running()) out.push_back({connecting_.fd(), POLLIN, 0});
    if (link_) out.push_back({link_->fd(), POLLIN, 0});
  }

  bool turn(std::span<const pollfd> found, MonoTime now) override {
    if (closed_) return false;
    state_.pass(now);
    const bool due = now >= beat_at_;
    if (due) {
      beat_at_ = now + Seconds(1);
      feed_.expire(now, records_);
      push();
    }
    if (link_) {
      const bool readable = (!found.empty() && found[0].revents != 0) || more_;
      return (readable || due) && read(now);
    }
    if (connecting_.running()) {
      connected(now);
    } else if (now >= state_.retry_at()) {
      connect();
    }
    return false;
  }

  std::optional<MonoTime> due() const override {
    if (closed_) return std::nullopt;
    if (link_ || connecting_.running()) return beat_at_;
    return std::min(beat_at_, state_.retry_at());
  }

  void close() override {
    closed_ = true;
    feed_.flush(records_);
    push();
    link_.reset();
  }

 private:
  static constexpr std::size_t kTurnBytes = 256 << 10;

  RabbitmqSource(const AgentOptions& options, BrokerUrl url, PluginEngine& engine,
                 Counters& counters, Clock& clock, const Log& log)
      : options_(options.rabbitmq),
        url_(std::move(url)),
        log_(log),
        outlet_(engine, counters, "rabbitmq", log),
        feed_(options.celery, counters, "rabbitmq"),
        state_(counters, "rabbitmq",
               RetryPause(options_.retry_first, options_.retry_longest,
                          static_cast<std::uint64_t>(clock.wall().time_since_epoch().count())),
               clock.mono()) {}

  void connect() {
    connecting_.start([this](const std::atomic<bool>&) -> Connecting<RabbitmqLink>::Made {
      BrokerUrl url = url_;
      if (!options_.password_file.empty()) {
        Result<std::string> secret = read_secret(options_.password_file);
        if (!secret.ok()) return secret.status();
        url.password = *std::move(secret);
      }
      return RabbitmqLink::open(url, options_);
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
    more_ = true;
    state_.up(now);
    log_.info("{}: subscribed to exchange {} with {}", url_.shown(), options_.exchange,
              options_.routing_key);
  }

  bool read(MonoTime now) {
    more_ = false;
    AmqpMessage message;
    for (std::size_t taken = 0; taken < kTurnBytes; taken += message.body.size() + 100) {
      const Result<bool> whole = link_->next(message);
      if (!whole.ok()) {
        lose(whole.status(), now);
        return false;
      }
      if (!*whole) return false;
      take(message, now);
    }
    more_ = true;
    return true;
  }

  void take(const AmqpMessage& message, MonoTime now) {
    Status status;
    if (message.content_type.empty() || message.content_type == "application/json") {
      status = feed_.body(message.body, now, records_);
    } else {
      feed_.bad_message();
      status = Status(Code::kUnsupported, "content type " + shown_text(message.content_type) +
                                              ", only application/json is read");
    }
    if (!status.ok()) log_.warn_limited("message", "a message: {}", status.message());
    push();
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

  const RabbitmqOptions options_;
  const BrokerUrl url_;
  Log log_;
  Outlet outlet_;
  CeleryFeed feed_;
  LinkState state_;
  std::unique_ptr<RabbitmqLink> link_;
  std::vector<Record> records_;
  bool more_ = false;
  bool closed_ = false;
  MonoTime beat_at_{};
  Connecting<RabbitmqLink> connecting_;  // last: its thread uses what is above
};

}  // namespace phlower::agent
