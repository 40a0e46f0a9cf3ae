// The file of locks of a data folder: one byte for its engine, one for each segment that is read.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "phlower/ground/lock_file.hpp"
#include "phlower/ground/new_file.hpp"

namespace phlower {

/// The byte that the engine holds; segment numbers begin at 1.
inline constexpr std::int64_t kEngineByte = 0;

inline std::string pin_file_of(const std::string& folder) { return folder + "/pins"; }

/// Opens it to take locks of any kind, and makes it where it is missing, with the mode of the
/// folder's other files. Errors: of the system.
inline Result<std::unique_ptr<LockFile>> open_pins(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (Status made = make_file(path, file_mode_in(folder)); !made.ok()) return made;
  return LockFile::open(path, O_RDWR);
}

}  // namespace phlower
