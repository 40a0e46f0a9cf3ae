// The fixture of the single-threaded ring tests: one ring, its consumer and a store in memory.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>

#include "ring_fixture.hpp"
#include "ring_store.hpp"

namespace phlower::testing {

/// A small ring with its consumer, a store, and the bytes of the file.
class RingRig : public ::testing::Test {
 protected:
  void make(std::uint32_t chunks, std::uint32_t lanes = 8) {
    options_ = small_ring(dir_ / "ring", chunks, lanes);
    open();
  }
  void open() {
    consumer_.reset();
    consumer_ = must(RingConsumer::open(options_, Durability::kProcess, clock_, store_.loader()));
    mapping_.emplace(options_.path);
  }
  std::unique_ptr<Producer> attach(std::uint32_t high_water_percent = 100) {
    return must(Producer::attach(options_.path, small_records(), high_water_percent, clock_));
  }
  Status submit(Producer& producer, std::uint32_t number, std::uint32_t stream = 0) {
    return producer.submit(make_content({stream, number}).view());
  }
  /// Submits until the ring refuses; returns how many it took.
  std::uint32_t fill(Producer& producer, std::uint32_t from = 0) {
    std::uint32_t number = from;
    while (submit(producer, number).ok()) ++number;
    return number - from;
  }
  void expect_sums(const RingStats& stats) {
    EXPECT_EQ(stats.offered, stats.accepted + stats.refused());
    EXPECT_EQ(stats.accepted, stats.delivered + stats.unread + stats.corrupt_records);
  }
  void expect_ids(std::uint32_t count) {
    ASSERT_EQ(store_.rows.size(), count);
    for (std::uint32_t number = 0; number < count; ++number) {
      ASSERT_EQ(store_.rows[number].task_id, make_content({0, number}).task_id);
    }
  }

  // The file by hand, for states that no living process makes.
  RingView view() {
    RingIdentity identity;
    std::memcpy(&identity, mapping_->all().data(), sizeof(identity));
    return RingView(mapping_->all().data(), identity);
  }
  Ctl ctl(std::uint32_t chunk) { return unpack(view().ctl(chunk).load()); }
  void set_ctl(std::uint32_t chunk, const Ctl& value) { view().ctl(chunk).store(pack(value)); }

  TempDir dir_{ring_parent()};
  RingOptions options_;
  ManualClock clock_;
  RingStore store_;
  std::unique_ptr<RingConsumer> consumer_;
  std::optional<FileBytes> mapping_;
};

}  // namespace phlower::testing
