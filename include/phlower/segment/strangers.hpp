// Files of a data folder that look like segments and that its catalog does not know. A crash
// between making a file and entering it leaves an empty one, which goes; with rows in it, it is
// kept aside.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "phlower/ground/log.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/leftovers.hpp"
#include "phlower/segment/segment_file.hpp"
#include "phlower/segment/verify.hpp"

namespace phlower {

/// Only at the start of the engine that has the folder. Not thread safe; both outlive this.
class Strangers {
 public:
  Strangers(Catalog& catalog, const Log& log) : catalog_(catalog), log_(log) {}

  /// `is_going`: whether nobody would miss the rows of a segment. Errors: of the system.
  template <class IsGoing>
  Status look(IsGoing&& is_going) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(catalog_.folder(), error)) {
      names.push_back(entry.path().filename().string());
    }
    if (error) return Status::from_errno("list " + catalog_.folder(), error.value());
    Leftovers leftovers(catalog_, log_);
    for (const std::string& name : names) {
      const auto cleared = leftovers.clear(name, is_going);
      if (!cleared.ok()) return cleared.status();
      if (*cleared) continue;
      if (Status status = look_at(name); !status.ok()) return status;
    }
    use_up_quarantine();
    return Status();
  }

 private:
  Status look_at(const std::string& name) {
    const auto read = read_segment_name(name);
    const bool file = read && read->side.empty() && !read->unfinished;
    if (!file || catalog_.find(read->seq) != nullptr) return Status();
    catalog_.raise_next_seq(read->seq);
    const std::string path = catalog_.folder() + "/" + name;
    if (!is_empty(path, read->family)) {
      log_.error("{}: a segment that the catalog does not know; moved to quarantine", path);
      return move_to_quarantine(path);
    }
    // Not used again though it leaves no trace; on a full disk it is.
    static_cast<void>(catalog_.save_next_seq());
    for (const char* side : {"", "-wal", "-shm"}) ::unlink((path + side).c_str());
    return Status();
  }

  static bool is_empty(const std::string& path, SegmentFamily family) {
    auto db = segment_file::open_for_reading(path, false, 1 << 16);
    if (!db.ok()) return false;
    const auto rows = db->query_integer(
        family == SegmentFamily::kRows ? "SELECT max(seq) FROM task" : "SELECT max(id) FROM block");
    return rows.ok() && *rows == 0;
  }

  void use_up_quarantine() {
    std::error_code none;
    for (const auto& entry :
         std::filesystem::directory_iterator(catalog_.folder() + "/quarantine", none)) {
      const auto read = read_segment_name(entry.path().filename().string());
      if (read) catalog_.raise_next_seq(read->seq);
    }
  }

  Catalog& catalog_;
  const Log& log_;
};

}  // namespace phlower
