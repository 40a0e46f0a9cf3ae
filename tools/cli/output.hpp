// What a tool writes to stdout, with an eye on whether it gets there.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "phlower/ground/status.hpp"

namespace phlower::tools {

/// The first error stays, and nothing is written after it. Not thread safe. Blocks: while who reads
/// the output does not read.
class Output {
 public:
  void put(std::string_view text) {
    if (status_.ok() && std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) failed();
  }
  /// Errors: kIo, kDiskFull, of this call or an earlier one.
  Status flush() {
    if (status_.ok() && std::fflush(stdout) != 0) failed();
    return status_;
  }

  /// The error is that nobody reads any more: nothing to complain of.
  bool reader_gone() const { return status_.sys_errno() == EPIPE; }

  /// Whether the reader of a pipe has left, without writing to it.
  static bool reader_left() {
    pollfd out{STDOUT_FILENO, 0, 0};
    return ::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
  }

 private:
  void failed() { status_ = Status::from_errno("write to stdout"); }

  Status status_;
};

}  // namespace phlower::tools
