// Each move in the life of a segment, with the crash right before it that the page tells of, and
// the rules of which segments take rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "phlower/segment/seal.hpp"
#include "phlower/segment/verify.hpp"
#include "support/fault_vfs.hpp"
#include "support/made_backlog.hpp"
#include "support/segment_rig.hpp"
#include "support/store_content.hpp"

namespace phlower {
namespace {

using testing::Fault;
using testing::FaultVfs;
using ::testing::HasSubstr;
using testing::SegmentRig;
using testing::uuid_of;

class SegmentSteps : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override { ASSERT_TRUE(open().ok()); }

  std::vector<SegmentInfo> stored(SegmentState state, SegmentFamily family = SegmentFamily::kRows) {
    std::vector<SegmentInfo> found;
    auto catalog = Catalog::open(options.store.path, false);
    EXPECT_TRUE(catalog.ok()) << catalog.status().message();
    if (!catalog.ok()) return found;
    for (const SegmentInfo& info : catalog->segments()) {
      if (info.state == state && info.family == family) found.push_back(info);
    }
    return found;
  }
  std::string path_of(const SegmentInfo& info) {
    return options.store.path + "/" + segment_name(info.family, info.seq);
  }
  /// The store is closed; the catalog goes on without it, as far as it came before the crash.
  void edit(const SegmentEdit& edit) {
    auto catalog = Catalog::open(options.store.path, true);
    ASSERT_TRUE(catalog.ok());
    const Status status = catalog->apply(edit);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  /// Single steps of the upkeep until a segment of rows is in this state.
  void tend_until(SegmentState state) {
    for (int i = 0; i < 2000 && in_state(state) == 0; ++i) {
      ASSERT_TRUE(store->tend(clock.mono()).ok());
      clock.advance(Milliseconds(25));
    }
    ASSERT_GT(in_state(state), 0u);
  }
  bool said_that(const std::string& part) {
    return ::testing::Value(said, ::testing::Contains(HasSubstr(part)));
  }
  static RingPositions positions(std::uint32_t used) {
    RingPositions made;
    made.ring[0] = 9;
    made.chunks = {{3, 9, used}};
    return made;
  }
};

// T1.
TEST_F(SegmentSteps, AFileThatWasMadeAndNotEnteredIsRemovedAndItsNumberUsedUp) {
  const std::int64_t next = store->segments().catalog().next_seq();
  store.reset();
  SegmentInfo made;
  made.seq = next;
  ASSERT_TRUE(segment_file::create(path_of(made), SegmentFamily::kRows, 0).ok());
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(std::filesystem::exists(path_of(made)));
  EXPECT_FALSE(std::filesystem::exists(options.store.path + "/quarantine"));
  EXPECT_GT(store->segments().catalog().next_seq(), next);
  reopen();
  EXPECT_GT(store->segments().catalog().next_seq(), next);
}

// T2: what was carried into the spare is older by the time of the next try.
TEST_F(SegmentSteps, PositionsThatWereCarriedIntoASpareAreCarriedAgain) {
  put_many(0, 80, now());
  tend();
  const std::vector<SegmentInfo> spares = stored(SegmentState::kSpare);
  ASSERT_EQ(spares.size(), 1u);
  store.reset();
  {
    auto spare = RowsWriter::open(path_of(spares[0]), spares[0].seq, options.store, 1 << 20);
    ASSERT_TRUE(spare.ok());
    RingPositions old = positions(5);
    old.lanes = {{4, 4, 4}};  // of a lane that has been given back since
    ASSERT_TRUE((*spare)->begin().ok());
    ASSERT_TRUE((*spare)->save_positions(old).ok());
    ASSERT_TRUE((*spare)->commit().ok());
  }
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(store->begin().ok());
  ASSERT_TRUE(store->save_positions(positions(70)).ok());
  ASSERT_TRUE(store->commit().ok());
  put_many(100, 30, now());
  tend();
  ASSERT_EQ(stored(SegmentState::kWriting).front().seq, spares[0].seq);
  const auto loaded = store->load_positions(positions(0).ring);
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->chunks.size(), 1u);
  EXPECT_EQ(loaded->chunks[0].used, 70u);
  EXPECT_TRUE(loaded->lanes.empty());
}

// T3.
TEST_F(SegmentSteps, ThreeEarlierSpansAtMostTakeRowsAndTheNextYoungerTakesTheRest) {
  for (int i = 0; i < 8; ++i) {
    put_many(static_cast<std::uint64_t>(i) * 10, 5, now() - 3600.0 * (10 + 12 * i));
    EXPECT_LE(in_state(SegmentState::kLate), 3u);
    EXPECT_LE(in_state(SegmentState::kLate, SegmentFamily::kDetails), 3u);
  }
  EXPECT_EQ(in_state(SegmentState::kLate), 3u);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(get(uuid_of(static_cast<std::uint64_t>(i) * 10 + 2))) << i;
  }
  std::int64_t before = 0;
  for (const SegmentInfo& late : stored(SegmentState::kLate)) {
    EXPECT_LT(late.from_us, late.until_us);
    EXPECT_NE(late.from_us, before);
    before = late.from_us;
  }
}

// T6: some steps of sealing were done. Also after the last of them.
TEST_F(SegmentSteps, SealingAgainFromAnyOfItsStepsIsRight) {
  options.store.segment_rows = 400;
  for (int steps = 0, done = 0; done < 2; ++steps) {
    SCOPED_TRACE(std::to_string(steps) + " steps");
    std::filesystem::remove_all(options.store.path);
    reopen();
    put_many(0, 400, now());
    tend_until(SegmentState::kSealing);
    const SegmentInfo sealing = stored(SegmentState::kSealing).front();
    store.reset();
    {
      Sealing job(path_of(sealing), sealing.family, options.store);
      for (int i = 0; i < steps; ++i) {
        const auto step = job.step();
        ASSERT_TRUE(step.ok()) << step.status().message();
        if (*step && ++done > 0) break;
      }
    }
    ASSERT_TRUE(open().ok());
    tend();
    const std::vector<SegmentInfo> sealed = stored(SegmentState::kSealed);
    ASSERT_EQ(sealed.size(), 1u);
    EXPECT_EQ(sealed[0].seq, sealing.seq);
    EXPECT_EQ(sealed[0].rows, 400u);
    const Status whole = verify_segment(store->segments().catalog(), sealed[0]);
    EXPECT_TRUE(whole.ok()) << whole.message();
    for (std::uint64_t i = 0; i < 400; i += 37) EXPECT_TRUE(get(uuid_of(i))) << i;
    if (steps > 5 && done == 0) steps += 12;  // 64 parts are merged alike
    ASSERT_LT(steps, 200) << "sealing has no end";
  }
}

// T8, from expiring: with the file still there, and without it.
TEST_F(SegmentSteps, WhatWasExpiringGoesWithoutALoss) {
  for (const bool unlinked : {false, true}) {
    put_many(unlinked ? 1000 : 0, 100, now());
    tend();
    const SegmentInfo sealed = stored(SegmentState::kSealed).front();
    store.reset();
    edit({Move::kExpire, sealed});
    if (unlinked) std::filesystem::remove(path_of(sealed));
    ASSERT_TRUE(open().ok());
    tend();
    EXPECT_FALSE(std::filesystem::exists(path_of(sealed)));
    EXPECT_TRUE(stored(SegmentState::kExpiring).empty());
    EXPECT_EQ(store->segments().totals().set_aside, 0u);
    EXPECT_FALSE(said_that("missing"));
  }
}

// T8 and T11 from sealed: the disk had no room to note T7.
TEST_F(SegmentSteps, AnExpiredFileGoesThoughTheDiskHasNoRoomToNoteIt) {
  store.reset();
  for (const bool killed : {false, true}) {
    FaultVfs faults;
    ASSERT_TRUE(open().ok());
    put_many(killed ? 1000 : 0, 100, now());
    tend();
    const SegmentInfo sealed = stored(SegmentState::kSealed).front();
    clock.advance(Hours(121));
    faults.fail_at(1, Fault::kFull, /*for_ever=*/true);
    for (int i = 0; i < 200 && std::filesystem::exists(path_of(sealed)); ++i) {
      static_cast<void>(store->tend(clock.mono()));  // also what it cannot note
      clock.advance(Milliseconds(25));
    }
    EXPECT_FALSE(std::filesystem::exists(path_of(sealed)));
    EXPECT_EQ(stored(SegmentState::kSealed).size(), 1u) << "as the catalog has it";
    if (killed) store.reset();
    faults.heal();
    if (killed) {
      ASSERT_TRUE(open().ok());
    }
    tend();
    EXPECT_TRUE(stored(SegmentState::kSealed).empty());
    EXPECT_EQ(store->segments().totals().set_aside, 0u);
    EXPECT_FALSE(said_that("missing"));
    store.reset();
  }
}

// T9: the file was adopted, and that it was is not noted yet.
TEST_F(SegmentSteps, AnAdoptedFileThatHasGoneIsNotMissedAfterACrashRightBehindItsAdoption) {
  options.store.adopt = dir / "old.db";
  testing::BacklogPlan plan;
  plan.now = now();
  ASSERT_TRUE(testing::BacklogMaker::make(options.store.adopt, plan).ok());
  reopen();
  ASSERT_EQ(in_state(SegmentState::kAdopted), 1u);
  testing::exec(store->segments().catalog().db(),
                "DELETE FROM phlower_state WHERE key LIKE 'adopted:%'");
  reopen();
  clock.advance(Hours(150));
  tend();
  ASSERT_FALSE(std::filesystem::exists(options.store.adopt));
  reopen();
  EXPECT_EQ(in_state(SegmentState::kAdopted), 0u);
}

// T11.
TEST_F(SegmentSteps, AFileThatSomebodyTookIsToldAsALossUnlessItsTimeIsOver) {
  for (const bool expired : {false, true}) {
    put_many(expired ? 1000 : 0, 100, now());
    tend();
    const SegmentInfo sealed = stored(SegmentState::kSealed).front();
    ASSERT_EQ(sealed.rows, 100u);
    store.reset();
    if (expired) clock.advance(Hours(121));
    std::filesystem::remove(path_of(sealed));
    said.clear();
    ASSERT_TRUE(open().ok());
    EXPECT_EQ(said_that(path_of(sealed) + ": this segment is missing; 100 rows are lost"),
              !expired);
    EXPECT_EQ(store->segments().totals().set_aside, expired ? 0u : 1u);
    EXPECT_TRUE(stored(SegmentState::kSealed).empty());
  }
}

// T12, writing.
TEST_F(SegmentSteps, AnEmptySegmentTakesTheSpanOfNowAgain) {
  const SegmentInfo before = stored(SegmentState::kWriting).front();
  for (const Nanoseconds leap : {Nanoseconds(Hours(40)), -Nanoseconds(Hours(80))}) {
    clock.jump_wall(leap);
    tend();
    const SegmentInfo after = stored(SegmentState::kWriting).front();
    EXPECT_EQ(after.seq, before.seq);
    EXPECT_LE(after.from_us, to_us(now()));
    EXPECT_GT(after.until_us, to_us(now()));
  }
  put_many(0, 5, now());
  EXPECT_EQ(store->segments().totals().late, 0u) << "it is of now";
}

// T12, late: it was made late and could not be opened then.
TEST_F(SegmentSteps, AnIdleLateSegmentTakesTheSpanOfTheNextRowThatNeedsOne) {
  store.reset();
  SegmentInfo late;
  late.seq = 40;
  ASSERT_TRUE(segment_file::create(path_of(late), SegmentFamily::kRows, to_us(now())).ok());
  edit({Move::kMake, late});
  ASSERT_TRUE(open().ok());
  auto other = Catalog::open(options.store.path, true);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->apply({Move::kTakeLate, late}).ok());
  tend();
  const double then = now() - 3600.0 * 50;
  put_many(0, 5, then);
  const std::vector<SegmentInfo> taken = stored(SegmentState::kLate);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].seq, 40);
  EXPECT_LE(taken[0].from_us, to_us(then));
  EXPECT_GT(taken[0].until_us, to_us(then));
  EXPECT_TRUE(get(uuid_of(3)));
}

}  // namespace
}  // namespace phlower
