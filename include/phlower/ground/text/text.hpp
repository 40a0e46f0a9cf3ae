// Text from outside: UTF-8 checked strictly, and made fit to be shown. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace phlower {

/// One character taken off the front of a text.
struct Character {
  std::size_t size = 0;  // bytes; 0: no UTF-8 stands there
  char32_t code = 0;
};

/// The character at the front of `text`, as RFC 3629 has it: nothing overlong, no half of a
/// surrogate, nothing above U+10FFFF.
inline Character first_character(std::string_view text) noexcept {
  if (text.empty()) return {};
  const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  char32_t code = lead & (0xffu >> (size + 1));
  for (std::size_t at = 1; at < size; ++at) {
    if ((byte(at) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(at) & 0x3fu);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return {};
  return {size, code};
}

/// What ends lines, moves a cursor or starts an escape: C0, DEL, C1.
inline bool is_control(char32_t code) noexcept {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/// What is not seen and changes how its neighbours look: directions, invisible spaces and tags,
/// separators of lines.
inline bool is_hidden(char32_t code) noexcept {
  return code == 0x61c || code == 0x200b || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
         code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb) ||
         (code >= 0xe0000 && code <= 0xe007f);
}

/// True for UTF-8 without control characters.
inline bool is_plain_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const Character next = first_character(text);
    if (next.size == 0 || next.code < 0x20 || next.code == 0x7f) return false;
    text.remove_prefix(next.size);
  }
  return true;
}

namespace text_detail {

inline void add_hex(std::string& to, std::string_view prefix, std::uint32_t value, int digits) {
  to += prefix;
  for (int at = digits - 1; at >= 0; --at) to += "0123456789abcdef"[value >> (4 * at) & 15];
}

inline void add_escaped(std::string& to, char32_t code) {
  switch (code) {
    case '\n': to += "\\n"; break;
    case '\r': to += "\\r"; break;
    case '\t': to += "\\t"; break;
    default:
      if (code < 0x100) {
        add_hex(to, "\\x", code, 2);
      } else if (code < 0x10000) {
        add_hex(to, "\\u", code, 4);
      } else {
        add_hex(to, "\\U", code, 8);
      }
  }
}

}  // namespace text_detail

/// Fit for a terminal and for one line: control and hidden characters and bytes that are no UTF-8
/// stand there as \n, \x1b, \u202e, \xff. Those in `kept` stay as they are.
inline std::string printable(std::string_view text, std::string_view kept = {}) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const Character next = first_character(text);
    const std::size_t size = next.size == 0 ? 1 : next.size;
    if (next.size == 0) {
      text_detail::add_hex(shown, "\\x", static_cast<unsigned char>(text.front()), 2);
    } else if ((is_control(next.code) || is_hidden(next.code)) &&
               (size > 1 || kept.find(text.front()) == std::string_view::npos)) {
      text_detail::add_escaped(shown, next.code);
    } else {
      shown += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return shown;
}

/// The bytes at the front of `text` that whole characters have within `most` bytes.
inline std::string_view cut_text(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

/// Text from outside made fit for a message: printable, in quotes and not long.
inline std::string shown_text(std::string_view text) {
  const std::string_view front = cut_text(text, 60);
  return "'" + printable(front) + (front.size() < text.size() ? "...'" : "'");
}

}  // namespace phlower
