// Columns of ids: every byte string comes back, from the whole blob and from pieces of it, in as
// few bytes as its form has; and no bytes lead a reader outside of them.
#include <gtest/gtest.h>

#include <cstring>

#include "phlower/columns/id_column.hpp"
#include "phlower/columns/id_column_writer.hpp"
#include "phlower/columns/id_read.hpp"
#include "support/hostile_blob.hpp"
#include "support/made_ids.hpp"

namespace phlower {
namespace {

using testing::each_bit_turned;
using testing::each_truncation;
using testing::odd_ids;
using testing::random_uuid;

std::string id_blob(const std::vector<std::string>& ids) {
  IdColumnWriter writer;
  for (const std::string& id : ids) writer.add(PackedId(id));
  std::string blob;
  const Status status = writer.write(0, blob);
  EXPECT_TRUE(status.ok()) << status.message();
  return blob;
}

// As a file gives pieces; a question outside of it is a failure.
struct Pieces {
  std::string_view blob;
  std::size_t most = 0;
  Status operator()(std::size_t at, std::size_t bytes, char* to) {
    EXPECT_LE(at, blob.size());
    EXPECT_LE(bytes, blob.size() - at);
    if (at > blob.size() || bytes > blob.size() - at) return Status(Code::kIo);
    std::memcpy(to, blob.data() + at, bytes);
    most = std::max(most, bytes);
    return Status();
  }
};

std::string read_piecewise(const std::string& blob, std::uint32_t row) {
  const auto head = read_id_head(blob);
  if (!head.ok()) return "head: " + std::string(head.status().message());
  std::string text;
  const auto id = read_id(*head, blob.size(), row, Pieces{blob}, text);
  return id.ok() ? id->text() : "row: " + std::string(id.status().message());
}

void expect_all_back(const std::vector<std::string>& ids) {
  const std::string blob = id_blob(ids);
  const auto column = IdColumn::open(blob);
  ASSERT_TRUE(column.ok()) << column.status().message();
  ASSERT_EQ(column->count(), ids.size());
  for (std::uint32_t row = 0; row < ids.size(); ++row) {
    ASSERT_EQ(column->at(row).text(), ids[row]) << "row " << row;
    ASSERT_EQ(read_piecewise(blob, row), ids[row]) << "row " << row;
  }
}

std::vector<std::string> random_ids(Random& random, std::size_t count, int v4, int v1, int text) {
  std::vector<std::string> ids;
  const std::vector<std::string> odd = odd_ids();
  const auto all = static_cast<std::uint64_t>(v4 + v1 + text);
  while (ids.size() < count) {
    const auto kind = static_cast<int>(random.below(all));
    ids.push_back(kind < v4 + v1 ? random_uuid(random, kind < v4) : odd[random.below(odd.size())]);
  }
  return ids;
}

TEST(PackedId, GivesEveryStringBackAndTellsThemApart) {
  const std::vector<std::string> ids = odd_ids();
  for (const std::string& id : ids) {
    EXPECT_EQ(PackedId(id).text(), id);
    for (const std::string& other : ids) {
      EXPECT_EQ(PackedId(id) == PackedId(other), id == other) << id << " and " << other;
    }
  }
  EXPECT_EQ(PackedId(ids[0]).stored().size(), 16u);
  EXPECT_FALSE(PackedId(ids[1]).is_uuid());
}

TEST(PackedId, OfTheSixteenBytesOfAUuidIsAnother) {
  const PackedId uuid(odd_ids()[0]);
  const std::string bytes(uuid.stored());
  EXPECT_FALSE(uuid == PackedId(bytes));
  EXPECT_EQ(PackedId(bytes).text(), bytes);
}

TEST(IdColumn, GivesBackEveryFormAndNumberOfRows) {
  Random random(1);
  for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 63u, 64u, 65u, 127u, 128u, 1000u}) {
    expect_all_back(random_ids(random, count, 1, 0, 0));
    expect_all_back(random_ids(random, count, 1, 1, 0));
    expect_all_back(random_ids(random, count, 8, 1, 1));
    expect_all_back(random_ids(random, count, 0, 0, 1));
  }
  expect_all_back(odd_ids());
}

TEST(IdColumn, GivesBackALongIdAmongShortOnes) {
  std::vector<std::string> ids = odd_ids();
  ids.insert(ids.begin() + 3, std::string(70'000, 'l'));
  ids.push_back(std::string(65'535, 'm'));
  expect_all_back(ids);
}

TEST(IdColumn, HasFifteenBytesAndTwoBitsForARandomUuid) {
  Random random(2);
  const auto bytes = [](const std::vector<std::string>& ids) { return id_blob(ids).size(); };
  EXPECT_EQ(bytes(random_ids(random, 16'384, 1, 0, 0)), 32 + 16'384 * 61 / 4u);
  std::vector<std::string> ids = random_ids(random, 16'384, 1, 0, 0);
  ids[9'000] = "00000000-0000-1000-8000-000000000000";
  EXPECT_EQ(bytes(ids), 32 + 16'384 * 16u);
  ids[9'000] = "one that is none";
  EXPECT_EQ(bytes(ids), 32 + 16'384 * 16u + 16'384 / 64 * 16u + 2);
}

TEST(IdColumn, TakesAsManyRowsAsAChunkAndNoMore) {
  Random random(3);
  expect_all_back(random_ids(random, kChunkRowsMax, 1, 0, 0));
  IdColumnWriter writer;
  for (std::uint32_t row = 0; row <= kChunkRowsMax; ++row) writer.add(PackedId());
  std::string blob = "as it was";
  EXPECT_EQ(writer.write(0, blob).code(), Code::kTooBig);
  EXPECT_EQ(blob, "as it was");
}

TEST(IdColumn, OfPiecesReadsLittleMoreThanTheId) {
  Random random(4);
  for (const auto& ids : {random_ids(random, 3'000, 1, 0, 0), random_ids(random, 3'000, 1, 1, 0),
                          random_ids(random, 3'000, 0, 0, 1)}) {
    const std::string blob = id_blob(ids);
    const auto head = read_id_head(std::string_view(blob).substr(0, kBlobHeadBytes));
    ASSERT_TRUE(head.ok());
    for (std::uint32_t row = 0; row < ids.size(); ++row) {
      Pieces pieces{blob};
      std::string text;
      ASSERT_TRUE(read_id(*head, blob.size(), row, pieces, text).ok());
      EXPECT_LE(pieces.most, std::max<std::size_t>(256, ids[row].size()));
    }
    std::string text;
    EXPECT_EQ(read_id(*head, blob.size(), 3'000, Pieces{blob}, text).status().code(),
              Code::kInvalidArgument);
  }
}

// What is believed must be readable from its first row to its last.
void read_ids_if_believed(const std::string& blob) {
  const auto column = IdColumn::open(blob);
  if (column.ok()) {
    std::size_t bytes = 0;
    for (std::uint32_t row = 0; row < column->count(); ++row)
      bytes += column->at(row).text().size();
    EXPECT_LE(bytes, 36ul * column->count() + blob.size());
  } else {
    EXPECT_NE(column.status().message(), code_name(column.status().code()));
  }
  for (const std::uint32_t row : {0u, 1u, 3u, 6u, 12u, 18u, 65u, 69u}) read_piecewise(blob, row);
}

TEST(IdColumn, LeadsNowhereWhateverBitIsTurned) {
  Random random(5);
  const std::vector<std::string> odd = odd_ids();
  std::vector<std::vector<std::string>> all{{odd[0], odd[1], odd[11], odd[13], odd[15]},
                                            random_ids(random, 5, 1, 0, 0),
                                            random_ids(random, 3, 1, 1, 0),
                                            std::vector<std::string>(66)};
  for (const auto& ids : all) {
    each_bit_turned(id_blob(ids),
                    [](const std::string& blob, bool sealed, const std::string& what) {
                      SCOPED_TRACE(what);
                      if (!sealed) {
                        EXPECT_EQ(IdColumn::open(blob).status().code(), Code::kCorrupt);
                      }
                      read_ids_if_believed(blob);
                    });
  }
}

TEST(IdColumn, IsNotBelievedWhenItIsCutOrHasBytesBehind) {
  Random random(6);
  for (const auto& ids :
       {odd_ids(), random_ids(random, 5, 1, 0, 0), random_ids(random, 4, 1, 1, 0)}) {
    const std::string whole = id_blob(ids);
    each_truncation(whole, [](const std::string& blob, const std::string& what) {
      SCOPED_TRACE(what);
      EXPECT_EQ(IdColumn::open(blob).status().code(), Code::kCorrupt);
      read_ids_if_believed(blob);
    });
    EXPECT_EQ(IdColumn::open(testing::resealed(whole + '\0')).status().code(), Code::kCorrupt);
  }
}

// One id is read without the checksum: what the groups say is held against the column.
TEST(IdColumn, OfPiecesIsNotTakenFromOtherRowsWhereAGroupSaysWhatCannotBe) {
  std::vector<std::string> ids(66, "00000000-0000-1000-8000-000000000000");
  ids[0] = std::string("\1\0 reads as a length", 20);
  const std::string good = id_blob(ids);
  const auto read = [&](const std::string& group) {
    std::string blob = good;
    blob.replace(kBlobHeadBytes + kIdGroupBytes, group.size(), group);
    const auto head = read_id_head(std::string_view(blob).substr(0, kBlobHeadBytes));
    std::string text;
    return read_id(*head, blob.size(), 65, Pieces{blob}, text).status().code();
  };
  const auto group = [](char uuids, char uuids_before) {
    return std::string{uuids, 0, 0, 0, 0, 0, 0, 0, uuids_before, 0, 0, 0, 0, 0, 0, 0};
  };
  EXPECT_EQ(read(group(3, 63)), Code::kOk);
  EXPECT_EQ(read(group(3, 64)), Code::kCorrupt) << "more UUIDs than there are";
  EXPECT_EQ(read(group(1, 63)), Code::kCorrupt) << "the second of one text";
  EXPECT_EQ(read(group(0, 65)), Code::kCorrupt) << "more UUIDs before it than rows";
}

TEST(IdColumn, OfALaterBuildIsUnsupportedAndNotCorrupt) {
  std::string blob = id_blob({"a"});
  blob[1] = 4;
  EXPECT_EQ(IdColumn::open(testing::resealed(blob)).status().code(), Code::kUnsupported);
  blob[0] = 99;
  EXPECT_EQ(IdColumn::open(testing::resealed(blob)).status().code(), Code::kUnsupported);
  EXPECT_EQ(read_id_head(blob).status().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace phlower
