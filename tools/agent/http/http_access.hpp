// Who may ask: the token, or where there is none, a name that only this machine has.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "agent/http/http_request.hpp"

namespace phlower::agent {

/// True if both are the same; takes as long wherever they differ.
inline bool same_secret(std::string_view a, std::string_view b) {
  unsigned differs = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differs |= static_cast<unsigned char>(a[i]) ^
               static_cast<unsigned char>(b.empty() ? '\0' : b[i % b.size()]);
  }
  return differs == 0;
}

/// The token of "Bearer TOKEN", the scheme in either case; empty where there is none.
inline std::string_view bearer_token(std::string_view authorization) {
  const std::size_t space = authorization.find(' ');
  if (space == std::string_view::npos ||
      request_detail::lower(authorization.substr(0, space)) != "bearer") {
    return {};
  }
  return authorization.substr(
      std::min(authorization.find_first_not_of(' ', space), authorization.size()));
}

/// A number or localhost: what a browser sends that was led here by somebody's DNS is a name.
inline bool is_local_host_name(std::string_view host) {
  if (host.empty() || host.starts_with('[')) return true;
  host = host.substr(0, host.find(':'));
  return request_detail::lower(host) == "localhost" ||
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// Why the request may not be answered. `token` empty: none is needed; `anybody`: nor a name.
inline std::optional<HttpAnswer> check_access(const HttpRequest& request, std::string_view token,
                                              bool anybody) {
  if (!token.empty()) {
    const std::string_view given = bearer_token(request.authorization);
    if (same_secret(token, given)) return std::nullopt;
    HttpAnswer refusal = http_error(401, given.empty() ? "a token is needed; write Authorization: "
                                                         "Bearer TOKEN"
                                                       : "this is not the token");
    refusal.headers.emplace_back(
        "WWW-Authenticate", given.empty() ? "Bearer realm=\"phlower\""
                                          : "Bearer realm=\"phlower\", error=\"invalid_token\"");
    return refusal;
  }
  if (anybody || is_local_host_name(request.host)) return std::nullopt;
  return http_error(421, "without a token this serves 127.0.0.1, [::1] and localhost only");
}

}  // namespace phlower::agent
