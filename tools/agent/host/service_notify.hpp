// Tells systemd how the agent is; without systemd it does nothing. The only includer of libsystemd.
#pragma once

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <string_view>

#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// READY, RELOADING, STOPPING, STATUS, and the watchdog where the unit has one.
class ServiceNotify {
 public:
  explicit ServiceNotify(Clock& clock) : clock_(clock) {
    std::uint64_t us = 0;
    if (::sd_watchdog_enabled(0, &us) > 0) period_ = Microseconds(us) / 3;
  }

  void ready(std::string_view status) { send(fmt::format("READY=1\nSTATUS={}", status)); }
  void reloading() {
    const auto us = std::chrono::duration_cast<Microseconds>(clock_.mono().time_since_epoch());
    send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", us.count()));
  }
  void stopping(std::string_view status) { send(fmt::format("STOPPING=1\nSTATUS={}", status)); }
  void status(std::string_view text) { send(fmt::format("STATUS={}", text)); }

  /// Call it at every turn of the loop: a loop that stands still is what the watchdog is for.
  void alive(MonoTime now) {
    if (period_.count() == 0 || now < next_) return;
    next_ = now + period_;
    send("WATCHDOG=1");
  }
  /// The longest the loop may sleep.
  Nanoseconds period() const { return period_; }

 private:
  static void send(const std::string& text) { (void)::sd_notify(0, text.c_str()); }

  Clock& clock_;
  Nanoseconds period_{0};
  MonoTime next_{};
};

}  // namespace phlower::agent
