// The ring file in memory. The only header that includes Boost.Interprocess.
#pragma once

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/ring/locks.hpp"

namespace phlower {

/// A mapping of a whole file, unmapped at the end of its life.
class Mapping {
 public:
  enum class Access { kReadOnly, kReadWrite };

  /// Maps `bytes` of the open `file`; `path` is for messages. Requires: the file is that long.
  static Result<std::shared_ptr<Mapping>> map(const LockFile& file, std::size_t bytes,
                                              const std::string& path, Access access) {
    namespace ipc = boost::interprocess;
    const auto mode = access == Access::kReadOnly ? ipc::read_only : ipc::read_write;
    try {
      // Boost opens by name: through /proc it gets the file we hold, whatever the path names now.
      const auto name = "/proc/self/fd/" + std::to_string(file.fd());
      const ipc::file_mapping opened(name.c_str(), mode);
      return std::make_shared<Mapping>(ipc::mapped_region(opened, mode, 0, bytes));
    } catch (const ipc::interprocess_exception& error) {
      return Status::from_errno("map " + path, error.get_native_error());
    } catch (const std::exception& error) {
      return Status(Code::kIo, "map " + path + ": " + error.what());
    }
  }

  /// The process's one read-write mapping of this file: threads that use the same ring share it.
  static Result<std::shared_ptr<Mapping>> share(const LockFile& file, std::size_t bytes,
                                                const std::string& path) {
    const std::lock_guard guard(RingProcess::instance().mutex());
    static auto* const known = new std::vector<Known>;
    std::erase_if(*known, [](const Known& entry) { return entry.mapping.expired(); });
    for (const Known& entry : *known) {
      if (entry.device != file.device() || entry.inode != file.inode()) continue;
      if (auto mapping = entry.mapping.lock(); mapping && mapping->bytes() == bytes) return mapping;
    }
    auto made = map(file, bytes, path, Access::kReadWrite);
    if (made.ok()) known->push_back({file.device(), file.inode(), made.value()});
    return made;
  }

  explicit Mapping(boost::interprocess::mapped_region region) : region_(std::move(region)) {}

  std::byte* data() const { return static_cast<std::byte*>(region_.get_address()); }
  std::size_t bytes() const { return region_.get_size(); }

 private:
  struct Known {
    dev_t device;
    ino_t inode;
    std::weak_ptr<Mapping> mapping;
  };

  boost::interprocess::mapped_region region_;
};

}  // namespace phlower
