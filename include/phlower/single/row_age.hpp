// Whether a row has expired, and why that cannot be said of some. One rule for the purge, for its
// dry run and for whoever asks. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/history/retention.hpp"
#include "phlower/single/cell_time.hpp"

namespace phlower {

inline constexpr double kNever = std::numeric_limits<double>::infinity();

/// The moment of a purge: cutoffs and lifetimes belong together.
struct PurgeTime {
  UnixSeconds now = 0;
  Cutoffs cutoffs;
  double invocation_lifetime() const { return now - cutoffs.invocations; }
  double details_lifetime() const { return now - cutoffs.details; }
};

/// Why a row stays although its time to go may have come.
enum class Doubt : std::uint8_t {
  kNoTime,         // it has no time at all
  kNotUnderstood,  // its time is nothing that a time is certainly read from
  kAhead,          // its time is more than a year ahead: a wrong clock, or another unit
};

/// A time further ahead than this is doubted.
inline constexpr UnixSeconds kFarAhead = 366 * 86'400.0;

struct Verdict {
  bool row_goes = false;
  bool details_go = false;
  UnixSeconds row_due = kNever;  // when it goes, where it stays now
  UnixSeconds details_due = kNever;
  std::optional<Doubt> doubt;
};

/// A row without a time that is certain stays: nothing says how old it is.
inline Verdict judge(const RowTime& row, const PurgeTime& time) {
  Verdict verdict;
  if (row.time.kind == TimeKind::kNone) verdict.doubt = Doubt::kNoTime;
  if (row.time.kind == TimeKind::kUnclear) verdict.doubt = Doubt::kNotUnderstood;
  if (verdict.doubt) return verdict;
  verdict.row_goes = row.time.latest <= time.cutoffs.invocations;
  verdict.details_go = row.time.latest <= time.cutoffs.details;
  if (!verdict.row_goes) verdict.row_due = row.time.latest + time.invocation_lifetime();
  if (!verdict.details_go) verdict.details_due = row.time.latest + time.details_lifetime();
  if (row.time.at > time.now + kFarAhead) verdict.doubt = Doubt::kAhead;
  return verdict;
}

/// How many rows stay in doubt, with the first of each kind.
class Doubts {
 public:
  /// `where`: "table.column = value, task id".
  template <class Where>
  void note(Doubt doubt, Where&& where) {
    Kind& kind = kinds_[static_cast<std::size_t>(doubt)];
    if (kind.rows++ == 0) kind.example = where();
  }
  void add(const Doubts& other) {
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
      if (kinds_[i].rows == 0) kinds_[i].example = other.kinds_[i].example;
      kinds_[i].rows += other.kinds_[i].rows;
    }
  }

  std::uint64_t rows(Doubt doubt) const { return kinds_[static_cast<std::size_t>(doubt)].rows; }
  std::uint64_t rows() const {
    std::uint64_t sum = 0;
    for (const Kind& kind : kinds_) sum += kind.rows;
    return sum;
  }

  /// One sentence; empty where there is no doubt.
  std::string text() const {
    constexpr std::array<std::string_view, 3> kWhat = {
        "have no time", "have a time that is not understood", "have a time more than a year ahead"};
    std::string list;
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
      if (kinds_[i].rows == 0) continue;
      list += list.empty() ? "" : "; ";
      list += std::to_string(kinds_[i].rows) + ' ' + std::string(kWhat[i]) + " (as " +
              kinds_[i].example + ")";
    }
    if (list.empty()) return list;
    return "rows stay whose age is not certain: " + list;
  }

  friend bool operator==(const Doubts&, const Doubts&) = default;

 private:
  struct Kind {
    std::uint64_t rows = 0;
    std::string example;
    friend bool operator==(const Kind&, const Kind&) = default;
  };
  std::array<Kind, 3> kinds_;
};

}  // namespace phlower
