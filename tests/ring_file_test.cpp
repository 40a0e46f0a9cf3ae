// Making, finding and replacing ring files: each row of the table of what may lie at the path.
#include "phlower/ring/ring_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <functional>

#include "support/ring_fixture.hpp"
#include "support/ring_store.hpp"

namespace phlower {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RingStore;

class RingFile : public ::testing::Test {
 protected:
  Result<std::unique_ptr<RingConsumer>> open() {
    return RingConsumer::open(options_, Durability::kProcess, clock_, store_.loader());
  }
  std::unique_ptr<RingConsumer> must_open() { return testing::must(open()); }

  /// Changes the header of the closed file; with a right checksum if `seal`.
  void edit(const std::function<void(RingIdentity&)>& change, bool seal) {
    const testing::FileBytes bytes(options_.path);
    RingIdentity identity;
    std::memcpy(&identity, bytes.all().data(), sizeof(identity));
    change(identity);
    if (seal) identity.header_crc = identity_crc(identity);
    std::memcpy(bytes.all().data(), &identity, sizeof(identity));
  }

  testing::TempDir dir_{testing::ring_parent()};
  RingOptions options_ = testing::small_ring(dir_ / "ring", 4, 8);
  SystemClock clock_;
  RingStore store_;
};

TEST_F(RingFile, IsMadeWhereThereIsNone) {
  const auto consumer = must_open();
  EXPECT_TRUE(fs::exists(options_.path));
  EXPECT_FALSE(fs::exists(options_.path + ".new"));
  EXPECT_TRUE(consumer->set_aside().empty());
  const auto file = testing::must(LockFile::open(options_.path, O_RDONLY));
  const auto identity = read_identity(*file, options_.path);
  ASSERT_TRUE(identity.ok()) << identity.status().message();
  EXPECT_EQ(identity->chunks, 4u);
  EXPECT_EQ(identity->lanes, 8u);
  EXPECT_EQ(identity->ring_id, consumer->id());
  struct ::stat info {};
  ASSERT_EQ(::stat(options_.path.c_str(), &info), 0);
  EXPECT_GE(static_cast<std::uint64_t>(info.st_blocks) * 512, identity->file_bytes);  // no holes
}

TEST_F(RingFile, IsKeptWhenItFits) {
  const RingId id = must_open()->id();
  EXPECT_EQ(must_open()->id(), id);
}

TEST_F(RingFile, HasOneConsumerAndTheRefusalNamesIt) {
  const auto first = must_open();
  const auto second = open();
  EXPECT_EQ(second.status().code(), Code::kBusy);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(options_.path));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(::getpid())));
}

// Whoever has just taken the lock has not written who it is yet.
TEST_F(RingFile, IsNotSaidToBeInTheHandsOfAConsumerThatHasEnded) {
  static_cast<void>(must_open());
  const auto next = testing::must(LockFile::open(options_.path, O_RDWR));
  ASSERT_TRUE(next->try_lock(kLockConsumer).ok());
  const auto refused = open();
  EXPECT_EQ(refused.status().code(), Code::kBusy);
  const std::string message(refused.status().message());
  EXPECT_THAT(message, HasSubstr(options_.path));
  EXPECT_THAT(message, Not(HasSubstr(std::to_string(::getpid()))));
}

TEST_F(RingFile, OfAnotherBootIsSetAsideForSalvage) {
  const RingId id = must_open()->id();
  edit([](RingIdentity& identity) { identity.boot_id[0] ^= 1; }, true);
  const auto consumer = must_open();
  EXPECT_NE(consumer->id(), id);
  const auto aside = options_.path + "." + to_hex(id) + ".salvage";
  EXPECT_EQ(consumer->set_aside(), std::vector<std::string>{aside});
  EXPECT_TRUE(fs::exists(aside));
}

TEST_F(RingFile, OfAnotherGeometryIsRetiredAndSetAside) {
  const RingId id = must_open()->id();
  options_.lanes = 9;
  const auto consumer = must_open();
  EXPECT_NE(consumer->id(), id);
  ASSERT_EQ(consumer->set_aside().size(), 1u);
  const testing::FileBytes bytes(consumer->set_aside().front());
  EXPECT_EQ(reinterpret_cast<const RingHeader*>(bytes.all().data())->retired, 1u);
}

TEST_F(RingFile, WithADamagedHeaderIsMovedAwayAndReplaced) {
  const RingId id = must_open()->id();
  edit([](RingIdentity& identity) { ++identity.created_ns; }, false);
  EXPECT_NE(must_open()->id(), id);
  EXPECT_TRUE(fs::exists(options_.path + ".bad"));
}

TEST_F(RingFile, OfAnotherVersionIsRefusedAndLeftAlone) {
  const RingId id = must_open()->id();
  edit([](RingIdentity& identity) { identity.version = kRingVersion + 1; }, true);
  const Status refused = open().status();
  EXPECT_EQ(refused.code(), Code::kVersion);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(options_.path));
  EXPECT_FALSE(fs::exists(options_.path + ".bad"));
  edit([](RingIdentity& identity) { identity.version = kRingVersion; }, true);
  EXPECT_EQ(must_open()->id(), id);
}

TEST_F(RingFile, ThatWasTruncatedIsMovedAwayAndReplaced) {
  const RingId id = must_open()->id();
  fs::resize_file(options_.path, fs::file_size(options_.path) - 4096);
  EXPECT_NE(must_open()->id(), id);
  EXPECT_TRUE(fs::exists(options_.path + ".bad"));
}

TEST_F(RingFile, KeepsOnlyTheLastDamagedOne) {
  for (int round = 0; round < 3; ++round) {
    static_cast<void>(must_open());
    edit([](RingIdentity& identity) { ++identity.created_ns; }, false);
  }
  static_cast<void>(must_open());
  int files = 0;
  for (const auto& entry : fs::directory_iterator(dir_.path())) files += entry.is_regular_file();
  EXPECT_EQ(files, 2);
}

TEST_F(RingFile, ThatIsSomethingElseIsLeftAlone) {
  const std::string text(9000, 'x');
  testing::write_file(options_.path, std::as_bytes(std::span(text)));
  EXPECT_EQ(open().status().code(), Code::kNotOurs);
  EXPECT_EQ(fs::file_size(options_.path), 9000u);
  testing::write_file(options_.path, std::as_bytes(std::span(text)).first(10));
  EXPECT_EQ(open().status().code(), Code::kNotOurs);
  fs::remove(options_.path);
  fs::create_directory(options_.path);
  EXPECT_FALSE(open().ok());
  EXPECT_TRUE(fs::is_directory(options_.path));
}

TEST_F(RingFile, IsMadeOverTheLeftoverOfAKilledMaker) {
  const std::string text(100'000, 'x');
  testing::write_file(options_.path + ".new", std::as_bytes(std::span(text)));
  const auto consumer = must_open();
  EXPECT_FALSE(fs::exists(options_.path + ".new"));
  EXPECT_EQ(consumer->stats().chunks_in_use, 0u);
}

TEST_F(RingFile, IsNotMadeWhileAnotherProcessMakesIt) {
  const auto maker = testing::must(LockFile::open(options_.path + ".new", O_RDWR | O_CREAT, 0600));
  ASSERT_TRUE(maker->try_lock(kLockInit).ok());
  EXPECT_EQ(open().status().code(), Code::kBusy);
  EXPECT_FALSE(fs::exists(options_.path));
}

// Between the open and the lock of a maker another one was done, and its engine went again.
TEST_F(RingFile, IsNotMadeOfAFileThatBecameTheRingInTheMeantime) {
  const auto late = testing::must(LockFile::open(options_.path + ".new", O_RDWR | O_CREAT, 0600));
  static_cast<void>(must_open());
  const auto producer = testing::must(testing::attach_small(options_, clock_));
  ASSERT_TRUE(producer->submit(testing::make_content({0, 1}).view()).ok());
  const auto identity = testing::must(wanted_identity(options_, Durability::kProcess));
  const auto boot = testing::must(current_boot_id());
  const Status made =
      ring_file_detail::make_whole(*late, options_.path, identity, boot, 0600, clock_.wall());
  EXPECT_EQ(made.code(), Code::kBusy);
  EXPECT_EQ(testing::move_all(*must_open(), store_), 1u) << "what waits in it is still there";
}

TEST_F(RingFile, ThatSomebodyElsePutThereFirstStaysAndNothingIsLeftBesideIt) {
  const auto identity = testing::must(wanted_identity(options_, Durability::kProcess));
  const auto boot = testing::must(current_boot_id());
  const auto made = prepare_ring(options_.path, identity, boot, 0600, clock_.wall());
  ASSERT_TRUE(made.ok()) << made.status().message();
  const std::string text = "of another process";
  testing::write_file(options_.path, std::as_bytes(std::span(text)));
  const Status published = publish_ring(options_.path);
  EXPECT_EQ(published.code(), Code::kBusy);
  EXPECT_THAT(std::string(published.message()), HasSubstr(options_.path));
  EXPECT_EQ(fs::file_size(options_.path), text.size());
  EXPECT_FALSE(fs::exists(options_.path + ".new")) << "it takes the room of a whole ring";
}

TEST_F(RingFile, LetsInWhomTheOptionsNameWhateverTheUmask) {
  const auto mode = [this] {
    struct ::stat info {};
    EXPECT_EQ(::stat(options_.path.c_str(), &info), 0);
    return info.st_mode & 0777;
  };
  const mode_t before = ::umask(0077);
  for (const auto& [access, wanted] : {std::pair{FileAccess::kOwner, 0600u},
                                       {FileAccess::kGroup, 0660u},
                                       {FileAccess::kAll, 0666u}}) {
    options_.access = access;
    fs::remove(options_.path);
    static_cast<void>(must_open());
    EXPECT_EQ(mode(), wanted);
    for (const mode_t other : {0640u, 0666u}) {  // made with other options
      ASSERT_EQ(::chmod(options_.path.c_str(), other), 0);
      static_cast<void>(must_open());
      EXPECT_EQ(mode(), wanted);
    }
  }
  ::umask(before);
}

TEST_F(RingFile, WithoutRoomNamesPathNeedAndFree) {
  options_.size_bytes = 1ull << 37;
  options_.chunk_bytes = 256 << 10;
  const auto opened = open();
  EXPECT_EQ(opened.status().code(), Code::kDiskFull);
  const std::string message(opened.status().message());
  EXPECT_THAT(message, HasSubstr(options_.path));
  EXPECT_THAT(message, HasSubstr("needs 1374"));
  EXPECT_THAT(message, HasSubstr("free"));
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

TEST_F(RingFile, WithoutRoomForItsSuccessorStaysAsItIs) {
  const auto mount_point = dir_ / "tiny";
  fs::create_directory(mount_point);
  if (::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=128k") != 0) {
    GTEST_SKIP() << "cannot mount a tmpfs here";
  }
  options_.path = mount_point + "/ring";
  const RingId id = must_open()->id();
  options_.size_bytes *= 3;
  const auto opened = open();
  EXPECT_EQ(opened.status().code(), Code::kDiskFull);
  options_.size_bytes /= 3;
  EXPECT_EQ(must_open()->id(), id);
  ASSERT_EQ(::umount(mount_point.c_str()), 0);
}

TEST_F(RingFile, InMemoryIsRefusedForPowerDurability) {
  if (!on_memory_file_system(options_.path)) GTEST_SKIP() << "no tmpfs here";
  const auto opened = RingConsumer::open(options_, Durability::kPower, clock_, store_.loader());
  EXPECT_EQ(opened.status().code(), Code::kInvalidConfig);
}

TEST_F(RingFile, PassesOnWhatTheStoreSays) {
  const auto opened = RingConsumer::open(
      options_, Durability::kProcess, clock_,
      [](const RingId&) -> Result<RingPositions> { return Status(Code::kCorrupt, "no table"); });
  EXPECT_EQ(opened.status().message(), "no table");
  EXPECT_TRUE(open().ok());  // the lock was given back
}

TEST_F(RingFile, IsNotFoundByProducersBeforeTheEngineMadeIt) {
  const auto attach = [&] { return testing::attach_small(options_, clock_).status().code(); };
  EXPECT_EQ(attach(), Code::kNotFound);
  static_cast<void>(must_open());
  EXPECT_EQ(attach(), Code::kOk);
  edit([](RingIdentity& identity) { identity.boot_id[0] ^= 1; }, true);
  EXPECT_EQ(attach(), Code::kNotFound);
}

TEST(ProcessStat, IsReadPastAnyName) {
  const auto stat =
      parse_process_stat("77 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 3 0 98765 1 2\n");
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->threads, 3u);
  EXPECT_EQ(stat->start_time, 98765u);
  EXPECT_FALSE(parse_process_stat("77 (a) S 1 2 3").has_value());
  EXPECT_FALSE(parse_process_stat("").has_value());
}

TEST(ProcessAlive, KnowsThisProcessAndNoEarlierOneOfItsPid) {
  const ProcessIdentity me = current_process();
  EXPECT_TRUE(process_alive(me.pid, me.start_time));
  EXPECT_FALSE(process_alive(me.pid, me.start_time - 1));
  EXPECT_FALSE(process_alive(0, 0));
}

TEST(LockFile, ConflictsBetweenDescriptionsOfOneProcess) {
  const testing::TempDir dir;
  const auto first = testing::must(LockFile::open(dir / "f", O_RDWR | O_CREAT, 0600));
  const auto second = testing::must(LockFile::open(dir / "f", O_RDWR));
  EXPECT_TRUE(first->try_lock(lane_lock(3)).ok());
  EXPECT_EQ(second->try_lock(lane_lock(3)).code(), Code::kBusy);
  EXPECT_TRUE(second->try_lock(lane_lock(4)).ok());
  first->unlock(lane_lock(3));
  EXPECT_TRUE(second->try_lock(lane_lock(3)).ok());
}

TEST(LockFile, NoticesThatItsNumberBelongsToAnother) {
  const testing::TempDir dir;
  auto first = testing::must(LockFile::open(dir / "f", O_RDWR | O_CREAT, 0600));
  EXPECT_TRUE(first->intact());
  ::close(first->fd());
  EXPECT_FALSE(first->intact());
  const auto second = testing::must(LockFile::open(dir / "f", O_RDWR));
  ASSERT_EQ(second->fd(), first->fd());
  EXPECT_TRUE(first->lost());
  EXPECT_FALSE(second->lost());
  EXPECT_EQ(first->try_lock(lane_lock(1)).code(), Code::kDetached);
  first.reset();
  EXPECT_TRUE(second->intact()) << "it was not the first one's to close";
}

}  // namespace
}  // namespace phlower
