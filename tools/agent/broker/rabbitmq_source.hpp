// Celery's events live from RabbitMQ: a queue of its own at the event exchange.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/broker/broker_source.hpp"
#include "agent/broker/rabbitmq_link.hpp"
#include "agent/host/agent_options.hpp"
#include "agent/source/celery_feed.hpp"

namespace phlower::agent {

/// Like other receivers of Celery's events its queue lives as long as the connection: what is
/// published while there is none is not here. A backlog would fill the broker's memory.
class RabbitmqSource final : public BrokerSource<RabbitmqLink, CeleryFeed> {
 public:
  static Result<std::unique_ptr<RabbitmqSource>> open(const SourceParts& parts) {
    auto urls = parse_broker_urls(parts.options.rabbitmq.url, BrokerKind::kAmqp);
    if (!urls.ok()) return urls.status();
    return std::unique_ptr<RabbitmqSource>(new RabbitmqSource(parts, *std::move(urls)));
  }

 private:
  RabbitmqSource(const SourceParts& parts, std::vector<BrokerUrl> urls)
      : BrokerSource(
            "rabbitmq", parts.options.rabbitmq, std::move(urls), parts,
            std::make_unique<CeleryFeed>(parts.options.celery, parts.counters, "rabbitmq",
                                         parts.log),
            [options = parts.options.rabbitmq](const BrokerUrl& to, const std::atomic<bool>&) {
              return RabbitmqLink::open(to, options);
            }),
        exchange_(parts.options.rabbitmq.exchange),
        routing_key_(parts.options.rabbitmq.routing_key),
        heard_within_(parts.options.rabbitmq.heard_within) {}

  void begun(MonoTime) override {
    log().info("{}: subscribed to exchange {} with {}", url().shown(), exchange_, routing_key_);
  }

  // On the beat also where nothing is readable: the library then sends its heartbeat.
  Result<bool> take(RabbitmqLink& link, bool readable, bool beat, MonoTime now) override {
    if (!readable && !beat) return false;
    AmqpMessage message;
    for (std::size_t taken = 0; taken < kTurnBytes && !full(); taken += message.body.size() + 100) {
      Result<bool> whole = link.next(message);
      if (!whole.ok() || !*whole) return whole;
      take_message(message, now);
    }
    return true;
  }

  void take_message(const AmqpMessage& message, MonoTime now) {
    Status status;
    if (message.content_type.empty() || message.content_type == "application/json") {
      status = heard(now).body(message.body, now, gives());
    } else {
      heard(now).bad_message();
      status = Status(Code::kUnsupported, "content type " + shown_text(message.content_type) +
                                              ", only application/json is read");
    }
    if (!status.ok()) log().warn_limited("message", "a message: {}", status.message());
  }

  std::string silence(Nanoseconds) const override {
    return "nothing is heard on exchange " + exchange_ + " of the virtual host " +
           url().virtual_host + " for " + exact_duration(heard_within_) +
           ": is a worker running, is this its broker, its virtual host (rabbitmq.url) and its "
           "event_exchange (rabbitmq.exchange), and does rabbitmq.routing_key let worker.heartbeat "
           "through?";
  }

  const std::string exchange_;
  const std::string routing_key_;
  const Milliseconds heard_within_;
};

}  // namespace phlower::agent
