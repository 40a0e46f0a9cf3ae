// A segmented store in a folder of a test, with a clock that stands still and no thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine_rig.hpp"
#include "phlower/history/history.hpp"
#include "phlower/segment/segmented_store.hpp"

namespace phlower::testing {

/// A UUID that is made of a number.
inline std::string uuid_of(std::uint64_t number) {
  const std::uint64_t bits = (number + 1) * 0x9e3779b97f4a7c15u;
  char text[37];
  std::snprintf(text, sizeof text, "%08x-%04x-4%03x-8%03x-%012llx",
                static_cast<unsigned>(bits >> 32), static_cast<unsigned>(bits >> 16 & 0xffff),
                static_cast<unsigned>(bits & 0xfff), static_cast<unsigned>(bits >> 20 & 0xfff),
                static_cast<unsigned long long>(number & 0xffff'ffff'ffff));
  return text;
}

struct SegmentRig {
  explicit SegmentRig(const std::string& where = {})
      : dir(where.empty() ? TempDir() : TempDir(where)),
        clock(WallTime(Seconds(1'795'000'000)), Nanoseconds(0)) {
    options.store.path = dir / "data";
    options.store.cache_bytes = 4 << 20;
    options.store.segment_rows = 100;
    options.store.helper_thread = false;
    log = Log([this](LogLevel, std::string_view text) { said.emplace_back(text); }, clock,
              LogLevel::kInfo);
  }

  Status open() {
    auto opened = SegmentedStore::open(options, clock, log, listeners);
    if (!opened.ok()) return opened.status();
    store = *std::move(opened);
    return Status();
  }
  void reopen() {
    store.reset();
    const Status status = open();
    ASSERT_TRUE(status.ok()) << status.message();
  }

  double now() { return to_unix_seconds(clock.wall()); }

  Status put(const std::vector<Record>& records) {
    Status status = store->begin();
    for (const Record& record : records) {
      if (status.ok()) status = store->upsert(record.view()).status();
    }
    if (status.ok()) return store->commit();
    store->rollback();
    return status;
  }
  /// `count` tasks numbered from `first` that ended at `at`.
  void put_many(std::uint64_t first, std::uint64_t count, double at) {
    std::vector<Record> records;
    for (std::uint64_t i = 0; i < count; ++i) {
      records.push_back(a_record(uuid_of(first + i), at + static_cast<double>(i) / 1000));
    }
    const Status status = put(records);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  /// Upkeep, a second apart, until nothing changes.
  void tend(int quiet_rounds = 4) {
    for (int quiet = 0, rounds = 0; quiet < quiet_rounds && rounds < 3000; ++rounds) {
      const auto report = store->tend(clock.mono());
      ASSERT_TRUE(report.ok()) << report.status().message();
      const bool busy = *report > 0 || store->segments().upkeep_waits();
      quiet = busy ? 0 : quiet + 1;
      if (!busy) clock.advance(Seconds(1));
      if (busy && options.store.helper_thread) std::this_thread::sleep_for(Milliseconds(1));
    }
  }

  History history() {
    auto sources = store->sources();
    EXPECT_TRUE(sources.ok()) << sources.status().message();
    return History(sources.ok() ? *sources : std::vector<Source*>(),
                   cutoffs_at(options.retention, clock.wall()));
  }
  /// Null where there is none.
  std::optional<Record> get(const std::string& id) {
    auto found = history().get(id);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? *found : std::nullopt;
  }
  std::vector<std::string> list(const Query& query) {
    auto answer = history().list(query);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    std::vector<std::string> ids;
    if (answer.ok()) {
      for (const Row& row : answer->rows) ids.push_back(row.record.task_id);
    }
    return ids;
  }
  std::size_t in_state(SegmentState state, SegmentFamily family = SegmentFamily::kRows) {
    std::size_t count = 0;
    for (const SegmentInfo& info : store->segments().catalog().segments()) {
      count += info.state == state && info.family == family;
    }
    return count;
  }

  TempDir dir;
  SegmentOptions options;
  ManualClock clock;
  std::vector<std::string> said;
  Log log;
  std::vector<FolderListener*> listeners;
  std::unique_ptr<SegmentedStore> store;
};

}  // namespace phlower::testing
