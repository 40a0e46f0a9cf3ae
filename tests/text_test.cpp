// Text from outside: what is UTF-8, and how the rest is shown.
#include "phlower/ground/text/text.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace phlower {
namespace {

struct CharacterCase {
  std::string text;
  std::size_t size;
  char32_t code;
};

TEST(FirstCharacter, IsTakenAsRfc3629HasIt) {
  const CharacterCase cases[] = {
      {"", 0, 0},
      {std::string(1, '\0'), 1, 0},
      {"a", 1, 'a'},
      {"\x7f", 1, 0x7f},
      {"\xc3\xa9x", 2, 0xe9},
      {"\xe2\x82\xac", 3, 0x20ac},
      {"\xed\x9f\xbf", 3, 0xd7ff},
      {"\xee\x80\x80", 3, 0xe000},
      {"\xf0\x9f\x98\x80", 4, 0x1f600},
      {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
      {"\x80", 0, 0},              // a continuation alone
      {"\xc0\x80", 0, 0},          // overlong
      {"\xc1\xbf", 0, 0},          // overlong
      {"\xe0\x9f\xbf", 0, 0},      // overlong
      {"\xf0\x8f\xbf\xbf", 0, 0},  // overlong
      {"\xed\xa0\x80", 0, 0},      // half of a surrogate
      {"\xed\xbf\xbf", 0, 0},      // the other half
      {"\xf4\x90\x80\x80", 0, 0},  // above U+10FFFF
      {"\xf5\x80\x80\x80", 0, 0},
      {"\xff", 0, 0},
      {"\xc3", 0, 0},  // cut off
      {"\xe2\x82", 0, 0},
      {"\xf0\x9f\x98", 0, 0},
      {"\xe2\x41\xac", 0, 0},  // no continuation where one must be
  };
  for (const CharacterCase& c : cases) {
    const Character first = first_character(c.text);
    EXPECT_EQ(first.size, c.size) << printable(c.text);
    EXPECT_EQ(first.code, c.size == 0 ? 0 : c.code) << printable(c.text);
  }
}

TEST(PlainUtf8, HasNoControlCharactersAndNoBadBytes) {
  EXPECT_TRUE(is_plain_utf8(""));
  EXPECT_TRUE(is_plain_utf8("caf\xc3\xa9 \xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_plain_utf8("a\nb"));
  EXPECT_FALSE(is_plain_utf8("a\x7f"));
  EXPECT_FALSE(is_plain_utf8(std::string("a\0", 2)));
  EXPECT_FALSE(is_plain_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(is_plain_utf8("a\xc3"));
}

TEST(Printable, ShowsWhatWouldReachTheTerminalOrHide) {
  const std::pair<std::string, std::string> cases[] = {
      {"shop.orders.pack", "shop.orders.pack"},
      {"caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
      {"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"},
      {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"\x7f", "\\x7f"},
      {"\xc2\x9b"
       "31m",
       "\\x9b31m"},  // C1's own escape
      {"a\xe2\x80\xae"
       "b",
       "a\\u202eb"},  // right to left from here
      {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069"},
      {"\xe2\x80\x8b", "\\u200b"},  // a space without width
      {"\xef\xbb\xbf", "\\ufeff"},
      {"\xf3\xa0\x81\x81", "\\U000e0041"},  // a tag
      {"\xff\xc3", "\\xff\\xc3"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
      {"C:\\new", "C:\\new"},
  };
  for (const auto& [text, shown] : cases) EXPECT_EQ(printable(text), shown);
  EXPECT_EQ(printable("a\n\tb\x1b", "\n\t"), "a\n\tb\\x1b");
}

TEST(Printable, IsPlainUtf8WhateverTheBytesWere) {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 12, ' ');
    for (char& c : text) {
      c = static_cast<char>(random() % 3 == 0 ? 0x80 + random() % 0x80 : random() % 0x100);
    }
    const std::string shown = printable(text);
    EXPECT_TRUE(is_plain_utf8(shown)) << shown;
    EXPECT_EQ(printable(shown), shown);
  }
}

TEST(ShownText, IsCutBetweenCharacters) {
  EXPECT_EQ(shown_text("a\nb"), "'a\\nb'");
  EXPECT_EQ(shown_text(std::string(60, 'x')), "'" + std::string(60, 'x') + "'");
  EXPECT_EQ(shown_text(std::string(61, 'x')), "'" + std::string(60, 'x') + "...'");
  EXPECT_EQ(shown_text(std::string(59, 'x') + "\xc3\xa9"), "'" + std::string(59, 'x') + "...'");
}

}  // namespace
}  // namespace phlower
