// Slots: a commit's rows come back whatever their numbers and texts are, members that one side does
// not know are no trouble to the other, and no bytes lead a reader outside of them.
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "phlower/columns/row_members.hpp"
#include "phlower/columns/slot_writer.hpp"
#include "phlower/ground/random.hpp"
#include "support/hostile_blob.hpp"
#include "support/made_ids.hpp"

namespace phlower {
namespace {

using SlotNumbers = std::vector<std::int64_t>;
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kGreatest = std::numeric_limits<std::int64_t>::max();

/// What a slot is made from.
struct SlotRows {
  std::uint32_t count = 0;
  std::vector<std::string> ids = {};
  std::map<std::uint16_t, SlotNumbers> numbers = {};
  std::map<std::uint16_t, std::vector<std::string>> texts = {};
  std::vector<std::uint32_t> outdone = {};
};

std::string slot_of(const SlotRows& rows) {
  SlotWriter writer(rows.count);
  IdColumnWriter ids;
  for (const std::string& id : rows.ids) ids.add(PackedId(id));
  Status status = writer.add_ids(0, ids);
  EXPECT_TRUE(status.ok()) << status.message();
  for (const auto& [member, numbers] : rows.numbers) {
    status = writer.add_numbers(member, numbers);
    EXPECT_TRUE(status.ok()) << status.message();
    const auto texts = rows.texts.find(member);
    if (texts == rows.texts.end()) continue;
    const std::vector<std::string_view> views(texts->second.begin(), texts->second.end());
    status = writer.add_texts(member, views);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  std::string blob;
  status = writer.finish(rows.outdone, blob);
  EXPECT_TRUE(status.ok()) << status.message();
  return blob;
}

void expect_slot_back(const SlotRows& rows) {
  const std::string blob = slot_of(rows);
  const auto slot = Slot::open(blob);
  ASSERT_TRUE(slot.ok()) << slot.status().message();
  ASSERT_EQ(slot->rows(), rows.count);
  EXPECT_EQ(slot->outdone(), rows.outdone);
  const auto ids = slot->ids(0);
  ASSERT_TRUE(ids.has_value());
  for (std::uint32_t row = 0; row < rows.count; ++row)
    EXPECT_EQ(ids->at(row).text(), rows.ids[row]);
  for (const auto& [member, numbers] : rows.numbers) {
    SlotNumbers found(rows.count, 42);
    ASSERT_TRUE(slot->numbers(member, found));
    EXPECT_EQ(found, numbers) << "member " << member;
    const std::vector<std::string_view> texts = slot->texts(member);
    const auto wanted = rows.texts.find(member);
    ASSERT_EQ(texts.size(), wanted == rows.texts.end() ? 0 : wanted->second.size());
    for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], wanted->second[i]);
  }
}

SlotRows some_rows(Random& random, std::uint32_t count) {
  SlotRows rows{.count = count};
  const std::vector<std::string> odd = testing::odd_ids();
  for (std::uint32_t row = 0; row < count; ++row) {
    rows.ids.push_back(random.chance(1, 9) ? odd[random.below(odd.size())]
                                           : testing::random_uuid(random, true));
    rows.numbers[1].push_back(static_cast<std::int64_t>(random.below(200)));
    rows.numbers[5].push_back(static_cast<std::int64_t>(random.below(5'000'000)));
    const bool own = random.chance(1, 4);
    rows.numbers[9].push_back(own ? kOwnText : 0);
    if (own) rows.texts[9].push_back(odd[random.below(odd.size())]);
    rows.numbers[kMemberDetails].push_back(static_cast<std::int64_t>(random.next()));
    if (random.chance(1, 5)) rows.outdone.push_back(static_cast<std::uint32_t>(random.next()));
  }
  for (const std::uint16_t member : {1, 5, 9}) rows.numbers[member].resize(count);
  rows.numbers[kMemberDetails].resize(count);
  rows.texts[9];
  return rows;
}

TEST(Slot, GivesBackRowsOfEveryCount) {
  Random random(1);
  for (const std::uint32_t count : {0u, 1u, 2u, 60u, 512u, 16'384u})
    expect_slot_back(some_rows(random, count));
}

TEST(Slot, GivesBackEveryNumberThereIs) {
  const std::vector<SlotNumbers> all = {
      {0, 0, 0},
      {kLeast, kLeast, kLeast},
      {kGreatest, kGreatest, kGreatest},
      {kLeast, 0, kGreatest},
      {-1, 0, 1},
      {0, 255, 1},
      {0, 256, 1},
      {kLeast, kLeast + 65'535, kLeast},
      {kLeast, kLeast + 65'536, kLeast},
      {kGreatest, kGreatest - 0xffff'ffffll, kGreatest},
      {kGreatest, kGreatest - 0x1'0000'0000ll, kGreatest},
      {-0x8000'0000ll, 0x7fff'ffffll, 0},
  };
  SlotRows rows{.count = 3, .ids = {"a", "b", "c"}};
  for (std::size_t i = 0; i < all.size(); ++i)
    rows.numbers[static_cast<std::uint16_t>(i + 1)] = all[i];
  expect_slot_back(rows);
}

TEST(Slot, TakesOneBytePerSmallNumberAndNoneForWhatIsAlwaysTheSame) {
  Random random(2);
  SlotRows rows{.count = 60, .ids = {}, .numbers = {{1, SlotNumbers(60, 7)}}};
  for (int i = 0; i < 60; ++i) rows.ids.push_back(testing::random_uuid(random, true));
  const std::size_t before = slot_of(rows).size();
  EXPECT_EQ(before, 32 + 2 * 12 + 32 + 60 * 15 + 15u);
  rows.numbers[1][3] = 262;
  EXPECT_EQ(slot_of(rows).size(), before + 60);
  rows.numbers[1][3] = 263;
  EXPECT_EQ(slot_of(rows).size(), before + 120);
}

TEST(Slot, WithoutAMemberDoesNotKnowIt) {
  const std::string blob = slot_of({.count = 1, .ids = {"a"}, .numbers = {{3, {5}}}});
  const auto slot = Slot::open(blob);
  ASSERT_TRUE(slot.ok());
  SlotNumbers out{9};
  EXPECT_FALSE(slot->numbers(4, out));
  EXPECT_EQ(out[0], 9);
  EXPECT_FALSE(slot->ids(1).has_value());
  EXPECT_TRUE(slot->texts(3).empty());
}

TEST(Slot, OfALaterBuildGivesTheMembersThatThisOneKnows) {
  std::string blob = slot_of({.count = 2, .ids = {"a", "b"}, .numbers = {{3, {5, 6}}}});
  // One entry more in the table, of a form that nobody knows yet, with five bytes of its own.
  const std::string entry("\x07\x00\x63\x00\x05\x00\x00\x00\x00\x00\x00\x00", 12);
  blob.insert(kBlobHeadBytes + 2 * kSlotEntryBytes, entry);
  blob += "later";
  blob[16] = 3;
  blob[20] = 36;
  const std::string later = testing::resealed(blob);
  const auto slot = Slot::open(later);
  ASSERT_TRUE(slot.ok()) << slot.status().message();
  SlotNumbers out(2);
  EXPECT_TRUE(slot->numbers(3, out));
  EXPECT_EQ(out, (SlotNumbers{5, 6}));
  EXPECT_FALSE(slot->numbers(7, out));
  blob[1] = 1;
  EXPECT_EQ(Slot::open(testing::resealed(blob)).status().code(), Code::kUnsupported);
}

TEST(SlotWriter, RefusesWhatNoReaderCouldRead) {
  SlotWriter writer(2);
  const SlotNumbers two{1, kOwnText};
  EXPECT_EQ(writer.add_numbers(3, SlotNumbers{1}).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_texts(3, {}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(writer.add_numbers(3, two).ok());
  const std::vector<std::string_view> texts{"one", "more"};
  EXPECT_EQ(writer.add_texts(3, texts).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_texts(4, std::span(texts).first(1)).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_numbers(3, two).code(), Code::kInvalidArgument);
  EXPECT_EQ(writer.add_numbers(2, two).code(), Code::kInvalidArgument);
  IdColumnWriter ids;
  EXPECT_EQ(writer.add_ids(9, ids).code(), Code::kInvalidArgument);
  ids.add(PackedId("a"));
  ids.add(PackedId("b"));
  EXPECT_EQ(writer.add_ids(0, ids).code(), Code::kInvalidArgument);
  EXPECT_TRUE(writer.add_texts(3, std::span(texts).first(1)).ok());
  std::string blob;
  const std::vector<std::uint32_t> outdone{1, 2, 3};
  EXPECT_EQ(writer.finish(outdone, blob).code(), Code::kInvalidArgument);
  EXPECT_TRUE(writer.finish(std::span(outdone).first(2), blob).ok());
  EXPECT_TRUE(Slot::open(blob).ok());
  EXPECT_EQ(SlotWriter(kChunkRowsMax + 1).finish({}, blob).code(), Code::kTooBig);
}

// What is believed is read to its last byte.
void read_slot_if_believed(const std::string& blob) {
  const auto slot = Slot::open(blob);
  if (!slot.ok()) return;
  std::size_t bytes = slot->outdone().size();
  for (std::uint16_t member = 0; member < 12; ++member) {
    SlotNumbers numbers(slot->rows());
    slot->numbers(member, numbers);
    for (const std::string_view text : slot->texts(member)) bytes += std::string(text).size();
    if (const auto ids = slot->ids(member)) {
      for (std::uint32_t row = 0; row < ids->count(); ++row) bytes += ids->at(row).text().size();
    }
  }
  EXPECT_LE(bytes, 36ul * slot->rows() + blob.size());
}

TEST(Slot, LeadsNowhereWhateverBitIsTurned) {
  Random random(3);
  testing::each_bit_turned(slot_of(some_rows(random, 3)),
                           [](const std::string& blob, bool sealed, const std::string& what) {
                             SCOPED_TRACE(what);
                             if (!sealed) {
                               EXPECT_EQ(Slot::open(blob).status().code(), Code::kCorrupt);
                             }
                             read_slot_if_believed(blob);
                           });
}

TEST(Slot, IsNotBelievedWhenItIsCutOrHasBytesBehind) {
  Random random(4);
  const std::string whole = slot_of(some_rows(random, 4));
  testing::each_truncation(whole, [](const std::string& blob, const std::string& what) {
    EXPECT_EQ(Slot::open(blob).status().code(), Code::kCorrupt) << what;
  });
  EXPECT_EQ(Slot::open(testing::resealed(whole + '\0')).status().code(), Code::kCorrupt);
}

TEST(Slot, IsNotBelievedWhereItsTableSaysWhatCannotBe) {
  const std::string good = slot_of({.count = 2,
                                    .ids = {"a", "b"},
                                    .numbers = {{3, {kOwnText, 0}}},
                                    .texts = {{3, {"own"}}},
                                    .outdone = {1}});
  ASSERT_TRUE(Slot::open(good).ok());
  const auto with = [&](std::size_t at, char byte) {
    std::string blob = good;
    blob[at] = byte;
    return Slot::open(testing::resealed(blob)).status().code();
  };
  const std::size_t texts_at = good.size() - 4 - 3 - 4;
  EXPECT_EQ(with(texts_at, 2), Code::kCorrupt) << "a text that is shorter than its bytes";
  EXPECT_EQ(with(texts_at, 9), Code::kCorrupt) << "a text that ends behind its bytes";
  EXPECT_EQ(with(texts_at - 4, 2), Code::kCorrupt) << "more texts than rows want one";
  EXPECT_EQ(with(kBlobHeadBytes + kSlotEntryBytes, 0), Code::kCorrupt) << "the texts' numbers gone";
  EXPECT_EQ(with(kBlobHeadBytes, 9), Code::kCorrupt) << "members out of order";
  EXPECT_EQ(with(kBlobHeadBytes + kSlotEntryBytes + 3, 3), Code::kCorrupt) << "three bytes wide";
  std::string narrow = slot_of({.count = 2, .ids = {"a", "b"}, .numbers = {{3, {0, 70'000}}}});
  narrow[kBlobHeadBytes + kSlotEntryBytes + 3] = 3;
  narrow.resize(narrow.size() - 2);
  EXPECT_EQ(Slot::open(testing::resealed(narrow)).status().code(), Code::kCorrupt)
      << "three bytes wide, and as many bytes there";
  std::string few = slot_of({.count = 2, .ids = {"a", "b"}});
  few[4] = 3;
  EXPECT_EQ(Slot::open(testing::resealed(few)).status().code(), Code::kCorrupt)
      << "two ids for three rows";
  std::string more = good;
  more[8] = 3;
  EXPECT_EQ(Slot::open(testing::resealed(more + std::string(8, 1))).status().code(), Code::kCorrupt)
      << "more outdone rows than rows";
}

TEST(RowMembers, AreTheFieldsOfRowsUnderTheirPlacesAndThreeMore) {
  const auto members = row_members();
  std::map<std::string_view, RowMember> by_name;
  std::uint32_t last = 0;
  for (const RowMember& member : members) {
    EXPECT_TRUE(by_name.empty() || member.number > last);
    last = member.number;
    by_name[member.name] = member;
  }
  EXPECT_EQ(by_name.size(), members.size());
  EXPECT_EQ(by_name.at("id").number, 0);
  EXPECT_EQ(by_name.at("id").form, MemberForm::kIds);
  EXPECT_EQ(by_name.at("finished").number, 5);
  EXPECT_EQ(by_name.at("finished").form, MemberForm::kNumbers);
  EXPECT_EQ(by_name.at("exception").number, 9);
  EXPECT_EQ(by_name.at("exception").form, MemberForm::kWords);
  EXPECT_EQ(by_name.at("details").number, kMemberDetails);
  EXPECT_EQ(by_name.count("args"), 0u);
}

}  // namespace
}  // namespace phlower
