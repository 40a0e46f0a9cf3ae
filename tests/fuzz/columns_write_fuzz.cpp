// Columns of any values: they come back, their zones hold them, and they cost no more than bare
// ones.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "../support/column_reading.hpp"

namespace phlower {
namespace {

void check(bool right) {
  if (!right) std::abort();
}

/// Any bytes as a row of choices.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool left() const { return at_ < size_; }
  std::uint64_t take(std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes && at_ < size_; ++i) {
      value |= std::uint64_t{data_[at_++]} << (8 * i);
    }
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

/// Runs of numbers, each with a step, some unknown: short inputs make several blocks.
void write_numbers(Choices choices) {
  testing::Numbers rows;
  while (choices.left() && rows.size() < 1'100) {
    const std::uint64_t kind = choices.take(1);
    std::uint64_t number = choices.take(1 + kind % 8);
    const std::uint64_t step = (kind & 8) != 0 ? choices.take(1 + kind / 16 % 8) : 0;
    for (std::uint64_t n = choices.take(1) + 1; n > 0; --n) {
      const bool known = (kind & 128) == 0 || n % 3 != 0;
      rows.push_back(known ? std::optional(static_cast<std::int64_t>(number)) : std::nullopt);
      number += step;
    }
  }
  const auto written = testing::write_numbers(rows);
  for (const auto& row : rows) {
    check(row ? written.zone.may_hold(*row, *row) : written.zone.may_hold_unknown());
  }
  const auto column = testing::open_numbers(written, rows.size());
  check(column.ok());
  const auto back = testing::all_numbers(*column);
  check(back.ok() && *back == rows);
  if (written.blob.empty()) return;
  const auto parts = testing::numbers_by_parts(written.blob);
  check(parts.ok() && *parts == rows);
  const std::size_t blocks = (rows.size() + kBlockValues - 1) / kBlockValues;
  check(written.blob.size() <= kBlobHeadBytes + blocks * (16 + 8 + 64 + 8 * kBlockValues));
}

void write_words(Choices choices) {
  const std::vector<std::string> texts{"", "a", "bb", std::string(300, 'c')};
  std::vector<std::uint32_t> rows;
  std::vector<std::string> names;
  while (choices.left() && rows.size() < 1'100) {
    const std::uint64_t kind = choices.take(1);
    const auto word = static_cast<std::uint32_t>(
        (kind & 1) != 0 ? kFirstText + choices.take(1) % texts.size() : choices.take(2));
    const std::string name =
        word < kFirstText ? std::to_string(word) : "text " + texts[word - kFirstText];
    rows.insert(rows.end(), 1 + kind / 2, word);
    names.insert(names.end(), 1 + kind / 2, name);
  }
  static WordColumnWriter writer;
  std::string blob;
  Zone zone;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  check(writer.write(1, rows, views, blob, zone).ok());
  for (const std::uint32_t row : rows)
    check(zone.may_hold_word(row % kFirstText) || row >= kFirstText);
  for (const std::uint32_t row : rows) check(row < kFirstText || zone.may_hold_text());
  if (blob.empty()) return;
  const auto back = testing::words_by_parts(blob, kDictionaryMax);
  check(back.ok() && *back == names);
}

}  // namespace
}  // namespace phlower

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const phlower::Choices choices(data + 1, size - 1);
  if ((data[0] & 1) != 0) {
    phlower::write_numbers(choices);
  } else {
    phlower::write_words(choices);
  }
  return 0;
}
