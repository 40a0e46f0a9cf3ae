// Bytes of a ring changed at random, before and while it is used: whoever opens, reads, writes or
// salvages it must answer with an error or skip and count, in bounded time; it never crashes, never
// gives a record that nobody offered and never gives one twice. PHLOWER_SEED repeats a run.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ring/layout.hpp"
#include "phlower/ring/salvage.hpp"
#include "phlower/ring/stats.hpp"
#include "support/ring_fixture.hpp"
#include "support/shared_memory.hpp"

namespace phlower::testing {
namespace {

constexpr std::uint32_t kChunks = 8;
constexpr std::uint32_t kLanes = 4;
constexpr int kRounds = kThreadSanitizer || kAddressSanitizer ? 600 : 3000;

/// A ring in mid life: free chunks with old records in them, full ones, owned ones, a journal that
/// knows the first part of it.
class RingFlip : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* text = std::getenv("PHLOWER_SEED");
    seed_ = text != nullptr ? std::strtoull(text, nullptr, 10)
                            : static_cast<std::uint64_t>(std::time(nullptr));
    std::printf("[          ] PHLOWER_SEED=%lu\n", static_cast<unsigned long>(seed_));
    std::fflush(stdout);
    ring_ = small_ring(dir_ / "flip.ring", kChunks, kLanes);
    // In a process that is killed, so that no lane of the image has a living owner: a salvage waits
    // for those, for ever if need be.
    const pid_t child = fork_child([&]() -> int {
      auto consumer = open_consumer(ring_, *journal_, clock_);
      auto first = must(attach_small(ring_, clock_));
      auto second = must(attach_small(ring_, clock_));
      offer(*first, 1, 0, 40);
      offer(*second, 2, 0, 5);
      if (!drain(*consumer, *journal_, 16).empty()) return 1;
      offer(*first, 1, 40, 70);
      offer(*second, 2, 5, 9);
      return ::raise(SIGKILL);
    });
    const int status = wait_for_end(child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    image_ = FileBytes(ring_.path).copy();
  }

  static void offer(Producer& producer, std::uint32_t stream, std::uint32_t from,
                    std::uint32_t to) {
    for (std::uint32_t i = from; i < to; ++i) {
      if (!producer.submit(make_content({stream, i}).view()).ok()) throw std::runtime_error("full");
    }
  }

  /// Runs `round` with numbers and seeds in a child, so that a crash or a loop is a failed round
  /// with a number and not the end of the test program.
  template <class Round>
  void rounds(Round&& round) {
    struct Progress {
      volatile int round;
      char error[400];
    };
    const Shared<Progress> progress;
    const pid_t child = fork_child([&]() -> int {
      for (int i = 0; i < kRounds; ++i) {
        progress->round = i;
        ::alarm(20);  // no round takes a hundredth of that
        Random random(seed_ * 1'000'003 + static_cast<std::uint64_t>(i));
        std::string wrong;
        try {
          wrong = round(random);
        } catch (const std::exception& error) {
          wrong = std::string("exception: ") + error.what();
        }
        if (!wrong.empty()) {
          std::snprintf(progress->error, sizeof(progress->error), "%s", wrong.c_str());
          return 1;
        }
      }
      return 0;
    });
    const int status = wait_for_end(child);
    ASSERT_TRUE(ended_with(status, 0))
        << "round " << progress->round << " of seed " << seed_ << ": " << progress->error
        << (WIFSIGNALED(status) ? " ended by signal " + std::to_string(WTERMSIG(status)) : "");
    EXPECT_EQ(progress->round, kRounds - 1);
  }

  /// Where to do harm: a part of the file, chosen so that small parts are hit as often as large.
  std::pair<std::size_t, std::size_t> pick_region(Random& random, std::size_t size) const {
    RingIdentity identity;
    std::memcpy(&identity, image_.data(), sizeof(identity));
    const std::size_t data = identity.data_off;
    switch (random.below(6)) {
      case 0: return {0, sizeof(RingIdentity)};
      case 1: return {sizeof(RingIdentity), kRingHeaderBytes};
      case 2: return {identity.lane_off, identity.lane_off + kLanes * kLaneStride};
      case 3: return {identity.ctl_off, identity.ctl_off + kChunks * kCtlStride};
      case 4: return {data, std::min(size, data + 256)};  // the first record of a chunk
      default: return {data, size};
    }
  }

  void harm_once(Random& random, std::span<std::byte> bytes, std::size_t from, std::size_t to) {
    const std::size_t at = from + random.below(to - from);
    const std::size_t room = bytes.size() - at;
    switch (random.below(6)) {
      case 0:
      case 1: bytes[at] ^= static_cast<std::byte>(1u << random.below(8)); break;
      case 2: bytes[at] = static_cast<std::byte>(random.next()); break;
      case 3: {  // a whole word, aligned: states, lengths, positions
        const std::size_t word = at / 8 * 8;
        const std::uint64_t value = random.one_in(3) ? ~0ull : random.next() >> random.below(64);
        std::memcpy(&bytes[word], &value, 8);
        break;
      }
      case 4: {
        const std::size_t length = std::min<std::size_t>(room, 1 + random.below(64));
        std::memset(&bytes[at], random.one_in(2) ? 0 : 0xFF, length);
        break;
      }
      default: {  // true bytes in the wrong place
        const std::size_t source = random.below(bytes.size());
        const std::size_t most = std::min(room, bytes.size() - source);
        std::memmove(&bytes[at], &bytes[source],
                     std::min<std::size_t>(most, 8 + random.below(700)));
      }
    }
  }

  void harm(Random& random, std::span<std::byte> bytes, bool spare_identity) {
    const std::uint64_t times = 1 + random.below(random.one_in(4) ? 40 : 3);
    for (std::uint64_t i = 0; i < times; ++i) {
      auto [from, to] = pick_region(random, bytes.size());
      if (spare_identity && from == 0) from = sizeof(RingIdentity), to = kRingHeaderBytes;
      harm_once(random, bytes, from, to);
    }
  }

  /// A journal row for each new record; the error if one is wrong or there already.
  struct Seen {
    std::set<std::pair<std::uint32_t, std::uint32_t>> ids;
    std::string note(const RecordView& record) {
      ContentId id;
      if (std::string wrong = check_content(record, id); !wrong.empty()) return wrong;
      if (id.stream != 1 && id.stream != 2 && id.stream != 9) return "a stream that never was";
      if (id.stream == 1 && id.number >= 70) return "a record that was never offered";
      if (id.stream == 2 && id.number >= 9) return "a record that was never offered";
      if (!ids.emplace(id.stream, id.number).second) {
        return std::string(record.task_id) + " came twice";
      }
      return "";
    }
  };

  /// Passes over a consumer until two of them give nothing; harm may come in between.
  template <class Between>
  std::string read_all(RingConsumer& consumer, Seen& seen, Between&& between) {
    int empty = 0;
    for (int pass = 0; pass < 200 && empty < 2; ++pass) {
      consumer.scan();
      std::uint64_t taken = 0;
      RingRecord got;
      while (taken < 16 && consumer.next(got)) {
        ++taken;
        if (std::string wrong = seen.note(got.record); !wrong.empty()) return wrong;
        between();
      }
      static_cast<void>(consumer.pending());
      consumer.commit();
      consumer.reap();
      static_cast<void>(consumer.stats());
      static_cast<void>(consumer.has_unread());
      empty = taken == 0 ? empty + 1 : 0;
    }
    return empty < 2 ? "the ring never comes to an end" : "";
  }

  /// The answer of a call on a damaged file may be any error that says something.
  static std::string check_error(const Status& status) {
    return status.ok() || status.message().size() > 8 ? "" : "an error without a message";
  }

  Seen seen_before() const {
    Seen seen;
    for (std::uint64_t i = 0; i < journal_->row_count(); ++i) {
      const ContentId id = journal_->row(i).id;
      seen.ids.emplace(id.stream, id.number);
    }
    return seen;
  }

  void clean_folder() {
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      std::filesystem::remove(entry.path());
    }
  }

  TempDir dir_{ring_parent()};
  SystemClock clock_;
  Shared<RingJournal> journal_;
  RingOptions ring_;
  std::vector<std::byte> image_;
  std::uint64_t seed_ = 0;
};

TEST_F(RingFlip, ConsumerThatOpensADamagedFileGivesNoWrongRecord) {
  rounds([&](Random& random) -> std::string {
    clean_folder();
    std::vector<std::byte> bytes = image_;
    harm(random, bytes, random.one_in(2));
    write_file(ring_.path, bytes);
    static_cast<void>(read_ring_stats(ring_.path));
    auto opened = RingConsumer::open(ring_, Durability::kProcess, clock_, journal_->loader());
    if (!opened.ok()) return check_error(opened.status());
    Seen seen = seen_before();
    return read_all(**opened, seen, [] {});
  });
}

TEST_F(RingFlip, ConsumerUnderWhichBytesChangeGivesNoWrongRecord) {
  rounds([&](Random& random) -> std::string {
    clean_folder();
    write_file(ring_.path, image_);
    auto opened = RingConsumer::open(ring_, Durability::kProcess, clock_, journal_->loader());
    if (!opened.ok()) return "open: " + std::string(opened.status().message());
    const FileBytes live(ring_.path);
    Seen seen = seen_before();
    harm(random, live.all(), false);
    return read_all(**opened, seen, [&] {
      if (random.one_in(10)) harm(random, live.all(), false);
    });
  });
}

TEST_F(RingFlip, ProducerOnADamagedRingAnswersAndNeverMakesAWrongRecord) {
  rounds([&](Random& random) -> std::string {
    clean_folder();
    std::vector<std::byte> bytes = image_;
    const bool before = random.one_in(2);
    if (before) harm(random, bytes, random.one_in(2));
    write_file(ring_.path, bytes);
    auto producer = attach_small(ring_, clock_);
    if (!producer.ok()) return check_error(producer.status());
    const FileBytes live(ring_.path);
    std::uint32_t taken = 0;
    for (int i = 0; i < 60; ++i) {
      if (!before && random.one_in(20)) harm(random, live.all(), false);
      const Status status = (*producer)->submit(make_content({9, taken}).view());
      if (status.ok()) ++taken;
    }
    auto opened = RingConsumer::open(ring_, Durability::kProcess, clock_, journal_->loader());
    if (!opened.ok()) return check_error(opened.status());
    Seen seen = seen_before();
    return read_all(**opened, seen, [] {});
  });
}

TEST_F(RingFlip, SalvageOfADamagedFileGivesNoWrongRecord) {
  const Shared<int> done;
  rounds([&](Random& random) -> std::string {
    clean_folder();
    std::vector<std::byte> bytes = image_;
    harm(random, bytes, !random.one_in(4));
    const std::string path = ring_.path + ".00.salvage";
    write_file(path, bytes);
    auto opened = RingSalvage::open(path, journal_->loader());
    if (!opened.ok()) return check_error(opened.status());
    RingSalvage& salvage = **opened;
    Seen seen = seen_before();
    for (int pass = 0; pass < 100 && !salvage.done(); ++pass) {
      RingRecord got;
      for (int i = 0; i < 16 && salvage.next(got); ++i) {
        if (std::string wrong = seen.note(got.record); !wrong.empty()) return wrong;
      }
      static_cast<void>(salvage.pending());
      salvage.commit();
    }
    static_cast<void>(salvage.recovered());
    static_cast<void>(salvage.bad_chunks());
    const Status removed = salvage.remove();
    if (removed.ok() != salvage.done()) return "removed before its end";
    *done += salvage.done() ? 1 : 0;
    return check_error(removed);
  });
  // Where the harm hit the owner of a lane it may look like one that lives: that file stays.
  EXPECT_GT(*done, kRounds / 2);
}

TEST_F(RingFlip, OneDamagedRecordCostsItselfAndIsCounted) {
  // Not random: the content of the last record of stream 2 is changed, everything else comes.
  clean_folder();
  std::vector<std::byte> bytes = image_;
  const std::string id = "2-8";
  const auto at = std::search(bytes.begin(), bytes.end(), id.begin(), id.end(),
                              [](std::byte b, char c) { return static_cast<char>(b) == c; });
  ASSERT_NE(at, bytes.end());
  *at = std::byte{'7'};
  write_file(ring_.path, bytes);
  auto consumer = open_consumer(ring_, *journal_, clock_);
  Seen seen = seen_before();
  ASSERT_EQ(read_all(*consumer, seen, [] {}), "");
  EXPECT_EQ(seen.ids.size(), 78u);
  EXPECT_FALSE(seen.ids.contains({2, 8}));
  EXPECT_EQ(consumer->stats().corrupt_records, 1u);
  EXPECT_GT(consumer->stats().corrupt_bytes, 0u);
}

}  // namespace
}  // namespace phlower::testing
