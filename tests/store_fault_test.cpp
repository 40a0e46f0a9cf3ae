// The whole life of a store on a disk that fails at every operation in turn, once or for a while:
// each error is told by its right name, nothing that was committed is lost, and the store goes on.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "support/engine_rig.hpp"
#include "support/fault_vfs.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::Fault;
using testing::FaultVfs;
using testing::TempDir;

constexpr int kBatches = 6;
constexpr int kBatchRows = 16;
constexpr RingId kRing{1, 2, 3};

class Life {
 public:
  /// `expected`: the code of every error that the disk leads to.
  Life(FaultVfs& faults, Code expected) : faults_(faults), expected_(expected) {
    options_.path = dir_ / "history.db";
    options_.cache_bytes = 1 << 20;
    options_.durability = Durability::kPower;
  }

  void run() {
    retry("open", [&] { return open(); });
    for (batch_ = 0; batch_ < kBatches; ++batch_) {
      retry("flush", [&] { return flush(); });
      if (batch_ % 2 == 1) retry("purge", [&] { return purge(20); });
      if (batch_ % 3 == 2) retry("checkpoint", [&] { return store_->checkpoint().status(); });
    }
    retry("purge", [&] { return purge(100'000); });
    retry("reclaim", [&] { return store_->reclaim_some(4).status(); });
    retry("checkpoint", [&] { return store_->checkpoint().status(); });
    retry("count", [&] { return store_->recount_some(100'000).status(); });
    expect_counts();
    store_.reset();  // SQLite's own checkpoint, whose errors nobody hears of
  }

  /// Errors that were met.
  int errors() const { return errors_; }

  void verify() {
    faults_.heal();
    ASSERT_TRUE(open().ok());
    expect_positions(kBatches);
    store_.reset();
    auto db = testing::open_db(options_.path);
    EXPECT_EQ(testing::integrity(db), "ok");
    std::set<std::string> expected;
    for (int i = 0; i < kBatches * kBatchRows; ++i) {
      if (!is_expired(i)) expected.insert(id(i) + "|");
    }
    const auto rows = testing::lines(db, "SELECT task_id FROM invocations", 1);
    EXPECT_EQ(rows.size(), expected.size());
    EXPECT_EQ(std::set<std::string>(rows.begin(), rows.end()), expected);
    const auto details = testing::lines(db, "SELECT task_id FROM invocation_details", 1);
    EXPECT_EQ(std::set<std::string>(details.begin(), details.end()), expected);
  }

 private:
  static std::string id(int i) { return "task-" + std::to_string(i); }
  static bool is_expired(int i) { return i % 2 == 0; }
  double now() const { return to_unix_seconds(now_); }

  // Until it succeeds; a disk that stays broken is repaired after the second try.
  template <class Unit>
  void retry(const char* what, Unit unit) {
    for (int attempt = 0; attempt < 6; ++attempt) {
      const Status status = unit();
      if (status.ok()) return;
      SCOPED_TRACE(std::string(what) + ": " + std::string(status.message()));
      EXPECT_EQ(code_name(status.code()), code_name(expected_));
      ++errors_;
      if (store_) store_->rollback();
      if (attempt == 1) faults_.heal();
      if (store_) expect_positions(committed_);
    }
    ADD_FAILURE() << what << " has no end";
  }

  Status open() {
    auto store = SingleStore::open(options_, retention_);
    if (store.ok()) store_ = *std::move(store);
    return store.status();
  }

  Status flush() {
    if (Status status = store_->begin(); !status.ok()) return status;
    for (int i = batch_ * kBatchRows; i < (batch_ + 1) * kBatchRows; ++i) {
      Record record = testing::a_record(id(i), now() - (is_expired(i) ? 150 : 10) * 3600);
      record.traceback.assign(1500, 'x');
      if (Status status = store_->upsert(record.view()).status(); !status.ok()) return status;
    }
    const auto done = static_cast<std::uint64_t>(batch_ + 1) * kBatchRows;
    Status status = store_->save_positions({kRing, {{7, 1, 100}}, {{3, done, done}}});
    if (status.ok()) status = store_->commit();
    if (status.ok()) committed_ = batch_ + 1;
    return status;
  }

  Status purge(std::uint32_t rows) {
    if (Status status = store_->begin(); !status.ok()) return status;
    const auto report = store_->purge_some(now_, rows);
    return report.ok() ? store_->commit() : report.status();
  }

  // What is stored is what was committed: no more, no less. A disk that still fails may refuse.
  void expect_positions(int batches) {
    EXPECT_FALSE(store_->in_transaction());
    const auto found = store_->load_positions(kRing);
    if (!found.ok()) return;
    const auto rows = static_cast<std::uint64_t>(batches) * kBatchRows;
    ASSERT_EQ(found->lanes.size(), batches == 0 ? 0u : 1u);
    if (batches > 0) {
      EXPECT_EQ(found->lanes[0].delivered, rows);
    }
  }

  void expect_counts() {
    const Counts counts = store_->counts();
    EXPECT_TRUE(counts.exact);
    EXPECT_EQ(counts.invocations, kBatches * kBatchRows / 2u);
    EXPECT_EQ(counts.details, kBatches * kBatchRows / 2u);
  }

  FaultVfs& faults_;
  Code expected_;
  TempDir dir_{"/dev/shm"};
  StoreOptions options_;
  RetentionOptions retention_;
  WallTime now_{Seconds(1'795'000'000)};
  std::unique_ptr<SingleStore> store_;
  int batch_ = 0;
  int committed_ = 0;
  int errors_ = 0;
};

class FailingDisk : public ::testing::TestWithParam<std::tuple<Fault, bool>> {};

TEST_P(FailingDisk, LosesNothingAndIsToldByItsName) {
  const auto [fault, for_ever] = GetParam();
  const Code expected = fault == Fault::kIo ? Code::kIo : Code::kDiskFull;
  std::uint64_t k = 1;
  int errors = 0;
  for (bool failed = true; failed && !HasFailure(); ++k) {
    SCOPED_TRACE("operation " + std::to_string(k));
    FaultVfs faults;
    Life life(faults, expected);
    faults.fail_at(k, fault, for_ever);
    life.run();
    failed = faults.failed() || life.errors() > 0;
    errors += life.errors();
    life.verify();
  }
  EXPECT_GT(k, 100u) << "the run had too few operations to prove anything";
  EXPECT_GT(errors, 100) << "too few of them were told";
}

std::string failing_disk_name(const ::testing::TestParamInfo<FailingDisk::ParamType>& param) {
  const auto [fault, for_ever] = param.param;
  const char* name = fault == Fault::kIo ? "Io" : fault == Fault::kFull ? "Full" : "ShortWrite";
  return std::string(name) + (for_ever ? "ForAWhile" : "Once");
}

INSTANTIATE_TEST_SUITE_P(SingleStore, FailingDisk,
                         ::testing::Combine(::testing::Values(Fault::kIo, Fault::kFull,
                                                              Fault::kShortWrite),
                                            ::testing::Bool()),
                         failing_disk_name);

TEST(FailingReads, LoseNothingAndAreToldByTheirName) {
  std::uint64_t k = 1;
  int errors = 0;
  for (bool failed = true; failed && !HasFailure(); ++k) {
    SCOPED_TRACE("read " + std::to_string(k));
    FaultVfs faults;
    Life life(faults, Code::kIo);
    faults.fail_read_at(k);
    life.run();
    failed = faults.read_failed();
    errors += life.errors();
    life.verify();
  }
  EXPECT_GT(errors, 10);
}

}  // namespace
}  // namespace phlower
