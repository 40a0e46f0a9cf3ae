// The ring's producers of the process that runs the engine: any thread submits, by a lane number of
// its own choice, and waits for nobody.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/histogram.hpp"
#include "phlower/ring/producer.hpp"

namespace phlower::plugin {

/// Thread safety: `submit` any thread, the rest one. A lane's producer attaches at its first use.
class Lanes {
 public:
  static constexpr std::uint32_t kCount = 64;

  /// From now on records are taken. Requires: closed, or never opened. `clock` outlives the lanes.
  void open(const Options& options, Clock& clock) {
    ring_ = options.ring;
    record_ = options.record;
    clock_ = &clock;
    open_.store(true, std::memory_order_seq_cst);  // pairs with `submit_in`: the above is seen
  }

  /// No thread is inside `submit`, and none comes in any more, when this returns.
  void close() {
    open_.store(false, std::memory_order_seq_cst);
    for (Lane& lane : lanes_) {
      while (!enter(lane)) std::this_thread::yield();  // as long as one record takes
      const Stay stay{lane};
      lane.producer.reset();
    }
  }

  /// kRefused when another thread is in every lane. `shedding` comes back true when the ring is
  /// above its high-water mark. `whole`: as Producer::submit_whole. Errors: of Producer::submit and
  /// Producer::attach.
  Status submit(std::uint32_t number, const RecordView& record, bool whole, bool& shedding) {
    for (std::uint32_t i = 0; i < kCount; ++i) {
      Lane& lane = lanes_[(number + i) % kCount];
      if (!enter(lane)) continue;
      const Stay stay{lane};
      Status status = submit_in(lane, record, whole);
      shedding = lane.producer && lane.producer->shedding();
      return status;
    }
    return Status(Code::kRefused);
  }

  /// Times of submits, about one in 64 of them.
  Histogram times() {
    Histogram all;
    for (Lane& lane : lanes_) {
      if (!enter(lane)) continue;  // it is counted the next time
      const Stay stay{lane};
      if (lane.times) all.merge(*lane.times);
    }
    return all;
  }

 private:
  static constexpr std::uint32_t kSample = 64;

  struct alignas(64) Lane {
    std::atomic<bool> taken{false};
    std::uint32_t until_sample = 1;
    MonoTime attach_again{};
    std::unique_ptr<Producer> producer;
    std::unique_ptr<Histogram> times;
  };

  static bool enter(Lane& lane) {
    // Acquire pairs with the end of a Stay: what the last thread in this lane did is seen. seq_cst
    // against `close`: either it waits for us, or `submit_in` sees that it has begun.
    return !lane.taken.exchange(true, std::memory_order_seq_cst);
  }
  // Also when memory runs out on the way: a lane that stays taken would be waited for in vain.
  struct Stay {
    Lane& lane;
    ~Stay() { lane.taken.store(false, std::memory_order_release); }
  };

  static Status put(Producer& producer, const RecordView& record, bool whole) {
    return whole ? producer.submit_whole(record) : producer.submit(record);
  }

  Status submit_in(Lane& lane, const RecordView& record, bool whole) {
    if (!open_.load(std::memory_order_seq_cst)) return Status(Code::kWrongState);
    if (!lane.producer) {
      if (Status status = attach(lane); !status.ok()) return status;
    }
    if (--lane.until_sample != 0) return put(*lane.producer, record, whole);
    lane.until_sample = kSample;
    const MonoTime begin = clock_->mono();
    Status status = put(*lane.producer, record, whole);
    lane.times->record(clock_->mono() - begin);
    return status;
  }

  Status attach(Lane& lane) {
    const MonoTime now = clock_->mono();
    if (now < lane.attach_again) return Status(Code::kDetached);
    lane.attach_again = now + Milliseconds(100);
    if (!lane.times) lane.times = std::make_unique<Histogram>();
    auto attached = Producer::attach(ring_.path, record_, ring_.high_water_percent, *clock_);
    if (!attached.ok()) return attached.status();
    lane.producer = *std::move(attached);
    lane.attach_again = MonoTime();
    return Status();
  }

  RingOptions ring_;
  RecordOptions record_;
  Clock* clock_ = nullptr;
  std::atomic<bool> open_{false};
  std::array<Lane, kCount> lanes_;
};

}  // namespace phlower::plugin
