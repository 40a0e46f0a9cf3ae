// A history for reading in a process that need not have an engine.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "border.hpp"
#include "phlower/door/history_reader.hpp"

namespace phlower::plugin {

/// What a phlower_reader is. One thread at a time.
struct alignas(64) OwnReader {
  SystemClock clock;
  ForkMark mark;
  std::unique_ptr<HistoryReader> reader;

  /// Calls visit(history) with a view as of now. Errors: kStopped by `check` before it was there.
  template <class Visit>
  Status look(StopCheck& check, Visit&& visit) {
    auto history = reader->view(clock.wall(), check);
    if (!history.ok()) return history.status();
    struct Release {
      HistoryReader& reader;
      ~Release() { reader.release(); }
    };
    const Release release{*reader};  // also when a visitor throws
    return visit(*history);
  }
};

inline OwnReader* reader_of(phlower_reader* handle) { return reinterpret_cast<OwnReader*>(handle); }

/// Errors: those of HistoryReader::open.
inline Result<std::unique_ptr<OwnReader>> open_reader(const Options& options) {
  auto mine = std::make_unique<OwnReader>();
  std::error_code error;
  // A folder says itself how long its rows are kept.
  std::optional<RetentionOptions> retention;
  if (!std::filesystem::is_directory(options.store.path, error)) retention = options.retention;
  auto opened = HistoryReader::open(options.store.path, retention, {});
  if (!opened.ok()) return opened.status();
  mine->reader = *std::move(opened);
  return mine;
}

/// Runs body(reader) on a live reader of this process. Nothing that it throws comes through.
template <class Body>
std::int32_t on_reader(phlower_reader* handle, phlower_err* err, Body&& body) noexcept {
  return guarded(err, [&]() -> Status {
    if (!handles.lives(HandleKind::kReader, handle)) {
      return Status(Code::kBadHandle, "no reader, or one that was closed");
    }
    OwnReader& mine = *reader_of(handle);
    if (mine.mark.forked()) {
      return Status(Code::kForked, "this reader was opened before the fork; open one of your own");
    }
    return body(mine);
  });
}

}  // namespace phlower::plugin
