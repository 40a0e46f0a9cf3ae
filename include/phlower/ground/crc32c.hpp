// CRC32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of everything in the ring.
// Hardware where it is there, tables elsewhere; both give the same values.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace phlower {
namespace crc32c_detail {

inline constexpr std::uint32_t kPolynomial = 0x82F63B78u;

/// Slice-by-8 tables: kTables[k][b] is the CRC of byte b followed by k zero bytes.
inline constexpr auto kTables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? kPolynomial : 0u);
    tables[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < 8; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t previous = tables[slice - 1][byte];
      tables[slice][byte] = (previous >> 8) ^ tables[0][previous & 0xFFu];
    }
  }
  return tables;
}();

inline std::uint64_t load64(const std::byte* from) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

/// Works on the inverted register, as all `extend_*` do.
inline std::uint32_t extend_table(std::uint32_t crc, const std::byte* at,
                                  std::size_t size) noexcept {
  static_assert(std::endian::native == std::endian::little, "the tables are used little endian");
  for (; size >= 8; at += 8, size -= 8) {
    const std::uint64_t word = load64(at) ^ crc;
    crc = 0;
    for (std::size_t byte = 0; byte < 8; ++byte) {
      crc ^= kTables[7 - byte][(word >> (8 * byte)) & 0xFFu];
    }
  }
  for (; size > 0; ++at, --size) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(*at)) & 0xFFu];
  }
  return crc;
}

#if defined(__x86_64__)

inline constexpr std::size_t kMaxStreamWords = 64;

/// kShift[k] = x^(64k-33) mod P, reflected. The carry-less product of a CRC with it, reduced by
/// one crc32 instruction (which multiplies by x^33 in this bit order), is that CRC moved k words
/// on. So three independent streams can be computed side by side and put together at the end.
inline constexpr auto kShift = [] {
  std::array<std::uint32_t, 2 * kMaxStreamWords + 1> shift{};
  std::uint32_t power = 0x80000000u;  // x^0
  int exponent = 0;
  for (std::size_t words = 1; words < shift.size(); ++words) {
    for (; exponent < static_cast<int>(64 * words) - 33; ++exponent) {
      power = (power >> 1) ^ ((power & 1u) != 0 ? kPolynomial : 0u);
    }
    shift[words] = power;
  }
  return shift;
}();

__attribute__((target("sse4.2,pclmul"))) inline std::uint64_t move_on(std::uint64_t crc,
                                                                      std::size_t words) noexcept {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                           _mm_cvtsi64_si128(static_cast<long long>(kShift[words])), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)));
}

/// The crc32 instruction takes 3 cycles and starts one a cycle, hence three streams.
__attribute__((target("sse4.2,pclmul"))) inline std::uint32_t extend_hardware(
    std::uint32_t start, const std::byte* at, std::size_t size) noexcept {
  std::uint64_t crc = start;
  while (size >= 3 * 8 * 8) {
    const std::size_t third = size / 24;
    const std::size_t words = third < kMaxStreamWords ? third : kMaxStreamWords;
    const std::byte* second_at = at + 8 * words;
    const std::byte* third_at = second_at + 8 * words;
    std::uint64_t second = 0;
    std::uint64_t last = 0;
    for (std::size_t word = 0; word < words; ++word) {
      crc = _mm_crc32_u64(crc, load64(at + 8 * word));
      second = _mm_crc32_u64(second, load64(second_at + 8 * word));
      last = _mm_crc32_u64(last, load64(third_at + 8 * word));
    }
    crc = move_on(crc, 2 * words) ^ move_on(second, words) ^ last;
    at += 24 * words;
    size -= 24 * words;
  }
  for (; size >= 8; at += 8, size -= 8) crc = _mm_crc32_u64(crc, load64(at));
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; size > 0; ++at, --size) {
    narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at));
  }
  return narrow;
}

inline bool hardware_supported() noexcept {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

inline std::uint32_t extend_hardware(std::uint32_t crc, const std::byte* at,
                                     std::size_t size) noexcept {
  for (; size >= 8; at += 8, size -= 8) crc = __crc32cd(crc, load64(at));
  for (; size > 0; ++at, --size) crc = __crc32cb(crc, static_cast<std::uint8_t>(*at));
  return crc;
}

inline bool hardware_supported() noexcept { return true; }

#else

inline std::uint32_t extend_hardware(std::uint32_t crc, const std::byte* at,
                                     std::size_t size) noexcept {
  return extend_table(crc, at, size);
}

inline bool hardware_supported() noexcept { return false; }

#endif

}  // namespace crc32c_detail

/// CRC32C of `bytes`, going on from `seed`, the CRC of what came before (0: nothing). So
/// crc32c(ab) == crc32c(b, crc32c(a)). Thread safety: safe. Blocks: never. Does not allocate.
inline std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed = 0) noexcept {
  if (crc32c_detail::hardware_supported()) {
    return ~crc32c_detail::extend_hardware(~seed, bytes.data(), bytes.size());
  }
  return ~crc32c_detail::extend_table(~seed, bytes.data(), bytes.size());
}

/// The same by tables alone, for machines without the instruction and for tests.
inline std::uint32_t crc32c_portable(std::span<const std::byte> bytes,
                                     std::uint32_t seed = 0) noexcept {
  return ~crc32c_detail::extend_table(~seed, bytes.data(), bytes.size());
}

}  // namespace phlower
