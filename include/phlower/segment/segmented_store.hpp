// The store in the layout `segmented`: a folder with one file for each span of time. START HERE for
// everything under segment/; the other headers of this room are its parts.
//
// One transaction of the engine touches several files, and none of them knows of the others. What
// keeps it exact: details are committed first (a crash leaves entries that no row names), then rows
// of earlier spans (the records come again and find themselves), then the active segment with its
// rows and the ring's positions, in one transaction of that file.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "phlower/ground/file_watch.hpp"
#include "phlower/history/checkpoint_chore.hpp"
#include "phlower/history/merge.hpp"
#include "phlower/history/store.hpp"
#include "phlower/segment/segment_set.hpp"
#include "phlower/segment/source_shelf.hpp"
#include "phlower/segment/upkeep_chore.hpp"

namespace phlower {

/// The writer's side and its own reads. Thread safety: none; one thread at a time.
class SegmentedStore final : public Store {
 public:
  /// `clock` and those who listen outlive it. Errors: see SegmentSet::open.
  static Result<std::unique_ptr<SegmentedStore>> open(const SegmentOptions& options, Clock& clock,
                                                      Log log = {},
                                                      Folder::Listeners listeners = {}) {
    auto set = SegmentSet::open(options, clock, std::move(log), listeners);
    if (!set.ok()) return set.status();
    return std::unique_ptr<SegmentedStore>(
        new SegmentedStore(options.store.path, *std::move(set), clock));
  }
  ~SegmentedStore() override { rollback(); }

  SegmentSet& segments() noexcept { return *set_; }
  /// Those whose files never change again, in the order of their numbers: what a FolderListener was
  /// told of, by this engine or an earlier one, and has not gone since.
  std::vector<SegmentInfo> sealed_segments() const;
  void set_retention(const RetentionOptions& retention) { set_->set_retention(retention); }
  Status set_limits(const RetentionOptions& retention, const DiskOptions& disk) override {
    set_->set_retention(retention);
    set_->set_disk(disk);
    return set_->remember_retention();
  }
  const std::string& path() const noexcept override { return path_; }

  Result<RingPositions> load_positions(const RingId& ring) override;
  Status forget_ring(const RingId& ring) override;
  bool has_taken_in(const HistoryId& history) override;
  sqlite::Connection& facts() noexcept override { return set_->catalog().db(); }
  Status in_place() override;

  Status begin() override {
    if (in_transaction_) return Status(Code::kInternal, path_ + ": begin inside a transaction");
    in_transaction_ = true;
    lost_ = Status();
    late_before_ = set_->totals().late;
    now_ = clock_.wall();
    cutoffs_ = cutoffs_at(set_->options().retention, now_);
    return Status();
  }

  Result<Put> upsert(const RecordView& record) override {
    if (!in_transaction_) return Status(Code::kInternal, path_ + ": upsert outside a transaction");
    if (!lost_.ok()) return lost_;
    auto done = put(record);
    if (!done.ok()) return lost(done.status());
    return done;
  }

  Status save_positions(const RingPositions& positions) override {
    if (!in_transaction_) {
      return Status(Code::kInternal, path_ + ": positions outside a transaction");
    }
    if (!lost_.ok()) return lost_;
    Status status = set_->active_rows().begin();
    if (status.ok()) status = set_->active_rows().save_positions(positions);
    return lost(status);
  }

  Status commit() override {
    if (!in_transaction_) return Status(Code::kInternal, path_ + ": commit without a transaction");
    Status status = lost_;
    const auto commit_one = [&](auto& open) {
      if (status.ok() && open.writer->file().in_transaction()) status = open.writer->commit();
    };
    set_->details().each(commit_one);
    for (auto& open : set_->rows().late()) commit_one(open);
    commit_one(set_->rows().active());
    if (!status.ok()) rollback();
    in_transaction_ = false;
    return status;
  }

  void rollback() noexcept override {
    if (!in_transaction_) return;
    in_transaction_ = false;
    lost_ = Status();
    set_->totals().late = late_before_;
    const auto roll_back = [](auto& open) {
      if (open.writer->file().in_transaction()) open.writer->rollback();
    };
    set_->details().each(roll_back);
    set_->rows().each(roll_back);
    shelf_.details().rolled_back();
  }

  /// Moves what readers allow of the longest log into its file. Never waits for a lock.
  Result<CheckpointReport> checkpoint() {
    if (in_transaction_) return Status(Code::kInternal, path_ + ": checkpoint in a transaction");
    sqlite::WalWatch* longest = nullptr;
    bool* pinned = nullptr;
    each_writer([&](auto& open) {
      sqlite::WalWatch& wal = open.writer->file().wal();
      if (longest != nullptr && wal.bytes() <= longest->bytes()) return;
      longest = &wal;
      pinned = &open.log_is_pinned;
    });
    if (longest == nullptr) return CheckpointReport{};
    auto report = longest->checkpoint();
    if (report.ok()) *pinned = !report->reset;
    return report;
  }
  /// Size of the longest log that the next commit appends to; 0 when it starts anew.
  std::uint64_t wal_bytes() const noexcept {
    std::uint64_t bytes = 0;
    const_cast<SegmentedStore*>(this)->each_writer(
        [&](auto& open) { bytes = std::max(bytes, open.writer->file().wal().bytes()); });
    return bytes;
  }

  Counts counts() const;
  StoreFigures figures(WallTime now) override;
  std::span<Chore* const> chores() noexcept override { return chores_; }
  bool tend_due(MonoTime now) { return set_->tend_due(now); }
  /// One step of the upkeep of files. The number of segments that it changed.
  Result<std::uint64_t> tend(MonoTime now) {
    if (in_transaction_) return Status(Code::kInternal, path_ + ": upkeep in a transaction");
    return set_->tend(now);
  }
  Result<std::vector<Source*>> sources() override;

 private:
  SegmentedStore(std::string path, std::unique_ptr<SegmentSet> set, Clock& clock)
      : path_(std::move(path)),
        clock_(clock),
        set_(std::move(set)),
        catalog_watch_(path_ + "/" + std::string(Catalog::kFile)),
        shelf_(set_->catalog(), [this](std::int64_t seq,
                                       const Status& status) { set_->report_damage(seq, status); }),
        checkpoint_(*this, set_->options().store, clock, set_->totals()),
        upkeep_(*set_, clock) {
    set_->folder().on_close([this](std::int64_t seq) { shelf_.forget(seq); });
  }

  template <class Visit>
  void each_writer(Visit&& visit) {
    set_->details().each(visit);
    set_->rows().each(visit);
  }

  Status lost(Status status) {
    if (!status.ok() && status.code() != Code::kInvalidArgument) lost_ = status;
    return status;
  }

  Result<Put> put(const RecordView& record);
  Status put_version(RowsWriter& rows, std::uint32_t row, const TaskKey& key,
                     const RecordView& record);
  Result<std::int64_t> put_details(const TaskKey& key, const RecordView& record,
                                   std::int64_t at_us);
  void lend_writers();

  std::string path_;
  Clock& clock_;
  std::unique_ptr<SegmentSet> set_;
  FileWatch catalog_watch_;
  std::optional<FileWatch> active_watch_;  // of the segment whose rows are written
  std::int64_t watched_ = 0;               // its number
  SourceShelf shelf_;
  bool in_transaction_ = false;
  Status lost_;                    // why the open transaction cannot go on
  std::uint64_t late_before_ = 0;  // of its figures, when the transaction began
  WallTime now_{};
  std::uint64_t lent_of_ = 0;  // the generation whose writers of details lend their files
  Cutoffs cutoffs_;            // of the open transaction
  CheckpointChore<SegmentedStore> checkpoint_;
  UpkeepChore upkeep_;
  std::array<Chore*, 2> chores_{&checkpoint_, &upkeep_};
};

// -- Writing ------------------------------------------------------------------------------------

inline Result<Put> SegmentedStore::put(const RecordView& record) {
  if (Status status = check_record(record); !status.ok()) return status;
  const std::int64_t at_us = row_time_us(record, to_us(to_unix_seconds(now_)));
  if (cutoffs_.row_is_over(record, at_us)) return Put::kTooOld;
  auto rows = set_->rows().route(at_us);
  if (!rows.ok()) return rows.status();
  if (Status status = (*rows)->begin(); !status.ok()) return status;
  const TaskKey key(record.task_id);
  const auto row = (*rows)->find(key);
  if (!row.ok()) return row.status();
  Status status;
  if (*row != 0) {
    status = put_version(**rows, *row, key, record);
  } else {
    const auto details = put_details(key, record, at_us);
    if (!details.ok()) return details.status();
    status = (*rows)->insert(key, record, at_us, *details);
  }
  if (!status.ok()) return status;
  return Put::kStored;
}

inline Status SegmentedStore::put_version(RowsWriter& rows, std::uint32_t row, const TaskKey& key,
                                          const RecordView& record) {
  FoundRow stored;
  Status status = rows.load_row(row, stored);
  lend_writers();
  if (status.ok()) status = shelf_.details().read(stored.details, key.tag(), stored.record);
  // Reload: expired, on a disk that had no room to note it.
  if (!status.ok() && status.code() != Code::kReload) return status;
  const RecordView old = stored.record.view();
  const RecordView merged = merge_versions(old, record);
  const std::int64_t at_us = row_time_us(merged, stored.at_us);
  std::int64_t details = stored.details;
  if (!same_details(merged, old)) {
    const auto written = put_details(key, merged, at_us);
    if (!written.ok()) return written.status();
    details = *written;
  }
  return rows.update(row, key, merged, at_us, stored.details, details);
}

inline Result<std::int64_t> SegmentedStore::put_details(const TaskKey& key,
                                                        const RecordView& record,
                                                        std::int64_t at_us) {
  if (!record.has_details() || cutoffs_.details_are_over(record, at_us)) return std::int64_t{0};
  auto writer = set_->details().route(at_us);
  if (!writer.ok()) return writer.status();
  if (Status status = (*writer)->begin(); !status.ok()) return status;
  const auto ref = (*writer)->add(key.tag(), record, at_us);
  if (!ref.ok()) return ref.status();
  return ref->packed();
}

// -- Figures and reads ---------------------------------------------------------------------------

inline StoreFigures SegmentedStore::figures(WallTime) {
  StoreFigures figures = set_->totals();
  figures.counts = counts();
  for (const SegmentInfo& info : set_->catalog().segments()) figures.segments += info.readable();
  figures.pending_bytes = set_->pending_bytes();
  figures.expired_rows = set_->backlog_rows();
  figures.log_bytes = wal_bytes();
  return figures;
}

inline std::vector<SegmentInfo> SegmentedStore::sealed_segments() const {
  std::vector<SegmentInfo> sealed;
  for (const SegmentInfo& info : set_->catalog().segments()) {
    if (info.state == SegmentState::kSealed) sealed.push_back(info);
  }
  return sealed;
}

inline Counts SegmentedStore::counts() const {
  Counts counts;
  counts.exact = true;
  const auto note = [&](std::int64_t oldest_us, std::int64_t newest_us) {
    const UnixSeconds oldest = from_us(oldest_us);
    if (counts.oldest == 0 || oldest < counts.oldest) counts.oldest = oldest;
    counts.newest = std::max(counts.newest, from_us(newest_us));
  };
  for (const SegmentInfo& info : set_->catalog().segments()) {
    if (!info.readable() || info.open_for_writing() || info.family == SegmentFamily::kDetails) {
      continue;
    }
    counts.invocations += info.rows;
    counts.details += info.details;
    if (info.state == SegmentState::kAdopted) counts.exact = false;  // a span of row ids
    if (info.rows > 0 && info.state == SegmentState::kSealed) note(info.oldest_us, info.newest_us);
  }
  set_->rows().each([&](auto& open) {
    counts.invocations += open.writer->rows();
    counts.details += open.writer->details();
    if (open.writer->rows() > 0) note(open.writer->oldest_us(), open.writer->newest_us());
  });
  return counts;
}

inline void SegmentedStore::lend_writers() {
  if (lent_of_ == set_->catalog().revision()) return;
  lent_of_ = set_->catalog().revision();
  set_->details().each([&](auto& open) { shelf_.details().lend(open.writer.get()); });
}

inline Result<std::vector<Source*>> SegmentedStore::sources() {
  lend_writers();
  const auto writer_of = [this](std::int64_t seq) {
    RowsWriter* writer = nullptr;
    set_->rows().each([&](auto& open) {
      if (open.writer->file().seq() == seq) writer = open.writer.get();
    });
    return writer;
  };
  StopCheck never;
  return shelf_.list(set_->catalog().revision(), writer_of, never);
}

// An adopted file of this ring's earlier engine knows how far that had read.
inline Result<RingPositions> SegmentedStore::load_positions(const RingId& ring) {
  auto positions = set_->active_rows().load_positions(ring);
  if (!positions.ok() || !positions->chunks.empty() || !positions->lanes.empty()) return positions;
  for (const SegmentInfo& info : set_->catalog().segments()) {
    if (info.state != SegmentState::kAdopted) continue;
    const auto file = shelf_.adopted(info);
    if (!file.ok()) continue;  // its reads will say so
    auto found = (*file)->load_positions(ring);
    if (!found.ok() || !found->chunks.empty() || !found->lanes.empty()) return found;
  }
  return positions;
}

inline Status SegmentedStore::forget_ring(const RingId& ring) {
  if (in_transaction_) return Status(Code::kInternal, path_ + ": forget_ring in a transaction");
  RowsWriter& rows = set_->active_rows();
  Status status = rows.begin();
  if (status.ok()) status = rows.forget_positions(ring);
  if (status.ok()) return rows.commit();
  if (rows.file().in_transaction()) rows.rollback();
  return status;
}

inline bool SegmentedStore::has_taken_in(const HistoryId& history) {
  for (const SegmentInfo& info : set_->catalog().segments()) {
    if (info.state != SegmentState::kAdopted) continue;
    const auto file = shelf_.adopted(info);
    if (file.ok() && (*file)->history_id() == history) return true;
  }
  return false;
}

// The catalog tells of a folder that was removed or swapped, the segment of itself.
inline Status SegmentedStore::in_place() {
  if (Status status = catalog_watch_.look(); !status.ok()) return status;
  const std::int64_t active = set_->active_rows().file().seq();
  if (!active_watch_ || active != watched_) {
    const auto folder = std::filesystem::path(catalog_watch_.path()).parent_path();
    active_watch_.emplace((folder / segment_name(SegmentFamily::kRows, active)).string());
    watched_ = active;
  }
  return active_watch_->look();
}

}  // namespace phlower
