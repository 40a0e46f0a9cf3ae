// A small ring on tmpfs for tests: its file, its bytes, and the consumers and producers on it.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ring/consumer.hpp"
#include "phlower/ring/producer.hpp"
#include "ring_content.hpp"
#include "ring_journal.hpp"
#include "temp_dir.hpp"

namespace phlower::testing {

/// A folder on tmpfs where there is one.
inline std::filesystem::path ring_parent() {
  return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "";
}

/// Chunks of 8 KiB (about 15 records of `make_content`), no shedding.
inline RingOptions small_ring(const std::string& path, std::uint32_t chunks, std::uint32_t lanes) {
  RingOptions options;
  options.path = path;
  options.chunk_bytes = 8u << 10;
  options.size_bytes = options.chunk_bytes * chunks;
  options.lanes = lanes;
  options.high_water_percent = 100;
  return options;
}

inline RecordOptions small_records() {
  RecordOptions options;
  options.max_bytes = 2u << 10;
  return options;
}

inline Result<std::unique_ptr<Producer>> attach_small(const RingOptions& ring, Clock& clock) {
  return Producer::attach(ring.path, small_records(), ring.high_water_percent, clock);
}

/// Throws the status as text: for set-up code, where going on makes no sense.
template <class T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(std::string(result.status().message()));
  return std::move(result).value();
}

/// The bytes of a file, shared with everybody who maps it.
class FileBytes {
 public:
  explicit FileBytes(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat info {};
    if (fd < 0 || ::fstat(fd, &info) != 0) throw std::runtime_error("open " + path);
    size_ = static_cast<std::size_t>(info.st_size);
    void* memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap " + path);
    data_ = static_cast<std::byte*>(memory);
  }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes() { ::munmap(data_, size_); }

  std::span<std::byte> all() const { return {data_, size_}; }
  std::vector<std::byte> copy() const { return {data_, data_ + size_}; }
  bool same_as(const std::vector<std::byte>& other) const {
    return other.size() == size_ && std::memcmp(other.data(), data_, size_) == 0;
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A new file (never the old inode: somebody may still map it) with these bytes.
inline void write_file(const std::string& path, std::span<const std::byte> bytes) {
  ::unlink(path.c_str());
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("write " + path);
}

inline std::unique_ptr<RingConsumer> open_consumer(const RingOptions& ring,
                                                   const RingJournal& journal, Clock& clock) {
  return must(RingConsumer::open(ring, Durability::kProcess, clock, journal.loader()));
}

}  // namespace phlower::testing
