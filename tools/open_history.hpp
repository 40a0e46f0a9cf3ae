// A history for reading, whatever lies at the path: a data folder, or a file in one of the origin's
// schemas.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "phlower/segment/history_folder.hpp"
#include "phlower/store/store.hpp"

namespace phlower::tools {

/// Not thread safe.
class OpenHistory {
 public:
  /// `retention`: rows past it are not shown; without one that of the folder's engine counts, and
  /// of a file everything is shown. Errors: kNotFound, kNotOurs, and of the stores.
  static Result<std::unique_ptr<OpenHistory>> open(const std::string& path,
                                                   std::optional<RetentionOptions> retention) {
    std::unique_ptr<OpenHistory> made(new OpenHistory());
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      auto folder = HistoryFolder::open(path, [](std::int64_t seq, const Status& status) {
        std::fprintf(stderr, "phlower-query: segment %lld is left out: %s\n",
                     static_cast<long long>(seq), std::string(status.message()).c_str());
      });
      if (!folder.ok()) return folder.status();
      made->folder_ = *std::move(folder);
      made->retention_ = retention.value_or(made->folder_->retention());
      return made;
    }
    StoreOptions options;
    options.path = path;
    made->retention_.keep_forever = true;
    if (retention) made->retention_ = *retention;
    auto file = Store::open(options, made->retention_, OpenMode::kReadOnly);
    if (!file.ok()) return file.status();
    made->file_ = *std::move(file);
    return made;
  }

  /// A view as of now, until `release` or the next call.
  Result<History> view(WallTime now) {
    const Cutoffs cutoffs = cutoffs_at(retention_, now);
    if (folder_) return folder_->history(cutoffs);
    auto sources = file_->sources();
    if (!sources.ok()) return sources.status();
    return History(*std::move(sources), cutoffs);
  }
  void release() {
    if (folder_) folder_->release();
  }

 private:
  OpenHistory() = default;

  RetentionOptions retention_;
  std::unique_ptr<HistoryFolder> folder_;
  std::unique_ptr<Store> file_;
};

}  // namespace phlower::tools
