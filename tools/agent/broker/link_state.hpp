// What the sources with a broker have in common: when to connect again, and the counts of gaps.
#pragma once

#include <string>

#include "agent/broker/retry_pause.hpp"
#include "agent/source/counters.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// Counts connections and the time without one.
class LinkState {
 public:
  LinkState(Counters& counters, const std::string& source, const RetryPause& pause, MonoTime now)
      : connected_(counters.make("phlower_agent_connected", "1 while events are subscribed to.",
                                 source, CountKind::kGauge)),
        connects_(counters.make("phlower_agent_connects_total",
                                "Subscriptions made: the first and those after a loss.", source)),
        lost_(counters.make("phlower_agent_connections_lost_total",
                            "Subscriptions lost: what was published until the next one is not "
                            "here.",
                            source)),
        failed_(counters.make("phlower_agent_connect_failures_total",
                              "Attempts to connect that failed.", source)),
        away_ms_(counters.make("phlower_agent_unsubscribed_milliseconds_total",
                               "Time without a subscription since the start.", source)),
        pause_(pause),
        counted_(now) {}

  void up(MonoTime now) {
    pass(now);
    up_ = true;
    connected_.set(1);
    connects_.add();
    pause_.succeeded();
  }
  void down(MonoTime now) {
    pass(now);
    if (up_) lost_.add();
    up_ = false;
    connected_.set(0);
    retry_at_ = now + pause_.failed();
  }
  void failed(MonoTime now) {
    failed_.add();
    pass(now);
    retry_at_ = now + pause_.failed();
  }
  /// Time goes by; counts it where nothing is subscribed to.
  void pass(MonoTime now) {
    if (!up_) away_ms_.add(static_cast<std::uint64_t>((now - counted_) / Milliseconds(1)));
    counted_ = up_ ? now : now - (now - counted_) % Milliseconds(1);
  }
  MonoTime retry_at() const { return retry_at_; }

 private:
  Count& connected_;
  Count& connects_;
  Count& lost_;
  Count& failed_;
  Count& away_ms_;
  RetryPause pause_;
  bool up_ = false;
  MonoTime counted_;
  MonoTime retry_at_{};
};

}  // namespace phlower::agent
