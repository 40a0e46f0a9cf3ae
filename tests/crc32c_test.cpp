// CRC32C: published vectors, and the hardware path against the tables.
#include "phlower/ground/crc32c.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "support/ring_content.hpp"

namespace phlower {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> counting(int from, int step, std::size_t size) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<std::byte>(from + step * static_cast<int>(i)));
  }
  return bytes;
}

struct Vector {
  std::vector<std::byte> bytes;
  std::uint32_t crc;
};

std::vector<Vector> published() {
  std::vector<std::byte> read_command(48);  // an iSCSI SCSI Read (10) command, RFC 3720 B.4
  const std::pair<int, int> set[] = {{0, 0x01},  {1, 0xC0},  {16, 0x14}, {22, 0x04},
                                     {27, 0x14}, {31, 0x18}, {32, 0x28}, {40, 0x02}};
  for (const auto& [at, value] : set) {
    read_command[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
  }
  return {{std::vector<std::byte>(32), 0x8A9136AAu},
          {std::vector<std::byte>(32, std::byte{0xFF}), 0x62A8AB43u},
          {counting(0, 1, 32), 0x46DD794Eu},
          {counting(31, -1, 32), 0x113FDB5Cu},
          {read_command, 0xD9963A56u},
          {bytes_of("123456789"), 0xE3069283u},
          {{}, 0u}};
}

TEST(Crc32c, GivesThePublishedValues) {
  for (const Vector& vector : published()) {
    EXPECT_EQ(crc32c(vector.bytes), vector.crc);
    EXPECT_EQ(crc32c_portable(vector.bytes), vector.crc);
  }
}

TEST(Crc32c, IsTheSameInHardwareAndByTablesForEveryLengthAndAlignment) {
  testing::Random random(1);
  std::vector<std::byte> bytes(4000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  for (std::size_t size = 0; size < 3900; ++size) {
    const std::span part(bytes.data() + size % 17, size);
    const auto seed = static_cast<std::uint32_t>(random.next());
    ASSERT_EQ(crc32c(part, seed), crc32c_portable(part, seed)) << size;
  }
}

TEST(Crc32c, GoesOnFromTheCrcOfWhatCameBefore) {
  const auto bytes = counting(3, 7, 1500);
  const std::span all(bytes);
  for (const std::size_t cut : {0u, 1u, 7u, 8u, 191u, 192u, 600u, 1500u}) {
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc32c(all));
  }
}

TEST(Crc32c, ChangesWithEachBit) {
  auto bytes = counting(0, 5, 640);
  const std::uint32_t whole = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    ASSERT_NE(crc32c(bytes), whole);
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
}

}  // namespace
}  // namespace phlower
