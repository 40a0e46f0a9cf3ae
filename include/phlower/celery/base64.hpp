// Base64 to bytes, strictly (RFC 4648, section 4). Own code: Boost's public iterators throw and do
// not know padding, and the decoder in Boost.Beast is a private detail.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"

namespace phlower {

namespace base64_detail {

inline constexpr std::uint8_t kBad = 0xff;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kBad);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

inline constexpr std::array<std::uint8_t, 256> kValues = make_values();

inline std::uint8_t value(char c) { return kValues[static_cast<unsigned char>(c)]; }

inline Status bad_character(std::string_view text, std::size_t at) {
  char shown[8];
  const auto byte = static_cast<unsigned char>(text[at]);
  const bool printable = byte > 0x20 && byte < 0x7f;
  std::snprintf(shown, sizeof shown, printable ? "'%c'" : "0x%02x", byte);
  return Status(Code::kInvalidArgument,
                "not base64: " + std::string(shown) + " at byte " + std::to_string(at));
}

// Where the text first breaks the alphabet, looking at `count` characters; `count` if nowhere.
inline std::size_t first_bad(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < count && value(text[at]) != kBad) ++at;
  return at;
}

}  // namespace base64_detail

/// The bytes that `text` stands for. Strict: standard alphabet, padded to whole groups of four, no
/// white space, no stray bits in the last character.
/// Errors: kInvalidArgument that names the first bad character and its offset.
/// Thread safety: safe. Blocks: never.
inline Result<std::string> decode_base64(std::string_view text) {
  namespace bd = base64_detail;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  const std::size_t digits = text.size() - padding;
  if (text.size() % 4 != 0) {
    const std::size_t bad = bd::first_bad(text, digits);
    if (bad < digits) return bd::bad_character(text, bad);
    return Status(Code::kInvalidArgument, "not base64: " + std::to_string(text.size()) +
                                              " characters, which is no whole number of fours");
  }
  std::string bytes(text.size() / 4 * 3 - padding, '\0');
  char* to = bytes.data();
  std::size_t i = 0;
  std::uint32_t all = 0;  // every value is below 64, kBad is not: looked at once, at the end
  for (; i + 4 <= digits; i += 4) {
    const std::uint32_t a = bd::value(text[i]);
    const std::uint32_t b = bd::value(text[i + 1]);
    const std::uint32_t c = bd::value(text[i + 2]);
    const std::uint32_t d = bd::value(text[i + 3]);
    all |= a | b | c | d;
    const std::uint32_t three = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(three >> 16);
    *to++ = static_cast<char>(three >> 8 & 0xff);
    *to++ = static_cast<char>(three & 0xff);
  }
  std::uint32_t bits = 0;
  int held = 0;
  for (; i < digits; ++i) {
    all |= bd::value(text[i]);
    bits = (bits << 6 | bd::value(text[i])) & 0xfff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      *to++ = static_cast<char>(bits >> held & 0xff);
    }
  }
  if (all >= 64) return bd::bad_character(text, bd::first_bad(text, digits));
  // What is left are bits that no encoder sets: a byte was changed or the text was cut and mended.
  if ((bits & ((1u << held) - 1)) != 0) return bd::bad_character(text, digits - 1);
  return bytes;
}

}  // namespace phlower
