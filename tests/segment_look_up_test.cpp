// Ids are found in a file while it is written, while it is sealed step by step, and by readers that
// came before, in the middle and in another process; and the words behind a row's columns.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "phlower/segment/history_folder.hpp"
#include "phlower/segment/seal.hpp"
#include "support/segment_rig.hpp"

namespace phlower {
namespace {

using testing::a_record;
using testing::SegmentRig;
using testing::uuid_of;

class SegmentLookUp : public ::testing::Test, protected SegmentRig {
 protected:
  using Folder = std::unique_ptr<HistoryFolder>;

  void SetUp() override {
    options.store.segment_rows = 1'000'000;
    options.store.cache_bytes = 16 << 20;
    const Status status = open();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void fill(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; i += 1000) {
      put_many(i, std::min<std::uint64_t>(1000, last - i), now());
    }
  }
  Folder come() {
    auto opened = HistoryFolder::open(options.store.path, [](std::int64_t, const Status& why) {
      ADD_FAILURE() << why.message();
    });
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  History view(HistoryFolder& folder) {
    auto history = folder.history(cutoffs_at(options.retention, clock.wall()));
    EXPECT_TRUE(history.ok()) << history.status().message();
    return history.ok() ? *std::move(history) : History({}, {});
  }
  /// How many of the ids from `first` on, each `step`-th, a new view does not have.
  std::uint64_t missing(HistoryFolder& folder, std::uint64_t first, std::uint64_t last,
                        std::uint64_t step) {
    History history = view(folder);
    std::uint64_t missing = 0;
    for (std::uint64_t i = first; i < last; i += step) {
      const auto found = history.get(uuid_of(i));
      EXPECT_TRUE(found.ok()) << found.status().message();
      missing += found.ok() && !found->has_value();
    }
    folder.release();
    return missing;
  }
  std::string active_file() {
    for (const SegmentInfo& info : store->segments().catalog().segments()) {
      if (info.family == SegmentFamily::kRows && info.state != SegmentState::kSealed) {
        return store->segments().catalog().path_of(info);
      }
    }
    ADD_FAILURE() << "no file is being written";
    return {};
  }
  static IdTag tag(std::uint64_t i) { return TaskKey(uuid_of(i)).tag(); }
};

TEST_F(SegmentLookUp, FindsTheRowsOfEveryRunBesideTheWriter) {
  fill(0, 2 * kRunRows + 500);
  const Folder early = come();
  EXPECT_EQ(missing(*early, 0, 2 * kRunRows + 500, 97), 0u);
  // From some ids on that are not there, each run has a filter.
  EXPECT_EQ(missing(*early, 1'000'000, 1'000'100, 1), 100u);
  EXPECT_EQ(missing(*early, 0, 2 * kRunRows + 500, 97), 0u);
  fill(2 * kRunRows + 500, 8 * kRunRows + 100);
  Record changed = a_record(uuid_of(5), now() + 1);
  changed.worker = "celery@later";
  ASSERT_TRUE(put({changed}).ok());
  const Folder late = come();
  for (HistoryFolder* folder : {early.get(), late.get()}) {
    EXPECT_EQ(missing(*folder, 0, 8 * kRunRows + 100, 97), 0u);
    EXPECT_EQ(missing(*folder, 8 * kRunRows + 95, 8 * kRunRows + 100, 1), 0u);
    EXPECT_EQ(missing(*folder, 1'000'000, 1'000'100, 1), 100u);
    const auto found = view(*folder).get(uuid_of(5));
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->worker, "celery@later");
    folder->release();
  }
}

TEST_F(SegmentLookUp, AnAbsentIdCostsNoLookAtTheFileOnceTheRunsAreKnown) {
  fill(0, kRunRows + 200);
  auto db = segment_file::open_for_reading(active_file(), false, 1 << 20);
  ASSERT_TRUE(db.ok()) << db.status().message();
  IdLookup ids(*db);
  ASSERT_TRUE(ids.refresh().ok());
  const auto held = [&](std::uint64_t first, std::uint64_t count) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = first; i < first + count; ++i) sum += ids.may_hold(tag(i));
    return sum;
  };
  EXPECT_EQ(held(1'000'000, 1000), 1000u) << "a single question needs no filter";
  for (std::uint64_t i = 1'000'000; i < 1'000'100; ++i) {
    ASSERT_TRUE(ids.find(tag(i), [](std::uint32_t) { return true; }).ok());
  }
  EXPECT_LT(held(1'000'000, 1000), 100u);
  EXPECT_EQ(held(0, kRunRows + 200), kRunRows + 200) << "in runs, and behind them";
  fill(kRunRows + 200, 2 * kRunRows + 200);
  ASSERT_TRUE(ids.refresh().ok());
  EXPECT_EQ(held(0, 2 * kRunRows + 200), 2 * kRunRows + 200);
  EXPECT_LT(held(1'000'000, 1000), 100u);
}

TEST_F(SegmentLookUp, FindsEveryIdAfterEachStepOfASealing) {
  constexpr std::uint64_t kFilled = kRunRows + 700;
  fill(0, kFilled);
  const std::string path = active_file();
  store.reset();
  const Folder plain = come();
  const Folder filtered = come();
  ASSERT_EQ(missing(*plain, 0, kFilled, 50), 0u);
  ASSERT_EQ(missing(*filtered, 1'000'000, 1'000'100, 1), 100u);
  Sealing sealing(path, SegmentFamily::kRows, options.store);
  ASSERT_TRUE(sealing.step().ok());
  // One that looks without views: as the engine does at a file that it seals.
  auto db = segment_file::open_for_reading(path, false, 1 << 20);
  ASSERT_TRUE(db.ok()) << db.status().message();
  RowsReader loose(*db, true);
  ASSERT_TRUE(loose.load().ok() && loose.refresh_ids().ok());
  int steps = 1;
  for (bool done = false; !done; ++steps) {
    ASSERT_LT(steps, 200);
    const auto step = sealing.step();
    ASSERT_TRUE(step.ok()) << step.status().message();
    done = *step;
    const Folder inside = steps % 16 == 5 ? come() : nullptr;
    for (HistoryFolder* folder : {plain.get(), filtered.get(), inside.get()}) {
      if (folder == nullptr) continue;
      ASSERT_EQ(missing(*folder, steps % 97, kFilled, 97), 0u) << steps;
    }
    for (std::uint64_t i = steps % 23; i < kFilled; i += 23) {
      const TaskKey key(uuid_of(i));
      ASSERT_TRUE(loose.may_hold(key.tag())) << steps;
      const auto found = loose.find(key, nullptr);
      ASSERT_TRUE(found.ok()) << found.status().message();
      ASSERT_TRUE(found->has_value()) << i << " after step " << steps;
    }
  }
  EXPECT_GT(steps, static_cast<int>(kParts));
  for (const Folder& folder : {come()}) EXPECT_EQ(missing(*folder, 0, kFilled, 1), 0u);
}

TEST_F(SegmentLookUp, AViewInTheMiddleOfASealingStaysAsItWas) {
  constexpr std::uint64_t kFilled = kRunRows + 700;
  fill(0, kFilled);
  const std::string path = active_file();
  store.reset();
  const Folder folder = come();
  Sealing sealing(path, SegmentFamily::kRows, options.store);
  ASSERT_TRUE(sealing.step().ok());
  History history = view(*folder);
  for (std::uint32_t part = 0; part < kParts; ++part) ASSERT_TRUE(sealing.step().ok());
  for (std::uint64_t i = 0; i < kFilled; i += 7) {
    const auto found = history.get(uuid_of(i));
    ASSERT_TRUE(found.ok() && found->has_value()) << i;
  }
}

TEST_F(SegmentLookUp, AnotherProcessFindsEveryIdAfterEachStep) {
  constexpr std::uint64_t kFilled = kRunRows + 700;
  fill(0, kFilled);
  const std::string path = active_file();
  store.reset();
  int ask[2];
  int answer[2];
  ASSERT_TRUE(::pipe(ask) == 0 && ::pipe(answer) == 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(ask[1]);
    const Folder folder = come();
    char round = 0;
    while (folder && ::read(ask[0], &round, 1) == 1) {
      const auto first = static_cast<std::uint64_t>(static_cast<unsigned char>(round) % 97);
      const char all = missing(*folder, first, kFilled, 97) == 0 ? 'y' : 'n';
      if (::write(answer[1], &all, 1) != 1) break;
    }
    ::_exit(0);
  }
  ::close(ask[0]);
  ::close(answer[1]);
  const auto child_finds_all = [&](int round) {
    const char byte = static_cast<char>(round);
    char all = 0;
    return ::write(ask[1], &byte, 1) == 1 && ::read(answer[0], &all, 1) == 1 && all == 'y';
  };
  EXPECT_TRUE(child_finds_all(0));
  Sealing sealing(path, SegmentFamily::kRows, options.store);
  for (int steps = 1; steps < 200; ++steps) {
    const auto step = sealing.step();
    ASSERT_TRUE(step.ok()) << step.status().message();
    ASSERT_TRUE(child_finds_all(steps)) << steps;
    if (*step) break;
  }
  ::close(ask[1]);
  ::close(answer[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
}

TEST_F(SegmentLookUp, ReadsMoreNamesThanASegmentHasWordsFor) {
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < 4200; ++i) {
    records.push_back(a_record(uuid_of(i), now() + static_cast<double>(i) / 1000));
    records.back().task_name = "n" + std::to_string(i);
    records.back().worker = "w" + std::string(i % 200, 'x');
  }
  ASSERT_TRUE(put(records).ok());
  const auto check = [&](const char* when) {
    SCOPED_TRACE(when);
    const Folder folder = come();
    History beside = view(*folder);
    for (std::uint64_t i = 0; i < 4200; ++i) {
      for (const auto& found : {beside.get(uuid_of(i)), history().get(uuid_of(i))}) {
        ASSERT_TRUE(found.ok() && found->has_value()) << i;
        ASSERT_EQ((*found)->task_name, "n" + std::to_string(i));
        ASSERT_EQ((*found)->worker.size(), i % 200 + 1);
      }
    }
    for (const std::uint64_t i : {0u, 4000u, 4093u, 4094u, 4095u, 4096u, 4097u, 4150u, 4199u}) {
      Query query;
      query.task_name = "n" + std::to_string(i);
      EXPECT_EQ(list(query), std::vector<std::string>{uuid_of(i)});
    }
  };
  check("written");
  reopen();
  check("taken up again");
  options.store.segment_rows = 100;
  reopen();
  put_many(10'000, 1, now());
  tend();
  EXPECT_GE(in_state(SegmentState::kSealed), 1u);
  check("sealed");
}

TEST_F(SegmentLookUp, WordsTakeABoundedRoomWhateverComes) {
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    records.push_back(a_record(uuid_of(i), now(), "FAILURE"));
    records.back().exception_type =
        "E('" + std::to_string(i) + std::string(i % 2 == 0 ? 40 : 900, 'y') + "')";
  }
  ASSERT_TRUE(put(records).ok());
  for (std::uint64_t i = 0; i < 20; ++i) {
    Record late = a_record(uuid_of(5000 + i), now());
    late.task_name = "shop.late" + std::to_string(i);
    ASSERT_TRUE(put({late}).ok());
  }
  auto db = sqlite::Connection::open(active_file(), sqlite::Access::kReadOnly);
  ASSERT_TRUE(db.ok());
  EXPECT_LE(*db->query_integer("SELECT sum(length(text)) FROM word"), std::int64_t{kWordsBytes});
  EXPECT_LE(*db->query_integer("SELECT max(length(text)) FROM word"), std::int64_t{kWordBytes});
  EXPECT_EQ(*db->query_integer("SELECT count(*) FROM word WHERE text LIKE 'shop.late%'"), 20)
      << "exceptions leave room for names";
  const auto found = get(uuid_of(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->exception_type, "E('1" + std::string(900, 'y') + "')");
}

TEST_F(SegmentLookUp, ReadsAndGoesOnWithAFileThatHasLongWords) {
  put_many(0, 10, now());
  const std::string path = active_file();
  store.reset();
  {
    auto db = sqlite::Connection::open(path, sqlite::Access::kReadWrite);
    ASSERT_TRUE(db.ok());
    // As an earlier build wrote it: a word for whatever an exception says.
    ASSERT_TRUE(db->exec("WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i "
                         "< 3000) INSERT INTO word (id, text) SELECT (SELECT max(id) FROM word) + "
                         "row_number() OVER (), printf('%d', i) || hex(zeroblob(1000)) FROM n")
                    .ok());
    ASSERT_TRUE(db->exec("UPDATE task SET exception = (SELECT max(id) FROM word) - seq").ok());
  }
  ASSERT_TRUE(open().ok());
  const auto found = get(uuid_of(0));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->exception_type, "2999" + std::string(2000, '0'));
  EXPECT_EQ(found->task_name, "shop.orders.pack");
  put_many(20, 5, now());
  Record other = a_record(uuid_of(30), now());
  other.task_name = "shop.new";
  ASSERT_TRUE(put({other}).ok());
  Query query;
  query.task_name = "shop.orders.pack";
  EXPECT_EQ(list(query).size(), 15u) << "the old name has its old word";
  query.task_name = "shop.new";
  EXPECT_EQ(list(query).size(), 1u);
  const Folder folder = come();
  EXPECT_EQ(view(*folder).list({})->rows.size(), 16u);
}

TEST_F(SegmentLookUp, AWordOfATransactionThatWasUndoneIsForgotten) {
  put_many(0, 3, now());
  const auto upsert = [&](std::uint64_t number, const std::string& name) {
    Record record = a_record(uuid_of(number), now());
    record.task_name = name;
    return store->upsert(record.view()).status();
  };
  ASSERT_TRUE(store->begin().ok());
  ASSERT_TRUE(upsert(10, "shop.undone").ok());
  ASSERT_TRUE(upsert(10, "shop.undone").ok());  // reads what it just wrote
  store->rollback();
  ASSERT_TRUE(store->begin().ok());
  ASSERT_TRUE(upsert(10, "shop.done").ok());
  Record nameless = a_record(uuid_of(10), now());
  nameless.task_name.clear();
  ASSERT_TRUE(store->upsert(nameless.view()).ok());
  ASSERT_TRUE(store->commit().ok());
  EXPECT_EQ(get(uuid_of(10))->task_name, "shop.done");
}

}  // namespace
}  // namespace phlower
