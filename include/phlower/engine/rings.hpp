// The rings of an engine: the one at its path, and those that were set aside and are read to their
// end.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/history/history_id.hpp"
#include "phlower/history/ring_notes.hpp"
#include "phlower/history/store.hpp"
#include "phlower/ring/consumer.hpp"
#include "phlower/ring/salvage.hpp"
#include "phlower/sqlite/pragmas.hpp"

namespace phlower {

/// Not thread safe. All of it outlives this.
class EngineRings {
 public:
  EngineRings(const Options& options, Store& store, Clock& clock, Log& log)
      : options_(options), store_(store), clock_(clock), log_(log) {}

  /// Opens the ring for the history of the store, or makes it; also again, after it was replaced.
  /// Errors: of RingConsumer::open and of the store. Blocks: for a second at most while another
  /// process has the write lock.
  Status open() {
    const bool shared = options_.store.layout == Layout::kSingle;  // a folder has one writer
    Status patient = shared ? sqlite::set_busy_timeout(store_.facts(), 1000) : Status();
    Status opened = patient.ok() ? open_for(store_.facts()) : patient;
    if (shared) patient = sqlite::set_busy_timeout(store_.facts(), 0);
    return opened.ok() ? patient : opened;
  }

  RingConsumer& current() { return *ring_; }
  const RingConsumer& current() const { return *ring_; }

  bool any_set_aside() const { return !salvages_.empty(); }
  /// One of them. Requires: there is one.
  RingSalvage& set_aside() { return *salvages_.back().ring; }

  /// It was read to its end: the file goes, and then what the store knows of it.
  void end_set_aside() {
    Salvage& salvage = salvages_.back();
    log_.info("{}: {} records taken over, {} chunks unreadable", salvage.path,
              salvage.ring->recovered(), salvage.ring->bad_chunks());
    Status status = salvage.ring->remove();
    if (!status.ok()) {
      log_.error("{}", status.message());  // its positions are stored: nothing comes twice
    } else if (status = store_.forget_ring(salvage.ring->id()); !status.ok()) {
      log_.warn("{}: its positions stay: {}", salvage.path, status.message());
    }
    salvages_.pop_back();
  }

 private:
  struct Salvage {
    std::string path;
    std::unique_ptr<RingSalvage> ring;
  };

  Status open_for(sqlite::Connection& facts) {
    const auto id = load_or_make_history_id(facts);
    if (!id.ok()) return id.status();
    RingHome home(*id, store_.path(),
                  [this](const RingId& ring) { return store_.load_positions(ring); });
    home.save = [this](const RingPositions& positions) { return save_positions(positions); };
    home.has_taken_in = [this](const HistoryId& other) { return store_.has_taken_in(other); };
    auto ring = RingConsumer::open(options_.ring, options_.store.durability, clock_, home);
    if (!ring.ok()) return ring.status();
    ring_ = *std::move(ring);
    if (const auto former = ring_->taken_from()) {
      log_.warn(
          "{}: the ring was that of the history {}; what that has stored is not taken again, {} "
          "records that wait in it are taken into {}",
          options_.ring.path, *former, ring_->stats().unread, store_.path());
    }
    for (const std::string& path : ring_->set_aside()) open_salvage(path, home);
    return forget_gone_rings();
  }

  Status save_positions(const RingPositions& positions) {
    Status status = store_.begin();
    if (!status.ok()) return status;
    status = store_.save_positions(positions);
    if (status.ok()) status = store_.commit();
    if (!status.ok()) store_.rollback();
    return status;
  }

  // A ring in memory ends with its boot; one that was set aside ends in end_set_aside.
  Status forget_gone_rings() {
    const auto boot = current_boot_id();
    if (!boot.ok()) return boot.status();
    const auto gone = ring_notes::gone(store_.facts(), *boot);
    if (!gone.ok()) return gone.status();
    for (const RingId& ring : *gone) {
      if (ring == ring_->id()) continue;
      Status status = store_.forget_ring(ring);
      if (status.ok()) status = ring_notes::drop(store_.facts(), ring);
      if (!status.ok()) {  // another time: they are in nobody's way
        log_.warn("{}: positions of a ring that is gone: {}", store_.path(), status.message());
        return Status();
      }
    }
    if (!on_memory_file_system(options_.ring.path)) return Status();
    if (Status noted = ring_notes::note(store_.facts(), ring_->id(), *boot); !noted.ok()) {
      log_.warn("{}: the ring is not noted: {}", store_.path(), noted.message());
    }
    return Status();
  }

  // A ring of an earlier boot that cannot be read stays where it is, and everything else goes on.
  void open_salvage(const std::string& path, const RingHome& home) {
    for (const auto& known : salvages_) {
      if (known.path == path) return;
    }
    auto salvage = RingSalvage::open(path, home);
    if (!salvage.ok()) {
      log_.error("{}: left as it is: {}", path, salvage.status().message());
      return;
    }
    log_.warn("{}: a ring that was set aside; its records are taken over", path);
    salvages_.push_back({path, *std::move(salvage)});
  }

  const Options& options_;
  Store& store_;
  Clock& clock_;
  Log& log_;
  std::unique_ptr<RingConsumer> ring_;
  std::vector<Salvage> salvages_;
};

}  // namespace phlower
