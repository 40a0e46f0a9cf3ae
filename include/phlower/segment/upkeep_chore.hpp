// What an engine does for a data folder between flushes, beside emptying logs: rotating, sealing,
// unlinking.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/schedule/chore.hpp"
#include "phlower/segment/segment_set.hpp"

namespace phlower {

/// One step of the upkeep a slice. Not thread safe.
class UpkeepChore final : public Chore {
 public:
  UpkeepChore(SegmentSet& set, Clock& clock) : set_(set), clock_(clock) {}

  std::string_view name() const noexcept override { return "tend"; }

  Urgency look(MonoTime now, const Pressure&) override {
    Urgency urgency;
    urgency.kind = Urgency::Kind::kSteps;
    urgency.due = set_.tend_due(now);
    return urgency;
  }

  Result<SliceReport> run(Nanoseconds) override {
    const MonoTime begin = clock_.mono();
    const std::uint64_t gone = purged();
    const auto changed = set_.tend(begin);
    if (!changed.ok()) return changed.status();
    SliceReport report;
    report.units = *changed;
    report.spent = clock_.mono() - begin;
    report.purged = purged() - gone;
    return report;
  }

  std::string problem() const override { return set_.problem(); }

 private:
  std::uint64_t purged() const {
    return set_.totals().purged_invocations + set_.totals().purged_details;
  }

  SegmentSet& set_;
  Clock& clock_;
};

}  // namespace phlower
