// Where the agent's HTTP listens: HOST:PORT with a numeric host, or unix:/PATH.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "agent/broker/broker_url.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

struct HttpAddress {
  sockaddr_storage address{};
  socklen_t size = 0;
  std::string socket_path;  // empty for TCP
  bool loopback = false;    // nobody on another machine can reach it
};

/// Errors: kInvalidConfig. A name instead of a number is refused: where it leads may change.
inline Result<HttpAddress> parse_http_address(std::string_view text) {
  const auto bad = [](const char* what) { return Status(Code::kInvalidConfig, what); };
  HttpAddress out;
  if (text.starts_with("unix:")) {
    out.socket_path = text.substr(5);
    auto& address = reinterpret_cast<sockaddr_un&>(out.address);
    if (!out.socket_path.starts_with('/')) return bad("names no socket; write unix:/PATH");
    if (out.socket_path.size() >= sizeof address.sun_path) {
      return bad("is a path of over 107 bytes; the system takes no longer one for a socket");
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, out.socket_path.c_str(), out.socket_path.size() + 1);
    out.size = sizeof address;
    out.loopback = true;
    return out;
  }
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string_view::npos
                        ? std::nullopt
                        : url_detail::number(text.substr(colon + 1), 65535);
  if (!port) return bad("is no address; write 127.0.0.1:9808, [::1]:9808 or unix:/PATH");
  std::string host(text.substr(0, colon));
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.address);
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<std::uint16_t>(*port));
    out.size = sizeof v4;
    out.loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    return out;
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.address);
  v6 = {};
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) {
    return bad("has a host that is no number; write 127.0.0.1:9808, [::1]:9808 or unix:/PATH");
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(static_cast<std::uint16_t>(*port));
  out.size = sizeof v6;
  out.loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
  return out;
}

}  // namespace phlower::agent
