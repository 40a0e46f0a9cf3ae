// What a killed engine leaves beside the segments of a folder: segments that were being made, and
// logs whose file has gone. The next start clears it.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "phlower/ground/log.hpp"
#include "phlower/ground/new_file.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/format/layout.hpp"

namespace phlower {

/// The name of a segment's file, or of one beside it, taken apart.
struct SegmentFileName {
  SegmentFamily family = SegmentFamily::kRows;
  std::int64_t seq = 0;
  bool unfinished = false;  // ".tmp": it was being made
  std::string_view side;    // "", "-wal", "-shm", "-journal"

  bool operator==(const SegmentFileName&) const = default;
};

/// Nothing where `name` is no such name to the letter. `side` is static text.
inline std::optional<SegmentFileName> read_segment_name(std::string_view name) {
  constexpr std::array<std::string_view, 4> kSides = {"", "-wal", "-shm", "-journal"};
  for (const SegmentFamily family : {SegmentFamily::kRows, SegmentFamily::kDetails}) {
    const std::string_view prefix = family_name(family);
    if (!name.starts_with(prefix) || name.size() <= prefix.size()) continue;
    SegmentFileName found{family, 0, false, {}};
    const char* const digits = name.data() + prefix.size() + 1;
    const char* const end = name.data() + name.size();
    if (std::from_chars(digits, end, found.seq).ec != std::errc() || found.seq < 1) continue;
    const std::string file = segment_name(family, found.seq);
    if (!name.starts_with(file)) continue;
    std::string_view rest = name.substr(file.size());
    found.unfinished = rest.starts_with(".tmp");
    if (found.unfinished) rest.remove_prefix(4);
    for (const std::string_view side : kSides) {
      if (rest != side) continue;
      found.side = side;
      return found;
    }
  }
  return std::nullopt;
}

/// Not thread safe. Both outlive this.
class Leftovers {
 public:
  Leftovers(const Catalog& catalog, const Log& log) : catalog_(catalog), log_(log) {}

  /// True: `name` was a leftover. A segment that was being made goes, and so does a log without its
  /// file where that has gone with its retention (`is_going`), or has nothing in it. A log that may
  /// hold rows is moved to quarantine/. Errors: of the system.
  template <class IsGoing>
  Result<bool> clear(const std::string& name, IsGoing&& is_going) {
    const auto read = read_segment_name(name);
    if (!read) return false;
    const std::string path = catalog_.folder() + "/" + name;
    if (read->unfinished) return removed(path);
    struct ::stat info {};
    const std::string file = catalog_.folder() + "/" + segment_name(read->family, read->seq);
    if (read->side.empty() || ::stat(file.c_str(), &info) == 0) return false;
    const SegmentInfo* segment = catalog_.find(read->seq);
    const bool empty = ::stat(path.c_str(), &info) == 0 && info.st_size == 0;
    const bool expected = segment != nullptr && is_going(*segment);
    if (empty || expected || read->side == "-shm") return removed(path);
    const std::string aside = catalog_.folder() + "/quarantine";
    log_.warn("{}: a log whose file has gone; moved to quarantine", path);
    if (Status made = make_folder(aside); !made.ok()) return made;
    if (std::rename(path.c_str(), (aside + "/" + name).c_str()) == 0) return true;
    return Status::from_errno("move " + path);
  }

 private:
  static Result<bool> removed(const std::string& path) {
    if (::unlink(path.c_str()) == 0) return true;
    return Status::from_errno("unlink " + path);
  }

  const Catalog& catalog_;
  const Log& log_;
};

}  // namespace phlower
