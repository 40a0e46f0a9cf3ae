// What must come out of a history of segments, whatever the clock did: a model for simulations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/record/record.hpp"

namespace phlower::testing {

/// A UUID that is made of a number, or a plain text for every third.
inline std::string task_id_of(std::uint64_t number) {
  if (number % 3 == 0) return "task-" + std::to_string(number);
  char text[37];
  std::snprintf(text, sizeof text, "%08llx-0000-4000-8000-%012llx",
                static_cast<unsigned long long>(number * 2654435761u & 0xffff'ffff),
                static_cast<unsigned long long>(number & 0xffff'ffff'ffff));
  return text;
}

/// Keeps every version of every task, and how far the clock went since. A version may be forgotten
/// when its time is over by the clock, at any moment since it came. A time in the future counts no
/// longer than a lifetime from its arrival. Seconds throughout.
class RecordModel {
 public:
  struct Version {
    std::string state;
    double at = 0;
    double mono = 0;       // when it was accepted
    std::size_t step = 0;  // the same, in `steps_`
    int order() const { return static_cast<int>(state_rank(state)); }
    bool beats(const Version& other) const {
      return order() != other.order() ? order() > other.order() : at >= other.at;
    }
  };
  /// What may be answered for one task.
  struct Answer {
    std::vector<Version> right;
    bool may_be_absent = false;
    std::string text;
    bool may_be(const std::string& state, double at) const {
      return std::any_of(right.begin(), right.end(), [&](const Version& version) {
        return version.state == state && version.at == at;
      });
    }
  };

  explicit RecordModel(Hours lifetime) : life_(static_cast<double>(lifetime.count()) * 3600) {}

  void accepted(const std::string& id, const std::string& state, double at, double wall,
                double mono) {
    saw(wall, mono);
    versions_[id].push_back({state, at, mono, steps_.size() - 1});
  }
  void saw(double wall, double mono) {
    if (steps_.empty() || steps_.back().highest != wall) {
      steps_.push_back({wall, wall - mono, false});
    }
    now_ = wall;
    mono_ = mono;
  }
  void restarted(double wall) { steps_.push_back({wall, wall - mono_, true}); }

  bool knows(const std::string& id, const std::string& state, double at) const {
    const auto found = versions_.find(id);
    if (found == versions_.end()) return false;
    return std::any_of(found->second.begin(), found->second.end(), [&](const Version& version) {
      return version.state == state && version.at == at;
    });
  }

  /// How many records can have come after their time.
  std::uint64_t too_old_at_most() const {
    const std::vector<Range> since = ranges();
    std::uint64_t count = 0;
    for (const auto& [id, versions] : versions_) {
      for (const Version& version : versions) {
        count += version.at + life_ <= since[version.step].highest + kSlack;
      }
    }
    return count;
  }

  template <class Visit>
  void each(Visit&& visit) const {
    const std::vector<Range> since = ranges();
    for (const auto& [id, versions] : versions_) visit(id, answer(versions, since));
  }

 private:
  static constexpr double kSlack = 90;  // leaps of the clock under a minute are none

  struct Range {
    double highest = 0;
    double lowest_offset = 0;  // of the clock against the monotonic one
    bool restart = false;
  };

  // Over all that was seen from each step on.
  std::vector<Range> ranges() const {
    std::vector<Range> since(steps_.size() + 1, {now_, now_ - mono_, false});
    for (std::size_t i = steps_.size(); i-- > 0;) {
      since[i].highest = std::max(since[i + 1].highest, steps_[i].highest);
      since[i].lowest_offset = std::min(since[i + 1].lowest_offset, steps_[i].lowest_offset);
      since[i].restart = since[i + 1].restart || steps_[i].restart;
    }
    return since;
  }

  bool may_have_gone(const Version& version, const Range& since) const {
    if (version.at + life_ <= since.highest + kSlack) return true;
    if (mono_ - version.mono >= life_ - kSlack) return true;
    // A start does not know how wrong the clock of the last one was: what came with this version or
    // later may look as old as if the clock had always been as far behind as it was once.
    const double looks_closed = version.mono + since.lowest_offset;
    return since.restart && looks_closed + life_ <= since.highest + kSlack;
  }

  // A version that lost against another in the same row goes with that row.
  bool may_be_missing(const std::vector<Version>& versions, const Version& version,
                      const std::vector<Range>& since) const {
    return std::any_of(versions.begin(), versions.end(), [&](const Version& other) {
      const bool over = &other == &version || other.beats(version);
      return over && may_have_gone(other, since[other.step]);
    });
  }

  Answer answer(const std::vector<Version>& versions, const std::vector<Range>& since) const {
    Answer answer;
    const Version* best = nullptr;  // of those that must be there
    for (const Version& version : versions) {
      const bool missing = may_be_missing(versions, version, since);
      if (!missing && (best == nullptr || version.beats(*best))) best = &version;
      answer.text += version.state + " " + std::to_string(now_ - version.at) + " s ago" +
                     (missing ? " (may have gone), " : ", ");
    }
    answer.may_be_absent = best == nullptr;
    for (const Version& version : versions) {
      if (best != nullptr && &version != best && !version.beats(*best)) continue;
      const bool shown = version.at > now_ - life_;
      if (shown) answer.right.push_back(version);
      // What it is merged into has expired, so that it is not shown.
      if (!shown) answer.may_be_absent = true;
    }
    return answer;
  }

  double life_;
  std::map<std::string, std::vector<Version>> versions_;
  std::vector<Range> steps_;
  double now_ = 0;
  double mono_ = 0;
};

}  // namespace phlower::testing
