// Whether a subscription brings anything: workers publish heartbeats, also while they are idle, so
// a long silence means that nobody is there, or that this is the wrong place to listen.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// Not thread safe.
class Hearing {
 public:
  /// `within`: something should have been heard.
  explicit Hearing(Nanoseconds within) : within_(within) {}

  void subscribed(MonoTime now) { since_ = now; }
  void lost() { since_.reset(); }
  void heard(MonoTime now) {
    last_ = now;
    if (since_) since_ = now;
  }

  bool silent(MonoTime now) const { return since_ && now - *since_ >= within_; }
  /// For how long a subscription that stands has brought nothing.
  Nanoseconds silence(MonoTime now) const { return since_ ? now - *since_ : Nanoseconds(0); }
  /// When the last message came.
  std::optional<MonoTime> last() const { return last_; }

 private:
  const Nanoseconds within_;
  std::optional<MonoTime> since_;  // the later of subscription and last message
  std::optional<MonoTime> last_;
};

/// The pattern of Redis for all of Celery's events of which one was on `channel`: what stands
/// before its topic, such as /worker.heartbeat, is taken word for word.
inline std::string pattern_of_channel(std::string_view channel) {
  const std::size_t slash = channel.rfind('/');
  const std::string_view topic =
      slash == std::string_view::npos ? std::string_view() : channel.substr(slash + 1);
  const bool with_topic = topic.starts_with("worker.") || topic.starts_with("task.");
  std::string pattern;
  for (const char c : channel.substr(0, with_topic ? slash : channel.size())) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return with_topic ? pattern + "/*" : pattern;
}

/// As it is written in a file of YAML.
inline std::string yaml_text(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

}  // namespace phlower::agent
