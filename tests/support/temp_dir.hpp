// A folder of its own for one test, removed with all that is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace phlower::testing {

class TempDir {
 public:
  /// `parent` empty: $TMPDIR or /tmp. Pass "/dev/shm" for a folder on tmpfs.
  explicit TempDir(const std::filesystem::path& parent = {}) {
    const auto base = parent.empty() ? std::filesystem::temp_directory_path() : parent;
    std::string name = (base / "phlower-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace phlower::testing
