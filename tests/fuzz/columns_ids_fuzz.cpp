// Ids, pages of their index and slots of any bytes, read in every way: as a whole and in pieces.
// The first byte says what they are taken for, and whether the checksum is made right, for what
// comes behind it to be reached.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../support/hostile_blob.hpp"
#include "phlower/columns/id_column.hpp"
#include "phlower/columns/id_compare.hpp"
#include "phlower/columns/id_index_find.hpp"
#include "phlower/columns/id_read.hpp"
#include "phlower/columns/row_members.hpp"
#include "phlower/columns/slot.hpp"

namespace phlower {
namespace {

void check(bool right) {
  if (!right) std::abort();
}

bool is_answer(const Status& status) {
  return status.ok() || status.code() == Code::kCorrupt || status.code() == Code::kUnsupported;
}

void read_rows(const IdColumn& column) {
  for (std::uint32_t row = 0; row < column.count(); ++row) {
    const PackedId id = column.at(row);
    check(id == PackedId(id.text()));
  }
}

void read_ids(const std::string& blob) {
  const auto column = IdColumn::open(blob);
  check(is_answer(column.status()));
  if (column.ok()) read_rows(*column);
  const auto head = read_id_head(blob);
  check(is_answer(head.status()));
  const auto read = [&](std::size_t at, std::size_t bytes, char* to) {
    check(at <= blob.size() && bytes <= blob.size() - at);
    std::memcpy(to, blob.data() + at, bytes);
    return Status();
  };
  for (std::uint32_t row = 0; head.ok() && row < std::min(head->count, 200u); ++row) {
    std::string text;
    const auto id = read_id(*head, blob.size(), row, read, text);
    check(is_answer(id.status()));
    if (column.ok()) check(id.ok() && *id == column->at(row));
  }
}

/// One page that stands for every page of its index.
struct OnePage {
  IdIndexShape shape;
  std::string filter_part;
  std::string rows_part;
  Result<IdFilterPage> filter(std::uint32_t page) {
    return IdFilterPage::open(filter_part, shape, page);
  }
  Result<std::string_view> rows(std::uint32_t, std::size_t at, std::size_t bytes) {
    if (at > rows_part.size()) return Status(Code::kCorrupt, "cut");
    return std::string_view(rows_part).substr(at, bytes);
  }
};

// The lengths of both parts stand in the first two bytes.
void read_index(const std::string& bytes, bool seal) {
  if (bytes.size() < 2) return;
  const std::size_t cut =
      std::min<std::size_t>(load_number<std::uint16_t>(bytes, 0), bytes.size() - 2);
  OnePage page{{}, bytes.substr(2, cut), bytes.substr(2 + cut)};
  if (seal) {
    page.filter_part = testing::resealed(page.filter_part);
    page.rows_part = testing::resealed(page.rows_part);
  }
  const auto head = read_id_page_head(page.filter_part, kIdFilterPage);
  check(is_answer(head.status()));
  if (!head.ok()) return;
  page.shape = head->shape;
  for (std::uint64_t i = 0; i < 16; ++i) {
    const std::uint64_t hash = i << 60 | i * 0x9e3779b97f4a7;
    check(is_answer(may_hold(page, page.shape, hash).status()));
    const auto found = find_rows(page, page.shape, hash, [&](std::uint32_t row) {
      check(row < page.shape.rows);
      return false;
    });
    check(is_answer(found.status()));
  }
  OnePage older = page;
  IndexedRows rows(page.shape, page);
  int pairs = 0;
  const auto done = compare_ids(rows, older.shape, older,
                                [&](std::uint32_t, std::uint32_t) { return ++pairs == 1'000; });
  check(is_answer(done.status()));
}

void read_slot(const std::string& blob) {
  const auto slot = Slot::open(blob);
  check(is_answer(slot.status()));
  if (!slot.ok()) return;
  std::vector<std::int64_t> numbers(slot->rows());
  for (const RowMember& member : row_members()) {
    slot->numbers(member.number, numbers);
    for (const std::string_view text : slot->texts(member.number)) check(std::string(text) == text);
    if (const auto ids = slot->ids(member.number)) read_rows(*ids);
  }
  check(slot->outdone().size() <= slot->rows());
}

}  // namespace
}  // namespace phlower

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool seal = (data[0] & 1) != 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string blob = seal ? phlower::testing::resealed(bytes) : bytes;
  switch (data[0] >> 1 & 3) {
    case 0: phlower::read_ids(blob); break;
    case 1: phlower::read_slot(blob); break;
    default: phlower::read_index(bytes, seal);
  }
  return 0;
}
