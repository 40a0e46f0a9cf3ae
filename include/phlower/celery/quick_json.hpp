// JSON of the kind that Celery writes, read in one pass without building values. What it does not
// know it leaves to parse_json: a scanner that has failed says nothing about the text.
#pragma once

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "phlower/celery/json.hpp"

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

/// Moves over one text from left to right. It takes only JSON that parse_json takes, with the same
/// meaning; raw text beyond ASCII and odd numbers are none of its business. After the
/// first false all of it is to be thrown away.
class QuickJson {
 public:
  explicit QuickJson(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  /// The next thing after white space is `c`; moves behind it.
  bool take(char c) {
    space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  /// The next thing begins with `c`; stays before it.
  bool sees(char c) {
    space();
    return at_ != end_ && *at_ == c;
  }
  bool at_end() {
    space();
    return at_ == end_;
  }
  bool take_null() { return word("null"); }

  /// A string as it stands between its quotes; false if it has escapes.
  bool bare_string(std::string_view& out) {
    if (!take('"')) return false;
    const char* begin = at_;
    if (!run() || *at_ != '"') return false;
    out = {begin, static_cast<std::size_t>(at_ - begin)};
    ++at_;
    return true;
  }

  bool string(std::string& out) {
    if (!take('"')) return false;
    const char* begin = at_;
    if (!run()) return false;
    out.assign(begin, at_);  // mostly all of it
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    return string_rest([&out](const char* from, std::size_t size) { out.append(from, size); });
  }

  /// A whole number of up to 18 digits.
  bool count(std::uint64_t& out) {
    space();
    const char* begin = at_;
    if (!number()) return false;
    const auto [stop, error] = std::from_chars(begin, at_, out);
    return stop == at_ && error == std::errc() && at_ - begin <= 18;
  }
  bool real(double& out) {
    space();
    const char* begin = at_;
    if (!number()) return false;
    const auto [stop, error] = std::from_chars(begin, at_, out);
    return stop == at_ && error == std::errc();
  }

  /// Over one value of any kind.
  bool skip(std::size_t depth = kJsonMaxDepth) {
    space();
    if (at_ == end_) return false;
    switch (*at_) {
      case '"': ++at_; return string_rest([](const char*, std::size_t) {});
      case '{': return depth > 0 && skip_object(depth - 1);
      case '[': return depth > 0 && skip_array(depth - 1);
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }

 private:
  // In two parts, the first of which belongs into its callers, many as they are: Celery puts one
  // space behind commas and colons, and no other white space.
  [[gnu::always_inline]] void space() {
    if (at_ == end_ || static_cast<unsigned char>(*at_) > ' ') return;
    if (*at_ == ' ') ++at_;
    if (at_ != end_ && static_cast<unsigned char>(*at_) <= ' ') more_space();
  }
  void more_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool word(std::string_view expected) {
    space();
    if (static_cast<std::size_t>(end_ - at_) < expected.size()) return false;
    if (std::string_view(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

#if defined(__SSE2__)
  static constexpr std::ptrdiff_t kStep = 16;

  // Whether one of the next characters ends a run, and then moves to it.
  bool special_within_step() {
    const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at_));
    // As signed bytes all beyond ASCII are below 0x20, too.
    const __m128i odd = _mm_cmplt_epi8(text, _mm_set1_epi8(0x20));
    const __m128i quote = _mm_cmpeq_epi8(text, _mm_set1_epi8('"'));
    const __m128i escape = _mm_cmpeq_epi8(text, _mm_set1_epi8('\\'));
    const int found = _mm_movemask_epi8(_mm_or_si128(odd, _mm_or_si128(quote, escape)));
    if (found == 0) return false;
    at_ += std::countr_zero(static_cast<unsigned>(found));
    return true;
  }
#else
  static constexpr std::ptrdiff_t kStep = 8;

  // Whether one of the next characters ends a run; which one is told elsewhere.
  bool special_within_step() const {
    constexpr std::uint64_t kOnes = 0x0101010101010101u;
    constexpr std::uint64_t kHighs = 0x8080808080808080u;
    const auto zero_byte = [](std::uint64_t v) { return (v - kOnes) & ~v & kHighs; };
    std::uint64_t eight = 0;
    std::memcpy(&eight, at_, 8);
    const std::uint64_t special = (eight & kHighs) | ((eight - kOnes * 0x20) & ~eight & kHighs) |
                                  zero_byte(eight ^ kOnes * '"') | zero_byte(eight ^ kOnes * '\\');
    return special != 0;
  }
#endif

  // To the next character of a string that is no plain ASCII; false at the end of the text.
  bool run() {
    while (end_ - at_ >= kStep && !special_within_step()) at_ += kStep;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20 &&
           static_cast<unsigned char>(*at_) < 0x80) {
      ++at_;
    }
    return at_ != end_;
  }

  template <class Put>
  bool string_rest(Put put) {
    for (;;) {
      const char* begin = at_;
      if (!run()) return false;
      put(begin, static_cast<std::size_t>(at_ - begin));
      if (*at_ == '"') {
        ++at_;
        return true;
      }
      if (*at_ != '\\' || !escape(put)) return false;
    }
  }

  template <class Put>
  bool escape(Put put) {
    if (end_ - at_ < 2) return false;
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const std::size_t which = kFrom.find(at_[1]);
    if (which != std::string_view::npos) {
      at_ += 2;
      put(kTo.data() + which, std::size_t{1});
      return true;
    }
    std::uint32_t code = 0;
    if (!hex_four(code)) return false;
    if (code >= 0xd800 && code < 0xe000) {  // the first half of a pair
      std::uint32_t low = 0;
      if (code >= 0xdc00 || !hex_four(low) || low < 0xdc00 || low >= 0xe000) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(code, put);
    return true;
  }

  // The number of \uXXXX, moving behind it.
  bool hex_four(std::uint32_t& code) {
    if (end_ - at_ < 6 || at_[0] != '\\' || at_[1] != 'u') return false;
    const auto [stop, error] = std::from_chars(at_ + 2, at_ + 6, code, 16);
    if (stop != at_ + 6 || error != std::errc()) return false;
    at_ += 6;
    return true;
  }

  template <class Put>
  static void put_utf8(std::uint32_t code, Put put) {
    char bytes[4];
    std::size_t size = 0;
    const auto add = [&](std::uint32_t byte) { bytes[size++] = static_cast<char>(byte); };
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

  bool digits() {
    const char* begin = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != begin;
  }

  bool number() {
    if (at_ != end_ && *at_ == '-') ++at_;
    const bool zero = at_ != end_ && *at_ == '0';
    const char* begin = at_;
    if (!digits() || (zero && at_ - begin > 1)) return false;
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      const char* exponent = at_;
      // Beyond a double's range it would be no JSON for parse_json.
      if (!digits() || at_ - exponent > 2 || at_ - begin > 40) return false;
    }
    return at_ - begin < 300;
  }

  bool skip_object(std::size_t depth) {
    ++at_;
    if (take('}')) return true;
    do {
      if (!sees('"') || !skip(depth) || !take(':') || !skip(depth)) return false;
    } while (take(','));
    return take('}');
  }
  bool skip_array(std::size_t depth) {
    ++at_;
    if (take(']')) return true;
    do {
      if (!skip(depth)) return false;
    } while (take(','));
    return take(']');
  }

  const char* at_;
  const char* end_;
};

}  // namespace phlower
