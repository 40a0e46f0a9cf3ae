// Status and Result: the one way an error travels in Phlower. The library never throws, prints or
// aborts into its host; every call that can fail returns one of these two.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace phlower {

/// Stable codes. The integers are the C ABI's codes: never renumber, only add.
enum class Code : std::int32_t {
  kOk = 0,
  kRefused = 1,          // the ring has no room; nothing was taken, the caller may try again
  kTooBig = 2,           // the record is over the configured limit; it will never fit
  kInvalidArgument = 3,  // a value the caller gave is out of range or of the wrong form
  kInvalidConfig = 4,    // a configuration file or option is wrong; the message says where
  kNotFound = 5,         // the named file, row or key does not exist
  kBusy = 6,             // somebody else holds a lock; try again later
  kIo = 7,               // the operating system or SQLite reported an I/O error
  kDiskFull = 8,         // no room on the file system
  kCorrupt = 9,          // bytes that fail their checks: final for that file
  kNotOurs = 10,         // a well-formed file that is not Phlower's
  kVersion = 11,         // Phlower's file, of a version this build does not read
  kPermission = 12,      // read-only file, directory or database
  kUnsupported = 13,     // this system or file cannot do what was asked
  kDetached = 14,        // the producer lost its lane or was never attached
  kInternal = 15,        // a defect in Phlower itself
  kReload = 16,          // what was being read has gone in the meantime; ask again
  kForked = 17,          // the handle was made by another process
  kBadHandle = 18,       // no handle of this kind, or one that was destroyed
  kAbi = 19,             // a struct of a size or with members that this build cannot take
  kWrongState = 20,      // a call in the wrong order: before start, or after stop
  kStopped = 21,         // the time was up, or nobody wants the answer any more; nothing is known
};

/// The stable lower-case name of a code, as it stands in logs and JSON.
constexpr std::string_view code_name(Code code) noexcept {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kRefused: return "refused";
    case Code::kTooBig: return "too_big";
    case Code::kInvalidArgument: return "invalid_argument";
    case Code::kInvalidConfig: return "invalid_config";
    case Code::kNotFound: return "not_found";
    case Code::kBusy: return "busy";
    case Code::kIo: return "io_error";
    case Code::kDiskFull: return "disk_full";
    case Code::kCorrupt: return "corrupt";
    case Code::kNotOurs: return "not_ours";
    case Code::kVersion: return "version";
    case Code::kPermission: return "permission";
    case Code::kUnsupported: return "unsupported";
    case Code::kDetached: return "detached";
    case Code::kInternal: return "internal";
    case Code::kReload: return "reload";
    case Code::kForked: return "forked";
    case Code::kBadHandle: return "bad_handle";
    case Code::kAbi: return "abi";
    case Code::kWrongState: return "wrong_state";
    case Code::kStopped: return "stopped";
  }
  return "unknown";
}

/// Outcome of a call: a code, and for errors a sentence that names the thing and the place.
/// An OK status and a status made from a code alone allocate nothing. Copies share their text.
/// Thread safety: as of a value type.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  explicit Status(Code code) noexcept : code_(code) {}
  Status(Code code, std::string message, int sys_errno = 0, int sqlite_code = 0)
      : code_(code),
        detail_(
            std::make_shared<const Detail>(Detail{std::move(message), sys_errno, sqlite_code})) {}

  /// An I/O error from errno: `what` is the operation and its object, e.g. "open /x/y". ENOSPC and
  /// EDQUOT become kDiskFull, EACCES, EPERM and EROFS kPermission, ENOENT kNotFound.
  static Status from_errno(std::string what, int error = errno) {
    const Code code = error == ENOSPC || error == EDQUOT                    ? Code::kDiskFull
                      : error == EACCES || error == EPERM || error == EROFS ? Code::kPermission
                      : error == ENOENT                                     ? Code::kNotFound
                                                                            : Code::kIo;
    what += ": ";
    what += std::strerror(error);
    return Status(code, std::move(what), error);
  }

  bool ok() const noexcept { return code_ == Code::kOk; }
  Code code() const noexcept { return code_; }
  int sys_errno() const noexcept { return detail_ ? detail_->sys_errno : 0; }
  int sqlite_code() const noexcept { return detail_ ? detail_->sqlite_code : 0; }

  /// The sentence, or the code's name where there is none. Valid while this Status lives.
  std::string_view message() const noexcept {
    return detail_ ? std::string_view(detail_->message) : code_name(code_);
  }

  /// The same error with `context` put before its text ("context: text").
  Status with_context(std::string_view context) const {
    if (ok()) return *this;
    std::string text(context);
    text += ": ";
    text += message();
    return Status(code_, std::move(text), sys_errno(), sqlite_code());
  }

 private:
  struct Detail {
    std::string message;
    int sys_errno;
    int sqlite_code;
  };
  Code code_ = Code::kOk;
  std::shared_ptr<const Detail> detail_;
};

/// What the exception that is being handled says, as kInternal. For the edges of the library and
/// the bodies of its threads. Requires: called in a handler.
inline Status exception_status() noexcept {
  try {
    try {
      std::rethrow_exception(std::current_exception());
    } catch (const std::bad_alloc&) {
      return {Code::kInternal, "out of memory"};
    } catch (const std::exception& error) {
      return {Code::kInternal, error.what()};
    } catch (...) {
      return {Code::kInternal, "an exception of an unknown type"};
    }
  } catch (...) {  // not even room for the words
    return Status(Code::kInternal);
  }
}

/// True for errors after which the engine can never go on by itself. They are sticky.
inline bool is_fatal(const Status& status) noexcept {
  return status.code() == Code::kCorrupt || status.code() == Code::kInternal;
}

/// A value or the error that stands in its place. Requires: `value()` only after `ok()`.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return value_.has_value(); }
  const Status& status() const noexcept { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace phlower
