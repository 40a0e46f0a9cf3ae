// Columns of any bytes, read in every way: as a whole and by parts, as numbers, words and zones.
// The first byte says whether the checksum is made right, for what comes behind it to be reached.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "../support/column_reading.hpp"

namespace phlower {
namespace {

void check(bool right) {
  if (!right) std::abort();
}

bool is_answer(const Status& status) {
  return status.ok() || status.code() == Code::kCorrupt || status.code() == Code::kUnsupported;
}

void read_all(const std::string& blob) {
  constexpr std::uint32_t kTableWords = 300;
  check(is_answer(testing::numbers_by_parts(blob).status()));
  check(is_answer(testing::words_by_parts(blob, kTableWords).status()));
  if (const auto column = NumberColumn::of_blob(blob); column.ok()) {
    check(is_answer(testing::all_numbers(*column).status()));
    for (std::uint32_t row = 0; row < column->rows(); row += 501) {
      check(is_answer(column->at(row).status()));
    }
  }
  if (const auto column = WordColumn::of_blob(blob, kTableWords); column.ok()) {
    std::uint32_t codes[kBlockValues];
    for (std::uint32_t k = 0; k < column->blocks(); ++k) check(is_answer(column->block(k, codes)));
    for (std::uint32_t row = 0; row < column->rows(); row += 501) {
      check(is_answer(column->at(row).status()));
    }
  }
  const auto zones = read_zones(blob);
  check(is_answer(zones.status()));
  for (std::size_t i = 0; zones.ok() && i < zones->size(); ++i) {
    const Zone& zone = (*zones)[i];
    (void)(zone.may_hold(0, 9) || zone.may_hold_word(70'000) || zone.may_hold_unknown());
  }
}

}  // namespace
}  // namespace phlower

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string blob(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) phlower::testing::sign(blob);
  if ((data[0] & 2) != 0 && blob.size() >= 8) {  // as zones
    blob.resize(blob.size() - 8);
    phlower::append_number(blob, phlower::hash_of(blob.data(), blob.size()));
  }
  phlower::read_all(blob);
  return 0;
}
