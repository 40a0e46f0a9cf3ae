// A slot: the rows of one commit as one blob, until they are part of a chunk. A table tells which
// members there are; of those that a reader does not know it skips the bytes, and those that a
// later build has and the file has not are unknown. doc/column_format.md is normative.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_column.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

inline constexpr BlobKind kSlotBlob{5, 0};
inline constexpr std::size_t kSlotEntryBytes = 12;
inline constexpr std::uint32_t kSlotMembersMax = 1024;

/// How a member stands in a slot. Of every form but numbers the table has the bytes, so that a
/// reader can skip those of a later build.
enum SlotForm : std::uint8_t {
  kSlotNumbers = 0,  // base and numbers of 0, 1, 2, 4 or 8 bytes
  kSlotTexts = 1,    // of the rows whose word is kOwnText
  kSlotIds = 2,      // a column of ids
};

/// The number of a word that is none: the row has the next of the member's texts.
inline constexpr std::int64_t kOwnText = 0xffff;

/// One entry of the table.
struct SlotEntry {
  std::uint16_t member = 0;
  std::uint8_t form = kSlotNumbers;
  std::uint8_t width = 0;  // of numbers, in bytes
  std::int64_t base = 0;   // of numbers; of other forms their bytes
  std::size_t at = 0;      // not stored: where in the blob
  std::uint32_t order() const noexcept { return std::uint32_t{member} << 8 | form; }
};

/// The checked rows of a slot whose bytes outlive it and what it gives. Thread safety: any number
/// of threads.
class Slot {
 public:
  /// Everything is checked, so that no number leads outside. Errors: kCorrupt, kUnsupported.
  static Result<Slot> open(std::string_view blob) {
    const auto head = check_blob(blob, kSlotBlob);
    if (!head.ok()) return head.status().with_context("slot");
    Slot slot(blob, head->count);
    const std::size_t table = head->section_bytes;
    if (table != head->entries * std::uint64_t{kSlotEntryBytes} ||
        head->entries > kSlotMembersMax || table > blob.size() - kBlobHeadBytes) {
      return corrupt("a table of " + std::to_string(table) + " bytes for " +
                     std::to_string(head->entries) + " members");
    }
    if (head->base < 0 || head->base > head->count) {
      return corrupt(std::to_string(head->count) + " rows that outdo " +
                     std::to_string(head->base) + " others");
    }
    slot.outdone_ = static_cast<std::uint32_t>(head->base);
    if (Status status = slot.read_table(head->entries); !status.ok()) return status;
    return slot;
  }

  std::uint32_t rows() const noexcept { return rows_; }

  /// The numbers of a member, one a row. False: the slot does not know it. Requires: as many
  /// places as rows.
  bool numbers(std::uint16_t member, std::span<std::int64_t> out) const noexcept {
    const SlotEntry* entry = find(member, kSlotNumbers);
    if (entry == nullptr) return false;
    switch (entry->width) {
      case 1: unpack<std::uint8_t>(*entry, out); break;
      case 2: unpack<std::uint16_t>(*entry, out); break;
      case 4: unpack<std::uint32_t>(*entry, out); break;
      case 8: unpack<std::uint64_t>(*entry, out); break;
      default: std::fill(out.begin(), out.end(), entry->base);
    }
    return true;
  }

  /// The texts of the rows whose number is kOwnText, in their order.
  std::vector<std::string_view> texts(std::uint16_t member) const {
    std::vector<std::string_view> out;
    const SlotEntry* entry = find(member, kSlotTexts);
    if (entry == nullptr) return out;
    const auto count = load_number<std::uint32_t>(blob_, entry->at);
    std::size_t at = entry->at + 4 + 4ul * count;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto length = load_number<std::uint32_t>(blob_, entry->at + 4 + 4ul * i);
      out.push_back(blob_.substr(at, length));
      at += length;
    }
    return out;
  }

  /// Nothing: the slot does not know the member.
  std::optional<IdColumn> ids(std::uint16_t member) const {
    const SlotEntry* entry = find(member, kSlotIds);
    if (entry == nullptr) return std::nullopt;
    const auto column = IdColumn::open(bytes_of(*entry));
    return column.ok() ? std::optional(*column) : std::nullopt;
  }

  /// Rows of the segment that these rows outdo.
  std::vector<std::uint32_t> outdone() const {
    std::vector<std::uint32_t> out(outdone_);
    for (std::uint32_t i = 0; i < outdone_; ++i) {
      out[i] = load_number<std::uint32_t>(blob_, blob_.size() - 4ul * (outdone_ - i));
    }
    return out;
  }

 private:
  Slot(std::string_view blob, std::uint32_t rows) noexcept : blob_(blob), rows_(rows) {}

  static Status corrupt(const std::string& what) { return {Code::kCorrupt, "slot: " + what}; }

  std::string_view bytes_of(const SlotEntry& entry) const noexcept {
    return blob_.substr(entry.at, bytes_in(entry));
  }
  std::uint64_t bytes_in(const SlotEntry& entry) const noexcept {
    return entry.form == kSlotNumbers ? std::uint64_t{entry.width} * rows_
                                      : static_cast<std::uint64_t>(entry.base);
  }

  const SlotEntry* find(std::uint16_t member, SlotForm form) const noexcept {
    const SlotEntry wanted{.member = member, .form = form};
    for (const SlotEntry& entry : entries_) {
      if (entry.order() == wanted.order()) return &entry;
    }
    return nullptr;
  }

  template <class Narrow>
  void unpack(const SlotEntry& entry, std::span<std::int64_t> out) const noexcept {
    const char* from = blob_.data() + entry.at;
    for (std::int64_t& number : out) {
      Narrow narrow;
      std::memcpy(&narrow, from, sizeof narrow);
      from += sizeof narrow;
      number = static_cast<std::int64_t>(static_cast<std::uint64_t>(entry.base) + narrow);
    }
  }

  Status read_table(std::uint32_t count) {
    std::uint64_t at = kBlobHeadBytes + std::uint64_t{count} * kSlotEntryBytes;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t from = kBlobHeadBytes + kSlotEntryBytes * i;
      SlotEntry entry{.member = load_number<std::uint16_t>(blob_, from),
                      .form = load_number<std::uint8_t>(blob_, from + 2),
                      .width = load_number<std::uint8_t>(blob_, from + 3),
                      .base = load_number<std::int64_t>(blob_, from + 4),
                      .at = static_cast<std::size_t>(at)};
      if (!entries_.empty() && entry.order() <= entries_.back().order()) {
        return corrupt("member " + std::to_string(entry.member) + " out of order");
      }
      const std::uint8_t width = entry.width;
      const bool good =
          entry.form != kSlotNumbers ? width == 0 : width <= 8 && (width & (width - 1)) == 0;
      if (!good || bytes_in(entry) > blob_.size() - at) {
        return corrupt("member " + std::to_string(entry.member) + ": width " +
                       std::to_string(width) + ", bytes that are not there");
      }
      if (Status status = check_entry(entry); !status.ok()) return status;
      at += bytes_in(entry);
      entries_.push_back(entry);
    }
    if (at + 4ul * outdone_ == blob_.size()) return Status();
    return corrupt(std::to_string(blob_.size() - at) + " bytes for " + std::to_string(outdone_) +
                   " outdone rows");
  }

  Status check_entry(const SlotEntry& entry) const {
    if (entry.form == kSlotTexts) return check_texts(entry);
    if (entry.form != kSlotIds) return Status();
    const auto column = IdColumn::open(bytes_of(entry));
    if (!column.ok()) return column.status().with_context("slot");
    if (column->count() == rows_) return Status();
    return corrupt("member " + std::to_string(entry.member) + ": " +
                   std::to_string(column->count()) + " ids for " + std::to_string(rows_) + " rows");
  }

  // As many texts as rows want one, and each inside of the member's bytes.
  Status check_texts(const SlotEntry& entry) const {
    std::vector<std::int64_t> words(rows_);
    const auto wanted =
        numbers(entry.member, words) ? std::count(words.begin(), words.end(), kOwnText) : 0;
    const std::string_view bytes = bytes_of(entry);
    std::uint64_t end = 4 + 4ul * static_cast<std::uint64_t>(wanted);
    const bool counted = bytes.size() >= end && load_number<std::uint32_t>(bytes, 0) == wanted;
    for (std::int64_t i = 0; counted && i < wanted; ++i) {
      end += load_number<std::uint32_t>(bytes, 4 + 4ul * static_cast<std::uint64_t>(i));
    }
    if (counted && end == bytes.size()) return Status();
    return corrupt("member " + std::to_string(entry.member) + ": " + std::to_string(bytes.size()) +
                   " bytes are not the " + std::to_string(wanted) + " texts of its rows");
  }

  std::string_view blob_;
  std::uint32_t rows_;
  std::uint32_t outdone_ = 0;
  std::vector<SlotEntry> entries_;
};

}  // namespace phlower
