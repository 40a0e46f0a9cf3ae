// The tasks that have begun and not ended, as the sources know them, for whoever asks by HTTP.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/host/errands.hpp"
#include "agent/source/source.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/record.hpp"

namespace phlower::agent {

/// A copy of what is known of a task.
struct TaskInFlight {
  Record record;
  MonoTime heard;  // its last event
  std::string source;
};

/// Empty text asks for nothing.
struct InFlightFilter {
  std::string task;
  std::string state;
  std::string worker;
  std::uint32_t limit = 100;

  bool takes(const RecordView& record) const {
    return (task.empty() || task == record.task_name) && (state.empty() || state == record.state) &&
           (worker.empty() || worker == record.worker);
  }
};

/// Any thread but the loop's, which answers between its turns: it copies a page at most, and looks
/// at each task for a filter. Blocks: until then, for a second at most.
class InFlight {
 public:
  using Sources = std::vector<std::unique_ptr<Source>>;

  /// Both outlive this; `sources` is the loop's.
  InFlight(Errands& errands, const Sources& sources) : errands_(errands), sources_(sources) {}

  /// The longest silent first. Errors: kBusy.
  Result<std::vector<TaskInFlight>> list(const InFlightFilter& filter) const {
    std::vector<TaskInFlight> found;
    const bool asked = errands_.ask(
        [&] {
          for (const auto& source : sources_) add(*source, filter, found);
        },
        kPatience);
    if (!asked) return busy();
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.heard < b.heard; });
    if (found.size() > filter.limit) found.resize(filter.limit);
    return found;
  }

  /// The task of this id, if it is in flight. Errors: kBusy.
  Result<std::optional<TaskInFlight>> find(const std::string& task_id) const {
    std::optional<TaskInFlight> found;
    const bool asked = errands_.ask(
        [&] {
          for (const auto& source : sources_) {
            const auto task = source->find_in_flight(task_id);
            if (task) found = copy(*source, *task);
          }
        },
        kPatience);
    if (!asked) return busy();
    return found;
  }

 private:
  static constexpr Nanoseconds kPatience = Seconds(1);

  static Status busy() { return {Code::kBusy, "the agent's loop is busy, try again"}; }

  static TaskInFlight copy(const Source& source, const InFlightTask& task) {
    return {owned(task.record), task.heard, std::string(source.name())};
  }

  static void add(const Source& source, const InFlightFilter& filter,
                  std::vector<TaskInFlight>& found) {
    std::size_t taken = 0;
    source.each_in_flight([&](const InFlightTask& task) {
      if (taken < filter.limit && filter.takes(task.record)) {
        found.push_back(copy(source, task));
        ++taken;
      }
      return taken < filter.limit;
    });
  }

  Errands& errands_;
  const Sources& sources_;
};

}  // namespace phlower::agent
