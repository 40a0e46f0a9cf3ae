// Records to bytes and back: what goes in comes out, and nothing else is believed. Also how details
// are cut to their limits.
#include "phlower/record/codec.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "phlower/record/limits.hpp"
#include "support/every_field.hpp"
#include "support/ring_content.hpp"

namespace phlower {
namespace {

Record example() {
  Record record;
  record.task_id = "0c1d2e3f";
  record.task_name = "tasks.gr\u00f6\u00dfe";
  record.state = "FAILURE";
  record.received_at = 1.7e9;
  record.started_at = 1.7e9 + 0.5;
  record.finished_at = 1.7e9 + 2.25;
  record.runtime_ms = 1750.5;
  record.worker = "celery@host";
  record.queue = "default";
  record.exception_type = "ValueError";
  record.args = std::string("(1, 'a\0b')", 10);
  record.kwargs = "{}";
  record.traceback = "Traceback (most recent call last)";
  record.flags = kDetailsCut;
  return record;
}

std::vector<std::byte> encode(const RecordView& record, std::uint64_t submitted_ns = 12345) {
  std::vector<std::byte> bytes(encoded_bytes(record));
  EXPECT_EQ(encode_record(record, submitted_ns, bytes), bytes.size());
  return bytes;
}

void expect_same(const RecordView& got, const RecordView& want) {
  EXPECT_EQ(testing::different_fields(got, want), "");
  EXPECT_EQ(got.flags, want.flags);
}

TEST(RecordCodec, GivesBackEveryField) {
  const Record record = example();
  const auto bytes = encode(record.view());
  const auto decoded = decode_record(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  expect_same(decoded->record, record.view());
  EXPECT_EQ(decoded->submitted_ns, 12345u);
}

TEST(RecordCodec, KeepsEachFieldOfTheTableApart) {
  const Record record = testing::every_field();
  const auto bytes = encode(record.view());
  const auto decoded = decode_record(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  expect_same(decoded->record, record.view());
  expect_same(owned(decoded->record).view(), record.view());
  visit_fields(
      [&](const Field& field, const auto& member) {
        EXPECT_TRUE(is_known(field, member)) << field.name;
        RecordView changed = record.view();
        visit_fields(
            [&field](const Field& other, auto& value) {
              if (other.name == field.name) value = {};
            },
            changed);
        EXPECT_EQ(testing::different_fields(changed, record.view()), " " + std::string(field.name));
      },
      record);
}

TEST(RecordCodec, GivesBackARecordOfNothingButItsId) {
  RecordView record;
  record.task_id = "x";
  const auto bytes = encode(record);
  const auto decoded = decode_record(bytes);
  ASSERT_TRUE(decoded.ok());
  expect_same(decoded->record, record);
  EXPECT_EQ(bytes.size(), kCodecFixedBytes + 1);
}

TEST(RecordCodec, HasTheBytesThatItsDiagramSays) {
  RecordView record;
  record.task_id = "ab";
  record.received_at = 1.0;
  record.flags = 0x0201;
  const auto bytes = encode(record, 0x0807060504030201);
  const std::vector<int> start = {1, 0, 1, 2, 88, 0, 9, 0, 1, 2, 3,    4,
                                  5, 6, 7, 8, 0,  0, 0, 0, 0, 0, 0xF0, 0x3F};
  for (std::size_t i = 0; i < start.size(); ++i) {
    EXPECT_EQ(static_cast<int>(bytes[i]), start[i]) << i;
  }
  EXPECT_EQ(static_cast<int>(bytes[48]), 2);
  EXPECT_EQ(static_cast<char>(bytes[88]), 'a');
}

TEST(RecordCodec, WritesNothingWhenThereIsNoRoom) {
  const Record record = example();
  std::vector<std::byte> bytes(encoded_bytes(record.view()) - 1, std::byte{0x5A});
  EXPECT_EQ(encode_record(record.view(), 1, bytes), 0u);
  for (const std::byte byte : bytes) EXPECT_EQ(byte, std::byte{0x5A});
}

TEST(RecordCodec, RefusesEveryTruncation) {
  const auto bytes = encode(example().view());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // In memory of its own, so that a sanitizer sees each read behind the end.
    const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<long>(size));
    EXPECT_EQ(decode_record(part).status().code(), Code::kCorrupt) << size;
  }
}

TEST(RecordCodec, RefusesBytesAfterTheEnd) {
  auto bytes = encode(example().view());
  bytes.push_back(std::byte{0});
  EXPECT_EQ(decode_record(bytes).status().code(), Code::kCorrupt);
}

TEST(RecordCodec, StaysInsideItsBytesWhateverBitIsFlipped) {
  const auto bytes = encode(example().view());
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < kCodecFixedBytes * 8; ++bit) {
    std::vector<std::byte> damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const auto decoded = decode_record(damaged);
    if (!decoded.ok()) {
      ++refused;
      continue;
    }
    visit_texts(
        [&](const Field& field, std::string_view got) {
          const auto* from = reinterpret_cast<const std::byte*>(got.data());
          const std::byte* const end = damaged.data() + damaged.size();
          EXPECT_TRUE(from >= damaged.data() && from + got.size() <= end) << field.name;
        },
        decoded->record);
  }
  EXPECT_GT(refused, 300u);  // all lengths, counts and versions
}

TEST(RecordCodec, StaysInsideItsBytesForAnyBytes) {
  testing::Random random(7);
  const auto bytes = encode(example().view());
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> damaged(bytes.begin(),
                                   bytes.begin() + static_cast<long>(random.below(bytes.size())));
    for (std::uint64_t edits = random.below(6); edits > 0 && !damaged.empty(); --edits) {
      damaged[random.below(damaged.size())] = static_cast<std::byte>(random.next());
    }
    // A length may have become right for the shorter bytes: then it is a record, a shorter one.
    const auto decoded = decode_record(damaged);
    if (!decoded.ok()) continue;
    EXPECT_EQ(encoded_bytes(decoded->record), damaged.size());
    ++accepted;
  }
  EXPECT_LT(accepted, 200);
}

TEST(RecordCodec, NamesAnotherMajorVersion) {
  auto bytes = encode(example().view());
  bytes[0] = std::byte{2};
  EXPECT_EQ(decode_record(bytes).status().code(), Code::kVersion);
}

TEST(RecordCodec, SkipsWhatALaterMinorVersionAdded) {
  const Record record = example();
  const auto old = encode(record.view());
  // Eight more bytes in the fixed part, one of them a tenth length, and its text at the end.
  std::vector<std::byte> later(old.begin(), old.begin() + 84);
  later[1] = std::byte{1};
  later[4] = std::byte{kCodecFixedBytes + 8};
  later[6] = std::byte{10};
  later.push_back(std::byte{3});
  later.resize(kCodecFixedBytes + 8);
  later.insert(later.end(), old.begin() + kCodecFixedBytes, old.end());
  later.resize(later.size() + 3, std::byte{'t'});
  const auto decoded = decode_record(later);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  expect_same(decoded->record, record.view());
}

TEST(RecordCodec, RefusesWhatIsNoRecordOnBothSides) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Record good = example();
  RecordView bad = good.view();
  visit_numbers(
      [&](const Field& field, double& number) {
        const double before = number;
        for (const double value : {kNan, kInfinity, -kInfinity}) {
          EXPECT_TRUE(encodable(bad));
          number = value;
          EXPECT_FALSE(encodable(bad)) << field.name;
          EXPECT_EQ(decode_record(encode(bad)).status().code(), Code::kCorrupt) << field.name;
          number = before;
        }
      },
      bad);
  RecordView nameless;
  EXPECT_FALSE(encodable(nameless));
  EXPECT_EQ(decode_record(encode(nameless)).status().code(), Code::kCorrupt);
}

TEST(Utf8Prefix, NeverEndsInsideACharacter) {
  const std::string_view text = "a\u00e4\u20ac\U0001f600z";  // 1, 2, 3, 4 and 1 bytes
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (std::size_t limit = 0; limit < std::size(expected); ++limit) {
    EXPECT_EQ(utf8_prefix(text, limit), text.substr(0, expected[limit])) << limit;
  }
}

TEST(Utf8Prefix, CutsBytesThatAreNotUtf8AtTheLimit) {
  const std::string stray(20, '\x80');
  EXPECT_EQ(utf8_prefix(stray, 10).size(), 10u);
  EXPECT_EQ(utf8_prefix(stray, 2).size(), 2u);
  EXPECT_EQ(utf8_prefix(stray, 0).size(), 0u);
  EXPECT_EQ(utf8_prefix(stray, 20).size(), 20u);
}

TEST(RecordLimits, CutEachDetailAndMarkTheRecord) {
  RecordOptions options;
  options.args_max_bytes = 3;
  options.kwargs_max_bytes = 4;
  options.traceback_max_bytes = 5;
  RecordView record;
  record.args = "12\u00e4";
  record.kwargs = "1234";
  record.traceback = "123456";
  EXPECT_TRUE(cut_texts(record, options));
  EXPECT_EQ(record.args, "12");
  EXPECT_EQ(record.kwargs, "1234");
  EXPECT_EQ(record.traceback, "12345");
  EXPECT_EQ(record.flags, kDetailsCut);
}

TEST(RecordLimits, LeaveARecordThatFitsAlone) {
  RecordView record;
  record.args = "123";
  EXPECT_FALSE(cut_texts(record, RecordOptions{}));
  EXPECT_EQ(record.flags, 0);
}

TEST(RecordLimits, CutNamesAndTheExceptionButNeverTheId) {
  const std::string text(5000, 'x');
  RecordView record;
  visit_texts([&text](const Field&, std::string_view& member) { member = text; }, record);
  EXPECT_TRUE(cut_texts(record, RecordOptions{}));
  EXPECT_EQ(record.task_id.size(), 5000u);
  for (const std::string_view name :
       {record.task_name, record.state, record.worker, record.queue}) {
    EXPECT_EQ(name.size(), kNameBytesMax);
  }
  EXPECT_EQ(record.exception_type.size(), kExceptionBytesMax);
  EXPECT_EQ(record.traceback.size(), 5000u) << "its own limit is 8 KiB";
  EXPECT_EQ(record.flags, kDetailsCut);
}

TEST(RecordLimits, CutWhatSaysLeastUntilTheWholeFits) {
  const std::string text(300, 'x');
  const auto cut = [&](std::size_t max_bytes) {
    RecordView record;
    record.task_id = "id";
    record.traceback = record.kwargs = record.args = record.exception_type = text;
    const std::size_t before = encoded_bytes(record);
    EXPECT_EQ(cut_to_size(record, max_bytes), max_bytes < before);
    EXPECT_EQ(record.flags, max_bytes < before ? kDetailsCut : 0);
    EXPECT_EQ(record.task_id, "id");
    EXPECT_EQ(encoded_bytes(record), std::max(std::min(before, max_bytes), kCodecFixedBytes + 2));
    return record;
  };
  const std::size_t whole = kCodecFixedBytes + 2 + 4 * 300;
  cut(whole + 1);
  cut(whole);
  EXPECT_EQ(cut(whole - 1).traceback.size(), 299u);
  EXPECT_EQ(cut(whole - 301).kwargs.size(), 299u);
  EXPECT_EQ(cut(whole - 601).args.size(), 299u);
  EXPECT_EQ(cut(whole - 901).exception_type.size(), 299u);
  cut(kCodecFixedBytes);
}

TEST(ShedDetails, MarksOnlyARecordThatHadSome) {
  RecordView record;
  record.task_id = "x";
  EXPECT_FALSE(shed_details(record));
  EXPECT_EQ(record.flags, 0);
  record.kwargs = "{}";
  EXPECT_TRUE(shed_details(record));
  EXPECT_FALSE(record.has_details());
  EXPECT_EQ(record.flags, kDetailsShed);
}

}  // namespace
}  // namespace phlower
