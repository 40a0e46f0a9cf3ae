// A history for reading, whatever lies at the path: a data folder, or a file in one of the origin's
// schemas; while an engine writes it, in this process or another, or at rest.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "phlower/segment/history_folder.hpp"
#include "phlower/single/single_store.hpp"

namespace phlower {

/// Connections of its own, read-only; the engine does not wait for it nor it for the engine. Not
/// thread safe. Blocks: on the disk.
class HistoryReader {
 public:
  using OnDamage = HistoryFolder::OnDamage;

  /// `retention`: rows past it are not shown; without one that of the folder's engine counts, and
  /// of a file everything is shown. `on_damage` is told of segments that are left out. Errors:
  /// kNotFound, kNotOurs, kPermission, and of the stores.
  static Result<std::unique_ptr<HistoryReader>> open(const std::string& path,
                                                     std::optional<RetentionOptions> retention,
                                                     OnDamage on_damage) {
    std::unique_ptr<HistoryReader> made(new HistoryReader());
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      if (Status ours = Catalog::look_for(path); !ours.ok()) return ours;
      auto folder = HistoryFolder::open(path, std::move(on_damage));
      if (!folder.ok()) return folder.status();
      made->folder_ = *std::move(folder);
      made->retention_ = retention.value_or(made->folder_->retention());
      return made;
    }
    StoreOptions options;
    options.path = path;
    made->retention_.keep_forever = true;
    if (retention) made->retention_ = *retention;
    auto file = SingleStore::open(options, made->retention_, OpenMode::kReadOnly);
    if (!file.ok()) return file.status();
    made->file_ = *std::move(file);
    return made;
  }

  void set_retention(const RetentionOptions& retention) { retention_ = retention; }

  /// A view as of now, until `release` or the next call. Errors: kReload when what is read keeps
  /// going away, kStopped by the check while the files were opened, and of the stores.
  Result<History> view(WallTime now) {
    StopCheck never;
    return view(now, never);
  }
  Result<History> view(WallTime now, StopCheck& check) {
    const Cutoffs cutoffs = cutoffs_at(retention_, now);
    if (folder_) return folder_->history(cutoffs, check);
    auto sources = file_->sources();
    if (!sources.ok()) return sources.status();
    return History(*std::move(sources), cutoffs);
  }
  void release() {
    if (folder_) folder_->release();
  }

 private:
  HistoryReader() = default;

  RetentionOptions retention_;
  std::unique_ptr<HistoryFolder> folder_;
  std::unique_ptr<SingleStore> file_;
};

}  // namespace phlower
