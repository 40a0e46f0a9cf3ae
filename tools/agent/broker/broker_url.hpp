// The address of a broker as Celery's users write it: redis://, rediss://, redis+socket://,
// amqp://, amqps://, several of them with ; between.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/broker/broker_url_parts.hpp"
#include "agent/broker/broker_url_query.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

namespace url_detail {

/// Takes the scheme away. Errors: what to write instead of one that is not for this kind.
inline Status take_scheme(std::string_view& rest, BrokerKind kind, BrokerUrl& url) {
  const auto take = [&rest](std::string_view name) {
    if (!rest.starts_with(name)) return false;
    rest.remove_prefix(name.size());
    return true;
  };
  if (kind == BrokerKind::kRedis) {
    url.tls = take("rediss://");
    if (url.tls || take("redis://")) return {};
    if (rest.starts_with("sentinel") || rest.starts_with("redis+sentinel")) {
      return bad(
          "is of a Sentinel, which is not asked here; write the servers behind it, with ; "
          "between them: redis://A:6379/0;redis://B:6379/0. Replicas have the events, too");
    }
    return bad(
        "begins with no known scheme; write redis://HOST:6379/0, rediss:// or "
        "redis+socket:///PATH");
  }
  url.tls = take("amqps://");
  // The second and third are Celery's other names of the first.
  if (url.tls || take("amqp://") || take("pyamqp://") || take("librabbitmq://")) return {};
  return bad("begins with no known scheme; write amqp://USER:PASSWORD@HOST:5672/VHOST or amqps://");
}

/// Where user and password end: at the last @ before the path. Who wrote a / or ? of a password as
/// it is, which Celery does not take, means the last @ of all.
inline std::size_t end_of_user(std::string_view rest) {
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) return at;
  BrokerUrl trial;
  const bool plain =
      !authority.empty() && !authority.starts_with(':') && read_host(authority, trial).ok();
  const std::size_t query = plain ? rest.find('?') : std::string_view::npos;
  return rest.substr(0, query).rfind('@');
}

inline Status read_socket(std::string_view rest, BrokerUrl& url) {
  if (const std::size_t at = rest.substr(0, rest.find('?')).rfind('@');
      at != std::string_view::npos) {
    if (Status status = read_user(rest.substr(0, at), url); !status.ok()) return status;
    rest.remove_prefix(at + 1);
  }
  const std::size_t query = rest.find('?');
  if (!rest.starts_with('/') || !decode(rest.substr(0, query), url.socket_path)) {
    return bad("names no socket; write redis+socket:///run/redis/redis.sock");
  }
  if (query == std::string_view::npos) return {};
  if (Status status = read_query(rest.substr(query + 1), BrokerKind::kRedis, url); !status.ok()) {
    return status;
  }
  return url.tls ? bad("asks for TLS on a socket of this machine; leave ssl out") : Status();
}

// As the clients of Celery: guest and guest, whichever of the two is not there.
inline void fill_guest(BrokerUrl& url) {
  if (url.user.empty()) url.user = "guest";
  if (url.password.empty()) url.password = "guest";
}

}  // namespace url_detail

/// One address. Errors: kInvalidConfig; the text never shows what may be a password.
inline Result<BrokerUrl> parse_broker_url(std::string_view text, BrokerKind kind) {
  namespace ud = url_detail;
  BrokerUrl url;
  std::string_view rest = text;
  constexpr std::string_view kSocket = "redis+socket://";
  if (kind == BrokerKind::kRedis && rest.starts_with(kSocket)) {
    if (Status status = ud::read_socket(rest.substr(kSocket.size()), url); !status.ok()) {
      return status;
    }
    return url;
  }
  if (Status status = ud::take_scheme(rest, kind, url); !status.ok()) return status;
  if (const std::size_t at = ud::end_of_user(rest); at != std::string_view::npos) {
    if (Status status = ud::read_user(rest.substr(0, at), url); !status.ok()) return status;
    rest.remove_prefix(at + 1);
  }
  const std::size_t query = rest.find('?');
  const std::string_view place = rest.substr(0, query);
  const std::size_t slash = place.find('/');
  if (Status status = ud::read_host(place.substr(0, slash), url); !status.ok()) return status;
  if (slash != std::string_view::npos) {
    if (Status status = ud::read_path(place.substr(slash), kind, url); !status.ok()) return status;
  }
  if (query != std::string_view::npos) {
    if (Status status = ud::read_query(rest.substr(query + 1), kind, url); !status.ok()) {
      return status;
    }
  }
  if (kind == BrokerKind::kAmqp) ud::fill_guest(url);
  if (url.port == 0) url.port = kind == BrokerKind::kRedis ? 6379 : url.tls ? 5671 : 5672;
  return url;
}

/// One or several with ; between them, of which one is to be tried after the other. Errors: as
/// above; the one that is meant is named by its number.
inline Result<std::vector<BrokerUrl>> parse_broker_urls(std::string_view text, BrokerKind kind) {
  if (text.starts_with('[') || text.find(",redis") != std::string_view::npos ||
      text.find(",amqp") != std::string_view::npos) {
    return url_detail::bad("is a list of another form; write one text with ; between the brokers");
  }
  const bool several = text.find(';') != std::string_view::npos;
  std::vector<BrokerUrl> urls;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view one = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (one.empty()) continue;
    Result<BrokerUrl> url = parse_broker_url(one, kind);
    if (!url.ok() && several) {
      return url_detail::bad("broker " + std::to_string(number) + " of those between ; " +
                             std::string(url.status().message()) + " (a ; of a password is %3B)");
    }
    if (!url.ok()) return url.status();
    urls.push_back(*std::move(url));
  }
  if (urls.empty()) return url_detail::bad("names no broker");
  return urls;
}

}  // namespace phlower::agent
