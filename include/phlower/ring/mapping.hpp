// The ring file in memory. The only header that includes Boost.Interprocess.
#pragma once

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "phlower/ground/lock_file.hpp"
#include "phlower/ground/status.hpp"

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
    // Let go behind the guard, which the end of one takes.
    std::vector<std::shared_ptr<Mapping>> met;
    const std::lock_guard guard(RingProcess::instance().mutex());
    for (const Known& entry : known()) {
      if (entry.device != file.device() || entry.inode != file.inode()) continue;
      met.push_back(entry.mapping.lock());
      if (met.back() && met.back()->bytes() == bytes) return met.back();
    }
    auto made = map(file, bytes, path, Access::kReadWrite);
    if (!made.ok()) return made;
    known().push_back({file.device(), file.inode(), made.value()});
    (*made)->shared_ = true;
    return made;
  }

  explicit Mapping(boost::interprocess::mapped_region region) : region_(std::move(region)) {}
  ~Mapping() {
    if (!shared_) return;
    const std::lock_guard guard(RingProcess::instance().mutex());
    std::erase_if(known(), [](const Known& entry) { return entry.mapping.expired(); });
    if (known().empty()) known().shrink_to_fit();
  }

  std::byte* data() const { return static_cast<std::byte*>(region_.get_address()); }
  std::size_t bytes() const { return region_.get_size(); }

 private:
  struct Known {
    dev_t device;
    ino_t inode;
    std::weak_ptr<Mapping> mapping;
  };

  // Under RingProcess's mutex. Never destroyed, and without memory of its own while it is empty.
  static std::vector<Known>& known() {
    alignas(std::vector<Known>) static std::byte place[sizeof(std::vector<Known>)];
    static auto* const list = new (place) std::vector<Known>;
    return *list;
  }

  boost::interprocess::mapped_region region_;
  bool shared_ = false;  // in `known`
};

}  // namespace phlower
