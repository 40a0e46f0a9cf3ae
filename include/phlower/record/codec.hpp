// Record to bytes and back. The bytes are versioned; everything that is decoded is checked first,
// because it may come from a stray write or from another version of this program.
//
//   offset  bytes  field (little endian)
//   0       1      major version, 1: a reader refuses any other
//   1       1      minor version, 0: a later one adds only what a reader may skip, see below
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
//
// A later minor version has the lengths of its further texts behind the nine, then its further
// numbers (doubles, from the next multiple of 8 on), then the texts, the further ones last.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "phlower/ground/status.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

static_assert(std::endian::native == std::endian::little,
              "records are written as memory holds them");

inline constexpr std::uint8_t kCodecMajor = 1;
inline constexpr std::uint8_t kCodecMinor = 0;
inline constexpr std::size_t kCodecSubmittedAt = 8;
inline constexpr std::size_t kCodecNumbersAt = 16;
inline constexpr std::size_t kCodecLengthsAt = 48;

namespace codec_detail {

inline constexpr std::size_t kFirstNumbers = (kCodecLengthsAt - kCodecNumbersAt) / 8;

/// How many texts, or numbers, a record of this minor version has.
constexpr std::size_t count(bool texts, int minor) noexcept {
  return count_fields([=](const Field& field) {
    return field.is_text() == texts && field.since.codec_minor <= minor;
  });
}

/// Where the numbers stand that came after version 1.0.
constexpr std::size_t later_numbers_at(std::size_t texts) noexcept {
  return (kCodecLengthsAt + 4 * texts + 7) / 8 * 8;
}

/// What a record of one minor version has.
struct Shape {
  std::size_t texts = 0;
  std::size_t fixed_bytes = 0;
};
constexpr auto shapes() noexcept {
  std::array<Shape, kCodecMinor + 1> all;
  for (int minor = 0; minor <= kCodecMinor; ++minor) {
    const std::size_t texts = count(true, minor);
    const std::size_t later_numbers = count(false, minor) - kFirstNumbers;
    all[static_cast<std::size_t>(minor)] = {texts, later_numbers_at(texts) + 8 * later_numbers};
  }
  return all;
}
inline constexpr auto kShapes = shapes();

/// Whether this table can be read by who knows fewer fields: what is new stands behind the rest.
constexpr bool only_grows() noexcept {
  int texts = 0;
  int numbers = 0;
  bool grows = true;
  visit_fields([&](const Field& field) {
    int& last = field.is_text() ? texts : numbers;
    grows &= field.since.codec_minor >= last && field.since.codec_minor <= kCodecMinor;
    last = field.since.codec_minor;
  });
  return grows;
}
static_assert(only_grows(),
              "a field belongs to the end of the table, with a codec_minor of its own");
static_assert(kShapes[0].fixed_bytes == 88 && kShapes[0].texts == 9 && kFirstNumbers == 4);

}  // namespace codec_detail

inline constexpr std::size_t kCodecTexts = codec_detail::kShapes[kCodecMinor].texts;
inline constexpr std::size_t kCodecFixedBytes = codec_detail::kShapes[kCodecMinor].fixed_bytes;

/// A decoded record; its text points into the bytes it was decoded from.
struct DecodedRecord {
  RecordView record;
  std::uint64_t submitted_ns = 0;
};

namespace codec_detail {

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

/// Where the n-th number of a record with so many texts stands.
constexpr std::size_t number_at(std::size_t n, std::size_t texts) noexcept {
  return n < kFirstNumbers ? kCodecNumbersAt + 8 * n
                           : later_numbers_at(texts) + 8 * (n - kFirstNumbers);
}

/// The reason why bytes are not a record, or nothing. Checks the fixed part only.
inline const char* fixed_part_error(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < kShapes[0].fixed_bytes) return "shorter than its fixed part";
  if (load<std::uint8_t>(&bytes[0]) != kCodecMajor) return "of another major version";
  const auto minor = load<std::uint8_t>(&bytes[1]);
  const auto fixed = load<std::uint16_t>(&bytes[4]);
  const auto texts = load<std::uint16_t>(&bytes[6]);
  const Shape& known = kShapes[std::min(minor, kCodecMinor)];
  if (fixed < known.fixed_bytes || fixed > bytes.size()) return "fixed part out of range";
  const std::size_t numbers = known.fixed_bytes - later_numbers_at(known.texts);
  if (texts < known.texts || later_numbers_at(texts) + numbers > fixed) {
    return "too many or few texts";
  }
  const bool exact = fixed == known.fixed_bytes && texts == known.texts;
  return exact || minor > kCodecMinor ? nullptr : "not as its minor version has it";
}

/// Reads the fields that the record has. False: a text ends outside of it. `end`: of the texts.
[[gnu::flatten]] inline bool read_fields(std::span<const std::byte> bytes, RecordView& record,
                                         std::size_t& end) {
  const auto minor = load<std::uint8_t>(&bytes[1]);
  const std::size_t all_texts = load<std::uint16_t>(&bytes[6]);
  end = load<std::uint16_t>(&bytes[4]);
  std::size_t texts = 0;
  std::size_t numbers = 0;
  bool whole = true;
  visit_fields(
      [&](const Field& field, auto& member) {
        if (!whole || field.since.codec_minor > minor) return;
        if constexpr (std::is_arithmetic_v<std::remove_reference_t<decltype(member)>>) {
          member = load<double>(&bytes[number_at(numbers++, all_texts)]);
        } else {
          const std::size_t length = load<std::uint32_t>(&bytes[kCodecLengthsAt + 4 * texts++]);
          whole = length <= bytes.size() - end;
          if (!whole) return;
          member = {reinterpret_cast<const char*>(bytes.data()) + end, length};
          end += length;
        }
      },
      record);
  return whole;
}

}  // namespace codec_detail

/// What a producer checks before it takes a record: a task_id, and times that are numbers.
[[gnu::flatten]] inline bool encodable(const RecordView& record) noexcept {
  bool good = !record.task_id.empty();
  visit_numbers([&good](const Field&, double value) { good &= std::isfinite(value); }, record);
  return good;
}

/// Size of the encoding of `record`.
[[gnu::flatten]] inline std::size_t encoded_bytes(const RecordView& record) noexcept {
  std::size_t total = kCodecFixedBytes;
  visit_texts([&total](const Field&, std::string_view text) { total += text.size(); }, record);
  return total;
}

/// Writes the encoding to the start of `dst` and returns its size. Writes nothing and returns 0
/// when `dst` is too small or a text is longer than 4 GiB. Does not allocate.
[[gnu::flatten]] inline std::size_t encode_record(const RecordView& record,
                                                  std::uint64_t submitted_ns,
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
  store(at, submitted_ns);
  std::byte* length = dst.data() + kCodecLengthsAt;
  std::byte* text = dst.data() + kCodecFixedBytes;
  std::size_t numbers = 0;
  std::memset(dst.data() + codec_detail::later_numbers_at(kCodecTexts) - 4, 0, 4);
  visit_fields(
      [&](const Field&, const auto& member) {
        if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(member)>>) {
          store(dst.data() + codec_detail::number_at(numbers++, kCodecTexts), member);
        } else {
          length = store(length, static_cast<std::uint32_t>(member.size()));
          if (!member.empty()) std::memcpy(text, member.data(), member.size());
          text += member.size();
        }
      },
      record);
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
  std::size_t end = 0;
  if (!codec_detail::read_fields(bytes, record, end)) {
    return Status(Code::kCorrupt, "record has a text that ends outside of it");
  }
  const bool exact = load<std::uint8_t>(&bytes[1]) <= kCodecMinor;
  if (exact && end != bytes.size()) return Status(Code::kCorrupt, "record has bytes after its end");
  if (!encodable(record)) {
    return Status(Code::kCorrupt, "record without task_id or with a time that is not finite");
  }
  return decoded;
}

}  // namespace phlower
