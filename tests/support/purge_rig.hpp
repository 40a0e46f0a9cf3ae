// A made history under a store, a copy of it to purge plainly, and the two compared.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "made_backlog.hpp"
#include "phlower/single/single_store.hpp"
#include "store_content.hpp"
#include "temp_dir.hpp"

namespace phlower::testing {

/// A time to write and to ask at, in Unix seconds.
inline constexpr double kNow = 1'795'000'000;

inline std::unique_ptr<SingleStore> open_store(const std::string& path,
                                               const RetentionOptions& retention = {},
                                               OpenMode mode = OpenMode::kEngine) {
  StoreOptions options;
  options.path = path;
  options.cache_bytes = 1 << 20;
  auto store = SingleStore::open(options, retention, mode);
  EXPECT_TRUE(store.ok()) << store.status().message();
  return store.ok() ? *std::move(store) : nullptr;
}

struct PurgeRig {
  explicit PurgeRig(const BacklogPlan& plan = {}, OpenMode as = OpenMode::kEngine) : mode(as) {
    now = at(plan.now);
    const Status made = BacklogMaker::make(path, plan);
    EXPECT_TRUE(made.ok()) << made.message();
    // Tables that an engine adds are in the copy too.
    open_store(path, retention, mode).reset();
    std::filesystem::copy_file(path, plain_path);
    open();
  }

  static WallTime at(double seconds) {
    return WallTime(
        std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(seconds)));
  }
  double seconds() const { return to_unix_seconds(now); }

  void open() { store = open_store(path, retention, mode); }
  void reopen() {
    store.reset();
    open();
  }

  /// One slice in a transaction of its own.
  PurgeReport slice(SingleStore& by, std::uint32_t max_rows) {
    const Status begun = by.begin();
    EXPECT_TRUE(begun.ok()) << begun.message();
    const auto report = by.purge_some(now, max_rows);
    EXPECT_TRUE(report.ok()) << report.status().message();
    const Status committed = by.commit();
    EXPECT_TRUE(committed.ok()) << committed.message();
    if (!report.ok()) return {};
    EXPECT_LE(report->examined, max_rows);
    return *report;
  }

  /// Slices until nothing is left; the totals.
  PurgeReport purge_all(std::uint32_t max_rows) {
    PurgeReport total;
    for (int i = 0; i < 100'000; ++i) {
      const PurgeReport step = slice(*store, max_rows);
      total.invocations += step.invocations;
      total.details += step.details;
      total.examined += step.examined;
      if (!step.more || ::testing::Test::HasFailure()) return total;
    }
    ADD_FAILURE() << "the purge has no end";
    return total;
  }

  PurgeReport census(std::uint32_t max_rows) {
    for (int i = 0; i < 100'000; ++i) {
      const auto totals = store->census_some(now, max_rows);
      EXPECT_TRUE(totals.ok()) << totals.status().message();
      if (!totals.ok() || !totals->more) return totals.ok() ? *totals : PurgeReport();
    }
    ADD_FAILURE() << "the census has no end";
    return {};
  }

  bool due() {
    const auto due = store->purge_due(now);
    EXPECT_TRUE(due.ok()) << due.status().message();
    return due.ok() && *due;
  }

  /// Purges the copy plainly at `now` and expects both files to hold the same.
  Purged expect_as_plain() {
    const Purged purged = purge_plainly(plain_path, retention, now);
    EXPECT_EQ(content_of(path), content_of(plain_path));
    auto db = open_db(path);
    EXPECT_EQ(integrity(db), "ok");
    return purged;
  }

  TempDir dir{"/dev/shm"};  // no waits for a disk
  std::string path = dir / "history.db";
  std::string plain_path = dir / "plain.db";
  RetentionOptions retention;
  OpenMode mode;
  WallTime now;
  std::unique_ptr<SingleStore> store;
};

}  // namespace phlower::testing
