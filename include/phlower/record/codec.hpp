// Record to bytes and back. The bytes are versioned; everything that is decoded is checked first,
// because it may come from a stray write or from another version of this program.
//
//   offset  bytes  field (little endian)
//   0       1      major version, 1: a reader refuses any other
//   1       1      minor version, 0: a later one adds only what a reader may skip
//   2       2      flags (RecordFlag)
//   4       2      fixed_bytes: offset of the first text; 88 in version 1.0
//   6       2      texts: number of lengths at offset 48; 9 in version 1.0
//   8       8      submitted_ns, CLOCK_MONOTONIC of the producer (may be a few ms early)
//   16      8      received_at  (IEEE 754 double, Unix seconds; finite; 0 or less: not known)
//   24      8      started_at
//   32      8      finished_at
//   40      8      runtime_ms   (below 0: not known)
//   48      4 x 9  lengths in bytes of task_id, task_name, state, worker, queue, exception_type,
//                  args, kwargs, traceback
//   84      4      zero
//   88             the texts, in this order, one after the other, without terminators
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

static_assert(std::endian::native == std::endian::little,
              "records are written as memory holds them");

inline constexpr std::uint8_t kCodecMajor = 1;
inline constexpr std::uint8_t kCodecMinor = 0;
inline constexpr std::size_t kCodecTexts = 9;
inline constexpr std::size_t kCodecLengthsAt = 48;
inline constexpr std::size_t kCodecFixedBytes = 88;
inline constexpr std::size_t kCodecSubmittedAt = 8;

/// A decoded record; its text points into the bytes it was decoded from.
struct DecodedRecord {
  RecordView record;
  std::uint64_t submitted_ns = 0;
};

namespace codec_detail {

using Texts = std::array<std::string_view RecordView::*, kCodecTexts>;
inline constexpr Texts kTexts = {
    &RecordView::task_id, &RecordView::task_name, &RecordView::state,
    &RecordView::worker,  &RecordView::queue,     &RecordView::exception_type,
    &RecordView::args,    &RecordView::kwargs,    &RecordView::traceback};

template <class T>
T load(const std::byte* from) noexcept {
  T value{};
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <class T>
std::byte* store(std::byte* to, T value) noexcept {
  std::memcpy(to, &value, sizeof(value));
  return to + sizeof(value);
}

/// The reason why bytes are not a record, or nothing. Checks the fixed part only.
inline const char* fixed_part_error(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < kCodecFixedBytes) return "shorter than its fixed part";
  if (load<std::uint8_t>(&bytes[0]) != kCodecMajor) return "of another major version";
  const auto minor = load<std::uint8_t>(&bytes[1]);
  const auto fixed = load<std::uint16_t>(&bytes[4]);
  const auto texts = load<std::uint16_t>(&bytes[6]);
  if (fixed < kCodecFixedBytes || fixed > bytes.size()) return "fixed part out of range";
  if (texts < kCodecTexts || kCodecLengthsAt + 4ull * texts > fixed) return "too many or few texts";
  if (minor == 0 && (fixed != kCodecFixedBytes || texts != kCodecTexts)) return "not version 1.0";
  return nullptr;
}

}  // namespace codec_detail

/// What a producer checks before it takes a record: a task_id, and times that are numbers.
inline bool encodable(const RecordView& record) noexcept {
  return !record.task_id.empty() && std::isfinite(record.received_at) &&
         std::isfinite(record.started_at) && std::isfinite(record.finished_at) &&
         std::isfinite(record.runtime_ms);
}

/// Size of the encoding of `record`.
inline std::size_t encoded_bytes(const RecordView& record) noexcept {
  std::size_t total = kCodecFixedBytes;
  for (const auto text : codec_detail::kTexts) total += (record.*text).size();
  return total;
}

/// Writes the encoding to the start of `dst` and returns its size. Writes nothing and returns 0
/// when `dst` is too small or a text is longer than 4 GiB. Does not allocate.
inline std::size_t encode_record(const RecordView& record, std::uint64_t submitted_ns,
                                 std::span<std::byte> dst) noexcept {
  using codec_detail::store;
  const std::size_t total = encoded_bytes(record);
  if (total > dst.size() || total > UINT32_MAX) return 0;
  std::byte* at = dst.data();
  at = store(at, kCodecMajor);
  at = store(at, kCodecMinor);
  at = store(at, record.flags);
  at = store(at, static_cast<std::uint16_t>(kCodecFixedBytes));
  at = store(at, static_cast<std::uint16_t>(kCodecTexts));
  at = store(at, submitted_ns);
  at = store(at, record.received_at);
  at = store(at, record.started_at);
  at = store(at, record.finished_at);
  at = store(at, record.runtime_ms);
  for (const auto text : codec_detail::kTexts) {
    at = store(at, static_cast<std::uint32_t>((record.*text).size()));
  }
  at = store(at, std::uint32_t{0});
  for (const auto text : codec_detail::kTexts) {
    const std::string_view bytes = record.*text;
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  return total;
}

/// Reads one record that fills `bytes`. Fields that a later minor version added are skipped.
/// Errors: kVersion (another major version), kCorrupt (anything that does not add up).
inline Result<DecodedRecord> decode_record(std::span<const std::byte> bytes) {
  using codec_detail::load;
  if (const char* error = codec_detail::fixed_part_error(bytes)) {
    const bool version = !bytes.empty() && load<std::uint8_t>(bytes.data()) != kCodecMajor;
    return Status(version ? Code::kVersion : Code::kCorrupt, std::string("record is ") + error);
  }
  DecodedRecord decoded;
  RecordView& record = decoded.record;
  record.flags = load<std::uint16_t>(&bytes[2]);
  decoded.submitted_ns = load<std::uint64_t>(&bytes[kCodecSubmittedAt]);
  record.received_at = load<double>(&bytes[16]);
  record.started_at = load<double>(&bytes[24]);
  record.finished_at = load<double>(&bytes[32]);
  record.runtime_ms = load<double>(&bytes[40]);
  std::size_t at = load<std::uint16_t>(&bytes[4]);
  for (std::size_t index = 0; index < kCodecTexts; ++index) {
    const auto length = load<std::uint32_t>(&bytes[kCodecLengthsAt + 4 * index]);
    if (length > bytes.size() - at) {
      return Status(Code::kCorrupt, "record has a text that ends outside of it");
    }
    record.*
        codec_detail::kTexts[index] = {reinterpret_cast<const char*>(bytes.data()) + at, length};
    at += length;
  }
  const bool exact = load<std::uint8_t>(&bytes[1]) == kCodecMinor;
  if (exact && at != bytes.size()) return Status(Code::kCorrupt, "record has bytes after its end");
  if (!encodable(record)) {
    return Status(Code::kCorrupt, "record without task_id or with a time that is not finite");
  }
  return decoded;
}

}  // namespace phlower
