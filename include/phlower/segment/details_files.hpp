// Details wherever they are: from the number in a row to the file, the block and the text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "phlower/segment/catalog.hpp"
#include "phlower/segment/details_reader.hpp"
#include "phlower/segment/details_writer.hpp"

namespace phlower {

/// Keeps the files that were read last open, a few of them. Not thread safe.
class DetailsFiles {
 public:
  /// Called with a segment that cannot be read; its details count as gone from then on.
  using OnDamage = std::function<void(std::int64_t seq, const Status& status)>;

  DetailsFiles(const Catalog& catalog, OnDamage on_damage)
      : catalog_(catalog), on_damage_(std::move(on_damage)) {}

  /// The one that writes a segment in this process lends its connection until `forget`.
  void lend(DetailsWriter* writer) {
    forget(writer->file().seq());
    open_.push_front(std::make_unique<File>(*writer));
  }
  void forget(std::int64_t seq) {
    open_.remove_if([&](const auto& file) { return file->seq == seq; });
  }
  /// A transaction of the writers was rolled back.
  void rolled_back() {
    for (const auto& file : open_) {
      if (file->writer != nullptr) file->reader->forget_block();
    }
  }

  /// Adds the details of `packed` to a record of this tag. What has expired with its segment is
  /// gone, without an error; kReload where it went after the catalog was read.
  Status read(std::int64_t packed, IdTag tag, Record& record) {
    const DetailsRef ref = DetailsRef::unpack(packed);
    if (!ref) return Status();
    auto file = find(ref.segment);
    if (!file.ok()) return told(ref.segment, file.status());
    if (*file == nullptr) return Status();
    if ((*file)->writer != nullptr) {
      const std::string* block = (*file)->writer->open_block(ref.block);
      if (block != nullptr) return told(ref.segment, from_text(*block, ref.entry, tag, record));
    }
    return told(ref.segment, (*file)->reader->read(ref, tag, record));
  }

 private:
  // More than the spans of a lifetime: opening a file costs several look-ups.
  static constexpr std::size_t kOpenMax = 40;
  static constexpr std::uint64_t kCacheBytes = 128 << 10;

  struct File {
    explicit File(DetailsWriter& from)
        : seq(from.file().seq()), writer(&from), reader(std::in_place, from.file().db(), true) {}
    File(std::int64_t number, sqlite::Connection connection, bool live)
        : seq(number), db(std::move(connection)) {
      reader.emplace(db, live);
    }
    std::int64_t seq;
    DetailsWriter* writer = nullptr;
    sqlite::Connection db;  // of our own, where nobody lends one
    std::optional<DetailsReader> reader;
  };

  static Status from_text(const std::string& text, std::uint32_t entry, IdTag tag, Record& record) {
    RecordView view;
    const auto found = details_block::find(text, segment_schema::kVersion, entry, tag, view);
    if (!found.ok() || !*found) return found.status();
    take_details(record, view);
    return Status();
  }

  // Null: there is no such segment any more.
  Result<File*> find(std::int64_t seq) {
    open_.remove_if([&](const auto& file) {
      return file->seq == seq && file->writer == nullptr && sqlite::is_stale(file->db);
    });
    for (auto at = open_.begin(); at != open_.end(); ++at) {
      if ((*at)->seq != seq) continue;
      open_.splice(open_.begin(), open_, at);
      return open_.front().get();
    }
    const SegmentInfo* info = catalog_.find(seq);
    if (info == nullptr || !info->readable() || info->family != SegmentFamily::kDetails) {
      return static_cast<File*>(nullptr);
    }
    const bool sealed = info->state == SegmentState::kSealed;
    auto db = segment_file::open_for_reading(catalog_.path_of(*info), sealed, kCacheBytes);
    if (!db.ok()) {
      if (db.status().code() != Code::kNotFound) return db.status();
      return Status(Code::kReload, catalog_.path_of(*info) + ": has gone since; ask again");
    }
    make_room();
    open_.push_front(std::make_unique<File>(seq, *std::move(db), !sealed));
    return open_.front().get();
  }

  void make_room() {
    std::size_t own = 0;
    for (auto at = open_.begin(); at != open_.end();) {
      const bool lent = (*at)->writer != nullptr;
      at = !lent && ++own >= kOpenMax ? open_.erase(at) : std::next(at);
    }
  }

  Status told(std::int64_t seq, Status status) {
    const Code code = status.code();
    if (code != Code::kCorrupt && code != Code::kNotOurs) return status;
    on_damage_(seq, status);
    return Status();
  }

  const Catalog& catalog_;
  OnDamage on_damage_;
  std::list<std::unique_ptr<File>> open_;  // the last used first
};

}  // namespace phlower
