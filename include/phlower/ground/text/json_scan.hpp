// JSON as Python writes and reads it, in one pass and without building values. The one reader of
// JSON that comes from outside.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

#include "phlower/ground/status.hpp"
#include "phlower/ground/text/json_text.hpp"

namespace phlower {

namespace json_detail {

/// The value of a number's text; beyond a double's range infinity or 0, as Python has it.
inline double to_double(std::string_view token) {
  double value = 0;
  const char* end = token.data() + token.size();
  if (std::from_chars(token.data(), end, value).ec == std::errc()) return value;
  long double wide = 0;
  if (std::from_chars(token.data(), end, wide).ec == std::errc()) return static_cast<double>(wide);
  const std::size_t exponent = token.find_first_of("eE");
  const bool tiny = exponent == std::string_view::npos
                        ? token.starts_with("0.") || token.starts_with("-0.")
                        : token[exponent + 1] == '-';
  const double huge = std::numeric_limits<double>::infinity();
  return tiny ? 0 : token[0] == '-' ? -huge : huge;
}

}  // namespace json_detail

/// Moves over one text from left to right. It takes what Python's json.loads takes: NaN, Infinity
/// and -Infinity, numbers of any length, halves of surrogate pairs, a byte order mark; and besides,
/// in strings, control characters and bytes that are no UTF-8. What is no character (half a pair,
/// such bytes) is read as U+FFFD, so that all text that comes out is UTF-8. Any depth.
///
/// The functions return false where the text is not what they read. After `skip` or `string` have
/// returned false the text is broken there, and `error` says where. Not thread safe. Never throws
/// but for want of memory. The text must stay.
class JsonScan {
 public:
  explicit JsonScan(std::string_view text)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {
    if (text.starts_with("\xef\xbb\xbf")) at_ += 3;
  }

  /// The next thing after white space is `c`; moves behind it.
  [[gnu::always_inline]] bool take(char c) {
    space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  /// The next thing begins with `c`; stays before it.
  [[gnu::always_inline]] bool sees(char c) {
    space();
    return at_ != end_ && *at_ == c;
  }
  /// What the next thing begins with; 0 at the end.
  [[gnu::always_inline]] char peek() {
    space();
    return at_ == end_ ? '\0' : *at_;
  }
  bool at_end() {
    space();
    return at_ == end_;
  }
  bool take_null() { return word("null"); }

  /// The name of a member and its colon. `name` is good until the next call.
  [[gnu::always_inline]] bool name(std::string_view& out) {
    return take('"') && (bare(out) || rest_of_text(out, scratch_)) && take(':');
  }

  /// A string, as it stands in the text if it has no escapes and is ASCII, else in `decoded`.
  bool text(std::string_view& out, std::string& decoded) {
    return take('"') && (bare(out) || rest_of_text(out, decoded));
  }
  [[gnu::always_inline]] bool string(std::string& out) {
    if (!take('"')) return false;
    const char* begin = at_;
    at_ = json_detail::run(begin, end_);
    out.assign(begin, at_);  // mostly all of it
    if (at_ != end_ && *at_ == '"') {
      ++at_;
      return true;
    }
    return string_rest(Append{&out});
  }

  /// The text of a number, which may be NaN, Infinity or -Infinity.
  bool number(std::string_view& token) {
    space();
    const char* begin = at_;
    if (!number_or_word()) return false;
    token = {begin, static_cast<std::size_t>(at_ - begin)};
    return true;
  }
  bool real(double& out) {
    std::string_view token;
    if (!number(token)) return false;
    out = json_detail::to_double(token);
    return true;
  }

  /// Over one value of any kind.
  bool skip() {
    nesting_.clear();
    for (;;) {
      space();
      if (at_ == end_) return false;
      if (*at_ == '{' || *at_ == '[') {
        const char closing = *at_ == '{' ? '}' : ']';
        ++at_;
        if (!take(closing)) {
          nesting_.push_back(closing);
          if (closing == '}' && !skip_name()) return false;
          continue;
        }
      } else if (!scalar()) {
        return false;
      }
      if (!close_skipped()) return false;
      if (nesting_.empty()) return true;
    }
  }
  /// The same, and the text of the value as it stands there.
  bool skip(std::string_view& out) {
    space();
    const char* begin = at_;
    if (!skip()) return false;
    out = {begin, static_cast<std::size_t>(at_ - begin)};
    return true;
  }

  /// Where and why the text is broken, after a false.
  Status error() const {
    std::string said = "not JSON at byte " + std::to_string(at_ - begin_);
    if (at_ == end_) return {Code::kInvalidArgument, said + ": it ends here"};
    char shown[24];
    const auto byte = static_cast<unsigned char>(*at_);
    const bool printable = byte > 0x20 && byte < 0x7f;
    std::snprintf(shown, sizeof shown, printable ? ": '%c'" : ": 0x%02x", byte);
    return {Code::kInvalidArgument, said + shown + " cannot be here"};
  }

 private:
  struct Append {
    std::string* out;
    void operator()(const char* from, std::size_t size) const { out->append(from, size); }
  };
  struct Drop {
    void operator()(const char*, std::size_t) const {}
  };

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

  // Stays at the first character that is not of the word.
  bool word(std::string_view expected) {
    space();
    for (const char c : expected) {
      if (at_ == end_ || *at_ != c) return false;
      ++at_;
    }
    return true;
  }

  // A string that ends where its first run ends; else stays at its beginning.
  [[gnu::always_inline]] bool bare(std::string_view& out) {
    const char* stop = json_detail::run(at_, end_);
    if (stop == end_ || *stop != '"') return false;
    out = {at_, static_cast<std::size_t>(stop - at_)};
    at_ = stop + 1;
    return true;
  }
  bool rest_of_text(std::string_view& out, std::string& decoded) {
    decoded.clear();
    if (!string_rest(Append{&decoded})) return false;
    out = decoded;
    return true;
  }

  // To the end of a string of which a part was read.
  template <class Put>
  bool string_rest(Put put) {
    for (;;) {
      const char* begin = at_;
      at_ = json_detail::run(begin, end_);
      put(begin, static_cast<std::size_t>(at_ - begin));
      if (at_ == end_) return false;
      if (*at_ == '"') {
        ++at_;
        return true;
      }
      if (*at_ != '\\') {
        json_detail::put_odd(at_, end_, put);
      } else if (!json_detail::put_escape(at_, end_, put)) {
        return false;
      }
    }
  }

  bool scalar() {
    switch (*at_) {
      case '"': ++at_; return string_rest(Drop());
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number_or_word();
    }
  }

  bool number_or_word() {
    if (at_ == end_) return false;
    if (*at_ == 'N') return word("NaN");
    if (*at_ == '-') ++at_;
    if (at_ != end_ && *at_ == 'I') return word("Infinity");
    const bool zero = at_ != end_ && *at_ == '0';
    if (zero) {
      ++at_;
      if (at_ != end_ && *at_ >= '0' && *at_ <= '9') return false;
    } else if (!digits()) {
      return false;
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!digits()) return false;
    }
    return true;
  }
  bool digits() {
    const char* begin = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != begin;
  }

  bool skip_name() {
    std::string_view name;
    return take('"') && (bare(name) || string_rest(Drop())) && take(':');
  }
  // Behind a value: out of what ends with it, up to where the next one begins.
  bool close_skipped() {
    while (!nesting_.empty()) {
      const char closing = nesting_.back();
      if (take(',')) return closing == ']' || skip_name();
      if (!take(closing)) return false;
      nesting_.pop_back();
    }
    return true;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  std::string nesting_;  // what closes the containers that are open, innermost last
  std::string scratch_;
};

}  // namespace phlower
