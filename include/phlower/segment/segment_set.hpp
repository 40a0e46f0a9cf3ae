// The segments of one data folder while an engine has it: which one is written, which come next,
// what is sealed and what goes. segment_upkeep.hpp has what is done between slices.
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"
#include "phlower/ground/units.hpp"
#include "phlower/history/figures.hpp"
#include "phlower/segment/adopt.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/details_writer.hpp"
#include "phlower/segment/keeper.hpp"
#include "phlower/segment/leftovers.hpp"
#include "phlower/segment/pin_file.hpp"
#include "phlower/segment/remove_job.hpp"
#include "phlower/segment/rotation.hpp"
#include "phlower/segment/rows_writer.hpp"
#include "phlower/segment/settings.hpp"
#include "phlower/segment/verify.hpp"

namespace phlower {

namespace upkeep_detail {
inline constexpr Nanoseconds kLook = Milliseconds(20);      // for what time or size make due
inline constexpr Nanoseconds kSlowLook = Seconds(1);        // for the disk, and other processes
inline constexpr Nanoseconds kLateIdle = Seconds(30);       // a late segment is sealed after this
inline constexpr Nanoseconds kRetry = Milliseconds(500);    // for a file that somebody reads
inline constexpr Nanoseconds kPinPatience = Seconds(60);    // then it goes though it is pinned
inline constexpr Nanoseconds kLeapPatience = Seconds(600);  // until a leap of the clock is believed
inline constexpr std::int64_t kLeapUs = 60'000'000;         // less than this is no leap
}  // namespace upkeep_detail

/// A segment that takes rows, and of which times.
template <class Writer>
struct OpenSegment {
  std::unique_ptr<Writer> writer;
  std::int64_t from_us = 0;
  std::int64_t until_us = 0;
  MonoTime used{};
  bool log_is_pinned = false;
};

/// The segments of one family that take rows.
template <class Writer>
struct FamilyWriters {
  OpenSegment<Writer> active;
  std::vector<OpenSegment<Writer>> late;

  OpenSegment<Writer>* late_for(std::int64_t at_us) {
    for (auto& open : late) {
      if (at_us >= open.from_us && at_us < open.until_us) return &open;
    }
    return nullptr;
  }
  template <class Visit>
  void each(Visit&& visit) {
    if (active.writer) visit(active);
    for (auto& open : late) visit(open);
  }
};

struct SegmentOptions {
  StoreOptions store;
  RetentionOptions retention;
  DiskOptions disk;
};

/// Not thread safe. Blocks: on disk; late segments are made when the first record for them comes.
class SegmentSet {
 public:
  /// At most so many earlier spans take rows at the same time.
  static constexpr std::size_t kLateMax = 3;
  /// Byte of the pin file that the engine holds; segment numbers begin at 1.
  static constexpr std::int64_t kEngineByte = 0;

  /// Opens or makes a data folder and repairs what a crash left. Errors: kBusy when another engine
  /// has it, kNotOurs for a folder that is something else, and of SQLite.
  static Result<std::unique_ptr<SegmentSet>> open(const SegmentOptions& options, Clock& clock,
                                                  Log log);

  static std::string pin_file(const std::string& folder) { return pin_file_of(folder); }

  const SegmentOptions& options() const noexcept { return options_; }
  Catalog& catalog() noexcept { return *catalog_; }
  /// Sums since the set was opened.
  StoreFigures& totals() noexcept { return totals_; }
  void set_retention(const RetentionOptions& retention) { options_.retention = retention; }
  void set_disk(const DiskOptions& disk) { options_.disk = disk; }
  /// Changes whenever a segment comes, goes or changes its state.
  std::uint64_t generation() const noexcept { return generation_ + catalog_->revision(); }
  FamilyWriters<RowsWriter>& rows() noexcept { return rows_; }
  FamilyWriters<DetailsWriter>& details() noexcept { return details_; }
  RowsWriter& active_rows() noexcept { return *rows_.active.writer; }

  /// Readers in other processes go by the retention that is kept in the catalog.
  Status remember_retention() { return save_retention(catalog_->db(), options_.retention); }
  /// Lets segments go that are closed, whatever their time. The upkeep removes their files.
  Status let_go(const std::vector<std::int64_t>& going, bool early);

  /// Where a row of this time belongs.
  Result<RowsWriter*> rows_for(std::int64_t at_us) {
    return route(rows_, SegmentFamily::kRows, at_us);
  }
  Result<DetailsWriter*> details_for(std::int64_t at_us) {
    return route(details_, SegmentFamily::kDetails, at_us);
  }

  /// Called just before the file of a writer is closed, so that nobody keeps its connection.
  using OnClose = std::function<void(std::int64_t seq)>;
  void on_close(OnClose call) { on_close_ = std::move(call); }

  /// A segment that cannot be read or written any more: named, moved to quarantine/, forgotten.
  /// It happens at the next step of the upkeep.
  void report_damage(std::int64_t seq, const Status& status) { damaged_.emplace(seq, status); }

  // -- Between slices; see segment_upkeep.hpp ----------------------------------------------------
  /// Whether `tend` has anything to do. Microseconds.
  bool tend_due(MonoTime now);
  /// Whether sealing, removing or making is under way.
  bool upkeep_waits() { return keeper_.open() > 0; }
  /// One step. The number of segments that it changed.
  Result<std::uint64_t> tend(MonoTime now);
  /// Why sealing, removing or making does not get on; empty when it does.
  const std::string& problem() const noexcept { return problem_; }
  /// Bytes of segments that no reader sees any more and that are still there.
  std::uint64_t pending_bytes() const;
  /// Rows and details in files that are past their retention and still there.
  std::uint64_t backlog_rows() const {
    std::uint64_t rows = 0;
    const std::int64_t wall_us = now_us();
    for (const SegmentInfo& info : catalog_->segments()) {
      const bool going = info.state == SegmentState::kExpiring;
      if (going || has_expired(info, options_.retention, wall_us)) rows += info.rows;
    }
    return rows;
  }
  /// Files of all segments and their logs, as of the last look.
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  SegmentSet(const SegmentOptions& options, Clock& clock, Log log)
      : options_(options),
        clock_(clock),
        log_(std::move(log)),
        keeper_(options.store.helper_thread) {}

  std::int64_t now_us() const { return to_us(to_unix_seconds(clock_.wall())); }
  std::uint64_t cache_of(SegmentFamily family, bool active) const {
    // What is read rarely gets little.
    const std::uint64_t whole = options_.store.cache_bytes;
    return !active ? whole / 32 : family == SegmentFamily::kRows ? whole / 2 : whole / 8;
  }

  Status start();
  Status lock_folder();
  Status adopt();
  Status tell_forecast(const SegmentInfo& info, bool first);
  Status look_for_strangers();
  Status look_at_stranger(const std::string& name);
  Status take_up(const SegmentInfo& info);
  bool is_going(const SegmentInfo& info) const;
  Status check_present(const SegmentInfo& info);
  Status set_aside(std::int64_t seq, const Status& why);

  template <class Writer>
  Status open_segment(const SegmentInfo& info, FamilyWriters<Writer>& family);
  template <class Writer>
  Status make_active(FamilyWriters<Writer>& family, SegmentFamily kind);
  template <class Writer>
  Status activate(FamilyWriters<Writer>& family, const SegmentInfo& spare, bool old_stays_late);
  Result<SegmentInfo> make_segment(SegmentFamily family);
  Result<SegmentInfo> spare_for_late(SegmentFamily family);
  bool writes(SegmentFamily family, std::int64_t seq);
  Status carry_positions(RowsWriter& from, RowsWriter& to);
  template <class Writer>
  Result<Writer*> route(FamilyWriters<Writer>& family, SegmentFamily kind, std::int64_t at_us);
  template <class Writer>
  Result<OpenSegment<Writer>*> open_late(FamilyWriters<Writer>& family, SegmentFamily kind,
                                         std::int64_t at_us);

  // Upkeep.
  Result<std::uint64_t> tend_one(MonoTime now);
  Result<std::uint64_t> tend_jobs();
  Status finish_job(KeeperJob& job);
  Status made(const MakeJob& job);
  Status has_sealed(const SealJob& job);
  Status has_removed(RemoveJob& job, MonoTime retry);
  void settle_posted(std::int64_t seq, const Status& status, MonoTime retry);
  template <class Writer>
  Result<std::uint64_t> tend_family(FamilyWriters<Writer>& family, SegmentFamily kind,
                                    MonoTime now);
  template <class Writer>
  Status close_late(FamilyWriters<Writer>& family, std::size_t at);
  Status rotate(SegmentFamily kind, Complete why);
  Result<std::uint64_t> tend_damage();
  Result<std::uint64_t> tend_expired(MonoTime now);
  Result<std::uint64_t> tend_cap();
  void repost(MonoTime now);
  void post_seal(const SegmentInfo& info);
  void post_remove(const std::vector<SegmentInfo>& going);
  void want_spare(SegmentFamily family, MonoTime now);
  bool may_post(std::int64_t seq, MonoTime now) const;
  Status look_at_clock(MonoTime now);
  Status move_closed(std::int64_t by_us);
  Status correct_closed(std::int64_t wall_us);
  const SegmentInfo* spare_of(SegmentFamily family) const;
  void measure_disk();

  SegmentOptions options_;
  Clock& clock_;
  Log log_;
  std::unique_ptr<LockFile> lock_;
  std::optional<Catalog> catalog_;
  FamilyWriters<RowsWriter> rows_;
  FamilyWriters<DetailsWriter> details_;
  OnClose on_close_;
  StoreFigures totals_;
  std::uint64_t generation_ = 1;
  std::map<std::int64_t, Status> damaged_;

  struct Posted {
    KeeperJob::Kind kind;
    MonoTime since{};       // first tried
    MonoTime not_before{};  // after a try that failed
    bool running = false;
  };
  std::map<std::int64_t, Posted> posted_;  // by segment
  struct Making {
    std::int64_t seq = 0;  // 0: none is being made
    MonoTime not_before{};
  };
  Making making_[2];          // spares, by family
  std::int64_t seen_us_ = 0;  // both clocks at the last look
  MonoTime seen_mono_{};
  MonoTime forget_from_{};
  std::set<std::int64_t> closed_here_;  // segments whose closed_us is of this run
  std::string problem_;
  MonoTime next_look_{};
  MonoTime next_slow_look_{};
  std::uint64_t bytes_ = 0;
  std::uint64_t disk_bytes_ = 0;
  Keeper keeper_;  // last: its thread ends before anything else goes
};

}  // namespace phlower

#include "phlower/segment/segment_start.hpp"
#include "phlower/segment/segment_upkeep.hpp"
