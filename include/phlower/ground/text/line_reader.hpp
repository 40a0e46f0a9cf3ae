// A file's lines, one at a time, in bounded memory: a line over the bound is skipped, not kept.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/ground/status.hpp"

namespace phlower {

/// One line. `text` is valid until the next call of the reader.
struct TextLine {
  std::string_view text;     // without its end of line; empty if `too_long`
  std::uint64_t number = 0;  // from 1
  std::uint64_t bytes = 0;   // of the whole line, also of one that is too long
  bool too_long = false;
  bool ended = true;  // false: the file stops here without an end of line
};

/// Reads lines of a file, a pipe or a terminal. Not thread safe; movable.
class LineReader {
 public:
  /// Errors: kNotFound, kPermission, kIo.
  static Result<LineReader> open(const std::string& path, std::size_t max_line_bytes) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return Status::from_errno("open " + path);
    return LineReader(fd, path, max_line_bytes);
  }

  LineReader(LineReader&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        path_(std::move(other.path_)),
        max_line_bytes_(other.max_line_bytes_),
        buffer_(std::move(other.buffer_)),
        begin_(other.begin_),
        end_(other.end_),
        number_(other.number_),
        line_(std::move(other.line_)) {}
  LineReader(const LineReader&) = delete;
  LineReader& operator=(LineReader&&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader() {
    if (fd_ >= 0) ::close(fd_);
  }

  const std::string& path() const { return path_; }

  /// The next line in `out`; false at the end of the file.
  /// Errors: kIo. Blocks: on the file.
  Result<bool> next(TextLine& out) {
    line_.clear();
    out = TextLine{{}, number_ + 1, 0, false, false};
    while (!out.ended) {
      if (begin_ == end_) {
        if (Status status = fill(); !status.ok()) return status;
        if (end_ == 0) break;
      }
      take(out);
    }
    if (!out.ended && out.bytes == 0) return false;
    if (line_.capacity() > kKeptBytes && line_.size() <= kKeptBytes) line_.shrink_to_fit();
    out.text = line_;
    ++number_;
    return true;
  }

 private:
  static constexpr std::size_t kBufferBytes = 64u << 10;
  static constexpr std::size_t kKeptBytes = 1u << 20;  // one giant line must not pin its memory

  LineReader(int fd, std::string path, std::size_t max_line_bytes)
      : fd_(fd),
        path_(std::move(path)),
        max_line_bytes_(max_line_bytes),
        buffer_(std::make_unique<char[]>(kBufferBytes)) {}

  Status fill() {
    begin_ = end_ = 0;
    ssize_t got = 0;
    do {
      got = ::read(fd_, buffer_.get(), kBufferBytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return Status::from_errno("read " + path_);
    end_ = static_cast<std::size_t>(got);
    return Status();
  }

  // Moves the rest of the buffer, or what of it belongs to this line, into the line.
  void take(TextLine& out) {
    const char* from = buffer_.get() + begin_;
    const auto* stop = static_cast<const char*>(std::memchr(from, '\n', end_ - begin_));
    out.ended = stop != nullptr;
    const std::size_t count = out.ended ? static_cast<std::size_t>(stop - from) : end_ - begin_;
    begin_ += count + (out.ended ? 1 : 0);
    out.bytes += count;
    out.too_long = out.too_long || out.bytes > max_line_bytes_;
    if (out.too_long) {
      line_.clear();
    } else {
      line_.append(from, count);
    }
  }

  int fd_;
  std::string path_;
  std::size_t max_line_bytes_;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t number_ = 0;
  std::string line_;
};

}  // namespace phlower
