// The parts of a broker's address, each read as Celery (kombu) reads it, or refused with what to
// write instead. No error shows what may be a password.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

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
  std::optional<std::uint32_t> heartbeat_seconds;

  // TLS. Empty: what the options say; no certificate of our own.
  bool check_certificate = true;
  bool check_host = true;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;

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

/// HOST, HOST:PORT, [IPv6]:PORT; nothing is this machine.
inline Status read_host(std::string_view text, BrokerUrl& url) {
  std::string_view port;
  bool has_port = false;
  if (text.find('#') != std::string_view::npos) return bad("has a # in its host; write %23 for it");
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("has a [ without a ]; write [::1]:6379");
    url.host = text.substr(1, end - 1);
    if (url.host.empty()) return bad("has nothing in its [ ]; write [::1]:6379");
    port = text.substr(end + 1);
    has_port = !port.empty();
    if (has_port && port[0] != ':') return bad("has text behind ]; write [::1]:6379");
    if (has_port) port.remove_prefix(1);
  } else {
    const std::size_t colon = text.find(':');
    if (colon != text.rfind(':')) {
      return bad("has more than one : in its host; write [::1]:6379 for an IPv6 address");
    }
    if (!decode(text.substr(0, colon), url.host)) {
      return bad("has a % in its host that is no escape; write %25 for it");
    }
    has_port = colon != std::string_view::npos;
    if (has_port) port = text.substr(colon + 1);
  }
  if (url.host.empty()) url.host = "127.0.0.1";
  if (!has_port || port.empty()) return {};
  const auto value = number(port, 65535);
  if (!value || *value == 0) return bad("has a port that is none; write one from 1 to 65535");
  url.port = static_cast<std::uint16_t>(*value);
  return {};
}

/// What stands behind the slash after the host: a database, or a virtual host.
inline Status read_path(std::string_view path, BrokerKind kind, BrokerUrl& url) {
  if (path.find('#') != std::string_view::npos) {
    return bad("has a # behind its host; write %23 for it");
  }
  if (!path.empty()) path.remove_prefix(1);
  std::string name;
  if (!decode(path, name)) {
    return bad("has a % behind its host that is no escape; write %25 for it");
  }
  if (kind == BrokerKind::kAmqp) {
    if (!name.empty()) url.virtual_host = name;
    return {};
  }
  if (name.starts_with('/')) name.erase(0, 1);
  if (name.empty()) return {};
  url.database = number(name, 65535);
  return url.database ? Status() : bad("ends in no database; write a number, as in /0");
}

}  // namespace url_detail

}  // namespace phlower::agent
