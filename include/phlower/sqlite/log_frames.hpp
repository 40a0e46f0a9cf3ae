// The frames of a write-ahead log on their way to the file. SQLite writes the log in two calls for
// each page, which are a third of what a transaction on many pages costs; here the frames of a
// transaction come together in memory and go to the file in pieces of 128 KiB.
//
// What makes that safe: a frame counts for nobody before its transaction's last one, which is
// marked in its header, and with that one all are written, so an error still fails the commit.
// (The format: https://sqlite.org/fileformat2.html#the_write_ahead_log)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "phlower/sqlite/sqlite.hpp"

namespace phlower::sqlite {

/// Stands between SQLite and the file of one connection's log. Results are SQLite's.
/// Something is pending only while the connection holds the log's write lock. Thread safety: none.
class LogFrames {
 public:
  int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) noexcept {
    if (failed_ != SQLITE_OK) return failed_;
    // What does not go on where the last write ended is a correction of a frame that exists.
    const bool follows = at == end_;
    const bool header = follows && !in_frame_ && size == kHeaderBytes;
    const bool page = follows && in_frame_ && size >= kPageBytesLeast;
    in_frame_ = header && has_memory();
    end_ = at + size;
    if (!in_frame_ && !page) {
      const int result = flush(file);
      return result != SQLITE_OK ? result : file->pMethods->xWrite(file, data, size, at);
    }
    if (pending_ + static_cast<std::size_t>(size) > kPieceBytes) {
      if (const int result = flush(file); result != SQLITE_OK) return result;
    }
    append(data, size, at);
    if (header) commits_ = is_last(data);
    return page && commits_ ? flush(file) : SQLITE_OK;
  }

  int read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) noexcept {
    const sqlite3_int64 pending_end = begin_ + static_cast<sqlite3_int64>(pending_);
    if (pending_ > 0 && at >= begin_ && at + size <= pending_end) {
      std::memcpy(to, memory_.get() + (at - begin_), static_cast<std::size_t>(size));
      return SQLITE_OK;
    }
    if (at + size > begin_) {
      if (const int result = flush(file); result != SQLITE_OK) return result;
    }
    return file->pMethods->xRead(file, to, size, at);
  }

  /// What is pending is written. Where that fails all fails until the lock is given up: SQLite
  /// believes frames to be there that are not.
  int flush(sqlite3_file* file) noexcept {
    if (pending_ == 0 || failed_ != SQLITE_OK) return failed_;
    failed_ = file->pMethods->xWrite(file, memory_.get(), static_cast<int>(pending_), begin_);
    pending_ = 0;
    return failed_;
  }

  /// After a sync the rest of a page may come by itself, which is no frame.
  void note_sync() noexcept { end_ = -1; }

  /// Before the write lock is given up. What is still pending was rolled back, and its place in the
  /// log is somebody else's.
  void forget() noexcept {
    pending_ = 0;
    failed_ = SQLITE_OK;
    in_frame_ = false;
  }

 private:
  static constexpr int kHeaderBytes = 24;
  static constexpr int kPageBytesLeast = 512;
  static constexpr std::size_t kPieceBytes = 128 << 10;  // two of the largest pages

  // Bytes 4 to 7 are 0 but in the last frame of a transaction, where they hold the pages of the
  // database.
  static bool is_last(const void* header) noexcept {
    constexpr unsigned char kNone[4] = {};
    return std::memcmp(static_cast<const unsigned char*>(header) + 4, kNone, sizeof kNone) != 0;
  }
  bool has_memory() noexcept {
    if (!memory_) memory_.reset(new (std::nothrow) std::byte[kPieceBytes]);
    return memory_ != nullptr;
  }
  void append(const void* data, int size, sqlite3_int64 at) noexcept {
    if (pending_ == 0) begin_ = at;
    std::memcpy(memory_.get() + pending_, data, static_cast<std::size_t>(size));
    pending_ += static_cast<std::size_t>(size);
  }

  std::unique_ptr<std::byte[]> memory_;  // kPieceBytes, from the first frame on
  std::size_t pending_ = 0;              // bytes of it
  sqlite3_int64 begin_ = 0;              // where they belong
  sqlite3_int64 end_ = -1;               // of what was written last
  int failed_ = SQLITE_OK;               // what a flush came to
  bool in_frame_ = false;                // the page of a pending header comes next
  bool commits_ = false;                 // and it is the last of its transaction
};

}  // namespace phlower::sqlite
