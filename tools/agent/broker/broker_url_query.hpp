// The options behind the ? of a broker's address, as Celery's users have them there.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "agent/broker/broker_url_parts.hpp"

namespace phlower::agent::url_detail {

/// Options that tune a client of Celery's and change nothing of what is heard here: let be.
inline constexpr std::string_view kOfClients[] = {
    "channel_max",       "client_name",        "confirm_publish",        "connect_timeout",
    "failover_strategy", "frame_max",          "health_check_interval",  "max_connections",
    "read_timeout",      "retry_on_timeout",   "socket_connect_timeout", "socket_keepalive",
    "socket_timeout",    "visibility_timeout", "write_timeout"};

inline bool is_yes(std::string_view text) {
  return text == "true" || text == "True" || text == "1" || text == "yes";
}
inline bool is_no(std::string_view text) {
  return text == "false" || text == "False" || text == "0" || text == "no";
}

/// ssl_cert_reqs and its like. Any of them means TLS, whatever the scheme says.
inline Status read_tls_option(std::string_view key, const std::string& value, BrokerUrl& url) {
  url.tls = true;
  if (key == "ssl") {
    url.tls = is_yes(value);
    return url.tls || is_no(value) ? Status() : bad("has an ssl that is neither true nor false");
  }
  if (key == "ssl_cert_reqs") {
    const bool none = value == "none" || value == "CERT_NONE";
    const bool known = none || value == "required" || value == "CERT_REQUIRED" ||
                       value == "optional" || value == "CERT_OPTIONAL";
    if (none) url.check_certificate = url.check_host = false;
    return known ? Status() : bad("has an ssl_cert_reqs that is none; write required, or none");
  }
  if (key == "ssl_check_hostname") {
    if (is_no(value)) url.check_host = false;
    return is_no(value) || is_yes(value)
               ? Status()
               : bad("has an ssl_check_hostname that is neither true nor false");
  }
  if (value.empty()) return bad("has a file of TLS without a name");
  if (key == "ssl_ca_certs") {
    url.ca_file = value;
  } else if (key == "ssl_certfile") {
    url.certificate_file = value;
  } else if (key == "ssl_keyfile") {
    url.key_file = value;
  } else {
    return bad(
        "has an option ssl_... that is not known here; known are ssl_cert_reqs, "
        "ssl_check_hostname, ssl_ca_certs, ssl_certfile and ssl_keyfile");
  }
  return {};
}

inline Status read_option(std::string_view key, const std::string& value, BrokerKind kind,
                          BrokerUrl& url) {
  if (key == "ssl" || key.starts_with("ssl_")) return read_tls_option(key, value, url);
  if (key == "heartbeat" && kind == BrokerKind::kAmqp) {
    url.heartbeat_seconds = number(value, 600);
    return url.heartbeat_seconds && *url.heartbeat_seconds >= 2
               ? Status()
               : bad("has a heartbeat that is none; write seconds, 2 to 600, or leave it out for "
                     "rabbitmq.heartbeat");
  }
  if (key == "virtual_host" && kind == BrokerKind::kRedis) {
    url.database = number(value, 65535);
    return url.database ? Status() : bad("has a virtual_host that is no number");
  }
  if (std::find(std::begin(kOfClients), std::end(kOfClients), key) != std::end(kOfClients))
    return {};
  return bad(
      "has an option behind its ? that is not known here; leave it out. Known are "
      "ssl_cert_reqs=required and the other ssl_ of Celery, heartbeat for RabbitMQ, "
      "virtual_host for redis+socket");
}

inline Status read_query(std::string_view query, BrokerKind kind, BrokerUrl& url) {
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    if (one.empty()) continue;
    const std::size_t equals = one.find('=');
    std::string value;
    if (equals == std::string_view::npos) {
      return bad("has an option behind its ? without a value; write it as NAME=VALUE");
    }
    if (!decode(one.substr(equals + 1), value)) {
      return bad("has a % behind its ? that is no escape; write %25 for it");
    }
    if (Status status = read_option(one.substr(0, equals), value, kind, url); !status.ok()) {
      return status;
    }
  }
  if (url.certificate_file.empty() != url.key_file.empty()) {
    return bad("has one of ssl_certfile and ssl_keyfile; write both");
  }
  return {};
}

}  // namespace phlower::agent::url_detail
