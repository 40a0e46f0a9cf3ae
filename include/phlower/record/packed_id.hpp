// A task id as files hold it: a UUID in its usual spelling as 16 bytes, anything else as text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "phlower/ground/checksum.hpp"

namespace phlower {

inline constexpr std::size_t kUuidBytes = 16;

/// Every string is one id and gives itself back, byte for byte: only the spelling of a UUID that
/// `text` writes (lower case, with hyphens) becomes bytes. Non-owning where it is no UUID: the text
/// must outlive it. Thread safety: as of a value type.
class PackedId {
 public:
  /// The empty id.
  PackedId() noexcept = default;
  explicit PackedId(std::string_view id) noexcept : text_(id), uuid_(parse(id, bytes_)) {
    if (uuid_) text_ = {};
  }

  /// From 16 bytes, which are copied.
  static PackedId of_uuid(const void* bytes) noexcept {
    PackedId id;
    std::memcpy(id.bytes_.data(), bytes, kUuidBytes);
    id.uuid_ = true;
    return id;
  }
  bool is_uuid() const noexcept { return uuid_; }

  /// The 16 bytes or the text. Valid while this and its text live.
  std::string_view stored() const noexcept {
    return uuid_ ? std::string_view(reinterpret_cast<const char*>(bytes_.data()), kUuidBytes)
                 : text_;
  }

  /// What maps, filters and indexes go by. Two ids may share it.
  std::uint64_t hash() const noexcept {
    const std::string_view bytes = stored();
    return hash_of(bytes.data(), bytes.size());
  }

  /// The id as it was submitted. Allocates.
  std::string text() const {
    if (!uuid_) return std::string(text_);
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text(kTextBytes, '-');
    for (std::size_t i = 0; i < kUuidBytes; ++i) {
      text[place_of(i)] = kDigits[bytes_[i] >> 4];
      text[place_of(i) + 1] = kDigits[bytes_[i] & 15];
    }
    return text;
  }

  friend bool operator==(const PackedId& a, const PackedId& b) noexcept {
    return a.uuid_ == b.uuid_ && a.stored() == b.stored();
  }

 private:
  static constexpr std::size_t kTextBytes = 36;

  // Where the two digits of byte i stand.
  static constexpr std::size_t place_of(std::size_t i) noexcept {
    return 2 * i + (i >= 4) + (i >= 6) + (i >= 8) + (i >= 10);
  }

  // The value of each digit; 0xff for what is none.
  static constexpr std::array<std::uint8_t, 256> kValues = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(0xff);
    for (std::uint8_t i = 0; i < 10; ++i) values['0' + i] = i;
    for (std::uint8_t i = 0; i < 6; ++i) values['a' + i] = static_cast<std::uint8_t>(10 + i);
    return values;
  }();

  static bool parse(std::string_view id, std::array<std::uint8_t, kUuidBytes>& out) noexcept {
    if (id.size() != kTextBytes) return false;
    if (id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-') return false;
    unsigned all = 0;
    for (std::size_t i = 0; i < kUuidBytes; ++i) {
      const unsigned high = kValues[static_cast<unsigned char>(id[place_of(i)])];
      const unsigned low = kValues[static_cast<unsigned char>(id[place_of(i) + 1])];
      all |= high | low;
      out[i] = static_cast<std::uint8_t>(high << 4 | (low & 15));
    }
    return all < 16;
  }

  std::string_view text_;
  std::array<std::uint8_t, kUuidBytes> bytes_{};
  bool uuid_ = false;
};

}  // namespace phlower
