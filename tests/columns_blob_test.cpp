// The head of a column: there and back, and whatever may have become of it.
#include "phlower/columns/blob.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace phlower {
namespace {

constexpr BlobKind kKnown{3, 0b101};

BlobHead a_head() {
  BlobHead head;
  head.encoding = 3;
  head.flags = 0b100;
  head.member = 0x1234;
  head.count = 65'536;
  head.base = std::numeric_limits<std::int64_t>::min();
  head.entries = 7;
  head.section_bytes = 4;
  return head;
}

std::string a_blob(const BlobHead& head) {
  std::string blob;
  start_blob(blob, head);
  blob += "what is in it";
  finish_blob(blob);
  return blob;
}

TEST(BlobHead, ComesBackAsItWasWritten) {
  const std::string blob = a_blob(a_head());
  const auto whole = check_blob(blob, kKnown);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(*whole, a_head());
  const auto part = read_blob_head(std::string_view(blob).substr(0, kBlobHeadBytes), kKnown);
  ASSERT_TRUE(part.ok()) << part.status().message();
  EXPECT_EQ(*part, a_head());
}

TEST(BlobHead, StandsAtTheOffsetsOfThePage) {
  const std::string blob = a_blob(a_head());
  EXPECT_EQ(blob.substr(0, 24), std::string("\x03\x04\x34\x12\x00\x00\x01\x00"
                                            "\x00\x00\x00\x00\x00\x00\x00\x80"
                                            "\x07\x00\x00\x00\x04\x00\x00\x00",
                                            24));
  EXPECT_EQ(blob.substr(32), "what is in it");
}

TEST(BlobHead, IsReadFromAnyAddress) {
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const std::string moved = std::string(shift, 'x') + a_blob(a_head());
    const auto head = check_blob(std::string_view(moved).substr(shift), kKnown);
    ASSERT_TRUE(head.ok()) << shift;
    EXPECT_EQ(*head, a_head());
  }
}

TEST(BlobHead, IsCorruptWithAnyBitFlipped) {
  std::string blob = a_blob(a_head());
  for (std::size_t bit = 0; bit < blob.size() * 8; ++bit) {
    blob[bit / 8] = static_cast<char>(blob[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(check_blob(blob, kKnown).status().code(), Code::kCorrupt) << bit;
    blob[bit / 8] = static_cast<char>(blob[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(BlobHead, IsCorruptWhenCutAnywhere) {
  const std::string blob = a_blob(a_head());
  for (std::size_t size = 0; size < blob.size(); ++size) {
    const std::string cut = blob.substr(0, size);  // of its own, so that a sanitizer sees its end
    EXPECT_EQ(check_blob(cut, kKnown).status().code(), Code::kCorrupt) << size;
    EXPECT_EQ(read_blob_head(cut, kKnown).ok(), size >= kBlobHeadBytes) << size;
  }
}

TEST(BlobHead, OfALaterBuildIsNotGuessedAt) {
  BlobHead head = a_head();
  head.encoding = 4;
  EXPECT_EQ(check_blob(a_blob(head), kKnown).status().code(), Code::kUnsupported);
  head = a_head();
  head.flags |= 0b10;
  const Status status = check_blob(a_blob(head), kKnown).status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("member 4660: encoding 3 with flags 6"), std::string_view::npos)
      << status.message();
}

TEST(BlobHead, HoldsNothingThatNoWriterWrites) {
  BlobHead head = a_head();
  head.count = kChunkRowsMax + 1;
  EXPECT_EQ(check_blob(a_blob(head), kKnown).status().code(), Code::kCorrupt);
  head = a_head();
  head.section_bytes = 6;
  EXPECT_EQ(check_blob(a_blob(head), kKnown).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace phlower
