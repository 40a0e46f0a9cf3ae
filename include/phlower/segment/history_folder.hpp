// A data folder as other processes read it, while an engine writes it or not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/lock_file.hpp"
#include "phlower/history/history.hpp"
#include "phlower/segment/known_versions.hpp"
#include "phlower/segment/settings.hpp"
#include "phlower/segment/source_shelf.hpp"

namespace phlower {

/// Never blocks the engine; pins the segments that it reads, so that none goes away in the middle
/// of an answer. Thread safety: none. Errors: kReload when a segment went all the same (a reader
/// that stays too long is not waited for): ask again.
class HistoryFolder {
 public:
  using OnDamage = DetailsFiles::OnDamage;

  /// `on_damage` is told of segments that cannot be read; the rest is answered from.
  static Result<std::unique_ptr<HistoryFolder>> open(const std::string& folder,
                                                     OnDamage on_damage) {
    std::unique_ptr<HistoryFolder> made(new HistoryFolder());
    if (Status known = check_known_versions(folder); !known.ok()) return known;
    auto catalog = Catalog::open(folder, false);
    if (!catalog.ok()) return catalog.status();
    made->catalog_.emplace(*std::move(catalog));
    auto retention = load_retention(made->catalog_->db());
    if (!retention.ok()) return retention.status();
    made->retention_ = *retention;
    made->shelf_.emplace(*made->catalog_, std::move(on_damage));
    made->pins_path_ = folder + "/pins";
    return made;
  }

  /// What the engine that wrote last was told.
  const RetentionOptions& retention() const noexcept { return retention_; }
  const Catalog& catalog() const noexcept { return *catalog_; }

  /// One consistent view of all segments, as of now. It stays until `release` or the next call;
  /// while it stays the logs of the segments that are written cannot be emptied, so keep it short.
  Result<History> history(const Cutoffs& cutoffs) {
    StopCheck never;
    return history(cutoffs, never);
  }
  /// Errors: kStopped by the check; what is open by then stays open for the next question.
  Result<History> history(const Cutoffs& cutoffs, StopCheck& check) {
    for (int tries = 0;; ++tries) {
      release();
      Status status = refresh(tries > 0);
      pin();
      auto sources = status.ok() ? shelf_->list(generation_, nullptr, check)
                                 : Result<std::vector<Source*>>(status);
      status = sources.status();
      if (status.ok()) {
        status = shelf_->each_live([](SegmentSource& source) { return source.begin_view(); });
      }
      if (status.ok()) {
        const auto again = catalog_->changed();
        if (again.ok() && !*again) return History(*std::move(sources), cutoffs);
        status = again.ok() ? Status(Code::kReload, "the catalog keeps changing") : again.status();
      }
      if (status.code() != Code::kReload || tries >= kTries) return status;
    }
  }

  /// Ends the view.
  void release() {
    static_cast<void>(shelf_->each_live([](SegmentSource& source) {
      source.end_view();
      return Status();
    }));
    pins_.reset();
  }

 private:
  static constexpr int kTries = 5;

  HistoryFolder() = default;

  Status refresh(bool again) {
    const auto changed = catalog_->changed();
    if (!changed.ok()) return changed.status();
    if (again) {
      if (Status status = catalog_->load(); !status.ok()) return status;
    }
    if (*changed || again) ++generation_;
    return Status();
  }

  // Where pinning is not possible (a folder that may only be read) a segment may go meanwhile.
  void pin() {
    auto pins = LockFile::open(pins_path_, O_RDONLY);
    if (!pins.ok()) return;
    pins_ = *std::move(pins);
    for (const SegmentInfo& info : catalog_->segments()) {
      if (info.readable()) static_cast<void>(pins_->try_share(info.seq));
    }
  }

  std::optional<Catalog> catalog_;
  RetentionOptions retention_;
  std::string pins_path_;
  std::unique_ptr<LockFile> pins_;
  std::optional<SourceShelf> shelf_;
  std::uint64_t generation_ = 1;
};

}  // namespace phlower
