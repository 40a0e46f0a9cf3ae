// Reading rings that were set aside: after a power loss that left pages of any age, and while the
// last producers of a retired ring are still on it.
#include "phlower/ring/salvage.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <set>

#include "support/ring_fixture.hpp"
#include "support/ring_store.hpp"

namespace phlower {
namespace {

using testing::check_content;
using testing::FileBytes;
using testing::make_content;
using testing::move_batch;
using testing::must;
using testing::Random;
using testing::RingStore;
using Bytes = std::vector<std::byte>;

/// Moves everything a salvage gives now into the store, checking the content of each.
void move_salvage(RingSalvage& salvage, RingStore& store, std::size_t batch_size = 32) {
  while (true) {
    std::vector<RingStore::Row> batch;
    RingRecord got;
    while (batch.size() < batch_size && salvage.next(got)) {
      testing::ContentId id;
      EXPECT_EQ(check_content(got.record, id), "");
      batch.push_back({std::string(got.record.task_id), got.lane, got.sequence, got.record.flags});
    }
    store.commit(batch, salvage.pending());
    salvage.commit();
    if (batch.empty()) return;
  }
}

std::multiset<std::string> ids_of(const RingStore& store) {
  std::multiset<std::string> ids;
  for (const auto& row : store.rows) ids.insert(row.task_id);
  return ids;
}

class Salvage : public ::testing::Test {
 protected:
  void make(std::uint32_t chunks) {
    options_ = testing::small_ring(dir_ / "ring", chunks, 8);
    open();
  }
  void open() {
    consumer_.reset();
    consumer_ = must(RingConsumer::open(options_, Durability::kProcess, clock_, store_.loader()));
  }
  void submit(Producer& producer, std::uint32_t from, std::uint32_t to) {
    for (; from < to; ++from) ASSERT_TRUE(producer.submit(make_content({0, from}).view()).ok());
  }
  Bytes snapshot() { return FileBytes(options_.path).copy(); }

  /// The file as a later boot finds it: its boot is another one.
  std::string after_reboot(Bytes bytes) {
    RingIdentity identity;
    std::memcpy(&identity, bytes.data(), sizeof(identity));
    identity.boot_id[5] ^= 0x55;
    identity.header_crc = identity_crc(identity);
    std::memcpy(bytes.data(), &identity, sizeof(identity));
    const std::string path = dir_ / "ring.salvage";
    testing::write_file(path, bytes);
    return path;
  }
  std::unique_ptr<RingSalvage> salvage(const std::string& path) {
    return must(RingSalvage::open(path, store_.loader()));
  }

  testing::TempDir dir_{testing::ring_parent()};
  RingOptions options_;
  SystemClock clock_;
  RingStore store_;
  std::unique_ptr<RingConsumer> consumer_;
};

TEST_F(Salvage, GivesEveryRecordThatIsNotStored) {
  make(8);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 60);
  move_batch(*consumer_, store_, 25);
  const auto found = salvage(after_reboot(snapshot()));
  move_salvage(*found, store_);
  EXPECT_EQ(found->recovered(), 35u);
  EXPECT_EQ(found->bad_chunks(), 0u);
  const auto ids = ids_of(store_);
  EXPECT_EQ(ids.size(), 60u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 60u);
}

TEST_F(Salvage, IsDoneOnceAllIsCommittedAndThenRemovesTheFile) {
  make(4);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 3);
  const std::string path = after_reboot(snapshot());
  const auto found = salvage(path);
  EXPECT_FALSE(found->done());
  EXPECT_EQ(found->remove().code(), Code::kBusy);
  RingRecord got;
  while (found->next(got)) {
  }
  EXPECT_FALSE(found->done()) << "read but not committed";
  store_.commit({}, found->pending());
  found->commit();
  EXPECT_TRUE(found->done());
  EXPECT_TRUE(found->remove().ok());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Salvage, GivesTheRestAfterItWasKilledInTheMiddle) {
  make(8);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 60);
  const std::string path = after_reboot(snapshot());
  for (int life = 0; life < 20; ++life) {
    const auto found = salvage(path);
    RingRecord got;
    std::vector<RingStore::Row> batch;
    for (int i = 0; i < 7 && found->next(got); ++i) {
      batch.push_back({std::string(got.record.task_id), got.lane, got.sequence, 0});
    }
    if (life % 3 == 0) continue;  // killed before the COMMIT
    store_.commit(batch, found->pending());
  }
  const auto ids = ids_of(store_);
  EXPECT_EQ(ids.size(), 60u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 60u);
}

TEST_F(Salvage, GivesTheSameRecordsAgainAfterARollback) {
  make(4);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 20);
  const auto found = salvage(after_reboot(snapshot()));
  RingRecord got;
  while (found->next(got)) {
  }
  found->rollback();
  EXPECT_FALSE(found->done());
  move_salvage(*found, store_);
  EXPECT_EQ(store_.rows.size(), 20u);
  const RingPositions stored = store_.positions(found->id());
  ASSERT_EQ(stored.lanes.size(), 1u);
  EXPECT_EQ(stored.lanes[0].delivered, 20u);
  EXPECT_EQ(stored.lanes[0].last_sequence, 20u);
}

// A flush slice that found nothing to store ends with a rollback.
TEST_F(Salvage, IsDoneThoughTheLastLookFoundNothingAndWasRolledBack) {
  make(4);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 20);
  const auto found = salvage(after_reboot(snapshot()));
  RingRecord got;
  std::vector<RingStore::Row> batch;
  while (batch.size() < 20 && found->next(got)) {
    batch.push_back({std::string(got.record.task_id), got.lane, got.sequence, got.record.flags});
  }
  ASSERT_EQ(batch.size(), 20u);
  store_.commit(batch, found->pending());
  found->commit();
  EXPECT_FALSE(found->done()) << "it has not seen the end";
  EXPECT_FALSE(found->next(got));
  found->rollback();
  EXPECT_TRUE(found->done());
  EXPECT_FALSE(found->next(got));
}

TEST_F(Salvage, IgnoresTheControlWordsAfterAPowerLoss) {
  make(4);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 20);
  Bytes bytes = snapshot();
  RingIdentity identity;
  std::memcpy(&identity, bytes.data(), sizeof(identity));
  std::memset(bytes.data() + identity.ctl_off, 0, identity.chunks * kCtlStride);
  move_salvage(*salvage(after_reboot(bytes)), store_);
  EXPECT_EQ(store_.rows.size(), 20u);
}

TEST_F(Salvage, GoesOnBehindADamagedRecord) {
  make(4);
  const auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 10);
  Bytes bytes = snapshot();
  RingIdentity identity;
  std::memcpy(&identity, bytes.data(), sizeof(identity));
  bytes[identity.data_off + 100] ^= std::byte{4};
  const auto found = salvage(after_reboot(bytes));
  move_salvage(*found, store_);
  EXPECT_EQ(store_.rows.size(), 9u);
  EXPECT_EQ(found->bad_chunks(), 1u);
}

TEST_F(Salvage, GivesFreedRecordsAgainWhenTheStoreWasSetBack) {
  make(2);
  const auto producer = must(testing::attach_small(options_, clock_));
  std::uint32_t count = 0;
  while (producer->submit(make_content({0, count}).view()).ok()) ++count;
  const RingStore before = store_;
  testing::move_all(*consumer_, store_);
  EXPECT_EQ(consumer_->stats().chunks_in_use, 0u);
  store_ = before;
  move_salvage(*salvage(after_reboot(snapshot())), store_);
  EXPECT_EQ(store_.rows.size(), count);
}

TEST_F(Salvage, RefusesAFileWithADamagedHeader) {
  make(2);
  Bytes bytes = snapshot();
  bytes[0x41] ^= std::byte{1};  // the ring's id, that all checksums begin with
  const std::string path = dir_ / "x.salvage";
  testing::write_file(path, bytes);
  EXPECT_EQ(RingSalvage::open(path, store_.loader()).status().code(), Code::kCorrupt);
}

TEST_F(Salvage, WaitsForTheLastProducerOfARetiredRing) {
  make(4);
  auto stays = must(testing::attach_small(options_, clock_));
  submit(*stays, 0, 3);
  options_.lanes = 5;
  open();
  ASSERT_EQ(consumer_->set_aside().size(), 1u);
  const auto found = salvage(consumer_->set_aside().front());
  move_salvage(*found, store_);
  EXPECT_EQ(store_.rows.size(), 3u);
  EXPECT_FALSE(found->done());
  submit(*stays, 3, 4);  // goes to the new ring, and so leaves the old one
  move_salvage(*found, store_);
  EXPECT_EQ(store_.rows.size(), 3u);
  EXPECT_TRUE(found->done());
  EXPECT_TRUE(found->remove().ok());
}

TEST_F(Salvage, WaitsForAProducerThatOnlyLostItsLock) {
  make(4);
  const auto stays = must(testing::attach_small(options_, clock_));
  submit(*stays, 0, 3);
  const auto thief = must(LockFile::open(options_.path, O_RDWR));
  std::vector<int> others;
  for (int fd = 3; fd < 64; ++fd) {
    struct ::stat info {};
    const bool same = ::fstat(fd, &info) == 0 && info.st_ino == thief->inode();
    if (same && fd != thief->fd()) others.push_back(fd);
  }
  ASSERT_EQ(others.size(), 2u);  // consumer and producer
  ::close(others.back());
  ASSERT_TRUE(thief->try_lock(lane_lock(stays->lane())).ok());
  thief->unlock(lane_lock(stays->lane()));
  options_.lanes = 5;
  open();
  ASSERT_EQ(consumer_->set_aside().size(), 1u);
  const auto found = salvage(consumer_->set_aside().front());
  move_salvage(*found, store_);
  EXPECT_EQ(store_.rows.size(), 3u);
  EXPECT_FALSE(found->done()) << "he may be writing";
}

TEST_F(Salvage, DoesNotGiveWhatWasNotAcceptedInThisBoot) {
  make(4);
  auto producer = must(testing::attach_small(options_, clock_));
  submit(*producer, 0, 3);
  {
    // The third record was written, but its producer died before the swap.
    const FileBytes bytes(options_.path);
    RingIdentity identity;
    std::memcpy(&identity, bytes.all().data(), sizeof(identity));
    const RingView view(bytes.all().data(), identity);
    Ctl ctl = unpack(view.ctl(0).load());
    const auto first = record_span(peek_header(view.chunk(0), 0).length);
    const auto second = record_span(peek_header(view.chunk(0), first).length);
    ctl.used = static_cast<std::uint32_t>((first + second) / 8);
    view.ctl(0).store(pack(ctl));
  }
  producer.reset();
  options_.lanes = 5;
  open();
  const auto found = salvage(consumer_->set_aside().front());
  move_salvage(*found, store_);
  EXPECT_EQ(store_.rows.size(), 2u);
  EXPECT_TRUE(found->done());
}

/// A ring at work, photographed: at each photograph the file and the store as they were.
class PowerLoss : public Salvage {
 protected:
  struct Moment {
    Bytes file;
    RingStore store;
    std::uint32_t submitted = 0;
  };

  std::vector<Moment> live(Random& random) {
    make(5);
    std::vector<std::unique_ptr<Producer>> producers;
    for (int i = 0; i < 2; ++i) producers.push_back(must(testing::attach_small(options_, clock_)));
    std::vector<Moment> moments;
    std::uint32_t number = 0;
    for (int step = 0; step < 200; ++step) {
      Producer& producer = *producers[random.below(2)];
      for (std::uint64_t n = random.below(8); n > 0; --n) {
        if (!producer.submit(make_content({0, number}).view()).ok()) break;
        ++number;
      }
      if (random.one_in(3)) move_batch(*consumer_, store_, random.below(40));
      if (random.one_in(8)) moments.push_back({snapshot(), store_, number});
    }
    return moments;
  }

  /// Each 4 KiB page of the one or the other; the header, which was synced, of neither.
  Bytes mix(const Bytes& a, const Bytes& b, Random& random) {
    Bytes mixed = a;
    for (std::size_t at = 0; at < mixed.size(); at += kPageBytes) {
      if (!random.one_in(2)) continue;
      std::memcpy(mixed.data() + at, b.data() + at, kPageBytes);
    }
    return mixed;
  }
};

TEST_F(PowerLoss, LeavesOnlyGenuineRecordsAndNoneTwice) {
  std::size_t recovered = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Random random(seed);
    store_ = {};
    std::filesystem::remove(dir_ / "ring");
    const auto moments = live(random);
    ASSERT_GT(moments.size(), 4u);
    for (int round = 0; round < 25; ++round) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " round " << round);
      const std::size_t early = random.below(moments.size());
      const std::size_t late = early + random.below(moments.size() - early);
      // The store is as of a commit before the power went, however long before.
      store_ = moments[random.below(late + 1)].store;
      const std::size_t stored = store_.rows.size();
      const auto found =
          salvage(after_reboot(mix(moments[early].file, moments[late].file, random)));
      move_salvage(*found, store_, 1 + random.below(40));
      EXPECT_TRUE(found->done());
      EXPECT_EQ(store_.rows.size(), stored + found->recovered());
      recovered += found->recovered();
      const auto ids = ids_of(store_);
      EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
      for (const auto& id : ids) {
        EXPECT_LT(testing::parse_content_id(id)->number, moments[late].submitted);
      }
    }
  }
  EXPECT_GT(recovered, 1000u);
}

TEST_F(PowerLoss, LosesNothingThatWasSynced) {
  // All pages of the later moment: whatever the store had forgotten or not comes to the same set.
  for (std::uint64_t seed = 20; seed <= 24; ++seed) {
    Random random(seed);
    store_ = {};
    std::filesystem::remove(dir_ / "ring");
    const auto moments = live(random);
    for (const Moment& moment : moments) {
      store_ = moment.store;
      move_salvage(*salvage(after_reboot(moment.file)), store_);
      EXPECT_EQ(ids_of(store_).size(), moment.submitted);
    }
  }
}

}  // namespace
}  // namespace phlower
