// Whether a database file is still as it was: what was judged to be over may be written anew by
// whom it once belonged to, before it is unlinked.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "phlower/ground/checksum.hpp"
#include "phlower/segment/segment_info.hpp"

namespace phlower {

/// Of the file and its log: which file it is, its length, when it was last written. 0: none there.
/// Not of its device, whose number may be another one after a boot.
inline std::uint64_t file_mark(const std::string& path) noexcept {
  struct ::stat file {};
  if (::stat(path.c_str(), &file) != 0) return 0;
  struct ::stat log {};
  // An empty log is what a reader leaves.
  const bool logged = ::stat((path + "-wal").c_str(), &log) == 0 && log.st_size > 0;
  if (!logged) log = {};
  std::array<std::int64_t, 8> words{};
  std::size_t at = 0;
  for (const auto& info : {file, log}) {
    words[at++] = static_cast<std::int64_t>(info.st_ino);
    words[at++] = info.st_size;
    words[at++] = info.st_mtim.tv_sec;
    words[at++] = info.st_mtim.tv_nsec;
  }
  return std::max<std::uint64_t>(hash_of(words.data(), sizeof words), 1);
}

/// Whether a file that had this mark is another one by now, or was written. 0: it had none.
inline bool is_written_anew(const std::string& path, std::uint64_t mark) noexcept {
  if (mark == 0) return false;
  const std::uint64_t now = file_mark(path);
  return now != 0 && now != mark;
}

/// A closed segment as it is when it begins to expire.
inline SegmentInfo as_it_goes(SegmentInfo info) {
  if (!info.path.empty()) info.checksum = file_mark(info.path);
  return info;
}

inline std::string written_anew_text(const std::string& path) {
  return path + ": was written when it had expired; it stays, and is no part of the history";
}

}  // namespace phlower
