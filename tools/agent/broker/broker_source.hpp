// Events live from a broker: what the sources for the kinds of brokers have in common.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/broker/broker_url.hpp"
#include "agent/broker/connecting.hpp"
#include "agent/broker/hearing.hpp"
#include "agent/broker/link_state.hpp"
#include "agent/host/secrets.hpp"
#include "agent/host/told_names.hpp"
#include "agent/source/outlet.hpp"
#include "agent/source/source.hpp"
#include "agent/source/source_parts.hpp"

namespace phlower::agent {

/// Keeps a subscription, a `Link` with a descriptor `fd()`, and makes it anew when it is lost. The
/// broker keeps nothing for who is not there, and drops or grows with who reads too slowly: so this
/// waits for room in a full ring, but not for long. What the ring then refuses is counted, and so
/// is every gap. A `Feed` makes records of its messages and knows who sends them, see CeleryFeed.
template <class Link, class Feed>
class BrokerSource : public Source {
 public:
  std::string_view name() const final { return name_; }

  void watches(std::vector<pollfd>& out) final {
    if (connecting_.running()) out.push_back({connecting_.fd(), POLLIN, 0});
    if (link_ && !full()) out.push_back({link_->fd(), POLLIN, 0});
  }

  bool turn(std::span<const pollfd> found, MonoTime now) final {
    if (closed_) return false;
    state_.pass(now);
    const bool beat = now >= beat_at_;
    if (beat) {
      beat_at_ = now + Seconds(1);
      feed_->expire(now, gives());
      look_after_hearing(now);
    }
    if (!outlet_.hand_over(now)) return false;
    if (link_) return look((!found.empty() && found[0].revents != 0) || more_, beat, now);
    if (connecting_.running()) {
      connected(now);
    } else if (now >= state_.retry_at()) {
      connect();
    }
    return false;
  }

  std::optional<MonoTime> due() const final {
    if (closed_) return std::nullopt;
    if (full()) return std::min(beat_at_, *outlet_.due());
    if (link_ || connecting_.running()) return beat_at_;
    return std::min(beat_at_, state_.retry_at());
  }

  SourceHealth health() const final {
    SourceHealth health{name_, link_ != nullptr, hearing_.last(), feed_->workers(), silence_};
    if (silence_.empty() && !feed_->mute_workers().empty()) {
      health.trouble = no_task_events(feed_->mute_workers());
    }
    return health;
  }

  void each_in_flight(const std::function<bool(const InFlightTask&)>& visit) const final {
    feed_->each_in_flight(visit);
  }
  std::optional<InFlightTask> find_in_flight(std::string_view task_id) const final {
    return feed_->find_in_flight(task_id);
  }

  void close() final {
    closed_ = true;
    feed_->flush(gives());
    outlet_.be_patient();
    link_.reset();
  }
  bool hand_over(MonoTime now) final { return outlet_.hand_over(now); }
  void give_up() final { outlet_.give_up(); }

 protected:
  using Made = typename Connecting<Link>::Made;
  /// Connects and subscribes, on a thread of its own, to a URL whose password is there.
  using Open = std::function<Made(const BrokerUrl& url, const std::atomic<bool>& cancelled)>;

  static constexpr std::size_t kTurnBytes = 256 << 10;

  /// `options` are those of this kind; `open` keeps copies of what it uses.
  template <class Options>
  BrokerSource(std::string name, const Options& options, std::vector<BrokerUrl> urls,
               const SourceParts& parts, std::unique_ptr<Feed> feed, Open open)
      : name_(std::move(name)),
        urls_(std::move(urls)),
        password_file_(options.password_file),
        open_(std::move(open)),
        log_(parts.log),
        outlet_(parts.engine, parts.counters, name_, parts.log, kPatience),
        feed_(std::move(feed)),
        hearing_(options.heard_within),
        state_(
            parts.counters, name_,
            RetryPause(options.retry_first, options.retry_longest,
                       static_cast<std::uint64_t>(parts.clock.wall().time_since_epoch().count())),
            parts.clock.mono()) {
    for (const BrokerUrl& one : urls_) {
      if (one.tls && !one.check_certificate) {
        log_.warn("{}: with ssl_cert_reqs=none whoever answers there is believed", one.shown());
      }
    }
  }

  /// The subscription stands.
  virtual void begun(MonoTime now) = 0;
  /// Takes what is there, if it is `readable`; looks after the connection, once a second with
  /// `beat`. True: there may be more. Errors: the link is of no use any more.
  virtual Result<bool> take(Link& link, bool readable, bool beat, MonoTime now) = 0;
  /// Nothing came for heard_within: look for what might be heard elsewhere.
  virtual void look_around(Link&) {}
  /// And what to tell of it, with the remedy; empty as long as there is more to find out.
  virtual std::string silence(Nanoseconds lasts) const = 0;

  /// The broker that is subscribed to, or is tried next.
  const BrokerUrl& url() const { return urls_[at_]; }
  Log& log() { return log_; }
  /// A message came: take it to this.
  Feed& heard(MonoTime now) {
    hearing_.heard(now);
    looked_ = false;
    if (!silence_.empty()) {
      log_.info("is heard now");
      silence_.clear();
    }
    return *feed_;
  }
  /// The ring has no room: no more messages, please.
  bool full() const { return outlet_.full(); }
  /// Where the feed's records go.
  auto gives() {
    return [this](const RecordView& record) { outlet_.give(record); };
  }

 private:
  // A burst of more than the ring holds is over, or the engine does not keep up: the brokers' own
  // bounds (Redis: 32 MiB, or 8 MiB for a minute) leave room for the first, none for the second.
  static constexpr Milliseconds kPatience{200};

  void connect() {
    connecting_.start([this](const std::atomic<bool>& cancelled) -> Made {
      BrokerUrl url = urls_[at_];
      if (!password_file_.empty()) {
        Result<std::string> secret = read_secret(password_file_);
        if (!secret.ok()) return secret.status();
        url.password = *std::move(secret);
      }
      return open_(url, cancelled);
    });
  }

  void connected(MonoTime now) {
    auto made = connecting_.take();
    if (!made) return;
    if (!made->ok()) {
      at_ = (at_ + 1) % urls_.size();
      state_.failed(now);
      log_.warn_limited("connect", "not connected, tries again: {}", made->status().message());
      return;
    }
    link_ = *std::move(*made);
    more_ = true;  // what came with the answer to the subscription
    state_.up(now);
    hearing_.subscribed(now);
    begun(now);
  }

  bool look(bool readable, bool beat, MonoTime now) {
    const Result<bool> more = take(*link_, readable, beat, now);
    more_ = more.ok() && *more;
    if (more.ok()) return more_;
    log_.warn("{}: connection lost: {}; connects again", url().shown(), more.status().message());
    link_.reset();
    feed_->gap();
    hearing_.lost();
    silence_.clear();
    state_.down(now);
    return false;
  }

  // Once a second. What is told once in the log stays in `health` for as long as it is so.
  void look_after_hearing(MonoTime now) {
    if (!link_) return;
    if (!hearing_.silent(now)) {
      looked_ = false;
    } else {
      if (!std::exchange(looked_, true)) look_around(*link_);
      std::string text = silence(hearing_.silence(now));
      if (!text.empty() && text != silence_) log_.warn("{}", text);
      silence_ = std::move(text);
    }
    const std::vector<std::string> names = told_.fresh(feed_->mute_workers());
    if (!names.empty()) log_.warn("{}", no_task_events(names));
  }

  static std::string no_task_events(const std::vector<std::string>& workers) {
    return few_names(workers) +
           (workers.size() == 1 ? " runs tasks and sends" : " run tasks and send") +
           " no events of them: start workers with -E, or set worker_send_task_events";
  }

  const std::string name_;
  const std::vector<BrokerUrl> urls_;  // at least one
  std::size_t at_ = 0;
  const std::string password_file_;
  const Open open_;
  Log log_;
  Outlet outlet_;
  const std::unique_ptr<Feed> feed_;
  Hearing hearing_;
  std::string silence_;  // what was told of it
  bool looked_ = false;
  ToldNames told_;
  LinkState state_;
  std::unique_ptr<Link> link_;
  bool more_ = false;
  bool closed_ = false;
  MonoTime beat_at_{};
  Connecting<Link> connecting_;  // last: its thread uses what is above
};

}  // namespace phlower::agent
