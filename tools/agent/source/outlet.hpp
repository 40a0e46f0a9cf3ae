// The way of records from a source to the engine: what becomes of each is counted, and what the
// ring has no room for waits here, in one way for all sources.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "agent/host/plugin_engine.hpp"
#include "agent/source/counters.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/record/record.hpp"

namespace phlower::agent {

/// Records in order; those that the ring refuses wait and are offered again. Who gives asks `full`
/// first and reads no more while it is: the queue holds what one reading gave at most.
class Outlet {
 public:
  /// For sources that can be made to wait: no record is lost, and none loses its details.
  static constexpr Nanoseconds kForEver = Nanoseconds::max();

  /// `patience`: so long the ring may take nothing before what waits is lost, and counted.
  Outlet(PluginEngine& engine, Counters& counters, const std::string& source, Log log,
         Nanoseconds patience)
      : engine_(engine),
        log_(std::move(log)),
        whole_(patience == kForEver),
        patience_(patience),
        counts_(std::make_shared<const Counts>(counters, source)) {}

  /// Another queue of the same source. Each record's end is told to `told`: OK, or the code for
  /// which it can never be taken.
  Outlet branch(std::function<void(std::int32_t code)> told) const {
    Outlet other(*this);
    other.waiting_.clear();
    other.told_ = std::move(told);
    return other;
  }

  void give(const RecordView& record) {
    if (waiting_.empty()) {
      if (settled(record, whole_)) return;
      counts_->waits.add();
    }
    waiting_.push_back(owned(record));
  }
  /// A record that can be none.
  void bad() { counts_->bad.add(); }

  /// Records wait: read no more.
  bool full() const { return !waiting_.empty(); }

  /// Offers what waits. True: nothing waits any more.
  bool hand_over(MonoTime now) {
    if (waiting_.empty()) return true;
    if (now < offer_at_) return false;
    if (since_ == MonoTime()) since_ = now;
    while (!waiting_.empty() && settled(waiting_.front().view(), whole_)) {
      waiting_.pop_front();
      since_ = now;
    }
    if (!waiting_.empty() && patience_ != kForEver && now - since_ >= patience_) give_up();
    offer_at_ = now + kOfferAgain;
    if (!waiting_.empty()) return false;
    since_ = MonoTime();
    return true;
  }
  /// When `hand_over` is wanted.
  std::optional<MonoTime> due() const {
    return waiting_.empty() ? std::nullopt : std::optional(offer_at_);
  }

  /// Nothing is read any more: what waits may now wait until `give_up`.
  void be_patient() { patience_ = kForEver; }

  /// What waits goes as it can, without its details if need be; the rest is lost.
  void give_up() {
    for (const Record& record : waiting_) {
      if (settled(record.view(), false)) continue;
      counts_->refused.add();
      log_.warn_limited("refused", "the ring is full: records are lost");
    }
    waiting_.clear();
  }

 private:
  static constexpr Nanoseconds kOfferAgain = Milliseconds(1);

  struct Counts {
    Counts(Counters& counters, const std::string& source)
        : accepted(counters.make("phlower_agent_records_accepted_total",
                                 "Records that the ring took.", source)),
          refused(counters.make("phlower_agent_records_refused_total",
                                "Records that the ring refused because it was full, and that are "
                                "lost: their source cannot wait.",
                                source)),
          waits(counters.make("phlower_agent_waits_total",
                              "Times that reading was held back until the ring had room.", source)),
          bad(counters.make("phlower_agent_records_bad_total",
                            "Records that can never be taken: too big, or not of their form.",
                            source)) {}
    Count& accepted;
    Count& refused;
    Count& waits;
    Count& bad;
  };

  // False: the ring does not take it now.
  bool settled(const RecordView& record, bool whole) {
    const std::int32_t code = whole ? engine_.submit_whole(record) : engine_.submit(record);
    if (code == PHLOWER_E_REFUSED || code == PHLOWER_E_DETACHED) return false;
    if (code == PHLOWER_OK) {
      counts_->accepted.add();
    } else {
      counts_->bad.add();
      log_.warn_limited("bad record", "task '{}' is not taken: {}", record.task_id.substr(0, 60),
                        engine_.calls().strerror(code));
    }
    if (told_) told_(code);
    return true;
  }

  PluginEngine& engine_;
  Log log_;
  const bool whole_;  // who can wait loses no details
  Nanoseconds patience_;
  std::shared_ptr<const Counts> counts_;
  std::function<void(std::int32_t)> told_;
  std::deque<Record> waiting_;
  MonoTime since_{};
  MonoTime offer_at_{};
};

}  // namespace phlower::agent
