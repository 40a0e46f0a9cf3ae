// Where a file really lies. SQLite follows links and puts the log, its index and the journal beside
// the file that they lead to: whoever looks for those, for locks, or removes a file goes there too.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace phlower {

namespace real_path_detail {

struct Free {
  void operator()(char* text) const noexcept { std::free(text); }
};

inline std::string resolved(const std::string& path) {
  const std::unique_ptr<char, Free> text(::realpath(path.c_str(), nullptr));
  return text ? std::string(text.get()) : std::string();
}

}  // namespace real_path_detail

/// The absolute path without links, "..", and double slashes. Where there is no file: what would be
/// made under this name. As it was given where it leads nowhere (a loop, a folder that is missing
/// or may not be entered). Thread safety: safe. Blocks: a few look-ups.
inline std::string real_path(const std::string& path) {
  namespace fs = std::filesystem;
  std::string name = path;
  constexpr int kLinksMost = 40;  // as the kernel has it
  for (int links = 0; links < kLinksMost; ++links) {
    if (std::string found = real_path_detail::resolved(name); !found.empty()) return found;
    std::error_code error;
    const fs::path given(name);
    if (given.filename().empty() || given.filename() == "..") return path;
    const std::string above = given.has_parent_path() ? given.parent_path().string() : ".";
    const std::string folder = real_path_detail::resolved(above);
    if (folder.empty()) return path;
    name = (fs::path(folder) / given.filename()).string();
    const fs::path target = fs::read_symlink(name, error);
    if (error) return name;
    name = (fs::path(folder) / target).string();  // an absolute target stays as it is
  }
  return path;
}

/// The name of what SQLite keeps beside a database: `side` is "-wal", "-shm" or "-journal".
inline std::string beside(const std::string& database, std::string_view side) {
  return real_path(database) + std::string(side);
}

/// More than one: a hard link. The log lies beside the name under which a file was opened, so who
/// opens it by another does not see what is in the log. 0: there is no such file.
inline unsigned long names_of(const std::string& path) {
  struct ::stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<unsigned long>(info.st_nlink) : 0;
}

}  // namespace phlower
