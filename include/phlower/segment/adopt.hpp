// Taking over a file of another layout as it is: looked at, never written, read through its own
// tables, unlinked when its newest row is past its retention.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/history/history_id.hpp"
#include "phlower/history/positions.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/rotation.hpp"
#include "phlower/single/family_source.hpp"
#include "phlower/single/open_file.hpp"

namespace phlower {

/// An adopted file, open for reading. Not thread safe.
class AdoptedFile {
 public:
  static Result<std::unique_ptr<AdoptedFile>> open(const std::string& path) {
    // With locks: it was nobody else's when it was adopted, but whoever wrote it may come back.
    auto db = open_reader(path);
    if (!db.ok()) return db.status();
    auto look = open_detail::look_with(*db);
    if (!look.ok()) return look.status();
    std::unique_ptr<AdoptedFile> file(new AdoptedFile(*std::move(db)));
    file->has_positions_ = look->own_tables;
    // Before all segments in the order of versions.
    auto seq = -static_cast<std::int64_t>(look->families.size());
    for (const TableFamily& family : look->families) {
      if (family.invocations.empty()) continue;
      file->sources_.push_back(std::make_unique<FamilySource>(file->db_, family, seq++));
    }
    file->families_ = std::move(look->families);
    return file;
  }

  const std::vector<std::unique_ptr<FamilySource>>& sources() const { return sources_; }
  /// See sqlite::is_stale.
  bool is_stale() const { return sqlite::is_stale(db_); }

  Result<RingPositions> load_positions(const RingId& ring) {
    if (!has_positions_) return RingPositions{ring, {}, {}};
    return PositionTables(db_).load(ring);
  }

  /// Zeros where no engine ever had the file.
  HistoryId history_id() {
    if (!has_positions_) return {};
    const auto id = load_history_id(db_);
    return id.ok() ? *id : HistoryId{};
  }

  /// Fills in times and rows, by indexes and row ids alone. A table whose rows show no end there is
  /// as new as its day, else as the file.
  Status measure(SegmentInfo& info) {
    for (const TableFamily& family : families_) {
      if (family.invocations.empty()) continue;
      const std::string from = " FROM \"" + family.invocations + "\"";
      const auto first = db_.query_integer("SELECT min(rowid)" + from);
      const auto last = db_.query_integer("SELECT max(rowid)" + from);
      if (!first.ok() || !last.ok()) return first.ok() ? last.status() : first.status();
      if (*last == 0) continue;
      info.rows += static_cast<std::uint64_t>(*last - *first + 1);
      if (Status status = measure_times(family, from, info); !status.ok()) return status;
    }
    return Status();
  }

 private:
  explicit AdoptedFile(sqlite::Connection db) : db_(std::move(db)) {}

  Status measure_times(const TableFamily& family, const std::string& from, SegmentInfo& info) {
    struct ::stat file {};
    const bool known = ::stat(db_.path().c_str(), &file) == 0;
    std::int64_t newest = known ? file.st_mtime * 1'000'000 : info.closed_us;
    if (family.is_day()) newest = std::min(newest, to_us(end_of_day(family.suffix)));
    std::int64_t oldest = newest;
    if (family.finished_index) {
      if (Status status = measure_ends(from, oldest, newest); !status.ok()) return status;
    }
    info.newest_us = std::max(info.newest_us, newest);
    info.oldest_us = info.oldest_us == 0 ? oldest : std::min(info.oldest_us, oldest);
    return Status();
  }

  // By the ends that are seconds. Where others stand beside them, nothing says that these are the
  // newest: `newest` stays as late as it is.
  Status measure_ends(const std::string& from, std::int64_t& oldest, std::int64_t& newest) {
    const std::string first = std::to_string(kFirstTime);
    const std::string last = std::to_string(kLastTime);
    const auto others =
        db_.query_integer("SELECT EXISTS (SELECT 1" + from + " WHERE finished_at < " + first +
                          ") OR EXISTS (SELECT 1" + from + " WHERE finished_at > " + last + ")");
    if (!others.ok()) return others.status();
    const std::int64_t least = *others != 0 ? newest : 0;
    for (auto [what, to] : {std::pair{"min", &oldest}, {"max", &newest}}) {
      auto select = db_.prepare(std::string("SELECT ") + what + "(finished_at)" + from +
                                " WHERE finished_at >= " + first + " AND finished_at <= " + last);
      if (!select.ok()) return select.status();
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (*row && !select->is_null(0)) *to = to_us(select->real(0));
    }
    newest = std::max(newest, least);
    return Status();
  }

  sqlite::Connection db_;  // before everything that holds its statements
  std::vector<TableFamily> families_;
  std::vector<std::unique_ptr<FamilySource>> sources_;
  bool has_positions_ = false;
};

namespace adopt_detail {

/// What a crash or an engine left in the log goes into the file, and nobody else may have it open.
inline Status fold(const std::string& path) {
  auto db = sqlite::Connection::open(path, sqlite::Access::kReadWrite);
  if (!db.ok()) return db.status();
  Status status = db->exec("PRAGMA secure_delete = OFF; PRAGMA locking_mode = EXCLUSIVE");
  if (status.ok()) status = sqlite::set_busy_timeout(*db, 1000);
  if (!status.ok()) return status;
  const auto mode = db->query_text("PRAGMA journal_mode = DELETE");
  if (!mode.ok() && mode.status().code() != Code::kBusy) return mode.status();
  if (mode.ok() && *mode == "delete") return Status();
  return Status(Code::kBusy, path + ": " + whoever_locks(path) + " has it open; end that first");
}

}  // namespace adopt_detail

/// A catalog entry for the file that `given` leads to, without its number. No row is read or
/// written; a log beside the file is moved into it. Errors: kNotFound, kNotOurs, kBusy while
/// another process has the file open, kUnsupported where it has several names, and of SQLite.
inline Result<SegmentInfo> look_to_adopt(const std::string& given, std::int64_t now_us) {
  const std::string path = real_path(given);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return Status(Code::kNotOurs, path + ": a folder; a database file can be adopted");
  }
  struct ::stat file {};
  if (::stat(path.c_str(), &file) != 0) return Status::from_errno(path);
  if (Status one = open_detail::check_one_name(path); !one.ok()) return one;
  auto look = open_detail::look_before(path);
  if (!look.ok()) return look.status();
  if (look->families.empty()) {
    return Status(Code::kNotOurs, path + ": holds no invocations; there is nothing to adopt");
  }
  if (Status status = adopt_detail::fold(path); !status.ok()) return status;
  SegmentInfo info;
  info.closed_us = now_us;
  info.path = path;
  auto opened = AdoptedFile::open(info.path);
  if (!opened.ok()) return opened.status();
  if (Status status = (*opened)->measure(info); !status.ok()) return status;
  if (::stat(path.c_str(), &file) == 0) info.bytes = static_cast<std::uint64_t>(file.st_size);
  return info;
}

/// Whether an adopted file holds nothing younger at this moment: whoever wrote it may have come
/// back since it was measured, and what he wrote then counts from the file's last change at the
/// latest. Blocks: on the disk, as `measure`. Errors: of SQLite; then nothing is certain.
inline Result<bool> has_expired_as_it_is(const SegmentInfo& adopted, const RetentionPolicy& policy,
                                         std::int64_t now_us) {
  struct ::stat file {};
  if (::stat(adopted.path.c_str(), &file) != 0) {
    return errno == ENOENT ? Result<bool>(true) : Status::from_errno(adopted.path);
  }
  auto opened = AdoptedFile::open(adopted.path);
  if (!opened.ok()) return opened.status();
  SegmentInfo now;
  now.closed_us = adopted.closed_us;
  if (Status status = (*opened)->measure(now); !status.ok()) return status;
  now.bytes = static_cast<std::uint64_t>(file.st_size);
  const bool as_it_was =
      now.rows == adopted.rows && now.newest_us == adopted.newest_us && now.bytes == adopted.bytes;
  if (!as_it_was) {
    struct ::stat log {};
    const bool logged = ::stat((adopted.path + "-wal").c_str(), &log) == 0;
    const auto changed = logged ? std::max(file.st_mtime, log.st_mtime) : file.st_mtime;
    now.closed_us = std::max(now.closed_us, changed * std::int64_t{1'000'000});
  }
  return policy.file_is_over(Part::kRows, as_it_was ? newest_time(adopted) : newest_time(now),
                             now_us);
}

/// Whether a segment may go for its age. An adopted file that cannot be looked at stays, as one
/// that somebody has written since does; `say` is told.
inline bool may_expire(const SegmentInfo& info, const RetentionPolicy& policy, std::int64_t now_us,
                       const std::function<void(std::string)>& say) {
  if (!has_expired(info, policy, now_us)) return false;
  if (info.path.empty()) return true;
  const auto over = has_expired_as_it_is(info, policy, now_us);
  if (over.ok() && *over) return true;
  say(over.ok() ? info.path + ": was written after it was adopted, and stays with its newest row"
                : info.path + ": has expired, and stays because it cannot be looked at: " +
                      std::string(over.status().message()));
  return false;
}

/// What is to be expected of the disk while an adopted file is there. Hours; below 0: never.
struct Forecast {
  double full_in_h = -1;
  double leaves_in_h = -1;
  bool too_late() const noexcept { return full_in_h >= 0 && full_in_h < leaves_in_h; }
};

/// `bytes_per_hour`: what a history of this rate grows by. Pure.
inline Forecast forecast(const SegmentInfo& adopted, std::int64_t lifetime_us,
                         std::uint64_t free_bytes, double bytes_per_hour, std::int64_t now_us) {
  constexpr double kHour = 3.6e9;
  Forecast result;
  const std::int64_t newest = std::min(adopted.newest_us, adopted.closed_us);
  result.leaves_in_h = std::max(0.0, static_cast<double>(newest + lifetime_us - now_us) / kHour);
  if (bytes_per_hour > 0) result.full_in_h = static_cast<double>(free_bytes) / bytes_per_hour;
  return result;
}

/// "2026-11-30 14:05 UTC", the minute that begins there or next.
inline std::string text_of_minute(std::int64_t at_us) {
  const auto seconds = static_cast<std::time_t>((at_us + 59'999'999) / 60'000'000 * 60);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "a time of no calendar";
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts);
  return text.data();
}

/// What the rows of a file take for each hour between its oldest and its newest.
inline double bytes_per_hour(const SegmentInfo& info) noexcept {
  const double hours = static_cast<double>(info.newest_us - info.oldest_us) / 3.6e9;
  return hours > 0 ? static_cast<double>(info.bytes) / hours : 0;
}

}  // namespace phlower
