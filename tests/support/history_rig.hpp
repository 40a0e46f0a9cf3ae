// One ring and several histories that have it one after the other.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine_rig.hpp"
#include "phlower/door/history_reader.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower::testing {

struct HistoryRig : EngineRig {
  explicit HistoryRig(Layout layout, const std::string& where = {})
      : EngineRig(Microseconds(20), where) {
    options.store.layout = layout;
    log = Log([this](LogLevel, std::string_view text) { said += std::string(text) + "\n"; }, clock,
              LogLevel::kInfo);
  }

  std::string path_of(const std::string& name) const {
    return dir / (options.store.layout == Layout::kSingle ? name + ".db" : name);
  }

  /// An engine of the history `name` on the ring. `said` is what it logs from now on.
  void start(const std::string& name) {
    engine.reset();
    said.clear();
    options.store.path = path_of(name);
    open();
  }
  void stop() {
    producer.reset();
    engine.reset();
  }

  /// `count` more records, each with an id of its own.
  void submit_more(int count) {
    if (!producer) attach();
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(submit("task-" + std::to_string(submitted), now()).ok());
      ++submitted;
    }
  }

  /// The ids in a history that no engine has open now.
  std::set<std::string> ids(const std::string& name) {
    std::set<std::string> found;
    RetentionOptions forever;
    forever.keep_forever = true;
    if (!std::filesystem::exists(path_of(name))) return found;
    auto reader = HistoryReader::open(path_of(name), forever, {});
    EXPECT_TRUE(reader.ok()) << reader.status().message();
    if (!reader.ok()) return found;
    auto view = (*reader)->view(clock.wall());
    EXPECT_TRUE(view.ok()) << view.status().message();
    for (int i = 0; view.ok() && i < submitted; ++i) {
      const std::string id = "task-" + std::to_string(i);
      const auto row = view->get(id);
      EXPECT_TRUE(row.ok()) << row.status().message();
      if (row.ok() && row->has_value()) found.insert(id);
    }
    (*reader)->release();
    return found;
  }

  /// The two sums of the ring, over its whole life, with nothing lost and nothing counted twice.
  void expect_sums(std::uint64_t delivered) {
    const RingStats ring = engine->ring_stats();
    EXPECT_EQ(ring.offered, ring.accepted + ring.refused());
    EXPECT_EQ(ring.torn, 0u);
    EXPECT_EQ(ring.accepted, static_cast<std::uint64_t>(submitted));
    EXPECT_EQ(ring.delivered, delivered);
    EXPECT_EQ(ring.accepted, ring.delivered + ring.unread);
  }

  void remove(const std::string& name) {
    for (const char* side : {"", "-wal", "-shm"}) std::filesystem::remove_all(path_of(name) + side);
  }
  void copy(const std::string& from, const std::string& to) {
    remove(to);
    for (const char* side : {"", "-wal"}) {
      if (!std::filesystem::exists(path_of(from) + side)) continue;
      std::filesystem::copy(path_of(from) + side, path_of(to) + side,
                            std::filesystem::copy_options::recursive);
    }
  }

  int submitted = 0;
  std::string said;
};

}  // namespace phlower::testing
