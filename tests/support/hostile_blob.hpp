// Blobs of columns as damage or malice makes them: cut, with one bit turned, and with a checksum
// that is right all the same.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "phlower/columns/blob.hpp"

namespace phlower::testing {

/// The same bytes with the checksum that belongs to them. Shorter ones than a head stay as they
/// are.
inline std::string resealed(std::string blob) {
  if (blob.size() < kBlobHeadBytes) return blob;
  blob.replace(kBlobChecksumAt, 8, 8, '\0');
  finish_blob(blob);
  return blob;
}

/// Calls visit(blob, what) for the blob with each of its bits turned, as it is and resealed.
template <class Visit>
void each_bit_turned(const std::string& blob, Visit&& visit) {
  for (std::size_t bit = 0; bit < 8 * blob.size(); ++bit) {
    std::string turned = blob;
    turned[bit / 8] = static_cast<char>(turned[bit / 8] ^ 1 << bit % 8);
    visit(turned, false, "bit " + std::to_string(bit));
    visit(resealed(turned), true, "bit " + std::to_string(bit) + " with a new checksum");
  }
}

/// Calls visit(blob, what) for every shorter blob, as it is and resealed.
template <class Visit>
void each_truncation(const std::string& blob, Visit&& visit) {
  for (std::size_t bytes = 0; bytes < blob.size(); ++bytes) {
    visit(blob.substr(0, bytes), "cut to " + std::to_string(bytes));
    visit(resealed(blob.substr(0, bytes)), "cut to " + std::to_string(bytes) + " and resealed");
  }
}

/// Two digits a byte, as files of examples have them.
inline std::string hex_of(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

}  // namespace phlower::testing
