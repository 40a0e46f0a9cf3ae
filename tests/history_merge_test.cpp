// The merge over sources in memory: where a question may stop, and tasks that stand in several
// sources at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "phlower/history/history.hpp"

namespace phlower {
namespace {

using ::testing::ElementsAre;

/// Rows in memory, and no more cleverness than a source must have.
class RowsInMemory final : public Source {
 public:
  explicit RowsInMemory(std::int64_t seq) : seq_(seq) {}

  void add(const std::string& task_id, std::int64_t at_us, const std::string& state = "SUCCESS") {
    FoundRow row;
    row.record.task_id = task_id;
    row.record.task_name = "t";
    row.record.state = state;
    row.record.finished_at = from_us(at_us);
    row.at_us = at_us;
    by_id_[task_id] = std::move(row);
  }

  std::int64_t seq() const override { return seq_; }
  bool may_overlap(std::int64_t, std::int64_t) const override { return true; }
  std::int64_t newest_us() const override { return std::numeric_limits<std::int64_t>::max(); }
  bool may_hold(const TaskKey& key) override { return by_id_.contains(std::string(key.text())); }
  Result<std::optional<FoundRow>> find(const TaskKey& key) override {
    const auto found = by_id_.find(std::string(key.text()));
    return found == by_id_.end() ? std::optional<FoundRow>() : found->second;
  }
  Status add_details(FoundRow&) override { return Status(); }
  Result<std::unique_ptr<RowStream>> stream(const Query& query, StopCheck&) override {
    std::vector<FoundRow> rows;
    for (const auto& [id, row] : by_id_) {
      if (!query.after || row.at_us <= query.after->at_us) rows.push_back(row);
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const FoundRow& a, const FoundRow& b) { return a.at_us > b.at_us; });
    return std::unique_ptr<RowStream>(new Rows(std::move(rows)));
  }

 private:
  class Rows final : public RowStream {
   public:
    explicit Rows(std::vector<FoundRow> rows) : rows_(std::move(rows)) {}
    Result<bool> next(FoundRow& row) override {
      if (at_ == rows_.size()) return false;
      row = rows_[at_++];
      return true;
    }

   private:
    std::vector<FoundRow> rows_;
    std::size_t at_ = 0;
  };

  std::int64_t seq_;
  std::map<std::string, FoundRow> by_id_;
};

std::vector<std::string> ids_of(const QueryAnswer& answer) {
  std::vector<std::string> ids;
  for (const Row& row : answer.rows) ids.push_back(row.record.task_id);
  return ids;
}
std::uint64_t sum_of(const CountAnswer& answer) {
  std::uint64_t sum = 0;
  for (const auto& [key, count] : answer.counts) sum += count;
  return sum;
}

constexpr std::int64_t kAt = 1'795'000'000'000'000;

/// Each task has its beginning in one source and its end in another.
struct HistoryMerge : ::testing::Test {
  HistoryMerge() {
    for (int i = 0; i < kTasks; ++i) {
      const std::string id = "task-" + std::to_string(i);
      begun.add(id, kAt + i * 10, "STARTED");
      ended.add(id, kAt + i * 10 + 5);
    }
  }
  History history() { return History({&begun, &ended}, {}); }

  static constexpr int kTasks = 120;
  RowsInMemory begun{1};
  RowsInMemory ended{2};
};

TEST_F(HistoryMerge, GoesOnWithTheVeryRowInWhichItWasStopped) {
  // The check asks at each 64th step only. A row that stands alone moves by two steps where that
  // falls, one whose beginning is far back by three.
  for (int extra = 0; extra < 8; ++extra) {
    const std::string id = "extra-" + std::to_string(extra);
    ended.add(id, kAt + 100'000 + extra);
    if (extra % 4 == 3) begun.add(id, kAt - 100'000 - extra, "STARTED");
    Query query;
    query.limit = 10'000;
    const auto whole = history().list(query);
    ASSERT_TRUE(whole.ok() && whole->whole());
    ASSERT_EQ(whole->rows.size(), static_cast<std::size_t>(kTasks + extra + 1));
    std::vector<std::string> ids;
    int pieces = 0;
    for (bool more = true; more; ++pieces) {
      ASSERT_LT(pieces, 1000);
      int asked = 0;
      query.stop.wanted = [&] { return ++asked < 4; };
      const auto piece = history().list(query);
      ASSERT_TRUE(piece.ok());
      const auto found = ids_of(*piece);
      ids.insert(ids.end(), found.begin(), found.end());
      more = !piece->whole();
      if (more) query.after = piece->next;
    }
    EXPECT_GT(pieces, 2) << extra;
    EXPECT_EQ(ids, ids_of(*whole)) << extra;
  }
}

TEST_F(HistoryMerge, CountsNoRowInWhichItWasStopped) {
  const auto whole = history().count({}, false);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(sum_of(*whole), std::uint64_t{kTasks});
  for (int patience = 2; patience < 8; ++patience) {
    Query query;
    int asked = 0;
    query.stop.wanted = [&] { return ++asked < patience; };
    const auto part = history().count(query, false);
    ASSERT_TRUE(part.ok());
    EXPECT_FALSE(part->whole());
    if (part->looked_back_to_us == std::numeric_limits<std::int64_t>::max()) continue;
    Query later;  // what it says that it looked at is counted
    later.from_us = part->looked_back_to_us + 1;
    EXPECT_GE(sum_of(*part), sum_of(*history().count(later, false))) << patience;
  }
}

TEST(HistoryTies, ATaskThatStandsTwiceInOneMicrosecondIsOneRow) {
  for (const bool other_order : {false, true}) {
    RowsInMemory first(1);
    RowsInMemory second(2);
    for (RowsInMemory* source : {&first, &second}) {
      source->add("twice", kAt);
      source->add("a-neighbour-" + std::to_string(source->seq()), kAt);
      source->add("z-neighbour-" + std::to_string(source->seq()), kAt);
    }
    std::vector<Source*> sources = {&first, &second};
    if (other_order) std::swap(sources[0], sources[1]);
    History history(sources, {});
    EXPECT_THAT(ids_of(*history.list({})), ElementsAre("z-neighbour-2", "z-neighbour-1", "twice",
                                                       "a-neighbour-2", "a-neighbour-1"));
    EXPECT_EQ(sum_of(*history.count({}, false)), 5u);
    EXPECT_EQ(history.times({})->tasks.at("t").pickup.count(), 0u);
    std::vector<std::string> paged;
    Query query;
    query.limit = 1;
    for (int pages = 0; pages < 20; ++pages) {
      const auto page = history.list(query);
      for (const std::string& id : ids_of(*page)) paged.push_back(id);
      if (!page->next) break;
      query.after = page->next;
    }
    EXPECT_EQ(paged, ids_of(*history.list({})));
  }
}

}  // namespace
}  // namespace phlower
