// Hashes of bytes and checksums of files: XXH3, 64 bits. The only header that includes xxHash.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>

namespace phlower {

inline std::uint64_t hash_of(const void* data, std::size_t bytes) noexcept {
  return XXH3_64bits(data, bytes);
}

/// Checksums of files, one piece after the other (XXH3, 64 bits). Not thread safe.
class Checksum {
 public:
  Checksum() { XXH3_64bits_reset(&state_); }
  void add(const void* data, std::size_t bytes) { XXH3_64bits_update(&state_, data, bytes); }
  std::uint64_t value() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};
}  // namespace phlower
