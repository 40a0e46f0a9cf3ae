// Readers of a data folder beside its engine: one view for a whole answer, pins, and what becomes
// of those that stay too long. Locks belong to open files, so one process can play both.
#include "phlower/segment/history_folder.hpp"
#include "phlower/segment/verify.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::SegmentRig;
using testing::uuid_of;

/// A copy of a data folder that was taken while an engine wrote it.
class SegmentCopy : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override {
    options.store.segment_rows = 50;
    ASSERT_TRUE(open().ok());
    put_many(0, 60, now());
    tend();
    for (const SegmentInfo& info : store->segments().catalog().segments()) {
      if (info.state == SegmentState::kSealed && info.family == SegmentFamily::kRows)
        sealed_ = info;
    }
    ASSERT_GT(sealed_.rows, 0u);
    path_ = store->segments().catalog().path_of(sealed_);
    store.reset();
  }
  Status verified(SegmentState state, std::uint64_t rows) {
    auto catalog = Catalog::open(options.store.path, true);
    if (!catalog.ok()) return catalog.status();
    sealed_.state = state;
    sealed_.rows = rows;
    sealed_.checksum = *checksum_of(path_);
    return verify_segment(*catalog, sealed_);
  }
  SegmentInfo sealed_;
  std::string path_;
};

TEST_F(SegmentCopy, IsNotWholeWhereACompleteSegmentHasNotItsRows) {
  EXPECT_TRUE(verified(SegmentState::kSealing, sealed_.rows).ok());
  const Status status = verified(SegmentState::kSealing, sealed_.rows + 1);
  EXPECT_EQ(status.code(), Code::kCorrupt) << status.message();
}

TEST_F(SegmentCopy, DoesNotChangeWhileOnlyItsVersionDoes) {
  auto reader = Catalog::open(options.store.path, false);
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE(*reader->changed());
  auto writer = Catalog::open(options.store.path, true);
  ASSERT_TRUE(writer->apply({Move::kCorrect, sealed_}).ok());
  EXPECT_FALSE(*reader->changed()) << "the same row again";
  sealed_.closed_us += 1;
  ASSERT_TRUE(writer->apply({Move::kCorrect, sealed_}).ok());
  EXPECT_TRUE(*reader->changed());
  EXPECT_EQ(reader->find(sealed_.seq)->closed_us, sealed_.closed_us);
  EXPECT_FALSE(*reader->changed());
}

class SegmentReader : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override {
    const Status status = open();
    ASSERT_TRUE(status.ok()) << status.message();
  }

  void come() {
    auto opened =
        HistoryFolder::open(options.store.path, [](std::int64_t seq, const Status& status) {
          ADD_FAILURE() << "segment " << seq << ": " << status.message();
        });
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    reader_ = *std::move(opened);
  }
  History view() {
    auto history = reader_->history(cutoffs_at(options.retention, clock.wall()));
    EXPECT_TRUE(history.ok()) << history.status().message();
    return history.ok() ? *std::move(history) : History({}, {});
  }
  /// Upkeep for so many seconds, whatever there is to do.
  void tend_for(int seconds) {
    for (int i = 0; i < seconds * 10; ++i) {
      clock.advance(Milliseconds(100));
      ASSERT_TRUE(store->tend(clock.mono()).ok());
    }
  }
  std::size_t sealed_files() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options.store.path)) {
      count +=
          entry.path().filename().string().starts_with("inv-") && entry.path().extension() == ".db";
    }
    return count - 1;  // one is being written
  }
  std::uint64_t longest_log() {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options.store.path)) {
      if (entry.path().string().ends_with("-wal"))
        bytes = std::max<std::uint64_t>(bytes, entry.file_size());
    }
    return bytes;
  }

  std::unique_ptr<HistoryFolder> reader_;
};

TEST_F(SegmentReader, KeepsWhatItReadsUntilItHasFinished) {
  put_many(0, 100, now());
  tend();
  come();
  History reading = view();
  clock.advance(Hours(121));
  tend_for(20);
  EXPECT_EQ(sealed_files(), 1u) << "it is pinned";
  EXPECT_GT(store->segments().pending_bytes(), 0u);
  EXPECT_EQ(store->segments().problem(), "") << "a reader is everyday life";
  const auto found = reading.get(uuid_of(7));
  ASSERT_TRUE(found.ok()) << found.status().message();
  ASSERT_TRUE(found->has_value()) << "the view is as of its beginning";
  EXPECT_EQ((*found)->args, "(1, 'two')");
  EXPECT_FALSE(view().get(uuid_of(7))->has_value()) << "and the next one is of now";
  tend_for(5);
  EXPECT_EQ(sealed_files(), 0u);
}

TEST_F(SegmentReader, IsToldToAskAgainWhenItStayedTooLong) {
  put_many(0, 100, now());
  tend();
  come();
  History reading = view();
  clock.advance(Hours(121));
  tend_for(80);
  EXPECT_EQ(sealed_files(), 0u) << "nobody waits for a reader for ever";
  const auto found = reading.get(uuid_of(7));  // its details are in a file that it had not opened
  EXPECT_EQ(code_name(found.status().code()), code_name(Code::kReload)) << found.status().message();
  const auto again = view().get(uuid_of(7));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_FALSE(again->has_value());
}

TEST_F(SegmentReader, SeesOneMomentAndKeepsNoLogBeyondItsBound) {
  options.store.segment_rows = 1'000'000;
  options.store.wal_soft_bytes = 64 << 10;
  options.store.wal_hard_bytes = 256 << 10;
  reopen();
  put_many(0, 100, now());
  come();
  History reading = view();
  for (std::uint64_t first = 100; first < 6000; first += 100) {
    put_many(first, 100, now());
    ASSERT_TRUE(store->checkpoint().ok());
    tend_for(1);
    ASSERT_LT(longest_log(), 2 * options.store.wal_hard_bytes) << first;
  }
  EXPECT_GT(sealed_files(), 0u) << "the log never reached its bound: nothing is shown";
  Query query;
  query.limit = 10'000;
  const auto seen = reading.list(query);
  ASSERT_TRUE(seen.ok()) << seen.status().message();
  EXPECT_EQ(seen->rows.size(), 100u) << "as of its beginning";
  EXPECT_EQ(view().list(query)->rows.size(), 6000u);
  reader_.reset();
  tend();
  EXPECT_EQ(in_state(SegmentState::kSealing), 0u) << "what the reader held up is done";
  EXPECT_EQ(list(query).size(), 6000u);
}

}  // namespace
}  // namespace phlower
