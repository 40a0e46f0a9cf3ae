// The immutable part of a ring file's header: making it, reading it, and deciding whether a file
// is a ring of this program. Pure functions but for the one that reads.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "phlower/config/options.hpp"
#include "phlower/ground/crc32c.hpp"
#include "phlower/ground/later_build.hpp"
#include "phlower/ground/lock_file.hpp"
#include "phlower/ring/layout.hpp"
#include "phlower/ring/process.hpp"

namespace phlower {

inline std::uint32_t identity_crc(const RingIdentity& identity) noexcept {
  const auto bytes = std::as_bytes(std::span(&identity, 1));
  return crc32c(bytes.first(offsetof(RingIdentity, header_crc)));
}

/// Fills in magic, version, offsets, size and checksum around a geometry.
inline void seal_identity(RingIdentity& identity) noexcept {
  std::memcpy(identity.magic, kRingMagic, sizeof(identity.magic));
  identity.version = kRingVersion;
  identity.endian = kRingEndian;
  identity.record_header_bytes = kRecordHeaderBytes;
  identity.lane_off = kRingHeaderBytes;
  identity.ctl_off = identity.lane_off + identity.lanes * kLaneStride;
  identity.data_off = round_up(identity.ctl_off + identity.chunks * kCtlStride, kPageBytes);
  identity.file_bytes = identity.data_off + std::uint64_t{identity.chunks} * identity.chunk_bytes;
  identity.header_crc = identity_crc(identity);
}

/// The geometry that the options ask for. Errors: kInvalidArgument names the knob.
inline Result<RingIdentity> wanted_identity(const RingOptions& options, Durability durability) {
  const auto wrong = [](const char* text) { return Status(Code::kInvalidArgument, text); };
  if (options.chunk_bytes < kMinChunkBytes || options.chunk_bytes > kMaxChunkBytes ||
      options.chunk_bytes % kPageBytes != 0) {
    return wrong("ring.chunk must be a multiple of 4KiB and at most 256KiB");
  }
  if (options.lanes == 0 || options.lanes > kMaxLanes) return wrong("ring.lanes must be 1..4096");
  const std::uint64_t chunks = options.size_bytes / options.chunk_bytes;
  if (chunks == 0 || chunks > kMaxChunks) {
    return wrong("ring.size must hold 1..1048576 chunks of ring.chunk");
  }
  RingIdentity identity{};
  identity.lanes = options.lanes;
  identity.chunks = static_cast<std::uint32_t>(chunks);
  identity.chunk_bytes = static_cast<std::uint32_t>(options.chunk_bytes);
  identity.durability = durability == Durability::kPower ? 1 : 0;
  return identity;
}

/// Whether these are the first bytes of a ring of `file_bytes` that this build can use.
/// Errors: kNotOurs (no magic), kVersion, kCorrupt.
inline Status check_identity(const RingIdentity& found, std::uint64_t file_bytes) {
  if (std::memcmp(found.magic, kRingMagic, sizeof(found.magic)) != 0) {
    return Status(Code::kNotOurs, "is not a Phlower ring");
  }
  if (found.version != kRingVersion) {
    return of_later_build("is a ring of", found.version, kRingVersion);
  }
  if (found.endian != kRingEndian) return Status(Code::kVersion, "is of another byte order");
  if (found.header_crc != identity_crc(found)) {
    return Status(Code::kCorrupt, "has a damaged header");
  }
  RingIdentity expected = found;
  const bool geometry = found.lanes >= 1 && found.lanes <= kMaxLanes && found.chunks >= 1 &&
                        found.chunks <= kMaxChunks && found.chunk_bytes >= kMinChunkBytes &&
                        found.chunk_bytes <= kMaxChunkBytes &&
                        found.chunk_bytes % kPageBytes == 0 && found.durability <= 1;
  if (geometry) seal_identity(expected);
  if (!geometry || std::memcmp(&expected, &found, sizeof(found)) != 0) {
    return Status(Code::kCorrupt, "has a geometry that cannot be");
  }
  if (file_bytes != found.file_bytes) {
    return Status(Code::kCorrupt, "has " + std::to_string(file_bytes) + " bytes instead of " +
                                      std::to_string(found.file_bytes));
  }
  return Status();
}

/// Reads and checks the identity of an open file; `path` is for messages.
inline Result<RingIdentity> read_identity(const LockFile& file, const std::string& path) {
  RingIdentity identity{};
  struct ::stat info {};
  if (::fstat(file.fd(), &info) != 0) return Status::from_errno("stat " + path);
  const ssize_t got = ::pread(file.fd(), &identity, sizeof(identity), 0);
  if (got < 0) return Status::from_errno("read " + path);
  if (got != static_cast<ssize_t>(sizeof(identity))) {
    return Status(Code::kNotOurs, path + " is not a Phlower ring: it is too short");
  }
  const Status status = check_identity(identity, static_cast<std::uint64_t>(info.st_size));
  if (!status.ok()) return Status(status.code(), path + " " + std::string(status.message()));
  return identity;
}

inline bool same_geometry(const RingIdentity& a, const RingIdentity& b) noexcept {
  return a.lanes == b.lanes && a.chunks == b.chunks && a.chunk_bytes == b.chunk_bytes &&
         a.durability == b.durability;
}

inline bool of_boot(const RingIdentity& identity, const BootId& boot) noexcept {
  return std::memcmp(identity.boot_id, boot.data(), boot.size()) == 0;
}

/// A ring id as it stands in file names.
inline std::string to_hex(const RingId& id) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

/// Back from that. Nothing for what is no ring id.
inline std::optional<RingId> ring_id_of(std::string_view text) {
  RingId id{};
  if (text.size() != 2 * id.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::size_t digit = kDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    id[i / 2] = static_cast<std::uint8_t>(id[i / 2] << 4 | digit);
  }
  return id;
}

}  // namespace phlower
