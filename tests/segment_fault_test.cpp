// The life of a data folder on a disk that fails at every operation in turn, once or for a while:
// what was committed stays, the store goes on by itself, and in the end every file is what the
// catalog says.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <tuple>

#include "phlower/segment/verify.hpp"
#include "support/fault_vfs.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::Fault;
using testing::FaultVfs;
using testing::SegmentRig;
using testing::uuid_of;

class Life : public SegmentRig {
 public:
  // In memory: what a sync costs is of no interest here.
  explicit Life(FaultVfs& faults) : SegmentRig("/dev/shm"), faults_(faults) {
    options.store.segment_rows = 60;
    options.store.durability = Durability::kPower;
  }

  void run() {
    retry("open", [&] { return open(); });
    for (std::uint64_t batch = 0; batch < 6; ++batch) {
      const double age = batch % 3 == 1 ? 30 * 3600 : 1;
      retry("put", [&] { return put_batch(batch, age); });
      retry("checkpoint", [&] { return store->checkpoint().status(); });
      for (int i = 0; i < 60; ++i) {
        clock.advance(Seconds(1));
        retry("tend", [&] { return store->tend(clock.mono()).status(); });
      }
    }
    store.reset();
  }

  int errors() const { return errors_; }

  void verify() {
    faults_.heal();
    ASSERT_TRUE(open().ok());
    tend();
    for (std::uint64_t i = 0; i < 6 * kRows; ++i) {
      const auto found = get(uuid_of(i));
      ASSERT_TRUE(found) << i;
      EXPECT_EQ(found->args, "(1, 'two')") << i;
    }
    EXPECT_EQ(in_state(SegmentState::kSetAside), 0u);
    const Catalog& catalog = store->segments().catalog();
    for (const SegmentInfo& info : catalog.segments()) {
      const Status status =
          info.state == SegmentState::kSealed ? verify_segment(catalog, info) : Status();
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }

 private:
  static constexpr std::uint64_t kRows = 25;

  Status put_batch(std::uint64_t batch, double age) {
    std::vector<Record> records;
    for (std::uint64_t i = 0; i < kRows; ++i) {
      records.push_back(a_record(uuid_of(batch * kRows + i), now() - age));
    }
    return put(records);
  }

  // Until it succeeds; a disk that stays broken is repaired after the second try.
  template <class Unit>
  void retry(const char* what, Unit unit) {
    for (int attempt = 0; attempt < 6; ++attempt) {
      const Status status = unit();
      if (status.ok()) return;
      const Code code = status.code();
      EXPECT_TRUE(code == Code::kIo || code == Code::kDiskFull)
          << what << ": " << code_name(code) << ": " << status.message();
      ++errors_;
      if (attempt == 1) faults_.heal();
    }
    ADD_FAILURE() << what << " has no end";
  }

  FaultVfs& faults_;
  int errors_ = 0;
};

class SegmentFault : public ::testing::TestWithParam<std::tuple<Fault, bool>> {};

TEST_P(SegmentFault, IsSurvivedWhicheverOperationItHits) {
  const auto [fault, for_ever] = GetParam();
  constexpr std::uint64_t kStride = 23;  // each kind of fault and each run begins elsewhere
  std::uint64_t met = 0;
  for (std::uint64_t k = 1 + static_cast<std::uint64_t>(fault) * 2 + (for_ever ? 1 : 0); k < 4000;
       k += kStride) {
    SCOPED_TRACE("operation " + std::to_string(k));
    FaultVfs faults;
    Life life(faults);
    faults.fail_at(k, fault, for_ever);
    life.run();
    const bool struck = faults.failed() || life.errors() > 0;
    life.verify();
    if (HasFailure()) return;
    if (!struck) break;
    ++met;
  }
  EXPECT_GT(met, 15u) << "the life had too few operations to prove anything";
}

/// One segment is sealed, and then there is no room for anything.
class FullDisk : public ::testing::Test, protected SegmentRig {
 protected:
  FullDisk() : SegmentRig("/dev/shm") {}
  ~FullDisk() override { store.reset(); }
  void SetUp() override {
    ASSERT_TRUE(open().ok());
    put_many(0, 100, now());
    tend();
    ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  }
  // Upkeep while nothing can be written; what it says of that is not looked at here.
  void tend_in_vain() {
    disk_.fail_at(1, Fault::kFull, /*for_ever=*/true);
    for (int i = 0; i < 20; ++i) {
      static_cast<void>(store->tend(clock.mono()).ok());
      clock.advance(Seconds(1));
    }
    disk_.heal();
  }

  FaultVfs disk_;
};

TEST_F(FullDisk, IsNoReasonToForgetThatASegmentIsDamaged) {
  std::string path;
  std::int64_t seq = 0;
  for (const SegmentInfo& info : store->segments().catalog().segments()) {
    const bool rows = info.family == SegmentFamily::kRows;
    if (rows && info.state == SegmentState::kSealed) {
      path = store->segments().catalog().path_of(info);
      seq = info.seq;
    }
  }
  store->segments().report_damage(seq, Status(Code::kCorrupt, path + ": damaged"));
  tend_in_vain();
  ASSERT_EQ(in_state(SegmentState::kSetAside), 0u);
  tend();
  EXPECT_EQ(in_state(SegmentState::kSetAside), 1u);
  EXPECT_FALSE(std::filesystem::exists(path));
}

// There is no room to note that it expires, and a reader keeps its file: it is tried again.
TEST_F(FullDisk, CountsWhatExpiresOnceHoweverOftenItIsTried) {
  clock.advance(Hours(119) + std::chrono::minutes(50));
  tend();
  ASSERT_EQ(in_state(SegmentState::kSealed), 1u);
  auto pins = LockFile::open(options.store.path + "/pins", O_RDONLY);
  ASSERT_TRUE(pins.ok());
  for (const SegmentInfo& info : store->segments().catalog().segments()) {
    ASSERT_TRUE((*pins)->try_share(info.seq).ok());
  }
  clock.advance(std::chrono::minutes(11));
  tend_in_vain();
  EXPECT_EQ(in_state(SegmentState::kSealed), 1u);
  EXPECT_EQ(store->segments().totals().purged_invocations, 100u);
  pins->reset();
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealed), 0u);
  EXPECT_EQ(store->segments().totals().purged_invocations, 100u);
}

INSTANTIATE_TEST_SUITE_P(Faults, SegmentFault,
                         ::testing::Combine(::testing::Values(Fault::kIo, Fault::kFull,
                                                              Fault::kShortWrite),
                                            ::testing::Bool()));

}  // namespace
}  // namespace phlower
