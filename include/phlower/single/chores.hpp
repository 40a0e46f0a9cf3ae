// What an engine does for a single file between flushes: empties its log, deletes what has expired,
// gives free pages back, counts rows anew.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "phlower/ground/clock.hpp"
#include "phlower/history/checkpoint_chore.hpp"
#include "phlower/history/figures.hpp"
#include "phlower/schedule/chore.hpp"
#include "phlower/schedule/slice_size.hpp"
#include "phlower/single/purge_slice.hpp"
#include "phlower/single/single_store_class.hpp"

namespace phlower {

/// Deletes expired rows, oldest first, in one transaction a slice. Not thread safe.
class PurgeChore final : public Chore {
 public:
  PurgeChore(SingleStore& store, Clock& clock, StoreFigures& sums)
      : store_(store), clock_(clock), sums_(sums), slice_(store, clock) {}

  std::string_view name() const noexcept override { return "purge"; }

  Urgency look(MonoTime now, const Pressure& pressure) override {
    Urgency urgency;
    urgency.kind = Urgency::Kind::kExpired;
    if (pressure.leave != Leave::kAll) return urgency;
    urgency.seconds = seconds(now);
    urgency.due = urgency.seconds > 0;
    if (!urgency.due) last_run_ = now;
    urgency.starved_for = now - last_run_;
    return urgency;
  }

  Result<SliceReport> run(Nanoseconds target) override {
    const MonoTime begin = clock_.mono();
    const auto slice = slice_.run(clock_.wall(), target);
    if (!slice.ok()) return slice.status();
    const PurgeReport& sum = *slice;
    more_ = sum.more;
    const MonoTime end = last_run_ = clock_.mono();
    sums_.purged_invocations += sum.invocations;
    sums_.purged_details += sum.details;
    if (sum.examined > 0) {
      row_cost_ = next_estimate(row_cost_, (end - begin) / static_cast<std::int64_t>(sum.examined));
    }
    SliceReport report;
    report.units = report.purged = sum.invocations + sum.details;
    report.spent = report.hold = end - begin;
    report.commits = true;
    return report;
  }

  bool has_more() const override { return more_; }
  std::string notice() const override { return store_.notice(); }

 private:
  static constexpr Nanoseconds kLook = Milliseconds(200);

  // Looking whether something has expired costs a little, so it is done now and then, until a look
  // finds something; then until a slice finds nothing more.
  double seconds(MonoTime now) {
    if (store_.keeps_forever()) return 0;
    if (!more_) {
      if (now < next_look_) return 0;
      next_look_ = now + kLook;
      const auto due = store_.purge_due(clock_.wall());
      if (!due.ok() || !*due) return 0;
      more_ = true;
    }
    if (now >= next_estimate_) {
      next_estimate_ = now + Seconds(1);
      backlog_rows_ = static_cast<double>(store_.purge_backlog_rows(clock_.wall()));
    }
    return std::max(backlog_rows_, 1.0) * std::chrono::duration<double>(row_cost_).count();
  }

  SingleStore& store_;
  Clock& clock_;
  StoreFigures& sums_;
  PurgeSlice slice_;
  MonoTime last_run_{};  // or when there was nothing to purge
  MonoTime next_look_{};
  MonoTime next_estimate_{};
  Nanoseconds row_cost_{Microseconds(50)};
  double backlog_rows_ = 1;
  bool more_ = false;  // until a slice finds nothing more that is due
};

/// Gives free pages back to the file system. Not thread safe.
class ReclaimChore final : public Chore {
 public:
  ReclaimChore(SingleStore& store, bool wanted, Clock& clock, StoreFigures& sums)
      : store_(store), wanted_(wanted), clock_(clock), sums_(sums) {}

  std::string_view name() const noexcept override { return "reclaim"; }

  Urgency look(MonoTime, const Pressure& pressure) override {
    Urgency urgency;
    urgency.grows_log = true;
    urgency.due =
        pressure.leave == Leave::kAll && wanted_ && store_.can_reclaim() && store_.free_pages() > 0;
    return urgency;
  }

  Result<SliceReport> run(Nanoseconds target) override {
    const MonoTime begin = clock_.mono();
    const auto done = store_.reclaim_some(pages_);
    if (!done.ok()) return done.status();
    sums_.reclaimed_pages += done->pages;
    SliceReport report;
    report.units = done->pages;
    report.spent = report.hold = clock_.mono() - begin;
    report.commits = true;
    pages_ = next_batch(pages_, report.spent, target, 4, 4096);
    return report;
  }

 private:
  SingleStore& store_;
  bool wanted_;
  Clock& clock_;
  StoreFigures& sums_;
  std::uint32_t pages_ = 32;
};

/// Counts rows after an open, and again some time after another process wrote. Not thread safe.
class RecountChore final : public Chore {
 public:
  RecountChore(SingleStore& store, Clock& clock) : store_(store), clock_(clock) {}

  std::string_view name() const noexcept override { return "recount"; }

  Urgency look(MonoTime, const Pressure& pressure) override {
    Urgency urgency;
    urgency.due = pressure.leave == Leave::kAll && store_.recount_due();
    return urgency;
  }

  Result<SliceReport> run(Nanoseconds target) override {
    const MonoTime begin = clock_.mono();
    const auto more = store_.recount_some(rows_);
    if (!more.ok()) return more.status();
    SliceReport report;
    report.units = rows_;
    report.spent = clock_.mono() - begin;
    rows_ = next_batch(rows_, report.spent, target, 64, 65'536);
    return report;
  }

  bool has_more() const override { return store_.recount_due(); }

 private:
  SingleStore& store_;
  Clock& clock_;
  std::uint32_t rows_ = 1024;
};

/// All of them, in the order in which they are asked.
class SingleChores {
 public:
  SingleChores(SingleStore& store, const StoreOptions& options, Clock& clock, StoreFigures& sums)
      : checkpoint_(store, options, clock, sums),
        purge_(store, clock, sums),
        reclaim_(store, options.reclaim, clock, sums),
        recount_(store, clock) {}
  SingleChores(const SingleChores&) = delete;
  SingleChores& operator=(const SingleChores&) = delete;

  std::span<Chore* const> all() noexcept { return all_; }

 private:
  CheckpointChore<SingleStore> checkpoint_;
  PurgeChore purge_;
  ReclaimChore reclaim_;
  RecountChore recount_;
  std::array<Chore*, 4> all_{&checkpoint_, &purge_, &reclaim_, &recount_};
};

}  // namespace phlower
