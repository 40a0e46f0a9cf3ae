// A task id as segments hold it: a UUID in its usual spelling as 16 bytes, anything else as text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/ground/checksum.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// The 32 bits by which ids are looked up; two ids may share them, so a hit is always compared.
using IdTag = std::uint32_t;

/// Non-owning: the text must outlive the key.
class TaskKey {
 public:
  explicit TaskKey(std::string_view id) : text_(id), uuid_(parse(id, bytes_)) {
    const std::uint64_t hash =
        uuid_ ? hash_of(bytes_.data(), bytes_.size()) : hash_of(text_.data(), text_.size());
    tag_ = static_cast<IdTag>(hash >> 32);
  }

  IdTag tag() const noexcept { return tag_; }
  std::string_view text() const noexcept { return text_; }

  void bind(sqlite::Statement& statement, int at) const noexcept {
    uuid_ ? statement.bind_blob(at, bytes_.data(), bytes_.size()) : statement.bind(at, text_);
  }
  bool equals(const sqlite::Statement& row, int column) const noexcept {
    const std::string_view stored = row.text(column);
    if (row.is_text(column)) return !uuid_ && stored == text_;
    return uuid_ && stored == std::string_view(reinterpret_cast<const char*>(bytes_.data()), 16);
  }

 private:
  // Only the spelling that `to_text` gives back: lower case, with hyphens.
  static bool parse(std::string_view id, std::array<std::uint8_t, 16>& out) noexcept {
    if (id.size() != 36) return false;
    std::size_t digit = 0;
    for (std::size_t i = 0; i < id.size(); ++i) {
      const char c = id[i];
      if (i == 8 || i == 13 || i == 18 || i == 23) {
        if (c != '-') return false;
        continue;
      }
      const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (value < 0) return false;
      std::uint8_t& byte = out[digit / 2];
      byte = static_cast<std::uint8_t>(digit % 2 == 0 ? value << 4 : byte | value);
      ++digit;
    }
    return true;
  }

  std::string_view text_;
  std::array<std::uint8_t, 16> bytes_{};
  bool uuid_;
  IdTag tag_ = 0;
};

/// The id in a column, as it was submitted. A blob of another length than 16 gives its bytes.
inline std::string read_task_id(const sqlite::Statement& row, int column) {
  const std::string_view stored = row.text(column);
  if (row.is_text(column) || stored.size() != 16) return std::string(stored);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<std::uint8_t>(stored[i]);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace phlower
