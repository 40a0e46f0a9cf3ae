// How much of the budget each kind of work deserves, as a pure function of the backlogs.
//
// The shape is a proportional controller with three straight pieces a curve, as ScyllaDB's
// backlog_controller has it: slow while the backlog is small, steep when a limit comes near. A
// backlog is an integrator, so proportional control is stable and its constant small rest does no
// harm.
#pragma once

#include <span>

#include "phlower/schedule/chore.hpp"
#include "phlower/schedule/curve.hpp"

namespace phlower {

/// A record that waits longer than this makes flush the most urgent work there is.
inline constexpr Nanoseconds kPendingAgeLimit = Seconds(1);
/// Purge may be held back by a nearly full ring for this long, then it gets a slice.
inline constexpr Nanoseconds kPurgeStarvationLimit = Seconds(5);
inline constexpr double kUrgentFill = 0.75;   // above: no purge at all
inline constexpr double kCrowdedFill = 0.50;  // above: purge at its floor
inline constexpr double kPurgeFloor = 20;

/// How the bounds of all chores stand.
struct Bounds {
  bool reached = false;  // one of them
  bool moves = false;    // and a chore is due that makes room below it
};

constexpr Bounds bounds_of(std::span<const Urgency> chores) noexcept {
  Bounds bounds;
  for (const Urgency& chore : chores) {
    if (chore.kind != Urgency::Kind::kRoom || chore.fill < 1) continue;
    bounds.reached = true;
    bounds.moves |= chore.due;
  }
  return bounds;
}

/// For records that are due. What is at its bound is emptied before it grows: records can wait in
/// the ring, or be refused. Where somebody keeps it from being emptied flushing goes on.
constexpr double flush_weight(const Pressure& pressure, const Bounds& bounds) noexcept {
  constexpr CurvePoint curve[] = {{0, 100}, {0.10, 200}, {kCrowdedFill, 600}, {kUrgentFill, 1000}};
  if (bounds.moves) return 0;
  return pressure.pending_age > kPendingAgeLimit ? 1000 : curve_at(curve, pressure.ring_fill);
}

constexpr double room_weight(double fill) noexcept {
  constexpr CurvePoint curve[] = {{0, 20}, {0.25, 100}, {0.75, 600}, {1, 1000}};
  return curve_at(curve, fill);
}

constexpr double purge_weight(const Urgency& chore, const Pressure& pressure) noexcept {
  if (!(chore.seconds > 0)) return 0;
  if (pressure.ring_fill > kUrgentFill) {
    return chore.starved_for >= kPurgeStarvationLimit ? kPurgeFloor : 0;
  }
  if (pressure.ring_fill > kCrowdedFill || pressure.pending_age > kPendingAgeLimit) {
    return kPurgeFloor;
  }
  constexpr CurvePoint curve[] = {{0, 50}, {60, 100}, {600, 400}};
  return curve_at(curve, chore.seconds);
}

/// The weight of a chore; 0 means "not now". Tidying gets a little and stops in a crowd.
constexpr double chore_weight(const Urgency& chore, const Pressure& pressure,
                              const Bounds& bounds) noexcept {
  // Where no record waits, whatever is due finds out whether there is room again.
  const bool no_room = pressure.disk_full && pressure.records_wait;
  const bool quiet = pressure.ring_fill <= kCrowdedFill && !no_room;
  if (!chore.due) return 0;
  switch (chore.kind) {
    case Urgency::Kind::kSteps: return 100;
    case Urgency::Kind::kRoom: return room_weight(chore.fill);
    case Urgency::Kind::kExpired:
      return no_room || bounds.reached ? 0 : purge_weight(chore, pressure);
    case Urgency::Kind::kTidy: return quiet && !(chore.grows_log && bounds.reached) ? 40 : 0;
  }
  return 0;
}

}  // namespace phlower
