// Reads details out of one segment. The block that was unpacked last is kept: neighbours in a list
// stand in the same block.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "phlower/ground/zstd.hpp"
#include "phlower/segment/format/details_block.hpp"
#include "phlower/segment/format/layout.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. `db` outlives this.
class DetailsReader {
 public:
  /// No block is larger unpacked: one entry of the largest record behind a nearly full block.
  static constexpr std::size_t kBlockMax = 256 << 10;

  /// `live`: the file is being written, and the block may grow between two calls.
  DetailsReader(sqlite::Connection& db, bool live) : db_(&db), live_(live) {}

  /// Puts the details of `ref` into `record` if they are there and belong to `tag`; else leaves it.
  Status read(const DetailsRef& ref, IdTag tag, Record& record) {
    RecordView view;
    bool known = ref.block == block_;
    for (;;) {
      if (!known) {
        if (Status status = load(ref.block); !status.ok()) return status;
      }
      const auto found = details_block::find(text_, version_, ref.entry, tag, view);
      if (!found.ok()) return found.status().with_context(db_->path());
      if (*found) break;
      if (!known || !live_) return Status();
      known = false;  // the block has grown since
    }
    take_details(record, view);
    return Status();
  }

  /// What was read inside a transaction that was rolled back is not true any more.
  void forget_block() { block_ = 0; }

 private:
  // A block that is not there (lost with power before it was on the disk) is an empty one.
  Status load(std::int64_t block) {
    text_.clear();
    block_ = 0;
    Status ready = db_->prepare_once(select_, "SELECT data FROM block WHERE id = ?1");
    if (!ready.ok()) return ready;
    select_.bind(1, block);
    const auto row = select_.step();
    if (!row.ok()) return row.status();
    block_ = block;
    if (!*row) return Status();
    const std::string_view data = select_.text(0);
    Status status;
    version_ = data.empty() ? 0 : details_block::version_of(data[0]);
    if (version_ < 1 || version_ > segment_schema::kVersion) {
      status = Status(Code::kCorrupt, "block " + std::to_string(block) + " of unknown kind");
    } else {
      const bool learned = details_block::needs_dictionary(data[0]);
      Decompressor& plain_or_not = learned ? with_dictionary_ : plain_;
      if (learned) status = learn();
      if (status.ok()) status = plain_or_not.decompress(data.substr(1), kBlockMax, text_);
    }
    select_.reset();
    if (!status.ok()) block_ = 0;
    return status.with_context(db_->path());
  }

  Status learn() {
    if (learned_) return Status();
    const auto text = db_->query_text("SELECT data FROM dictionary WHERE id = 1");
    if (!text.ok()) return text.status();
    if (text->empty()) return Status(Code::kCorrupt, "its dictionary is missing");
    with_dictionary_.set_dictionary(*text);
    learned_ = true;
    return Status();
  }

  sqlite::Connection* db_;
  bool live_;
  bool learned_ = false;
  sqlite::Statement select_;
  Decompressor plain_, with_dictionary_;
  std::int64_t block_ = 0;  // what text_ holds
  std::string text_;
  int version_ = 0;
};

}  // namespace phlower
