// The bytes of ids, of their index and of slots can never change unseen: what tests/data/column_ids
// holds is written again. A second reader, written from doc/column_format.md alone, reads the same
// files (columns_ids_page_test.py). With PHLOWER_WRITE_GOLDEN=1 the files are written anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "phlower/columns/id_index_writer.hpp"
#include "phlower/columns/slot_writer.hpp"
#include "phlower/ground/random.hpp"
#include "support/hostile_blob.hpp"
#include "support/made_ids.hpp"

namespace phlower {
namespace {

using testing::hex_of;

void expect_golden(const std::string& name, const std::string& text) {
  const auto path = std::filesystem::path(PHLOWER_TEST_DATA) / "column_ids" / name;
  if (std::getenv("PHLOWER_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ostringstream file;
  file << std::ifstream(path).rdbuf();
  EXPECT_EQ(file.str(), text) << path;
}

std::string said(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += "id " + hex_of(id) + '\n';
  return text;
}

IdColumnWriter golden_writer(const std::vector<std::string>& ids) {
  IdColumnWriter writer;
  for (const std::string& id : ids) writer.add(PackedId(id));
  return writer;
}

TEST(GoldenIds, AreWrittenAsTheyStand) {
  Random random(1);
  std::vector<std::string> uuid4;
  for (int i = 0; i < 6; ++i) uuid4.push_back(testing::random_uuid(random, true));
  std::vector<std::string> uuid = uuid4;
  uuid.push_back("00000000-0000-1000-8000-00000000000f");
  std::vector<std::string> mixed = testing::odd_ids();
  mixed.pop_back();
  for (int i = 0; i < 60; ++i) mixed.push_back(testing::random_uuid(random, i % 2 == 0));
  for (const auto& [name, ids] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"uuid4.ids", uuid4}, {"uuid.ids", uuid}, {"mixed.ids", mixed}}) {
    std::string blob;
    ASSERT_TRUE(golden_writer(ids).write(0, blob).ok());
    expect_golden(name, said(ids) + "blob " + hex_of(blob) + '\n');
  }
  std::string blob;
  const std::vector<std::string> longer{"", std::string(65'536, 'l'), uuid4[0], "x"};
  ASSERT_TRUE(golden_writer(longer).write(0, blob).ok());
  EXPECT_EQ(blob.size(), 32 + 16 + 16 + 3 * 4 + 65'537u);
}

TEST(GoldenIndex, IsWrittenAsItStands) {
  Random random(2);
  std::vector<std::string> ids;
  for (int i = 0; i < 30; ++i) ids.push_back(testing::random_uuid(random, true));
  ids.insert(ids.end(), 260, "the same id again and again");
  const auto count = static_cast<std::uint32_t>(ids.size());
  std::vector<HashedRow> rows;
  for (std::uint32_t row = 0; row < count; ++row) {
    rows.push_back(hashed_row(PackedId(ids[row]).hash(), row));
  }
  std::sort(rows.begin(), rows.end());
  for (const auto& [name, shape] : std::vector<std::pair<std::string, IdIndexShape>>{
           {"sealed.index", {count, kSealedRemainderBits, 5}},
           {"run.index", IdIndexShape::run(count)}}) {
    std::string text = said(ids);
    IdIndexWriter writer(shape, [&](std::uint32_t, std::string_view filter, std::string_view part) {
      text += "filter " + hex_of(filter) + "\nrows " + hex_of(part) + '\n';
      return Status();
    });
    for (const HashedRow row : rows) ASSERT_TRUE(writer.add(row).ok());
    ASSERT_TRUE(writer.finish().ok());
    expect_golden(name, text);
  }
}

TEST(GoldenSlot, IsWrittenAsItStands) {
  const std::vector<std::string> ids{"0029aaec-f501-47ca-bc7a-c19c14194d07", "", "x"};
  using Three = std::vector<std::int64_t>;
  const std::vector<std::string_view> texts{"a text", ""};
  const std::vector<std::uint32_t> outdone{3, 1'000'000};
  SlotWriter writer(3);
  ASSERT_TRUE(writer.add_ids(0, golden_writer(ids)).ok());
  ASSERT_TRUE(writer.add_numbers(1, Three{7, 7, 7}).ok());
  ASSERT_TRUE(writer.add_numbers(5, Three{-1, 300, 70'000}).ok());
  ASSERT_TRUE(writer.add_numbers(6, Three{INT64_MIN, 0, INT64_MAX}).ok());
  ASSERT_TRUE(writer.add_numbers(9, Three{0, kOwnText, kOwnText}).ok());
  ASSERT_TRUE(writer.add_texts(9, texts).ok());
  std::string blob;
  ASSERT_TRUE(writer.finish(outdone, blob).ok());
  expect_golden("commit.slot", said(ids) + "blob " + hex_of(blob) + '\n');
}

}  // namespace
}  // namespace phlower
