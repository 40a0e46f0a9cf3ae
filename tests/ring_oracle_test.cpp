// A ring and a simple model of it side by side, over many random steps from one seed each.

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <map>

#include "support/ring_rig.hpp"

namespace phlower {
namespace {

using testing::make_content;
using testing::move_all;
using testing::Random;
using testing::read_batch;

/// Random steps of producers, deaths, consumer restarts and failures, against a simple model.
class Oracle : public testing::RingRig {
 protected:
  void step(Random& random) {
    switch (random.below(12)) {
      case 0: return restart(random);
      case 1: return take(random, false);
      case 2:
      case 3: return take(random, true);
      case 4: return consumer_->reap();
      case 5: return die(random);
      default: return offer(random);
    }
  }
  void offer(Random& random) {
    if (producers_.size() < 3) {
      producers_.push_back(attach(75));
    }
    Producer& producer = *producers_[random.below(producers_.size())];
    for (std::uint64_t n = random.below(12); n > 0; --n) {
      const std::string id = make_content({1, number_}).task_id;
      const Status status = submit(producer, number_++, 1);
      ++offered_;
      if (status.ok()) {
        by_lane_[producer.lane()].push_back(id);
      } else {
        ASSERT_EQ(status.code(), Code::kRefused);
      }
    }
  }
  void die(Random& random) {
    if (producers_.empty()) return;
    producers_.erase(producers_.begin() + static_cast<long>(random.below(producers_.size())));
  }
  void restart(Random& random) {
    if (random.one_in(2)) consumer_->scan();
    if (random.one_in(2)) read_batch(*consumer_, 5);
    open();
  }
  void take(Random& random, bool commit) {
    consumer_->scan();
    const auto batch = read_batch(*consumer_, random.below(60));
    if (!commit) return consumer_->rollback();
    store_.commit(batch, consumer_->pending());
    if (random.one_in(4)) return open();  // killed between COMMIT and freeing
    consumer_->commit();
  }
  void expect_model() {
    std::map<std::uint32_t, std::deque<std::string>> stored;
    for (const auto& row : store_.rows) stored[row.lane].push_back(row.task_id);
    EXPECT_EQ(stored, by_lane_);
  }

  std::vector<std::unique_ptr<Producer>> producers_;
  std::map<std::uint32_t, std::deque<std::string>> by_lane_;
  std::uint32_t number_ = 0;
  std::uint64_t offered_ = 0;
};

TEST_F(Oracle, AgreesWithASimpleModelOverManySteps) {
  std::uint64_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove(dir_ / "ring");
    store_ = {};
    by_lane_.clear();
    offered_ = 0;
    make(6, 4);
    Random random(seed);
    for (int i = 0; i < 400 && !HasFatalFailure(); ++i) step(random);
    const RingStats busy = consumer_->stats();
    EXPECT_EQ(busy.offered, offered_);
    expect_sums(busy);
    move_all(*consumer_, store_);
    expect_model();
    const RingStats quiet = consumer_->stats();
    EXPECT_EQ(quiet.unread, 0u);
    EXPECT_EQ(quiet.torn, 0u);
    EXPECT_EQ(quiet.delivered, store_.rows.size());
    EXPECT_GT(quiet.delivered, 300u);
    refused += quiet.refused_full;
    expect_sums(quiet);
    producers_.clear();
    consumer_.reset();
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace phlower
