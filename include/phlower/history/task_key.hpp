// A task id as it is bound to statements, compared with what they read, and looked up by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/record/packed_id.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// The 32 bits by which ids are looked up; two ids may share them, so a hit is always compared.
using IdTag = std::uint32_t;

/// Non-owning: the text must outlive the key.
class TaskKey {
 public:
  explicit TaskKey(std::string_view id)
      : text_(id), id_(id), tag_(static_cast<IdTag>(id_.hash() >> 32)) {}

  IdTag tag() const noexcept { return tag_; }
  std::string_view text() const noexcept { return text_; }

  void bind(sqlite::Statement& statement, int at) const noexcept {
    const std::string_view stored = id_.stored();
    id_.is_uuid() ? statement.bind_blob(at, stored.data(), stored.size())
                  : statement.bind(at, stored);
  }
  bool equals(const sqlite::Statement& row, int column) const noexcept {
    return row.is_text(column) != id_.is_uuid() && row.text(column) == id_.stored();
  }

 private:
  std::string_view text_;
  PackedId id_;
  IdTag tag_;
};

/// The id in a column, as it was submitted. A blob of another length than 16 gives its bytes.
inline std::string read_task_id(const sqlite::Statement& row, int column) {
  const std::string_view stored = row.text(column);
  if (row.is_text(column) || stored.size() != kUuidBytes) return std::string(stored);
  return PackedId::of_uuid(stored.data()).text();
}

}  // namespace phlower
