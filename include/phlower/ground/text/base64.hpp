// Base64 to bytes, strictly (RFC 4648, section 4). Own code: Boost's public iterators throw and do
// not know padding, and the decoder in Boost.Beast is a private detail.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

// Both decode whole groups of four from the front, as many as they can of `digits` characters that
// are not padding, and return how many characters that were. They stop before a bad one.
inline std::size_t decode_table(const char* from, std::size_t digits, char* to) {
  std::size_t i = 0;
  for (; i + 4 <= digits; i += 4) {
    const std::uint32_t a = value(from[i]);
    const std::uint32_t b = value(from[i + 1]);
    const std::uint32_t c = value(from[i + 2]);
    const std::uint32_t d = value(from[i + 3]);
    if ((a | b | c | d) >= 64) return i;  // every value is below 64, kBad is not
    const std::uint32_t three = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(three >> 16);
    *to++ = static_cast<char>(three >> 8 & 0xff);
    *to++ = static_cast<char>(three & 0xff);
  }
  return i;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) inline __m256i twice(__m128i half) {
  return _mm256_broadcastsi128_si256(half);
}

// 32 characters at a time, by W. Mula's method (https://arxiv.org/abs/1704.00605): two look-ups by
// the halves of a character share no bit if it is of the alphabet, a third one by its upper half
// gives what lies between the character and its value; '/' has an entry of its own there.
__attribute__((target("avx2"))) inline std::size_t decode_avx2(const char* from, std::size_t digits,
                                                               char* to) {
  const __m256i lower = twice(_mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                            0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a));
  const __m256i upper = twice(_mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10,
                                            0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10));
  const __m256i offset =
      twice(_mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i order =
      twice(_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
  const __m256i halves = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
  const __m256i slash = _mm256_set1_epi8('/');  // 0x2f: it also masks a half of a byte for shuffles
  constexpr std::size_t kRoom = 44;             // 33 bytes, and 32 are written where 24 are meant
  std::size_t i = 0;
  for (; i + kRoom <= digits; i += 32, to += 24) {
    const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), slash);
    const __m256i low = _mm256_and_si256(text, slash);
    const __m256i shared = _mm256_shuffle_epi8(upper, high);
    if (_mm256_testz_si256(shared, _mm256_shuffle_epi8(lower, low)) == 0) return i;
    const __m256i row = _mm256_add_epi8(_mm256_cmpeq_epi8(text, slash), high);
    const __m256i values = _mm256_add_epi8(text, _mm256_shuffle_epi8(offset, row));
    const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m256i bytes = _mm256_shuffle_epi8(fours, order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(bytes, halves));
  }
  return i;
}

inline std::size_t decode_wide(const char* from, std::size_t digits, char* to) {
  return __builtin_cpu_supports("avx2") ? decode_avx2(from, digits, to) : 0;
}

#else

inline std::size_t decode_wide(const char*, std::size_t, char*) { return 0; }

#endif

}  // namespace base64_detail

/// Puts the bytes that `text` stands for in place of those in `bytes`. Strict: standard alphabet,
/// padded to whole groups of four, no white space, no stray bits in the last character.
/// Errors: kInvalidArgument that names the first bad character and its offset; what is in `bytes`
/// then means nothing. Thread safety: safe. Blocks: never.
inline Status decode_base64(std::string_view text, std::string& bytes) {
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
  bytes.resize(text.size() / 4 * 3 - padding);
  std::size_t i = bd::decode_wide(text.data(), digits, bytes.data());
  i += bd::decode_table(text.data() + i, digits - i, bytes.data() + i / 4 * 3);
  char* to = bytes.data() + i / 4 * 3;
  std::uint32_t all = 0;
  std::uint32_t bits = 0;
  int held = 0;
  for (std::size_t end = std::min(digits, i + 4); i < end; ++i) {
    all |= bd::value(text[i]);
    bits = (bits << 6 | bd::value(text[i])) & 0xfff;
    held += 6;
    if (held >= 8 && all < 64) {
      held -= 8;
      *to++ = static_cast<char>(bits >> held & 0xff);
    }
  }
  if (all >= 64) return bd::bad_character(text, bd::first_bad(text, digits));
  // What is left are bits that no encoder sets: a byte was changed or the text was cut and mended.
  if ((bits & ((1u << held) - 1)) != 0) return bd::bad_character(text, digits - 1);
  return Status();
}

/// The same as a value.
inline Result<std::string> decode_base64(std::string_view text) {
  std::string bytes;
  if (Status status = decode_base64(text, bytes); !status.ok()) return status;
  return bytes;
}

}  // namespace phlower
