// Deficit round robin in time: each job runs while it has credit, pays what it used, and
// carries an overrun as debt. (Shreedhar and Varghese, "Efficient fair queuing using deficit round
// robin", SIGCOMM 1995, with nanoseconds in the place of bytes.)
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "phlower/schedule/work.hpp"

namespace phlower {

/// Not thread safe; no clock of its own. The same calls give the same answers.
class FairQueue {
 public:
  /// `round` is shared out among the jobs that have a weight, again and again.
  explicit FairQueue(Nanoseconds round) : round_ns_(static_cast<double>(round.count())) {}

  /// The job that runs next, or nothing if no weight is above 0; weights are by job. A job without
  /// weight loses its credit but keeps its debt, so it can neither save up nor get rid of an
  /// overrun by a pause.
  std::optional<Job> pick(std::span<const double> weights) {
    make_room(weights.size());
    double sum = 0;
    for (Job job = 0; job < weights.size(); ++job) {
      if (weights[job] > 0) {
        sum += weights[job];
      } else {
        credit_ns_[job] = std::min(credit_ns_[job], 0.0);
      }
    }
    if (!(sum > 0)) return std::nullopt;
    if (const auto job = first_with_credit(weights)) return job;
    add_rounds(weights, sum);
    return first_with_credit(weights);
  }

  /// `job` has used `spent`. Debt is bounded, so that one long stop (a stuck disk) of one job does
  /// not shut it out for longer than `kDebtRounds` rounds.
  void charge(Job job, Nanoseconds spent) {
    make_room(job + 1);
    credit_ns_[job] =
        std::max(credit_ns_[job] - static_cast<double>(spent.count()), -kDebtRounds * round_ns_);
  }

  void set_round(Nanoseconds round) { round_ns_ = static_cast<double>(round.count()); }

  Nanoseconds credit(Job job) const {
    return Nanoseconds(job < credit_ns_.size() ? static_cast<std::int64_t>(credit_ns_[job]) : 0);
  }

 private:
  static constexpr double kDebtRounds = 50;

  void make_room(std::size_t jobs) {
    while (credit_ns_.size() < jobs) credit_ns_.push_back(0);
  }

  std::optional<Job> first_with_credit(std::span<const double> weights) const {
    for (Job job = 0; job < weights.size(); ++job) {
      if (weights[job] > 0 && credit_ns_[job] > 0) return job;
    }
    return std::nullopt;
  }

  // As many rounds at once as it takes until somebody has credit.
  void add_rounds(std::span<const double> weights, double sum) {
    double rounds = -1;
    for (Job job = 0; job < weights.size(); ++job) {
      if (!(weights[job] > 0)) continue;
      const double quantum = round_ns_ * weights[job] / sum;
      const double needed = std::max(1.0, std::floor(-credit_ns_[job] / quantum) + 1);
      if (rounds < 0 || needed < rounds) rounds = needed;
    }
    for (Job job = 0; job < weights.size(); ++job) {
      if (weights[job] > 0) credit_ns_[job] += rounds * round_ns_ * weights[job] / sum;
    }
  }

  double round_ns_;
  std::vector<double> credit_ns_;  // by job
};

}  // namespace phlower
