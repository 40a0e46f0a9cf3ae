// A data folder as SIGKILL leaves it, without a child to kill.
#pragma once

#include <filesystem>
#include <string>

namespace phlower::testing {

/// Copies files that are open as they are, logs and all. The index of a log is left out: it belongs
/// to processes, not to the disk.
inline void copy_as_it_is(const std::string& from, const std::string& to) {
  std::filesystem::create_directory(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    const std::string name = entry.path().filename();
    if (name.ends_with("-shm")) continue;
    std::filesystem::copy(entry.path(), to + "/" + name, std::filesystem::copy_options::recursive);
  }
}

inline void replace_folder(const std::string& folder, const std::string& by) {
  std::filesystem::remove_all(folder);
  std::filesystem::rename(by, folder);
}

}  // namespace phlower::testing
