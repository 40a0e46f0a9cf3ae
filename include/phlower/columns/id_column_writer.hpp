// The writer's side of a column of ids: it chooses the smallest form that holds them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_column.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/record/packed_id.hpp"

namespace phlower {

/// Collects the ids of a chunk and writes them in the form that fits. Copies what it is given.
/// Thread safety: none.
class IdColumnWriter {
 public:
  void add(const PackedId& id) {
    if (rows_ % kIdGroupRows == 0) {
      groups_.push_back({0, static_cast<std::uint32_t>(uuids_.size() / kUuidBytes),
                         static_cast<std::uint32_t>(texts_.size())});
    }
    const std::string_view stored = id.stored();
    if (id.is_uuid()) {
      groups_.back().uuids |= std::uint64_t{1} << rows_ % kIdGroupRows;
      uuids_ += stored;
      all_v4_ &= (stored[6] & 0xf0) == 0x40 && (stored[8] & 0xc0) == 0x80;
    } else {
      lengths_.push_back(stored.size());
      texts_ += stored;
      long_ |= stored.size() > UINT16_MAX;
    }
    ++rows_;
  }

  std::uint64_t count() const noexcept { return rows_; }

  /// Appends the blob. Errors: kTooBig for more rows or text than a column takes, and then nothing
  /// is appended.
  Status write(std::uint16_t member, std::string& out) const {
    if (rows_ > kChunkRowsMax || texts_.size() > kIdTextBytesMax) {
      return {Code::kTooBig, "ids of " + std::to_string(rows_) + " rows with " +
                                 std::to_string(texts_.size()) + " bytes of text; a column has " +
                                 std::to_string(kChunkRowsMax) + " rows and " +
                                 std::to_string(kIdTextBytesMax) + " bytes at most"};
    }
    const bool mixed = !lengths_.empty();
    BlobHead head{.encoding = kIdColumn.encoding, .member = member};
    head.flags = mixed ? (long_ ? kIdsLong : kIdsMixed) : (all_v4_ ? kIdsUuid4 : kIdsUuid);
    head.count = static_cast<std::uint32_t>(rows_);
    head.entries = static_cast<std::uint32_t>(uuids_.size() / kUuidBytes);
    if (mixed) head.section_bytes = static_cast<std::uint32_t>(groups_.size() * kIdGroupBytes);
    std::string blob;
    start_blob(blob, head);
    if (mixed) {
      append_mixed(blob);
    } else if (head.flags == kIdsUuid4) {
      append_uuid4(blob);
    } else {
      blob += uuids_;
    }
    finish_blob(blob);
    out += blob;
    return Status();
  }

 private:
  void append_uuid4(std::string& blob) const {
    std::string two_bits((rows_ + 3) / 4, '\0');
    for (std::size_t row = 0; row < rows_; ++row) {
      const char* uuid = uuids_.data() + row * kUuidBytes;
      const unsigned middle = (static_cast<unsigned char>(uuid[6]) & 15u) << 6 |
                              (static_cast<unsigned char>(uuid[8]) & 63u);
      blob.append(uuid, 6);
      blob += static_cast<char>(middle & 0xff);
      blob += uuid[7];
      blob.append(uuid + 9, 7);
      two_bits[row / 4] = static_cast<char>(static_cast<unsigned char>(two_bits[row / 4]) |
                                            middle >> 8 << row % 4 * 2);
    }
    blob += two_bits;
  }
  void append_mixed(std::string& blob) const {
    for (const IdGroup& group : groups_) {
      append_number(blob, group.uuids);
      append_number(blob, group.uuids_before);
      append_number(blob, group.text_bytes_before);
    }
    blob += uuids_;
    for (const std::uint64_t length : lengths_) {
      long_ ? append_number(blob, static_cast<std::uint32_t>(length))
            : append_number(blob, static_cast<std::uint16_t>(length));
    }
    blob += texts_;
  }

  std::uint64_t rows_ = 0;
  std::vector<IdGroup> groups_;
  std::vector<std::uint64_t> lengths_;
  std::string uuids_;
  std::string texts_;
  bool all_v4_ = true;
  bool long_ = false;
};

}  // namespace phlower
