// The inside of JSON's strings: plain runs, escapes, and what is no character at all.
#pragma once

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace phlower {

/// a == b, for texts that are mostly of 4 to 16 bytes: without the call that memcmp is.
inline bool same_short(std::string_view a, std::string_view b) {
  const auto same_at = [&](std::size_t at, auto word) {
    auto other = word;
    std::memcpy(&word, a.data() + at, sizeof word);
    std::memcpy(&other, b.data() + at, sizeof other);
    return word == other;
  };
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  if (size < 4 || size > 16) return a == b;
  if (size < 8) return same_at(0, std::uint32_t{}) && same_at(size - 4, std::uint32_t{});
  return same_at(0, std::uint64_t{}) && same_at(size - 8, std::uint64_t{});
}

namespace json_detail {

#if defined(__SSE2__)
inline constexpr std::ptrdiff_t kStep = 16;

// Whether one of the next characters ends a run, and then moves to it.
inline bool special_within_step(const char*& at) {
  const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  // As signed bytes all beyond ASCII are below 0x20, too.
  const __m128i odd = _mm_cmplt_epi8(text, _mm_set1_epi8(0x20));
  const __m128i quote = _mm_cmpeq_epi8(text, _mm_set1_epi8('"'));
  const __m128i escape = _mm_cmpeq_epi8(text, _mm_set1_epi8('\\'));
  const int found = _mm_movemask_epi8(_mm_or_si128(odd, _mm_or_si128(quote, escape)));
  if (found == 0) return false;
  at += std::countr_zero(static_cast<unsigned>(found));
  return true;
}
#else
inline constexpr std::ptrdiff_t kStep = 8;

// Whether one of the next characters ends a run; which one is told elsewhere.
inline bool special_within_step(const char* at) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kHighs = 0x8080808080808080u;
  const auto zero_byte = [](std::uint64_t v) { return (v - kOnes) & ~v & kHighs; };
  std::uint64_t eight = 0;
  std::memcpy(&eight, at, 8);
  const std::uint64_t special = (eight & kHighs) | ((eight - kOnes * 0x20) & ~eight & kHighs) |
                                zero_byte(eight ^ kOnes * '"') | zero_byte(eight ^ kOnes * '\\');
  return special != 0;
}
#endif

// Where the next character of a string is that is no plain ASCII, or the end of the text. Inlined:
// names are short and bodies long, and where both share its branches the processor guesses wrong.
[[gnu::always_inline]] inline const char* run(const char* at, const char* end) {
  while (end - at >= kStep && !special_within_step(at)) at += kStep;
  while (at != end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) >= 0x20 &&
         static_cast<unsigned char>(*at) < 0x80) {
    ++at;
  }
  return at;
}

inline constexpr std::uint32_t kNoCharacter = 0xfffd;

constexpr bool is_surrogate(std::uint32_t code) { return code >= 0xd800 && code < 0xe000; }

template <class Put>
void put_utf8(std::uint32_t code, Put put) {
  char bytes[4];
  std::size_t size = 0;
  const auto add = [&](std::uint32_t byte) { bytes[size++] = static_cast<char>(byte); };
  if (is_surrogate(code)) code = kNoCharacter;
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
  }
  if (code >= 0x80) add(0x80 | (code & 0x3f));
  put(bytes, size);
}

// One character that is beyond ASCII or a control character; or bytes that are none, as U+FFFD.
template <class Put>
void put_odd(const char*& at, const char* end, Put put) {
  const auto first = static_cast<unsigned char>(*at);
  if (first < 0x80) return put(at++, std::size_t{1});
  const std::ptrdiff_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  std::uint32_t code = first & (0x7fu >> size);
  bool good = first >= 0xc2 && first <= 0xf4 && end - at >= size;
  for (std::ptrdiff_t i = 1; good && i < size; ++i) {
    const auto next = static_cast<unsigned char>(at[i]);
    good = (next & 0xc0) == 0x80;
    code = code << 6 | (next & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  good = good && code >= kLeast[size] && code <= 0x10ffff;
  at += good ? size : 1;
  put_utf8(good ? code : kNoCharacter, put);
}

// The number of \uXXXX, moving behind it.
inline bool hex_four(const char*& at, const char* end, std::uint32_t& code) {
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return false;
  const auto [stop, error] = std::from_chars(at + 2, at + 6, code, 16);
  if (stop != at + 6 || error != std::errc()) return false;
  at += 6;
  return true;
}

// What a backslash begins; false where that is nothing.
template <class Put>
bool put_escape(const char*& at, const char* end, Put put) {
  if (end - at < 2) return false;
  constexpr std::string_view kFrom = "\"\\/bfnrt";
  constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
  const std::size_t which = kFrom.find(at[1]);
  if (which != std::string_view::npos) {
    at += 2;
    put(kTo.data() + which, std::size_t{1});
    return true;
  }
  std::uint32_t code = 0;
  if (!hex_four(at, end, code)) return false;
  if (code >= 0xd800 && code < 0xdc00) {  // the first half of a pair, perhaps
    const char* behind = at;
    std::uint32_t low = 0;
    if (hex_four(behind, end, low) && low >= 0xdc00 && low < 0xe000) {
      at = behind;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  put_utf8(code, put);
  return true;
}

}  // namespace json_detail

}  // namespace phlower
