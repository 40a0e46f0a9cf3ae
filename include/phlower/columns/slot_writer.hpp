// The writer's side of a slot: members one after the other, each in as few whole bytes as it needs.
// A commit of a few rows is too small for more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "phlower/columns/blob.hpp"
#include "phlower/columns/id_column_writer.hpp"
#include "phlower/columns/slot.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// Takes members ascending, of each its numbers before its texts. A call that fails changes nothing
/// of the slot. Thread safety: none.
class SlotWriter {
 public:
  explicit SlotWriter(std::uint32_t rows) noexcept : rows_(rows) {}

  /// Errors: kInvalidArgument for a member out of order or another number of rows.
  Status add_numbers(std::uint16_t member, std::span<const std::int64_t> numbers) {
    if (numbers.size() != rows_) return wrong_rows(member, numbers.size());
    SlotEntry entry{.member = member, .form = kSlotNumbers};
    if (!numbers.empty()) {
      const auto [least, greatest] = std::minmax_element(numbers.begin(), numbers.end());
      entry.base = *least;
      entry.width =
          width_of(static_cast<std::uint64_t>(*greatest) - static_cast<std::uint64_t>(*least));
    }
    if (Status status = add_entry(entry); !status.ok()) return status;
    own_texts_ = static_cast<std::size_t>(std::count(numbers.begin(), numbers.end(), kOwnText));
    switch (entry.width) {
      case 1: pack<std::uint8_t>(numbers, entry.base); break;
      case 2: pack<std::uint16_t>(numbers, entry.base); break;
      case 4: pack<std::uint32_t>(numbers, entry.base); break;
      case 8: pack<std::uint64_t>(numbers, entry.base); break;
      default: break;
    }
    return Status();
  }

  /// The texts of the rows whose number is kOwnText, in their order. Errors: kInvalidArgument where
  /// the member's numbers did not come before it or ask for more or fewer texts, kTooBig.
  Status add_texts(std::uint16_t member, std::span<const std::string_view> texts) {
    const bool follows = !table_.empty() && last_ == SlotEntry{.member = member}.order();
    if (!follows || texts.size() != own_texts_) return wrong_rows(member, texts.size());
    std::uint64_t bytes = 4 + 4 * std::uint64_t{texts.size()};
    for (const std::string_view text : texts) bytes += text.size();
    if (bytes > kIdTextBytesMax) {
      return {Code::kTooBig, "slot: " + std::to_string(texts.size()) + " texts of " +
                                 std::to_string(bytes) + " bytes for member " +
                                 std::to_string(member)};
    }
    Status status =
        add_entry({.member = member, .form = kSlotTexts, .base = static_cast<std::int64_t>(bytes)});
    if (!status.ok()) return status;
    append_number(body_, static_cast<std::uint32_t>(texts.size()));
    for (const std::string_view text : texts) {
      append_number(body_, static_cast<std::uint32_t>(text.size()));
    }
    for (const std::string_view text : texts) body_ += text;
    return Status();
  }

  /// Errors: kInvalidArgument, kTooBig.
  Status add_ids(std::uint16_t member, const IdColumnWriter& ids) {
    if (ids.count() != rows_) return wrong_rows(member, ids.count());
    const std::size_t before = body_.size();
    if (Status status = ids.write(member, body_); !status.ok()) return status;
    Status status = add_entry({.member = member,
                               .form = kSlotIds,
                               .base = static_cast<std::int64_t>(body_.size() - before)});
    if (!status.ok()) body_.resize(before);
    return status;
  }

  /// Replaces `out` by the slot. Errors: kTooBig for more rows than a chunk has, kInvalidArgument
  /// for more outdone rows than rows.
  Status finish(std::span<const std::uint32_t> outdone, std::string& out) const {
    if (rows_ > kChunkRowsMax) {
      return {Code::kTooBig,
              "slot: " + std::to_string(rows_) + " rows, at most " + std::to_string(kChunkRowsMax)};
    }
    if (outdone.size() > rows_) return wrong_rows(0, outdone.size());
    out.clear();
    start_blob(out, {.encoding = kSlotBlob.encoding,
                     .count = rows_,
                     .base = static_cast<std::int64_t>(outdone.size()),
                     .entries = static_cast<std::uint32_t>(table_.size() / kSlotEntryBytes),
                     .section_bytes = static_cast<std::uint32_t>(table_.size())});
    out += table_;
    out += body_;
    for (const std::uint32_t row : outdone) append_number(out, row);
    finish_blob(out);
    return Status();
  }

 private:
  static std::uint8_t width_of(std::uint64_t range) noexcept {
    if (range == 0) return 0;
    if (range <= UINT8_MAX) return 1;
    if (range <= UINT16_MAX) return 2;
    return range <= UINT32_MAX ? 4 : 8;
  }

  Status wrong_rows(std::uint16_t member, std::uint64_t count) const {
    return {Code::kInvalidArgument, "slot of " + std::to_string(rows_) +
                                        " rows: " + std::to_string(count) + " of member " +
                                        std::to_string(member)};
  }

  Status add_entry(const SlotEntry& entry) {
    if (!table_.empty() && entry.order() <= last_) {
      return {Code::kInvalidArgument,
              "slot: member " + std::to_string(entry.member) + " out of order"};
    }
    last_ = entry.order();
    append_number(table_, entry.member);
    append_number(table_, entry.form);
    append_number(table_, entry.width);
    append_number(table_, entry.base);
    return Status();
  }

  template <class Narrow>
  void pack(std::span<const std::int64_t> numbers, std::int64_t base) {
    const std::size_t before = body_.size();
    body_.resize(before + numbers.size() * sizeof(Narrow));
    char* to = body_.data() + before;
    for (const std::int64_t number : numbers) {
      const auto narrow = static_cast<Narrow>(static_cast<std::uint64_t>(number) -
                                              static_cast<std::uint64_t>(base));
      std::memcpy(to, &narrow, sizeof narrow);
      to += sizeof narrow;
    }
  }

  std::uint32_t rows_;
  std::uint32_t last_ = 0;
  std::size_t own_texts_ = 0;  // that the last numbers ask for
  std::string table_;
  std::string body_;
};

}  // namespace phlower
