// Passwords and tokens in files of their own.
#pragma once

#include <string>

#include "phlower/config/options_yaml.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// The password in `path`, without the end of its line.
inline Result<std::string> read_secret(const std::string& path) {
  Result<std::string> text = read_config_text(path);
  if (!text.ok()) return text;
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return text;
}

/// The same for a token of HTTP. Errors: also kInvalidConfig, for one that could be guessed.
inline Result<std::string> read_token(const std::string& path) {
  constexpr std::size_t kLeast = 16;
  Result<std::string> token = read_secret(path);
  if (token.ok() && token->size() < kLeast) {
    return Status(Code::kInvalidConfig,
                  path + ": the token has under 16 characters; write a longer one");
  }
  return token;
}

}  // namespace phlower::agent
