// meta.db: which segments there are, what each holds and what is to become of it. Small, written a
// few times an hour, every commit on the disk before it counts.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/segment/edit.hpp"
#include "phlower/segment/format/layout.hpp"
#include "phlower/segment/segment_file.hpp"
#include "phlower/segment/segment_info.hpp"
#include "phlower/single/schema.hpp"
#include "phlower/sqlite/open_reader.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// Not thread safe. Errors as of sqlite.hpp.
class Catalog {
 public:
  static constexpr std::string_view kFile = "meta.db";
  static constexpr int kVersion = 1;

  /// `write`: makes what is missing. Errors: kNotFound, kNotOurs, kVersion, and of SQLite.
  static Result<Catalog> open(const std::string& folder, bool write) {
    const std::string path = folder + "/" + std::string(kFile);
    Status made = write ? make_file(path, file_mode_in(folder)) : Status();
    if (!made.ok()) return made;
    auto db = write ? sqlite::Connection::open(path, sqlite::Access::kCreate) : open_reader(path);
    if (!db.ok()) return db.status();
    Catalog catalog(folder, *std::move(db));
    catalog.reads_ = !write;
    Status status = sqlite::set_busy_timeout(catalog.db_, 1000);
    if (status.ok() && write) status = catalog.prepare();
    if (status.ok()) status = catalog.check_version();
    if (status.ok()) status = catalog.load();
    if (!status.ok()) return status;
    return catalog;
  }

  /// Whether `folder` has a catalog at all. Errors: kNotOurs; kPermission where it may not be
  /// entered.
  static Status look_for(const std::string& folder) {
    const std::string path = folder + "/" + std::string(kFile);
    struct ::stat info {};
    if (::stat(path.c_str(), &info) == 0) return Status();
    if (errno != ENOENT) return Status::from_errno(path);
    return Status(Code::kNotOurs, folder + ": a folder without " + std::string(kFile) +
                                      "; name a data folder or a database file");
  }

  const std::string& folder() const noexcept { return folder_; }
  /// In the order of their numbers.
  const std::vector<SegmentInfo>& segments() const noexcept { return segments_; }
  const SegmentInfo* find(std::int64_t seq) const { return find_in(segments_, seq); }
  std::string path_of(const SegmentInfo& info) const {
    return info.path.empty() ? folder_ + "/" + segment_name(info.family, info.seq) : info.path;
  }
  /// The next number, higher than all that were ever used.
  std::int64_t next_seq() const noexcept { return next_seq_; }
  void raise_next_seq(std::int64_t above) noexcept { next_seq_ = std::max(next_seq_, above + 1); }

  /// Does all edits in one transaction, on the disk when this returns. On an error none is done.
  /// Errors: kInternal for a move that the table of edit.hpp has not; kReload where another process
  /// has moved a segment meanwhile: look at `segments` again, they are what is there now.
  Status apply(std::span<const SegmentEdit> edits) {
    if (Status status = db_.exec("BEGIN IMMEDIATE"); !status.ok()) return status;
    std::vector<SegmentInfo> after;
    std::int64_t next = 0;
    Status status = work_out(edits, after, next);
    if (status.ok()) status = write(edits, after, next);
    if (status.ok()) status = db_.exec("COMMIT");
    if (!status.ok()) {
      if (!db_.autocommit()) static_cast<void>(db_.exec("ROLLBACK"));
      return status;
    }
    next_seq_ = stored_next_seq_ = next;
    segments_ = std::move(after);
    ++revision_;
    // The log begins anew each time, in blocks that the file has already: also on a full disk.
    sqlite3_wal_checkpoint_v2(db_.raw(), "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    return Status();
  }
  Status apply(const SegmentEdit& edit) { return apply(std::span(&edit, 1)); }

  /// Files that are gone leave the catalog (T8), but for those that others have told of already.
  Status forget(const std::vector<std::int64_t>& gone) {
    for (;;) {
      std::vector<SegmentEdit> edits;
      for (const std::int64_t seq : gone) {
        const SegmentInfo* known = find(seq);
        if (known != nullptr && state_after(known->state, Move::kGo)) {
          edits.push_back({Move::kGo, *known});
        }
      }
      Status status = edits.empty() ? Status() : apply(edits);
      if (status.code() != Code::kReload) return status;
    }
  }

  /// Numbers up to the next one are used up, whatever becomes of this process.
  Status save_next_seq() { return apply(std::span<const SegmentEdit>()); }

  /// Changes whenever `segments` may have.
  std::uint64_t revision() const noexcept { return revision_; }

  /// Whether another process has changed the catalog since it was last loaded. One that only reads
  /// has loaded it anew then.
  Result<bool> changed() {
    if (sqlite::is_stale(db_)) {
      auto again = open_reader(db_.path());
      if (!again.ok()) return again.status();
      db_ = *std::move(again);
    } else {
      const auto version = db_.query_integer("PRAGMA data_version");
      if (!version.ok()) return version.status();
      if (*version == data_version_) return false;
    }
    if (!reads_) return true;
    // Where the index of the log may not be written SQLite makes one for each transaction, and each
    // has another version.
    const std::vector<SegmentInfo> before = segments_;
    if (Status status = load(); !status.ok()) return status;
    return segments_ != before;
  }

  Status load() {
    if (Status status = note_version(); !status.ok()) return status;
    auto select = db_.prepare(
        "SELECT seq, family, state, from_us, until_us, oldest_us, newest_us, closed_us, row_count, "
        "details, bytes, checksum, path FROM segment ORDER BY seq");
    if (!select.ok()) return select.status();
    std::vector<SegmentInfo> found;
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      const std::int64_t family = select->integer(1);
      const std::int64_t state = select->integer(2);
      if (family < 0 || family > 1 || state < 1 || state > kLastState || select->integer(0) < 1) {
        return Status(Code::kCorrupt, db_.path() + ": segment " +
                                          std::to_string(select->integer(0)) +
                                          " is of no kind that there is");
      }
      found.push_back(read(*select));
    }
    segments_ = std::move(found);
    ++revision_;
    const auto next = segment_file::fact(db_, "next_segment", 1);
    if (!next.ok()) return next.status();
    next_seq_ = std::max(next_seq_, *next);
    if (!segments_.empty()) raise_next_seq(segments_.back().seq);
    return Status();
  }

  sqlite::Connection& db() noexcept { return db_; }

 private:
  static constexpr auto kLastState = static_cast<std::int64_t>(kLastSegmentState);

  Catalog(std::string folder, sqlite::Connection db)
      : folder_(std::move(folder)), db_(std::move(db)) {}

  Status prepare() {
    StoreOptions options;
    options.durability = Durability::kPower;  // synchronous = FULL
    options.cache_bytes = 1 << 20;
    options.wal_hard_bytes = 1 << 20;
    if (Status status = sqlite::set_writer_pragmas(db_, options); !status.ok()) return status;
    const auto tables = db_.query_integer("SELECT count(*) FROM sqlite_master");
    if (!tables.ok()) return tables.status();
    if (*tables > 0) return Status();
    std::string sql = "BEGIN IMMEDIATE; ";
    sql += segment_schema::kState;
    sql +=
        "CREATE TABLE segment (seq INTEGER PRIMARY KEY, family INTEGER NOT NULL, "
        "state INTEGER NOT NULL, from_us INTEGER NOT NULL, until_us INTEGER NOT NULL, "
        "oldest_us INTEGER NOT NULL, newest_us INTEGER NOT NULL, closed_us INTEGER NOT NULL, "
        "row_count INTEGER NOT NULL, details INTEGER NOT NULL, bytes INTEGER NOT NULL, "
        "checksum INTEGER NOT NULL, path TEXT NOT NULL);"
        "INSERT INTO phlower_state (key, whole) VALUES ('catalog_version', " +
        std::to_string(kVersion) + ");";
    for (const std::string_view table : schema::kCreateOriginTables) {
      sql += table;
      sql += ";";
    }
    return db_.exec(sql + "COMMIT");
  }

  Status check_version() {
    const auto version = segment_file::fact(db_, "catalog_version", 0);
    if (!version.ok() || *version < 1) {
      if (version.ok() || (version.status().sqlite_code() & 0xff) == SQLITE_ERROR) {
        return Status(Code::kNotOurs, db_.path() + ": not the catalog of a Phlower history");
      }
      return version.status();
    }
    if (*version == kVersion) return Status();
    return of_later_build(db_.path() + ": catalog", *version, kVersion);
  }

  Status note_version() {
    const auto version = db_.query_integer("PRAGMA data_version");
    if (version.ok()) data_version_ = *version;
    return version.status();
  }

  static SegmentInfo read(const sqlite::Statement& row) {
    const auto count = [&](int column) {
      return static_cast<std::uint64_t>(std::max<std::int64_t>(row.integer(column), 0));
    };
    SegmentInfo info;
    info.seq = row.integer(0);
    info.family = static_cast<SegmentFamily>(row.integer(1));
    info.state = static_cast<SegmentState>(row.integer(2));
    info.from_us = row.integer(3);
    info.until_us = row.integer(4);
    info.oldest_us = row.integer(5);
    info.newest_us = row.integer(6);
    info.closed_us = row.integer(7);
    info.rows = count(8);
    info.details = count(9);
    info.bytes = count(10);
    info.checksum = static_cast<std::uint64_t>(row.integer(11));
    info.path = row.text(12);
    return info;
  }

  // What `edits` make of the segments as they are now, with those of other processes.
  Status work_out(std::span<const SegmentEdit> edits, std::vector<SegmentInfo>& after,
                  std::int64_t& next) {
    const auto version = db_.query_integer("PRAGMA data_version");
    if (!version.ok()) return version.status();
    const bool others = *version != data_version_;
    if (Status status = others ? load() : Status(); !status.ok()) return status;
    after = segments_;
    next = next_seq_;
    for (const SegmentEdit& edit : edits) {
      next = std::max(next, edit.info.seq + 1);
      const Status done = apply_edit(after, edit);
      if (done.ok()) continue;
      return Status(others ? Code::kReload : done.code(),
                    db_.path() + ": " + std::string(done.message()));
    }
    return Status();
  }

  Status write(std::span<const SegmentEdit> edits, const std::vector<SegmentInfo>& after,
               std::int64_t next) {
    Status status = db_.prepare_once(
        put_,
        "INSERT OR REPLACE INTO segment (seq, family, state, from_us, until_us, oldest_us, "
        "newest_us, closed_us, row_count, details, bytes, checksum, path) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    if (status.ok()) status = db_.prepare_once(remove_, "DELETE FROM segment WHERE seq = ?1");
    // Another process may have gone further: never lower.
    if (status.ok()) {
      status = db_.prepare_once(set_fact_,
                                "INSERT INTO phlower_state (key, whole) VALUES (?1, ?2) "
                                "ON CONFLICT (key) DO UPDATE SET whole = max(whole, ?2)");
    }
    for (auto edit = edits.begin(); status.ok() && edit != edits.end(); ++edit) {
      const SegmentInfo* info = find_in(after, edit->info.seq);
      if (info != nullptr) {
        status = put(*info);
      } else {
        remove_.bind(1, edit->info.seq);
        status = remove_.run();
      }
    }
    if (status.ok() && next != stored_next_seq_) {
      set_fact_.bind(1, std::string_view("next_segment"));
      set_fact_.bind(2, next);
      status = set_fact_.run();
    }
    return status;
  }

  Status put(const SegmentInfo& info) {
    const std::int64_t values[] = {info.seq,
                                   static_cast<std::int64_t>(info.family),
                                   static_cast<std::int64_t>(info.state),
                                   info.from_us,
                                   info.until_us,
                                   info.oldest_us,
                                   info.newest_us,
                                   info.closed_us,
                                   static_cast<std::int64_t>(info.rows),
                                   static_cast<std::int64_t>(info.details),
                                   static_cast<std::int64_t>(info.bytes),
                                   static_cast<std::int64_t>(info.checksum)};
    for (int i = 0; i < 12; ++i) put_.bind(i + 1, values[i]);
    put_.bind(13, std::string_view(info.path));
    return put_.run();
  }

  static const SegmentInfo* find_in(const std::vector<SegmentInfo>& segments, std::int64_t seq) {
    const auto at = std::find_if(segments.begin(), segments.end(),
                                 [seq](const SegmentInfo& info) { return info.seq == seq; });
    return at != segments.end() ? &*at : nullptr;
  }

  std::string folder_;
  sqlite::Connection db_;  // before everything that holds its statements
  sqlite::Statement put_, remove_, set_fact_;
  std::vector<SegmentInfo> segments_;
  std::int64_t next_seq_ = 1;
  std::int64_t stored_next_seq_ = 0;
  std::int64_t data_version_ = 0;
  std::uint64_t revision_ = 1;
  bool reads_ = false;  // and nothing else
};

}  // namespace phlower
