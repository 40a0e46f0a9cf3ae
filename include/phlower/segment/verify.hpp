// Whether a segment is what the catalog says: its bytes, its pages, its rows, its blocks. And what
// becomes of one that is not.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "phlower/segment/catalog.hpp"
#include "phlower/segment/details_reader.hpp"
#include "phlower/segment/seal.hpp"
#include "phlower/single/open_file.hpp"

namespace phlower {

namespace verify_detail {

inline Status quick_check(sqlite::Connection& db) {
  const auto answer = db.query_text("PRAGMA quick_check(1)");
  if (!answer.ok()) return answer.status();
  return *answer == "ok" ? Status() : Status(Code::kCorrupt, db.path() + ": " + *answer);
}

inline Status check_rows(sqlite::Connection& db, std::uint64_t rows) {
  const auto count = db.query_integer("SELECT count(*) FROM task");
  if (!count.ok()) return count.status();
  if (static_cast<std::uint64_t>(*count) == rows) return Status();
  return Status(Code::kCorrupt, db.path() + ": " + std::to_string(*count) +
                                    " rows, but the catalog says " + std::to_string(rows));
}

inline Status check_blocks(sqlite::Connection& db) {
  const auto last = db.query_integer("SELECT max(id) FROM block");
  if (!last.ok()) return last.status();
  DetailsReader reader(db, false);
  Record record;
  for (std::int64_t block = 1; block <= *last; ++block) {
    // Entry 0 of any task: what is asked is whether the block can be read.
    Status status = reader.read({1, block, 0}, 0, record);
    if (!status.ok()) return status;
  }
  return Status();
}

}  // namespace verify_detail

/// Reads all of one segment. Errors: kCorrupt or kNotFound for what is damaged or missing, naming
/// the file; others say that it could not be checked. A file that is being written is checked for
/// its pages alone. Blocks: as long as reading the file takes.
inline Status verify_segment(const Catalog& catalog, const SegmentInfo& info) {
  namespace vd = verify_detail;
  const std::string path = catalog.path_of(info);
  struct ::stat file {};
  if (::stat(path.c_str(), &file) != 0) {
    if (errno != ENOENT) return Status::from_errno(path);
    return Status(Code::kNotFound, path + ": is missing, " + std::to_string(info.rows) + " rows");
  }
  if (info.state == SegmentState::kAdopted) {
    auto db = open_reader(path);
    return db.ok() ? vd::quick_check(*db) : db.status();
  }
  const bool sealed = info.state == SegmentState::kSealed;
  if (sealed) {
    const auto sum = checksum_of(path);
    if (!sum.ok()) return sum.status();
    if (*sum != info.checksum) {
      return Status(Code::kCorrupt, path + ": its bytes are not those that were sealed");
    }
  }
  auto db = segment_file::open_for_reading(path, sealed, 8 << 20);
  if (!db.ok()) return db.status();
  Status status = vd::quick_check(*db);
  // Complete, and not sealed yet: a copy that is torn may have lost its last rows.
  const bool complete = info.state == SegmentState::kSealing;
  if (status.ok() && complete && info.family == SegmentFamily::kRows) {
    return vd::check_rows(*db, info.rows);
  }
  if (!status.ok() || !sealed) return status;
  return info.family == SegmentFamily::kRows ? vd::check_rows(*db, info.rows)
                                             : vd::check_blocks(*db);
}

/// Moves a segment's file, with what stands beside it, to quarantine/ in its folder.
inline Status move_to_quarantine(const std::string& path) {
  const std::filesystem::path from(path);
  const std::filesystem::path folder = from.parent_path() / "quarantine";
  if (Status made = make_folder(folder.string()); !made.ok()) return made;
  // The log first: should the machine stop in between, the file is not found by its name alone.
  for (const char* side : {"-journal", "-wal", "-shm", ""}) {
    const std::string name = from.filename().string() + side;
    const std::string old = path + side;
    if (::rename(old.c_str(), (folder / name).c_str()) != 0 && errno != ENOENT) {
      return Status::from_errno("move " + old);
    }
  }
  return Status();
}

/// Takes a damaged segment out of the history (T10, T11); what is whole goes on. An adopted file
/// stays where it is. Nothing where the segment is in another state than `info` by now.
inline Status set_segment_aside(Catalog& catalog, const SegmentInfo& info) {
  const std::string path = catalog.path_of(info);
  const bool missing = !open_detail::exists(path);
  // A copy: `info` may be the catalog's own, which changes.
  const SegmentEdit edit{missing ? Move::kMiss : Move::kSetAside, info};
  Status status;
  do {
    const SegmentInfo* known = catalog.find(edit.info.seq);
    if (known == nullptr || known->state != edit.info.state) return Status();
    status = catalog.apply(edit);
  } while (status.code() == Code::kReload);
  if (!status.ok() || missing || !edit.info.path.empty()) return status;
  return move_to_quarantine(path);
}

}  // namespace phlower
