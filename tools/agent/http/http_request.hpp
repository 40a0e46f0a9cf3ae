// What HTTP asks of a request before any route sees it (RFC 9110, RFC 9112): pure decisions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/broker/broker_url.hpp"
#include "agent/http/http_message.hpp"
#include "phlower/ground/text/text.hpp"

namespace phlower::agent {

/// A request as its bytes say it, but for the white space before each value.
struct HttpHead {
  std::string method;
  std::string target;
  std::string version;  // HTTP/1.1
  std::vector<std::pair<std::string, std::string>> headers;
};

inline constexpr std::size_t kHttpTargetMax = 8000;
inline constexpr std::uint64_t kHttpBodyMax = 64 << 10;  // which no request needs: it is not read
inline constexpr const char* kHttpMethods = "GET, HEAD, OPTIONS";

namespace request_detail {

inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

inline std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

inline bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

inline bool is_header_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

/// A host and perhaps a port; empty is one, too: the address of something without a host.
inline bool is_authority(std::string_view text) {
  std::string_view host = text.substr(0, text.find(']') + 1);
  if (!text.starts_with('[')) host = text.substr(0, text.find(':'));
  const std::string_view port = text.substr(host.size());
  const bool good_port =
      port.empty() || (port[0] == ':' && port.find_first_not_of("0123456789", 1) == port.npos);
  const std::string_view inside =
      text.starts_with('[') && host.size() > 2 ? host.substr(1, host.size() - 2) : host;
  return good_port && std::none_of(inside.begin(), inside.end(), [](char c) {
           return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f ||
                  std::string_view("/?#@,\\[]<>\"").find(c) != std::string_view::npos;
         });
}

inline bool read_parameters(std::string_view text, std::multimap<std::string, std::string>& out) {
  while (!text.empty()) {
    std::string pair(text.substr(0, text.find('&')));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    std::replace(pair.begin(), pair.end(), '+', ' ');
    const std::size_t equals = pair.find('=');
    std::string name;
    std::string value;
    const std::string_view rest =
        equals == std::string::npos ? "" : std::string_view(pair).substr(equals + 1);
    if (!url_detail::decode(std::string_view(pair).substr(0, equals), name) ||
        !url_detail::decode(rest, value) || !is_plain_utf8(name) || !is_plain_utf8(value)) {
      return false;
    }
    out.emplace(std::move(name), std::move(value));
  }
  return true;
}

/// Empty: `target` is in `request`.
inline std::string read_target(std::string_view target, HttpRequest& request) {
  if (request.method == "OPTIONS" && target == "*") return {};
  const std::string scheme = lower(target.substr(0, target.find("://") + 1));
  if (scheme == "http:" || scheme == "https:") {
    target.remove_prefix(scheme.size() + 2);
    request.host = target.substr(0, target.find_first_of("/?"));
    if (request.host.empty() || !is_authority(request.host)) return "the address has no good host";
    target.remove_prefix(request.host.size());
  } else if (!target.starts_with('/')) {
    return "the address is no path that begins with a slash";
  }
  if (target.find_first_of(" #") != std::string_view::npos) {
    return "a space or # in the address; write %20 or %23";
  }
  const std::size_t question = target.find('?');
  const std::string_view parameters =
      question == std::string_view::npos ? "" : target.substr(question + 1);
  if (!url_detail::decode(target.substr(0, question), request.path) ||
      !is_plain_utf8(request.path) || !read_parameters(parameters, request.parameters)) {
    return "the address is no UTF-8, or wrongly escaped";
  }
  if (request.path.empty()) request.path = "/";
  return {};
}

/// The headers by name in lower case.
using Headers = std::multimap<std::string, std::string>;

inline std::string first(const Headers& headers, const char* name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : std::string(trimmed(found->second));
}

/// Whether it can be told where the request ends.
inline std::optional<HttpAnswer> check_framing(const HttpHead& head, const Headers& headers) {
  const auto codings = headers.count("transfer-encoding");
  const auto lengths = headers.count("content-length");
  if (codings > 0) {
    if (lengths > 0) return http_error(400, "both Transfer-Encoding and Content-Length");
    if (head.version == "HTTP/1.0") return http_error(400, "Transfer-Encoding in HTTP/1.0");
    // Not trimmed: the server compares it so.
    if (codings > 1 || lower(headers.find("transfer-encoding")->second) != "chunked") {
      return http_error(501, "of Transfer-Encoding only chunked is understood");
    }
  }
  if (lengths > 1) return http_error(400, "Content-Length is there twice");
  const std::string length = first(headers, "content-length");
  if (length.find_first_not_of("0123456789") != std::string::npos) {
    return http_error(400, "Content-Length is no number");
  }
  if (length.size() > 18 || (!length.empty() && std::stoull(length) > kHttpBodyMax)) {
    return http_error(413, "requests need no body; over 64 KiB of one is not read");
  }
  return std::nullopt;
}

}  // namespace request_detail

/// Reads `head` into `request`. An answer: the request is refused, and where the next one would
/// begin is not certain.
inline std::optional<HttpAnswer> check_request(const HttpHead& head, HttpRequest& request) {
  namespace rd = request_detail;
  rd::Headers headers;
  for (const auto& [name, value] : head.headers) {
    if (!rd::is_token(name) || !rd::is_header_value(value)) {
      return http_error(400, "a header line is malformed");
    }
    headers.emplace(rd::lower(name), value);
  }
  if (auto refusal = rd::check_framing(head, headers)) return refusal;
  const auto hosts = headers.count("host");
  request.host = rd::first(headers, "host");
  if (hosts > 1 || (hosts == 0 && head.version != "HTTP/1.0") || !rd::is_authority(request.host)) {
    return http_error(400, "exactly one good Host is needed");
  }
  request.method = head.method;
  if (head.target.size() > kHttpTargetMax) {
    return http_error(414,
                      "the address is longer than " + std::to_string(kHttpTargetMax) + " bytes");
  }
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"}) {
    if (head.method != method) continue;
    HttpAnswer refusal = http_error(405, "only GET, HEAD and OPTIONS are answered");
    refusal.headers.emplace_back("Allow", kHttpMethods);
    return refusal;
  }
  if (head.method != "GET" && head.method != "HEAD" && head.method != "OPTIONS") {
    return http_error(501, "no method of HTTP that is known here");
  }
  if (const std::string wrong = rd::read_target(head.target, request); !wrong.empty()) {
    return http_error(400, wrong);
  }
  const std::string expected = rd::lower(rd::first(headers, "expect"));
  if (!expected.empty() && expected != "100-continue" && head.version != "HTTP/1.0") {
    return http_error(417, "of Expect only 100-continue is understood");
  }
  if (headers.count("authorization") > 1) return http_error(400, "Authorization is there twice");
  request.authorization = rd::first(headers, "authorization");
  return std::nullopt;
}

}  // namespace phlower::agent
