// How much of the budget each kind of work deserves, as a pure function of the backlogs.
//
// The shape is a proportional controller with three straight pieces a curve, as ScyllaDB's
// backlog_controller has it: slow while the backlog is small, steep when a limit comes near. A
// backlog is an integrator, so proportional control is stable and its constant small rest does no
// harm.
#pragma once

#include "phlower/schedule/curve.hpp"
#include "phlower/schedule/work.hpp"

namespace phlower {

/// What was measured just before a decision.
struct Backlog {
  bool flush_due = false;            // records wait, long enough or enough of them
  double ring_fill = 0;              // chunks in use, 0..1
  Nanoseconds pending_age{0};        // of the oldest record that waits
  double wal_fill = 0;               // WAL bytes as a share of the hard bound; above 1 is over it
  bool checkpoint_due = false;       // the WAL is past its soft bound and was not just tried
  double purge_seconds = 0;          // expired rows times their measured cost; 0 = nothing is due
  Nanoseconds purge_starved_for{0};  // since the last purge slice, while one was due
  bool reclaim_due = false;          // free pages that can be given back
  bool recount_due = false;          // rows not counted yet
  bool tend_due = false;             // segments to rotate, seal or unlink
  bool disk_full = false;            // the last write found no room
};

/// A record that waits longer than this makes flush the most urgent work there is.
inline constexpr Nanoseconds kPendingAgeLimit = Seconds(1);
/// Purge may be held back by a nearly full ring for this long, then it gets a slice.
inline constexpr Nanoseconds kPurgeStarvationLimit = Seconds(5);
inline constexpr double kUrgentFill = 0.75;   // above: no purge at all
inline constexpr double kCrowdedFill = 0.50;  // above: purge at its floor
inline constexpr double kPurgeFloor = 20;

constexpr double flush_weight(double ring_fill, Nanoseconds pending_age) noexcept {
  constexpr CurvePoint curve[] = {{0, 100}, {0.10, 200}, {kCrowdedFill, 600}, {kUrgentFill, 1000}};
  return pending_age > kPendingAgeLimit ? 1000 : curve_at(curve, ring_fill);
}

constexpr double checkpoint_weight(double wal_fill) noexcept {
  constexpr CurvePoint curve[] = {{0, 20}, {0.25, 100}, {0.75, 600}, {1, 1000}};
  return curve_at(curve, wal_fill);
}

/// `seconds` is the work that is due, in seconds of this machine's time.
constexpr double purge_weight(const Backlog& backlog) noexcept {
  if (!(backlog.purge_seconds > 0) || backlog.disk_full || backlog.wal_fill >= 1) return 0;
  if (backlog.ring_fill > kUrgentFill) {
    return backlog.purge_starved_for >= kPurgeStarvationLimit ? kPurgeFloor : 0;
  }
  if (backlog.ring_fill > kCrowdedFill || backlog.pending_age > kPendingAgeLimit) {
    return kPurgeFloor;
  }
  constexpr CurvePoint curve[] = {{0, 50}, {60, 100}, {600, 400}};
  return curve_at(curve, backlog.purge_seconds);
}

/// Weights of all kinds; 0 means "not now". Housekeeping gets a little and stops in a crowd.
constexpr PerWork<double> weights_for(const Backlog& backlog) noexcept {
  PerWork<double> weights;
  const bool quiet = backlog.ring_fill <= kCrowdedFill && !backlog.disk_full;
  const bool wal_has_room = backlog.wal_fill < 1;
  // A WAL at its bound is emptied before it grows: records can wait in the ring, or be refused.
  // Where a reader keeps it from being emptied no checkpoint is due, and flushing goes on.
  if (backlog.flush_due && (wal_has_room || !backlog.checkpoint_due)) {
    weights[Work::kFlush] = flush_weight(backlog.ring_fill, backlog.pending_age);
  }
  if (backlog.checkpoint_due) weights[Work::kCheckpoint] = checkpoint_weight(backlog.wal_fill);
  weights[Work::kPurge] = purge_weight(backlog);
  if (backlog.reclaim_due && quiet && wal_has_room) weights[Work::kReclaim] = 40;
  if (backlog.recount_due && quiet) weights[Work::kRecount] = 40;
  // Short steps, and what makes room again: never held back.
  if (backlog.tend_due) weights[Work::kTend] = 100;
  return weights;
}

}  // namespace phlower
