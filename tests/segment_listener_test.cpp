// Who listens to a data folder hears of each segment that is sealed and of each that goes, and can
// keep a copy of all that ever was: across kills, restarts, and the work of other processes.
#include "phlower/segment/folder_listener.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "phlower/segment/verify.hpp"
#include "support/segment_rig.hpp"
#include "support/syscall_killer.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::SegmentRig;
using testing::TempDir;
using testing::uuid_of;

/// Notes each call, and that the catalog on the disk says so already.
class Heard final : public FolderListener {
 public:
  explicit Heard(std::string folder) : folder_(std::move(folder)) {}
  void sealed(const SegmentInfo& segment) noexcept override {
    sealed_seqs.push_back(segment.seq);
    EXPECT_EQ(stored(segment), SegmentState::kSealed);
    EXPECT_TRUE(std::filesystem::exists(path_of(segment))) << segment.seq;
  }
  void gone(const SegmentInfo& segment) noexcept override {
    gone_seqs.push_back(segment.seq);
    const bool aside = segment.state == SegmentState::kSetAside;
    EXPECT_EQ(stored(segment), aside ? SegmentState::kSetAside : SegmentState::kNone);
    EXPECT_FALSE(std::filesystem::exists(path_of(segment))) << segment.seq;
  }
  std::vector<std::int64_t> sealed_seqs;
  std::vector<std::int64_t> gone_seqs;

 private:
  std::string path_of(const SegmentInfo& segment) const {
    return folder_ + "/" + segment_name(segment.family, segment.seq);
  }
  SegmentState stored(const SegmentInfo& segment) const {
    const auto catalog = Catalog::open(folder_, false);
    EXPECT_TRUE(catalog.ok());
    const SegmentInfo* info = catalog.ok() ? catalog->find(segment.seq) : nullptr;
    return info != nullptr ? info->state : SegmentState::kNone;
  }
  std::string folder_;
};

class SegmentListener : public ::testing::Test, protected SegmentRig {
 protected:
  void SetUp() override {
    listeners = {&heard};
    ASSERT_TRUE(open().ok());
  }
  std::vector<std::int64_t> sealed_now() {
    std::vector<std::int64_t> seqs;
    for (const SegmentInfo& info : store->sealed_segments()) seqs.push_back(info.seq);
    return seqs;
  }
  Heard heard{dir / "data"};
};

TEST_F(SegmentListener, HearsOfEachSegmentOnceWhenItIsSealedAndWhenItGoes) {
  for (std::uint64_t first = 0; first < 300; first += 100) {
    put_many(first, 100, now());
    tend();
  }
  EXPECT_EQ(heard.sealed_seqs.size(), 6u) << "three of each family";
  EXPECT_THAT(sealed_now(), ::testing::UnorderedElementsAreArray(heard.sealed_seqs));
  EXPECT_TRUE(heard.gone_seqs.empty());
  clock.advance(Hours(121));
  tend();
  EXPECT_THAT(heard.gone_seqs, ::testing::UnorderedElementsAreArray(heard.sealed_seqs));
  EXPECT_TRUE(store->sealed_segments().empty());
}

TEST_F(SegmentListener, HearsNothingAgainAtAStartAndCanAskForTheList) {
  put_many(0, 100, now());
  tend();
  const std::vector<std::int64_t> before = heard.sealed_seqs;
  ASSERT_EQ(before.size(), 2u);
  reopen();
  tend();
  EXPECT_EQ(heard.sealed_seqs, before);
  EXPECT_THAT(sealed_now(), ::testing::UnorderedElementsAreArray(before));
}

TEST_F(SegmentListener, HearsThatAnotherProcessLetASegmentGo) {
  put_many(0, 100, now());
  tend();
  auto other = Catalog::open(options.store.path, true);
  ASSERT_TRUE(other.ok());
  const SegmentInfo sealed = store->sealed_segments().front();
  ASSERT_TRUE(other->apply({Move::kExpire, sealed}).ok());
  ASSERT_TRUE(std::filesystem::remove(other->path_of(sealed)));
  ASSERT_TRUE(other->forget({sealed.seq}).ok());
  tend();
  EXPECT_EQ(heard.gone_seqs, std::vector<std::int64_t>{sealed.seq});
}

TEST_F(SegmentListener, HearsOfWhatWentWhileNoEngineRanOrWasDamaged) {
  put_many(0, 100, now());
  tend();
  put_many(100, 100, now());
  tend();
  const std::vector<SegmentInfo> sealed = store->sealed_segments();
  ASSERT_EQ(sealed.size(), 4u);
  const std::string folder = options.store.path + "/";
  store.reset();
  std::filesystem::remove(folder + segment_name(sealed[0].family, sealed[0].seq));
  const auto rows = std::find_if(sealed.begin() + 1, sealed.end(), [](const SegmentInfo& info) {
    return info.family == SegmentFamily::kRows;
  });
  ASSERT_NE(rows, sealed.end());
  std::ofstream(folder + segment_name(rows->family, rows->seq)) << std::string(9000, '\x5a');
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(get(uuid_of(5000)));
  tend();
  EXPECT_EQ(heard.gone_seqs, (std::vector<std::int64_t>{sealed[0].seq, rows->seq}));
}

TEST_F(SegmentListener, HearsNothingOfSegmentsThatNeverWereComplete) {
  put_many(0, 80, now());  // there is a spare, too
  tend();
  store.reset();
  std::filesystem::remove_all(options.store.path + "/quarantine");
  for (const auto& entry : std::filesystem::directory_iterator(options.store.path)) {
    if (entry.path().filename().string().starts_with("inv-")) std::filesystem::remove(entry);
  }
  ASSERT_TRUE(open().ok());
  tend();
  EXPECT_TRUE(heard.sealed_seqs.empty());
  EXPECT_TRUE(heard.gone_seqs.empty());
}

// -- A copy of all that ever was ----------------------------------------------------------------

/// Keeps what is sealed by a second name of its file. What its calls did not reach, because the
/// process ended, it finds in the list at the next start.
class KeepsCopies final : public FolderListener {
 public:
  KeepsCopies(std::string folder, std::string copies)
      : folder_(std::move(folder)), copies_(std::move(copies)) {}
  void start(const SegmentedStore& store) {
    for (const SegmentInfo& info : store.sealed_segments()) sealed(info);
  }
  void sealed(const SegmentInfo& segment) noexcept override {
    if (--calls_left == 0) ::raise(SIGKILL);
    const std::string name = segment_name(segment.family, segment.seq);
    const bool kept = ::link((folder_ + "/" + name).c_str(), (copies_ + "/" + name).c_str()) == 0;
    EXPECT_TRUE(kept || errno == EEXIST) << name;
  }
  void gone(const SegmentInfo&) noexcept override {}

  int calls_left = 0;  // until one before which its process is killed; 0: none

 private:
  std::string folder_;
  std::string copies_;
};

/// What the life came to, in memory that outlives it. Plain seq_cst atomics.
struct Kept {
  std::atomic<int> committed{0};
  std::atomic<bool> finished{false};
};

class CopiedLife : public SegmentRig {
 public:
  static constexpr int kBatch = 20;
  static constexpr int kBatches = 6;

  CopiedLife() : SegmentRig("/dev/shm") {
    options.store.segment_rows = 30;
    copies = dir / "copies";
    std::filesystem::create_directory(copies);
    keeper.emplace(options.store.path, copies);
    listeners = {&*keeper};
  }
  void begin() {
    const Status opened = open();
    ASSERT_TRUE(opened.ok()) << opened.message();
    keeper->start(*store);
  }
  void live(Kept& reached) {
    begin();
    for (int batch = 0; batch < kBatches; ++batch) {
      put_many(static_cast<std::uint64_t>(batch) * kBatch, kBatch, now());
      reached.committed += kBatch;
      tend(2);
      clock.advance(Hours(40));  // three batches later it has expired
      tend(2);
    }
    store.reset();
    reached.finished = true;
  }
  std::set<std::string> ids_in_copies() {
    std::set<std::string> ids;
    for (const auto& entry : std::filesystem::directory_iterator(copies)) {
      const std::string path = entry.path();
      auto db = segment_file::open_for_reading(path, true, 1 << 20);
      EXPECT_TRUE(db.ok()) << db.status().message();
      if (!db.ok()) continue;
      const auto whole = db->query_text("PRAGMA quick_check(1)");
      EXPECT_TRUE(whole.ok() && *whole == "ok") << path;
      if (!entry.path().filename().string().starts_with("inv-")) continue;
      auto select = db->prepare("SELECT id FROM task");
      EXPECT_TRUE(select.ok());
      for (auto row = select->step(); row.ok() && *row; row = select->step()) {
        ids.insert(read_task_id(*select, 0));
      }
    }
    return ids;
  }
  // All that was committed is sealed, and then past its time.
  void verify(int committed) {
    begin();
    for (const Hours pass : {Hours(6), Hours(121)}) {
      clock.advance(pass);
      tend(2);
      clock.advance(Seconds(40));
      tend(2);
    }
    EXPECT_EQ(store->counts().invocations, 0u);
    const std::set<std::string> copied = ids_in_copies();
    for (int i = 0; i < committed; ++i) {
      EXPECT_TRUE(copied.contains(uuid_of(static_cast<std::uint64_t>(i)))) << i << " has no copy";
    }
    store.reset();
  }

  std::string copies;
  std::optional<KeepsCopies> keeper;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kNoKills = true;  // a sanitizer's memory does not go together with ptrace
#else
constexpr bool kNoKills = false;
#endif

/// On memory that children share.
class SegmentCopies : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kNoKills) GTEST_SKIP() << "is run without a sanitizer";
    memory_ =
        ::mmap(nullptr, sizeof(Kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
  }
  ~SegmentCopies() override {
    if (memory_ != nullptr) ::munmap(memory_, sizeof(Kept));
  }
  Kept& reached_anew() { return *new (memory_) Kept; }

 private:
  void* memory_ = nullptr;
};

std::uint64_t live_once(std::uint64_t k, Kept& reached) {
  SCOPED_TRACE("killed before change " + std::to_string(k));
  CopiedLife life;
  const auto killed = testing::run_and_kill(k, [&] { life.live(reached); });
  EXPECT_TRUE(killed.has_value());
  // As long as its clock came, so that what has expired goes now.
  life.clock.advance(Hours(40) * (reached.committed / CopiedLife::kBatch));
  if (killed && (k == 0 || !reached.finished)) life.verify(reached.committed);
  return killed.value_or(0);
}

TEST_F(SegmentCopies, OfAllThatWasSealedAreKeptBeforeWhicheverChangeTheEngineIsKilled) {
  const std::uint64_t changes = live_once(0, reached_anew());
  if (changes == 0) GTEST_SKIP() << "ptrace is not allowed here";
  ASSERT_FALSE(HasFailure()) << "the life itself, without a kill";
  constexpr std::uint64_t kStride = 29;
  int kills = 0;
  for (std::uint64_t k = 1; k <= changes && !HasFailure(); k += kStride, ++kills) {
    live_once(k, reached_anew());
  }
  EXPECT_GT(kills, 20) << "the life had too few changes to prove anything";
}

TEST_F(SegmentCopies, OfASegmentThatWasSealedAndNotToldOfAreKept) {
  bool finished = false;
  int calls = 1;
  for (; !finished && !HasFailure(); ++calls) {
    SCOPED_TRACE("killed in call " + std::to_string(calls));
    CopiedLife life;
    Kept& reached = reached_anew();
    const pid_t child = ::fork();
    if (child == 0) {
      life.keeper->calls_left = calls;
      life.live(reached);
      ::_exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    finished = reached.finished;
    EXPECT_TRUE(finished ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : WIFSIGNALED(status));
    life.clock.advance(Hours(40) * (reached.committed / CopiedLife::kBatch));
    life.verify(reached.committed);
  }
  EXPECT_GT(calls, 8) << "the life sealed too few segments to prove anything";
}

}  // namespace
}  // namespace phlower
