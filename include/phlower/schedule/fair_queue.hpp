// Deficit round robin in time: each kind of work runs while it has credit, pays what it used, and
// carries an overrun as debt. (Shreedhar and Varghese, "Efficient fair queuing using deficit round
// robin", SIGCOMM 1995, with nanoseconds in the place of bytes.)
#pragma once

#include <cmath>
#include <optional>

#include "phlower/schedule/work.hpp"

namespace phlower {

/// Not thread safe; no clock of its own. The same calls give the same answers.
class FairQueue {
 public:
  /// `round` is shared out among the kinds of work that have a weight, again and again.
  explicit FairQueue(Nanoseconds round) : round_ns_(static_cast<double>(round.count())) {}

  /// The kind that runs next, or nothing if no weight is above 0. A kind without weight loses its
  /// credit but keeps its debt, so it can neither save up nor get rid of an overrun by a pause.
  std::optional<Work> pick(const PerWork<double>& weights) {
    double sum = 0;
    for_each_work([&](Work work) {
      if (weights[work] > 0) {
        sum += weights[work];
      } else {
        credit_ns_[work] = std::min(credit_ns_[work], 0.0);
      }
    });
    if (!(sum > 0)) return std::nullopt;
    if (const auto work = first_with_credit(weights)) return work;
    add_rounds(weights, sum);
    return first_with_credit(weights);
  }

  /// `work` has used `spent`. Debt is bounded, so that one long stop (a stuck disk) of one kind
  /// does not shut it out for longer than `kDebtRounds` rounds.
  void charge(Work work, Nanoseconds spent) {
    credit_ns_[work] =
        std::max(credit_ns_[work] - static_cast<double>(spent.count()), -kDebtRounds * round_ns_);
  }

  void set_round(Nanoseconds round) { round_ns_ = static_cast<double>(round.count()); }

  Nanoseconds credit(Work work) const {
    return Nanoseconds(static_cast<std::int64_t>(credit_ns_[work]));
  }

 private:
  static constexpr double kDebtRounds = 50;

  std::optional<Work> first_with_credit(const PerWork<double>& weights) const {
    std::optional<Work> found;
    for_each_work([&](Work work) {
      if (!found && weights[work] > 0 && credit_ns_[work] > 0) found = work;
    });
    return found;
  }

  // As many rounds at once as it takes until somebody has credit.
  void add_rounds(const PerWork<double>& weights, double sum) {
    double rounds = -1;
    for_each_work([&](Work work) {
      if (!(weights[work] > 0)) return;
      const double quantum = round_ns_ * weights[work] / sum;
      const double needed = std::max(1.0, std::floor(-credit_ns_[work] / quantum) + 1);
      if (rounds < 0 || needed < rounds) rounds = needed;
    });
    for_each_work([&](Work work) {
      if (weights[work] > 0) credit_ns_[work] += rounds * round_ns_ * weights[work] / sum;
    });
  }

  double round_ns_;
  PerWork<double> credit_ns_;
};

}  // namespace phlower
