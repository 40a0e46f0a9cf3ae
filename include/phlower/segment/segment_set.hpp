// The segments of one data folder while an engine has it, made of its parts: the folder with its
// catalog, who writes each family, and the upkeep.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/segment/adopt_into.hpp"
#include "phlower/segment/folder.hpp"
#include "phlower/segment/settings.hpp"
#include "phlower/segment/upkeep.hpp"
#include "phlower/segment/writers.hpp"

namespace phlower {

/// Not thread safe. Its address stays.
class SegmentSet {
 public:
  /// Opens or makes a data folder and repairs what a crash left. `clock` and those who listen
  /// outlive it. Errors: see Folder::open and adopt_into. Blocks: on disk.
  static Result<std::unique_ptr<SegmentSet>> open(const SegmentOptions& options, Clock& clock,
                                                  Log log, Folder::Listeners listeners = {}) {
    auto folder = Folder::open(options, clock, std::move(log), listeners);
    if (!folder.ok()) return folder.status();
    Status status = adopt_into(**folder);
    if (!status.ok()) return status;
    std::unique_ptr<SegmentSet> set(new SegmentSet(*std::move(folder)));
    status = set->details_.start();
    if (status.ok()) status = set->rows_.start();
    if (!status.ok()) return status;
    return set;
  }

  SegmentSet(const SegmentSet&) = delete;
  SegmentSet& operator=(const SegmentSet&) = delete;

  Folder& folder() noexcept { return *folder_; }
  Catalog& catalog() noexcept { return folder_->catalog(); }
  Writers<RowsWriter>& rows() noexcept { return rows_; }
  Writers<DetailsWriter>& details() noexcept { return details_; }
  RowsWriter& active_rows() noexcept { return *rows_.active().writer; }

  const SegmentOptions& options() const noexcept { return folder_->options(); }
  void set_retention(const RetentionOptions& retention) { folder_->set_retention(retention); }
  void set_disk(const DiskOptions& disk) { folder_->set_disk(disk); }
  /// Readers in other processes go by the retention that is kept in the catalog.
  Status remember_retention() { return save_retention(catalog().db(), options().retention); }

  /// Sums since the set was opened.
  StoreFigures& totals() noexcept { return folder_->totals(); }
  std::uint64_t pending_bytes() const { return phlower::pending_bytes(segments()); }
  std::uint64_t backlog_rows() const {
    return expired_rows(segments(), options().retention, folder_->now_us());
  }

  // The upkeep: see Upkeep.
  bool tend_due(MonoTime now) { return upkeep_.due(now); }
  bool upkeep_waits() { return upkeep_.waits(); }
  Result<std::uint64_t> tend(MonoTime now) { return upkeep_.tend(now); }
  const std::string& problem() const noexcept { return upkeep_.problem(); }
  Status let_go(const std::vector<std::int64_t>& going, bool early) {
    return upkeep_.let_go(going, early);
  }
  void report_damage(std::int64_t seq, const Status& status) { upkeep_.report_damage(seq, status); }

 private:
  explicit SegmentSet(std::unique_ptr<Folder> folder)
      : folder_(std::move(folder)),
        rows_(*folder_),
        details_(*folder_),
        upkeep_(*folder_, rows_, details_) {}

  const std::vector<SegmentInfo>& segments() const { return folder_->catalog().segments(); }

  std::unique_ptr<Folder> folder_;  // before all that uses it
  Writers<RowsWriter> rows_;
  Writers<DetailsWriter> details_;
  Upkeep upkeep_;  // last: its thread ends before anything else goes
};

}  // namespace phlower
