// The address of a broker as Celery's users write it: redis://, rediss://, redis+socket://,
// amqp://, amqps://.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"

namespace phlower::agent {

enum class BrokerKind : std::uint8_t { kRedis, kAmqp };

/// Where a broker is and as whom to speak to it.
struct BrokerUrl {
  bool tls = false;
  std::string host;  // empty where `socket_path` is not
  std::uint16_t port = 0;
  std::string socket_path;
  std::string user;
  std::string password;
  std::optional<std::uint32_t> database;  // Redis
  std::string virtual_host = "/";         // AMQP

  /// For messages: without user and password.
  std::string shown() const {
    if (!socket_path.empty()) return socket_path;
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" +
           std::to_string(port);
  }
};

namespace url_detail {

inline Status bad(std::string text) { return {Code::kInvalidConfig, std::move(text)}; }

inline int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

inline bool decode(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
    out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
    i += 2;
  }
  return true;
}

inline std::optional<std::uint32_t> number(std::string_view text, std::uint32_t high) {
  std::uint32_t value = 0;
  if (text.empty() || text.size() > 6) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return value <= high ? std::optional(value) : std::nullopt;
}

inline Status read_user(std::string_view text, BrokerUrl& url) {
  const std::size_t colon = text.find(':');
  const bool good =
      decode(text.substr(0, colon), url.user) &&
      (colon == std::string_view::npos || decode(text.substr(colon + 1), url.password));
  return good ? Status() : bad("has a % in user or password that is no escape; write %25 for it");
}

inline Status read_host(std::string_view text, BrokerUrl& url) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("has a [ without a ]; write [::1]:6379");
    url.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port[0] != ':') return bad("has text behind ]; write [::1]:6379");
    if (!port.empty()) port.remove_prefix(1);
    if (port.empty()) return {};
  } else {
    const std::size_t colon = text.find(':');
    url.host = text.substr(0, colon);
    if (colon == std::string_view::npos) return url.host.empty() ? bad("names no host") : Status();
    port = text.substr(colon + 1);
  }
  if (url.host.empty()) return bad("names no host");
  const auto value = number(port, 65535);
  if (!value || *value == 0) return bad("has a port that is none; write one from 1 to 65535");
  url.port = static_cast<std::uint16_t>(*value);
  return {};
}

inline Status read_path(std::string_view path, BrokerKind kind, BrokerUrl& url) {
  if (path.empty() || (path == "/" && kind == BrokerKind::kRedis)) return {};
  const std::string_view name = path.substr(1);
  if (kind == BrokerKind::kRedis) {
    url.database = number(name, 65535);
    return url.database ? Status() : bad("ends in no database; write a number, as in /0");
  }
  if (name.find('/') != std::string_view::npos && name != "/") {
    return bad("has more than one part behind the host; write %2F for a / in the virtual host");
  }
  if (name.empty()) return {};  // as Celery has it: amqp://host/ is the virtual host /
  return decode(name, url.virtual_host) ? Status() : bad("has a % that is no escape");
}

}  // namespace url_detail

/// Errors: kInvalidConfig; the text never shows what may be a password.
inline Result<BrokerUrl> parse_broker_url(std::string_view text, BrokerKind kind) {
  namespace ud = url_detail;
  const bool redis = kind == BrokerKind::kRedis;
  BrokerUrl url;
  std::string_view rest = text;
  const auto scheme = [&rest](std::string_view name) {
    if (!rest.starts_with(name)) return false;
    rest.remove_prefix(name.size());
    return true;
  };
  if (redis && scheme("redis+socket://")) {
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
      if (Status status = ud::read_user(rest.substr(0, at), url); !status.ok()) return status;
      rest.remove_prefix(at + 1);
    }
    const std::size_t query = rest.find("?virtual_host=");
    if (query != std::string_view::npos) {
      url.database = ud::number(rest.substr(query + 14), 65535);
      if (!url.database) return ud::bad("has a virtual_host that is no number");
    }
    url.socket_path = rest.substr(0, query);
    if (url.socket_path.starts_with('/')) return url;
    return ud::bad("names no socket; write redis+socket:///run/redis/redis.sock");
  }
  if (scheme(redis ? "rediss://" : "amqps://")) {
    url.tls = true;
  } else if (!scheme(redis ? "redis://" : "amqp://")) {
    return ud::bad(redis ? "begins with no known scheme; write redis://HOST:6379/0, rediss:// or "
                           "redis+socket:///PATH"
                         : "begins with no known scheme; write amqp://USER:PASSWORD@HOST:5672/ or "
                           "amqps://");
  }
  url.port = redis ? 6379 : url.tls ? 5671 : 5672;
  const std::size_t slash =
      rest.find('/', rest.rfind('@') == std::string_view::npos ? 0 : rest.rfind('@'));
  std::string_view host = rest.substr(0, slash);
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) {
    if (Status status = ud::read_user(host.substr(0, at), url); !status.ok()) return status;
    host.remove_prefix(at + 1);
  } else if (!redis) {
    url.user = url.password = "guest";
  }
  if (Status status = ud::read_host(host, url); !status.ok()) return status;
  const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash);
  if (path.find('?') != std::string_view::npos || path.find('#') != std::string_view::npos) {
    return ud::bad("has options behind a ? or #, which are not known here; write none");
  }
  if (Status status = ud::read_path(path, kind, url); !status.ok()) return status;
  return url;
}

}  // namespace phlower::agent
