// The parts of a segment each alone: the map and pages of ids, the filter, blocks of details,
// chunks of times, and the pure decisions about rotation and the disk.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "phlower/ground/random.hpp"
#include "phlower/ground/zstd.hpp"
#include "phlower/history/query.hpp"
#include "phlower/segment/format/details_block.hpp"
#include "phlower/segment/format/filter.hpp"
#include "phlower/segment/format/id_pages.hpp"
#include "phlower/segment/rotation.hpp"
#include "phlower/segment/segment_file.hpp"
#include "support/temp_dir.hpp"

namespace phlower {
namespace {

TEST(TaskKey, KeepsOnlyTheUsualSpellingOfAUuidAsBytes) {
  auto db = sqlite::Connection::open(":memory:", sqlite::Access::kCreate);
  ASSERT_TRUE(db.ok());
  for (const char* id :
       {"0029aaec-f501-47ca-bc7a-c19c14194d07", "0029AAEC-f501-47ca-bc7a-c19c14194d07",
        "0029aaecf50147cabc7ac19c14194d07", "0029aaec-f501-47ca-bc7a-c19c14194d0", "", "x",
        "0029aaec-f501-47ca-bc7a-c19c14194d0g", "exactly-16-bytes"}) {
    auto select = db->prepare("SELECT ?1, typeof(?1)");
    ASSERT_TRUE(select.ok());
    const TaskKey key(id);
    key.bind(*select, 1);
    ASSERT_TRUE(*select->step());
    EXPECT_EQ(read_task_id(*select, 0), id);
    EXPECT_TRUE(key.equals(*select, 0)) << id;
    EXPECT_FALSE(TaskKey("0029aaec-f501-47ca-bc7a-c19c14194d08").equals(*select, 0));
  }
}

TEST(IdMap, HoldsWhatAPlainMapHoldsThroughInsertsAndErasures) {
  Random random(1);
  IdMap map;
  std::multimap<IdTag, std::uint32_t> model;
  for (std::uint32_t row = 1; row < 60'000; ++row) {
    // Few tags, so that they collide, and some at both ends of the table.
    const auto tag = static_cast<IdTag>(random.chance(1, 3)   ? random.below(50)
                                        : random.chance(1, 2) ? 0xffff'ffff - random.below(50)
                                                              : random.next() >> 32);
    map.insert(tag, row);
    model.emplace(tag, row);
    if (!random.chance(1, 3)) continue;
    const auto gone = std::next(
        model.begin(),
        static_cast<std::ptrdiff_t>(random.below(std::min<std::size_t>(model.size(), 40))));
    map.erase(gone->first, gone->second);
    model.erase(gone);
  }
  EXPECT_EQ(map.size(), model.size());
  for (const auto& [tag, row] : model) {
    EXPECT_TRUE(map.find(tag, [&, wanted = row](std::uint32_t found) { return found == wanted; }));
  }
  std::size_t visited = 0;
  for (auto at = model.begin(); at != model.end(); at = model.upper_bound(at->first)) {
    map.find(at->first, [&](std::uint32_t) { return ++visited, false; });
  }
  EXPECT_EQ(visited, model.size()) << "a tag has rows that are not its own";
}

TEST(IdPages, GiveBackEveryEntryOfARunAndOfAnIndex) {
  auto db = sqlite::Connection::open(":memory:", sqlite::Access::kCreate);
  ASSERT_TRUE(db->exec("CREATE TABLE p (page INTEGER PRIMARY KEY, entries BLOB)").ok());
  auto insert = db->prepare("INSERT INTO p VALUES (?1, ?2)");
  Random random(2);
  std::vector<IdEntry> entries;
  constexpr std::uint64_t kRun = 3;
  for (std::uint32_t i = 0; i < kRunRows; ++i) {
    const auto tag = static_cast<IdTag>(i % 100 == 0 ? 0x8000'0000 : random.next());
    entries.push_back(id_entry(tag, static_cast<std::uint32_t>(kRun * kRunRows + i + 1)));
  }
  const std::multiset<IdEntry> wanted(entries.begin(), entries.end());
  ASSERT_TRUE(write_run(*insert, kRun, entries).ok());
  auto select = db->prepare("SELECT page, entries FROM p");
  std::vector<IdEntry> found;
  while (*select->step()) {
    const auto part = static_cast<std::uint32_t>(select->integer(0)) % kParts;
    unpack_run(select->text(1), kRun, part, found);
    for (const IdEntry entry : wanted) {
      if (part_of(tag_of(entry)) != part) continue;
      EXPECT_TRUE(find_in_run(select->text(1), kRun, tag_of(entry),
                              [&](std::uint32_t row) { return row == row_of(entry); }));
    }
  }
  EXPECT_EQ(std::multiset<IdEntry>(found.begin(), found.end()), wanted);

  ASSERT_TRUE(db->exec("DELETE FROM p").ok());
  const int bits = index_bits(kRunRows);
  ASSERT_TRUE(write_index_part(*insert, bits, entries).ok());
  found.clear();
  while (*select->step()) {
    unpack_entries(select->text(1), static_cast<std::uint32_t>(select->integer(0)), bits, found);
  }
  EXPECT_EQ(std::multiset<IdEntry>(found.begin(), found.end()), wanted);
}

TEST(IdFilter, NeverDeniesWhatItHoldsAndSeldomClaimsWhatItDoesNot) {
  Random random(3);
  IdFilter filter(20'000);
  std::vector<IdTag> tags;
  for (int i = 0; i < 20'000; ++i) {
    tags.push_back(static_cast<IdTag>(random.next()));
    filter.add(tags.back());
  }
  const IdFilter copy = IdFilter::from_bytes(filter.bytes());
  for (const IdTag tag : tags) ASSERT_TRUE(copy.may_hold(tag));
  int claimed = 0;
  for (int i = 0; i < 20'000; ++i) claimed += copy.may_hold(static_cast<IdTag>(random.next()));
  EXPECT_LT(claimed, 1000) << "more than five in a hundred";
  EXPECT_TRUE(IdFilter().may_hold(1)) << "no filter knows nothing";
  EXPECT_TRUE(IdFilter::from_bytes("torn").empty());
}

TEST(DetailsBlock, IsReadWithoutACrashWhateverItsBytes) {
  Random random(4);
  std::string block;
  for (IdTag tag = 1; tag <= 30; ++tag) {
    const std::string text(random.below(300), static_cast<char>('a' + tag % 26));
    RecordView details;
    details.args = details.traceback = text;
    details_block::append(block, tag, details);
  }
  RecordView view;
  EXPECT_TRUE(*details_block::find(block, 1, 7, 8, view));
  EXPECT_FALSE(*details_block::find(block, 1, 7, 9, view)) << "the entry of another task";
  EXPECT_FALSE(*details_block::find(block, 1, 30, 8, view)) << "behind the last";
  Compressor compressor;
  std::string frame;
  ASSERT_TRUE(compressor.compress(block, frame).ok());
  Decompressor decompressor;
  std::string back;
  ASSERT_TRUE(decompressor.decompress(frame, 1 << 20, back).ok());
  EXPECT_EQ(back, block);
  EXPECT_EQ(decompressor.decompress(frame, 10, back).code(), Code::kCorrupt);
  int deceived = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string torn = frame;
    torn[random.below(torn.size())] ^= static_cast<char>(1 << random.below(8));
    if (decompressor.decompress(torn, 1 << 20, back).ok() && back != block) ++deceived;
    std::string raw = block;
    raw[random.below(raw.size())] ^= static_cast<char>(1 << random.below(8));
    static_cast<void>(
        details_block::find(raw, 1, static_cast<std::uint32_t>(random.below(40)), 8, view));
  }
  EXPECT_EQ(deceived, 0) << "the checksum lets flipped bits through";
}

TEST(DetailsRef, PacksAndUnpacks) {
  for (const DetailsRef ref :
       {DetailsRef{1, 1, 0}, DetailsRef{(1 << 27) - 1, (1 << 26) - 1, 1023}}) {
    const DetailsRef back = DetailsRef::unpack(ref.packed());
    EXPECT_EQ(back.segment, ref.segment);
    EXPECT_EQ(back.block, ref.block);
    EXPECT_EQ(back.entry, ref.entry);
  }
  EXPECT_FALSE(DetailsRef::unpack(0));
  EXPECT_FALSE(DetailsRef::unpack(-5));
}

TEST(Rotation, CompletesAtTheFirstOfItsLimits) {
  StoreOptions options;
  options.segment_rows = 1000;
  options.segment_bytes = 1 << 20;
  options.wal_hard_bytes = 1 << 20;
  struct Case {
    WrittenSegment segment;
    Complete expected;
  };
  const Case cases[] = {
      {{100, 0, 0, 0, false}, Complete::kNo},  // empty: it takes the next span
      {{200, 10, 0, 0, false}, Complete::kNo},
      {{100, 10, 0, 0, false}, Complete::kTime},
      {{200, 1000, 0, 0, false}, Complete::kRows},
      {{200, 10, 1 << 20, 0, false}, Complete::kBytes},
      {{200, 10, 0, 2 << 20, false}, Complete::kNo},  // the log can be emptied
      {{200, 10, 0, 2 << 20, true}, Complete::kLog},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(completeness(one.segment, options, 150), one.expected);
  }
  EXPECT_EQ(span_begin(25, 10), 20);
  EXPECT_EQ(span_begin(-5, 10), -10);
}

SegmentInfo sealed(std::int64_t seq, std::int64_t newest_h, std::uint64_t bytes = 100) {
  SegmentInfo info;
  info.seq = seq;
  info.state = SegmentState::kSealed;
  info.rows = 1;
  info.newest_us = newest_h * kUsPerHour;
  info.closed_us = newest_h * kUsPerHour;
  info.bytes = bytes;
  return info;
}

TEST(Rotation, ExpiresWhenTheNewestRowIsPastItsTime) {
  RetentionOptions retention;
  EXPECT_FALSE(has_expired(sealed(1, 100), retention, 219 * kUsPerHour));
  EXPECT_TRUE(has_expired(sealed(1, 100), retention, 220 * kUsPerHour));
  SegmentInfo future = sealed(1, 100);
  future.newest_us = 1'000'000 * kUsPerHour;
  EXPECT_TRUE(has_expired(future, retention, 220 * kUsPerHour)) << "one wrong time keeps it";
  SegmentInfo details = sealed(1, 100);
  details.family = SegmentFamily::kDetails;
  EXPECT_TRUE(has_expired(details, retention, 160 * kUsPerHour));
  SegmentInfo written = sealed(1, 100);
  written.state = SegmentState::kWriting;
  EXPECT_FALSE(has_expired(written, retention, 999 * kUsPerHour));
  retention.keep_forever = true;
  EXPECT_FALSE(has_expired(sealed(1, 100), retention, 999'999 * kUsPerHour));
}

TEST(Rotation, DropsTheOldestFirstDownToTheFloor) {
  const std::vector<SegmentInfo> segments{sealed(5, 30), sealed(1, 10), sealed(2, 20),
                                          sealed(7, 49)};
  const std::int64_t now = 50 * kUsPerHour;
  const std::int64_t floor = 5 * kUsPerHour;
  using Seqs = std::vector<std::int64_t>;
  EXPECT_EQ(over_cap(segments, 400, 400, floor, now), Seqs());
  EXPECT_EQ(over_cap(segments, 401, 400, floor, now), Seqs({1}));
  EXPECT_EQ(over_cap(segments, 550, 400, floor, now), Seqs({1, 2}));
  EXPECT_EQ(over_cap(segments, 9999, 0, floor, now), Seqs({1, 2, 5})) << "the floor holds";
}

TEST(Query, TakesBackTheCursorsItGives) {
  const Cursor cursor{1'795'000'000'123'456, "with.dots.and spaces"};
  const auto back = Cursor::parse(cursor.text());
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->at_us, cursor.at_us);
  EXPECT_EQ(back->task_id, cursor.task_id);
  for (const char* bad : {"", "x", "12", "12x.id", ".id"}) {
    EXPECT_EQ(Cursor::parse(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Query, FindsTextInEitherCase) {
  EXPECT_TRUE(contains_text("ValueError: NO stock", "no Stock"));
  EXPECT_TRUE(contains_text("aaab", "aab"));
  EXPECT_FALSE(contains_text("aab", "aaab"));
  EXPECT_TRUE(contains_text("", ""));
  EXPECT_FALSE(contains_text("", "x"));
}

TEST(SegmentFile, ThatIsCalledSealedHasNoLog) {
  const testing::TempDir dir("/dev/shm");
  const std::string path = dir / "inv-1.db";
  ASSERT_TRUE(segment_file::create(path, SegmentFamily::kRows, 0).ok());
  const std::string copy = dir / "inv-2.db";
  {
    auto writer = segment_file::open_for_writing(path, StoreOptions(), 1 << 20);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    ASSERT_TRUE(writer->exec("INSERT INTO phlower_state (key, whole) VALUES ('row', 1)").ok());
    for (const char* side : {"", "-wal"}) {
      std::filesystem::copy_file(path + side, copy + side);
    }
  }
  const auto torn = segment_file::open_for_reading(copy, true, 1 << 16);
  EXPECT_EQ(torn.status().code(), Code::kCorrupt) << "its last rows would be missing";
  EXPECT_NE(torn.status().message().find(copy), std::string::npos) << torn.status().message();
  EXPECT_TRUE(segment_file::open_for_reading(copy, false, 1 << 16).ok());
  std::filesystem::resize_file(copy + "-wal", 0);
  EXPECT_TRUE(segment_file::open_for_reading(copy, true, 1 << 16).ok()) << "an empty one is none";
}

}  // namespace
}  // namespace phlower
