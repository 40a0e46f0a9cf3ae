// How long one run of maintenance goes on, where it rests, and when it tells how far it is.
#pragma once

#include <algorithm>
#include <string>
#include <thread>

#include "phlower/door/maintenance_options.hpp"
#include "phlower/door/maintenance_report.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower {

/// Not thread safe. Both outlive this.
class Pace {
 public:
  Pace(const MaintenanceOptions& options, Clock& clock)
      : options_(options), clock_(clock), begin_(clock.mono()) {}

  Clock& clock() noexcept { return clock_; }
  Nanoseconds elapsed() { return clock_.mono() - begin_; }

  /// Whether to stop here. Once it says so it goes on saying so.
  bool over() {
    if (end_ != MaintenanceEnd::kDone) return true;
    if (!wanted()) {
      end_ = MaintenanceEnd::kUnwanted;
    } else if (options_.max_time && elapsed() >= *options_.max_time) {
      end_ = MaintenanceEnd::kTimeUp;
    }
    return end_ != MaintenanceEnd::kDone;
  }
  /// kDone while nobody was told to stop.
  MaintenanceEnd end() const noexcept { return end_; }

  /// Waits in short pieces, so that whoever wants no more does not.
  void pause(Nanoseconds time) {
    const MonoTime end = clock_.mono() + time;
    for (MonoTime now = clock_.mono(); now < end && wanted(); now = clock_.mono()) {
      const Nanoseconds piece = std::min<Nanoseconds>(end - now, Milliseconds(50));
      if (options_.rest) {
        options_.rest(piece);
      } else {
        std::this_thread::sleep_for(piece);
      }
    }
  }

  /// True at most four times a second, and never where nobody asks.
  bool progress_due() {
    const MonoTime now = clock_.mono();
    if (!options_.on_progress || now < next_progress_) return false;
    next_progress_ = now + Milliseconds(250);
    return true;
  }
  void tell(MaintenanceProgress progress) {
    progress.elapsed = elapsed();
    options_.on_progress(progress);
  }
  void tell(MaintenanceNews news, const std::string& text) const {
    if (options_.on_news) options_.on_news(news, text);
  }

 private:
  bool wanted() const { return !options_.wanted || options_.wanted(); }

  const MaintenanceOptions& options_;
  Clock& clock_;
  MonoTime begin_;
  MonoTime next_progress_{};
  MaintenanceEnd end_ = MaintenanceEnd::kDone;
};

}  // namespace phlower
