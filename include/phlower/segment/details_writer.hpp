// Writes one segment of details. The block that fills is written anew at each commit until it is
// full, so that blocks are as large as they should be however few records a slice brings.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "phlower/ground/zstd.hpp"
#include "phlower/segment/format/details_block.hpp"
#include "phlower/segment/segment_writer.hpp"

namespace phlower {

/// Not thread safe.
class DetailsWriter {
 public:
  /// A block of this much text is full: as much as one look-up should have to unpack.
  static constexpr std::size_t kBlockBytes = 4 << 10;
  /// The first text of a segment is the dictionary of all that follows.
  static constexpr std::size_t kDictionaryBytes = 16 << 10;

  static Result<std::unique_ptr<DetailsWriter>> open(const std::string& path, std::int64_t seq,
                                                     const StoreOptions& options,
                                                     std::uint64_t cache_bytes) {
    auto db = segment_file::open_for_writing(path, options, cache_bytes);
    if (!db.ok()) return db.status();
    if (Status status = segment_file::upgrade(*db, SegmentFamily::kDetails); !status.ok()) {
      return status;
    }
    std::unique_ptr<DetailsWriter> writer(new DetailsWriter(seq, *std::move(db)));
    if (Status status = writer->load(); !status.ok()) return status;
    return writer;
  }

  SegmentWriter& file() noexcept { return file_; }
  std::uint64_t rows() const noexcept { return now_.entries_total; }
  std::int64_t newest_us() const noexcept { return now_.newest_us; }

  /// Begins a transaction where none is open.
  Status begin() {
    if (file_.in_transaction()) return Status();
    saved_ = now_;
    saved_text_ = text_;
    return file_.begin();
  }

  /// Adds an entry; it is written by `commit` at the latest. kInvalidArgument: the file has as many
  /// blocks as can be named.
  Result<DetailsRef> add(IdTag tag, const RecordView& details, std::int64_t at_us) {
    if (now_.block >= DetailsRef::kBlocksMax) {
      return Status(Code::kInvalidArgument, file_.db().path() + ": no more blocks");
    }
    const DetailsRef ref{file_.seq(), now_.block, now_.entries};
    details_block::append(text_, tag, details);
    ++now_.entries;
    ++now_.entries_total;
    now_.oldest_us = now_.entries_total == 1 ? at_us : std::min(now_.oldest_us, at_us);
    now_.newest_us = std::max(now_.newest_us, at_us);
    if (text_.size() >= kBlockBytes || now_.entries == DetailsRef::kEntriesMax) {
      if (Status status = finish_block(); !status.ok()) return status;
    }
    return ref;
  }

  /// The text of the block that fills, if that is the one wanted.
  const std::string* open_block(std::int64_t block) const {
    return block == now_.block && !text_.empty() ? &text_ : nullptr;
  }

  /// On an error everything since `begin` is as it was.
  Status commit() {
    Status status;
    if (!text_.empty()) status = write_block();
    if (status.ok()) {
      status = file_.set_fact(segment_schema::kDetailsKey,
                              static_cast<std::int64_t>(now_.entries_total));
    }
    if (status.ok()) status = file_.set_fact(segment_schema::kOldestKey, now_.oldest_us);
    if (status.ok()) status = file_.set_fact(segment_schema::kNewestKey, now_.newest_us);
    if (status.ok()) status = file_.commit();
    if (!status.ok()) rollback();
    return status;
  }

  void rollback() noexcept {
    file_.rollback();
    if (saved_.has_dictionary != now_.has_dictionary) compressor_.set_dictionary({});
    now_ = saved_;
    text_.swap(saved_text_);
    saved_text_ = text_;
  }

 private:
  struct State {
    std::int64_t block = 1;     // the number of the block that fills
    std::uint32_t entries = 0;  // in it
    std::uint64_t entries_total = 0;
    std::int64_t oldest_us = 0;  // of the rows the entries belong to
    std::int64_t newest_us = 0;
    bool has_dictionary = false;
  };

  DetailsWriter(std::int64_t seq, sqlite::Connection db)
      : file_(seq, std::move(db), SegmentFamily::kDetails) {}

  // What fills is not taken up again after a start: the next block begins.
  Status load() {
    sqlite::Connection& db = file_.db();
    const auto last = db.query_integer("SELECT max(id) FROM block");
    if (!last.ok()) return last.status();
    now_.block = *last + 1;
    const auto entries = segment_file::fact(db, segment_schema::kDetailsKey, 0);
    if (!entries.ok()) return entries.status();
    now_.entries_total = static_cast<std::uint64_t>(*entries);
    const auto oldest = segment_file::fact(db, segment_schema::kOldestKey, 0);
    const auto newest = segment_file::fact(db, segment_schema::kNewestKey, 0);
    if (!oldest.ok() || !newest.ok()) return oldest.ok() ? newest.status() : oldest.status();
    now_.oldest_us = *oldest;
    now_.newest_us = *newest;
    const auto dictionary = db.query_text("SELECT data FROM dictionary WHERE id = 1");
    if (!dictionary.ok()) return dictionary.status();
    now_.has_dictionary = !dictionary->empty();
    compressor_.set_dictionary(*dictionary);
    saved_ = now_;
    return file_.measure();
  }

  Status finish_block() {
    if (Status status = write_block(); !status.ok()) return status;
    if (!now_.has_dictionary) {
      if (Status status = learn(); !status.ok()) return status;
    }
    text_.clear();
    ++now_.block;
    now_.entries = 0;
    return Status();
  }

  Status write_block() {
    Status status = file_.db().prepare_once(
        insert_,
        "INSERT INTO block (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = ?2");
    if (status.ok()) status = compressor_.compress(text_, packed_);
    if (!status.ok()) return status;
    packed_.insert(packed_.begin(), details_block::kind(now_.has_dictionary));
    insert_.bind(1, now_.block);
    insert_.bind_blob(2, packed_.data(), packed_.size());
    return insert_.run();
  }

  Status learn() {
    // Not to begin with what zstd would take for a dictionary of its own making.
    if (learned_.empty()) learned_ = ' ';
    learned_ += text_;
    if (learned_.size() < kDictionaryBytes) return Status();
    learned_.resize(kDictionaryBytes);
    auto insert = file_.db().prepare("INSERT INTO dictionary (id, data) VALUES (1, ?1)");
    if (!insert.ok()) return insert.status();
    insert->bind_blob(1, learned_.data(), learned_.size());
    if (Status status = insert->run(); !status.ok()) return status;
    compressor_.set_dictionary(learned_);
    now_.has_dictionary = true;
    learned_ = std::string();
    return Status();
  }

  SegmentWriter file_;
  Compressor compressor_;
  sqlite::Statement insert_;
  State now_, saved_;
  std::string text_, saved_text_;  // of the block that fills
  std::string packed_;
  std::string learned_;  // what will be the dictionary; after a rollback it may hold text twice
};

}  // namespace phlower
