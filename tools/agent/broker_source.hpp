// Celery's events live from a broker: what the sources for the kinds of brokers have in common.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "agent_options.hpp"
#include "broker_url.hpp"
#include "celery_feed.hpp"
#include "connecting.hpp"
#include "link_state.hpp"
#include "outlet.hpp"
#include "source.hpp"

namespace phlower::agent {

/// What a source of either kind is made from; the references outlive it.
struct BrokerParts {
  const AgentOptions& options;
  PluginEngine& engine;
  Counters& counters;
  Clock& clock;
  const Log& log;
};

/// Keeps a subscription, a `Link` with a descriptor `fd()`, and makes it anew when it is lost. The
/// broker keeps nothing for who is not there, and drops or grows with who reads too slowly: so this
/// waits for room in a full ring, but not for long. What the ring then refuses is counted, and so
/// is every gap.
template <class Link>
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
      feed_.expire(now, gives());
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

  void close() final {
    closed_ = true;
    feed_.flush(gives());
    outlet_.give_up();
    link_.reset();
  }

 protected:
  using Made = typename Connecting<Link>::Made;
  /// Connects and subscribes, on a thread of its own, to a URL whose password is there.
  using Open = std::function<Made(const BrokerUrl& url, const std::atomic<bool>& cancelled)>;

  static constexpr std::size_t kTurnBytes = 256 << 10;

  /// `options` are those of this kind; `open` keeps copies of what it uses.
  template <class Options>
  BrokerSource(std::string name, const Options& options, BrokerUrl url, const BrokerParts& parts,
               Open open)
      : name_(std::move(name)),
        url_(std::move(url)),
        password_file_(options.password_file),
        open_(std::move(open)),
        log_(parts.log),
        outlet_(parts.engine, parts.counters, name_, parts.log, kPatience),
        feed_(parts.options.celery, parts.counters, name_, parts.log),
        state_(
            parts.counters, name_,
            RetryPause(options.retry_first, options.retry_longest,
                       static_cast<std::uint64_t>(parts.clock.wall().time_since_epoch().count())),
            parts.clock.mono()) {}

  /// The subscription stands.
  virtual void begun(MonoTime now) = 0;
  /// Takes what is there, if it is `readable`; looks after the connection, once a second with
  /// `beat`. True: there may be more. Errors: the link is of no use any more.
  virtual Result<bool> take(Link& link, bool readable, bool beat, MonoTime now) = 0;

  const BrokerUrl& url() const { return url_; }
  Log& log() { return log_; }
  CeleryFeed& feed() { return feed_; }
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
      BrokerUrl url = url_;
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
      state_.failed(now);
      log_.warn_limited("connect", "not connected, tries again: {}", made->status().message());
      return;
    }
    link_ = *std::move(*made);
    more_ = true;  // what came with the answer to the subscription
    state_.up(now);
    begun(now);
  }

  bool look(bool readable, bool beat, MonoTime now) {
    const Result<bool> more = take(*link_, readable, beat, now);
    more_ = more.ok() && *more;
    if (more.ok()) return more_;
    log_.warn("{}: connection lost: {}; connects again", url_.shown(), more.status().message());
    link_.reset();
    feed_.gap();
    state_.down(now);
    return false;
  }

  const std::string name_;
  const BrokerUrl url_;
  const std::string password_file_;
  const Open open_;
  Log log_;
  Outlet outlet_;
  CeleryFeed feed_;
  LinkState state_;
  std::unique_ptr<Link> link_;
  bool more_ = false;
  bool closed_ = false;
  MonoTime beat_at_{};
  Connecting<Link> connecting_;  // last: its thread uses what is above
};

}  // namespace phlower::agent
