// The write-ahead log: how large it is after each commit, and moving it into the database file.
#pragma once

#include <algorithm>
#include <cstdint>

#include "phlower/ground/status.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// State of the WAL after a checkpoint step. `busy`: another connection checkpoints or writes.
struct CheckpointReport {
  std::uint64_t frames = 0;      // in the log
  std::uint64_t backfilled = 0;  // of them in the database file
  bool busy = false;
  bool reset = false;  // the log is empty: the next commit starts it anew
};

}  // namespace phlower

namespace phlower::sqlite {

/// Follows the log of one connection. Its address must stay: SQLite calls back into it at commits.
class WalWatch {
 public:
  /// Requires: wal_autocheckpoint was set before; setting it later would replace the hook.
  WalWatch(Connection& db, std::uint32_t page_size) : db_(db), page_size_(page_size) {
    sqlite3_wal_hook(db_.raw(), &WalWatch::on_commit, this);
  }
  ~WalWatch() { sqlite3_wal_hook(db_.raw(), nullptr, nullptr); }
  WalWatch(const WalWatch&) = delete;
  WalWatch& operator=(const WalWatch&) = delete;

  /// Size of the log that the next commit appends to; 0 when it starts anew.
  std::uint64_t bytes() const noexcept { return bytes_of(frames_); }
  std::uint64_t bytes_max() const noexcept { return bytes_of(frames_max_); }

  /// Moves what readers allow (PASSIVE: waits for nobody, others may write meanwhile). When all is
  /// moved, the log is reset if nobody reads from it: else it would go on growing behind us. Both
  /// are done by the connection that writes, because two connections that write and checkpoint at
  /// the same moment can damage a file in SQLite before 3.51.3.
  Result<CheckpointReport> checkpoint() {
    CheckpointReport report;
    int frames = -1;
    int moved = -1;
    int result =
        sqlite3_wal_checkpoint_v2(db_.raw(), "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
    if (result != SQLITE_OK && result != SQLITE_BUSY) return failed(result);
    report.busy = result == SQLITE_BUSY;
    report.frames = count(frames);
    report.backfilled = count(moved);
    if (result == SQLITE_OK) note(report.frames);
    if (report.busy || report.backfilled < report.frames) return report;
    // Without a busy timeout RESTART does not wait either: it says busy where somebody reads.
    result =
        sqlite3_wal_checkpoint_v2(db_.raw(), "main", SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
    if (result != SQLITE_OK && result != SQLITE_BUSY) return failed(result);
    report.reset = result == SQLITE_OK;
    if (report.reset) frames_ = 0;
    return report;
  }

 private:
  static std::uint64_t count(int frames) {
    return frames > 0 ? static_cast<std::uint64_t>(frames) : 0;
  }
  static int on_commit(void* self, sqlite3*, const char*, int frames) {
    static_cast<WalWatch*>(self)->note(count(frames));
    return SQLITE_OK;
  }
  void note(std::uint64_t frames) {
    frames_ = frames;
    frames_max_ = std::max(frames_max_, frames);
  }
  // A header of 32 bytes, then a header of 24 bytes before each page.
  std::uint64_t bytes_of(std::uint64_t frames) const noexcept {
    return frames == 0 ? 0 : 32 + frames * (page_size_ + 24ull);
  }
  Status failed(int result) { return detail::error(db_.raw(), result, db_.path(), "checkpoint"); }

  Connection& db_;
  std::uint32_t page_size_;
  std::uint64_t frames_ = 0;
  std::uint64_t frames_max_ = 0;
};

}  // namespace phlower::sqlite
