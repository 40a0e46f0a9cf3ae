// phlower-purge on a data folder: expired segments are unlinked, whether an engine runs or not.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/signals.hpp"
#include "phlower/segment/segmented_store.hpp"
#include "purge/options.hpp"
#include "purge/outcome.hpp"

namespace phlower::tools {

/// One run over one folder. Not thread safe. Blocks: until all is done, stopped or given up.
class FolderPurge {
 public:
  FolderPurge(const PurgeOptions& options, Clock& clock, PurgeOutcome& outcome)
      : options_(options), clock_(clock), outcome_(outcome), begin_(clock.mono()) {}

  /// OK also when it was stopped early: `outcome.done` and `outcome.failure` tell.
  Status run() {
    if (options_.baseline || options_.reclaim) {
      return Status(Code::kUnsupported,
                    options_.target + ": a data folder; --baseline and --reclaim are for files");
    }
    if (Status ours = Catalog::look_for(options_.target); !ours.ok()) return ours;
    if (Status status = take_retention(); !status.ok()) return status;
    Status status = options_.rescue    ? rescue()
                    : options_.verify  ? verify()
                    : options_.dry_run ? dry_run()
                                       : purge();
    outcome_.elapsed = clock_.mono() - begin_;
    return status;
  }

 private:
  std::int64_t now_us() { return to_us(to_unix_seconds(clock_.wall())); }

  bool out_of_time() {
    if (stop_requested()) {
      outcome_.failure = "stopped by a signal";
    } else if (options_.max_time && clock_.mono() - begin_ >= *options_.max_time) {
      outcome_.failure = "stopped after --max-time " + exact_duration(*options_.max_time);
      outcome_.time_up = true;
    }
    return !outcome_.failure.empty();
  }

  void count(const SegmentInfo& info) {
    ++outcome_.segments;
    const bool rows = info.family == SegmentFamily::kRows;
    (rows ? outcome_.invocations : outcome_.details) += info.rows;
    outcome_.bytes_reclaimed += info.bytes;
    if (info.state == SegmentState::kAdopted) outcome_.unlinks.push_back(info.path);
  }

  // Somebody's file, of their name and in their place: said before it is done.
  void announce(const SegmentInfo& info) {
    std::fprintf(
        stderr, "phlower-purge: THE ORIGINAL FILE %s WILL BE UNLINKED (about %s rows, %s)\n",
        info.path.c_str(), format_count(info.rows).c_str(), format_bytes(info.bytes).c_str());
  }

  // Rows of a segment that stays, as many as a steady stream would have put before the cutoff.
  std::uint64_t older_rows(const SegmentInfo& info) {
    const std::int64_t cutoff = now_us() - lifetime_us(options_.retention, info.family);
    const std::int64_t newest = newest_time(info);
    if (options_.retention.keep_forever || info.rows == 0 || info.oldest_us > cutoff) return 0;
    if (newest <= cutoff) return info.rows;  // one that is still written
    const double share = static_cast<double>(cutoff - info.oldest_us + 1) /
                         static_cast<double>(newest - info.oldest_us + 1);
    return static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(info.rows)));
  }

  // What the command line leaves open is as the engine of this folder was told.
  Status take_retention() {
    if (options_.rows_given && options_.details_given) return Status();
    auto catalog = Catalog::open(options_.target, false);
    if (!catalog.ok()) return catalog.status();
    const auto told = load_retention(catalog->db());
    if (!told.ok()) return told.status();
    RetentionOptions& retention = options_.retention;
    if (!options_.rows_given && told->keep_forever && options_.details_given) {
      return Status(Code::kInvalidArgument, options_.target +
                                                ": its engine keeps rows for ever; give "
                                                "--invocations-older-than too");
    }
    if (!options_.rows_given) {
      retention.invocations = told->invocations;
      retention.keep_forever = told->keep_forever;
    }
    if (!options_.details_given) retention.details = told->details;
    retention.details = std::min(retention.details, retention.invocations);
    if (retention.keep_forever && !options_.verify && !options_.rescue) {
      outcome_.notes.push_back(options_.target +
                               ": its engine keeps everything for ever; nothing expires");
    }
    return Status();
  }

  Status dry_run() {
    outcome_.dry_run = true;
    auto catalog = Catalog::open(options_.target, false);
    if (!catalog.ok()) return catalog.status();
    for (const SegmentInfo& info : catalog->segments()) {
      const bool going =
          info.state == SegmentState::kExpiring || has_expired(info, options_.retention, now_us());
      if (going) count(info);
      if (!going && info.readable()) outcome_.rows_sharing += older_rows(info);
    }
    outcome_.done = true;
    return Status();
  }

  // -- Purge --------------------------------------------------------------------------------------
  Status purge() {
    SegmentOptions segments{options_.store, options_.retention, {}};
    segments.disk.cap_bytes = ~0ull;
    segments.disk.cap_percent = 100;
    segments.store.adopt.clear();
    segments.store.helper_thread = false;
    auto store = SegmentedStore::open(segments, clock_);
    if (store.ok()) return purge_alone(**store);
    if (store.status().code() != Code::kBusy) return store.status();
    return purge_beside_engine();
  }

  // Nobody has the folder: what is written is sealed too where its span is over.
  Status purge_alone(SegmentedStore& store) {
    std::vector<SegmentInfo> before = store.segments().catalog().segments();
    for (const SegmentInfo& info : before) {
      const bool going = has_expired(info, options_.retention, now_us());
      if (info.state == SegmentState::kAdopted && going) announce(info);
    }
    for (int quiet = 0; quiet < 3 && !out_of_time();) {
      const auto done = store.tend(clock_.mono());
      if (!done.ok()) return done.status();
      const bool busy = done->changed > 0 || store.segments().upkeep_waits() ||
                        store.segments().backlog_rows() > 0;
      quiet = busy ? 0 : quiet + 1;
      if (!busy || done->changed == 0) std::this_thread::sleep_for(Milliseconds(busy ? 1 : 25));
    }
    for (const SegmentInfo& info : before) {
      const bool kept = store.segments().catalog().find(info.seq) != nullptr;
      if (!kept && info.state != SegmentState::kSpare) count(info);
    }
    outcome_.done = outcome_.failure.empty();
    return Status();
  }

  // The engine keeps writing, and sealing; closed segments may go without it.
  Status purge_beside_engine() {
    auto catalog = Catalog::open(options_.target, true);
    if (!catalog.ok()) return catalog.status();
    std::vector<SegmentInfo> going;
    if (Status status = expire(*catalog, going); !status.ok()) return status;
    for (const SegmentInfo& info : going) {
      if (info.state != SegmentState::kAdopted) continue;
      announce(info);
      outcome_.unlinks.push_back(info.path);
    }
    if (Status status = remove_beside_engine(*catalog, going); !status.ok()) return status;
    if (!outcome_.failure.empty()) return Status();
    if (outcome_.notes.empty()) {
      outcome_.notes.emplace_back(
          "an engine has this folder: rows in segments that it still writes go with these");
    }
    outcome_.done = true;
    return Status();
  }

  // As long as the engine is quicker there are others.
  Status expire(Catalog& catalog, std::vector<SegmentInfo>& going) {
    for (;; going.clear()) {
      std::vector<SegmentEdit> edits;
      for (const SegmentInfo& info : catalog.segments()) {
        if (!has_expired(info, options_.retention, now_us())) continue;
        going.push_back(info);
        edits.push_back({Move::kExpire, info});
      }
      const Status status = edits.empty() ? Status() : catalog.apply(edits);
      if (status.code() != Code::kReload) return status;
    }
  }

  static Status finish(KeeperJob& job) {
    for (;;) {
      const auto done = job.step();
      if (!done.ok() || *done) return done.status();
    }
  }

  // Those that are being read are waited for.
  Status remove_beside_engine(Catalog& catalog, std::vector<SegmentInfo> going) {
    while (!going.empty()) {
      std::vector<RemoveJob::File> files;
      files.reserve(going.size());
      for (const SegmentInfo& info : going) {
        files.push_back({info.seq, catalog.path_of(info), false});
      }
      RemoveJob job(std::move(files), SegmentSet::pin_file(options_.target));
      if (Status status = finish(job); !status.ok()) return status;
      FreeJob space(std::move(job.remains));
      if (Status status = finish(space); !status.ok()) return status;
      std::vector<SegmentInfo> left;
      std::vector<std::int64_t> gone;
      for (std::size_t i = 0; i < going.size(); ++i) {
        const Status removed = job.result(i);
        if (!removed.ok() && removed.code() != Code::kBusy) return removed;
        if (removed.ok()) {
          gone.push_back(going[i].seq);
          count(going[i]);
        } else {
          left.push_back(going[i]);
        }
      }
      if (Status status = catalog.forget(gone); !status.ok()) return status;
      going = std::move(left);
      if (!going.empty() && out_of_time()) return Status();
      if (!going.empty()) std::this_thread::sleep_for(Milliseconds(20));
    }
    return Status();
  }

  // -- Verify -------------------------------------------------------------------------------------
  Status verify() {
    outcome_.verify = true;
    auto catalog = Catalog::open(options_.target, false);
    if (!catalog.ok()) return catalog.status();
    const std::vector<SegmentInfo> segments = catalog->segments();  // a copy: it changes below
    for (const SegmentInfo& info : segments) {
      if (!info.readable()) continue;
      if (out_of_time()) return Status();
      Status status = verify_segment(*catalog, info);
      ++outcome_.segments;
      // It may have been sealed, or gone, while it was read.
      if (status.ok() || has_changed_meanwhile(*catalog, info)) continue;
      const Code code = status.code();
      if (code != Code::kCorrupt && code != Code::kNotFound && code != Code::kNotOurs)
        return status;
      ++outcome_.damaged;
      std::fprintf(stderr, "phlower-purge: %s\n", std::string(status.message()).c_str());
      status = set_aside(info);
      if (status.code() == Code::kPermission) {
        outcome_.notes.emplace_back("they stay where they are: " + std::string(status.message()));
      } else if (!status.ok()) {
        return status;
      }
    }
    outcome_.done = outcome_.damaged == 0;
    if (outcome_.damaged > 0) {
      outcome_.failure = outcome_.notes.empty()
                             ? "damaged segments were set aside; their files are in quarantine/"
                             : "there are damaged segments";
    }
    return Status();
  }

  // What an engine writes at this moment is left to it. Errors: kPermission.
  Status set_aside(const SegmentInfo& info) {
    auto catalog = Catalog::open(options_.target, true);
    if (!catalog.ok()) return catalog.status();
    auto lock = open_pins(SegmentSet::pin_file(options_.target));
    if (!lock.ok()) return lock.status();
    const bool engine = (*lock)->try_lock(SegmentSet::kEngineByte).code() == Code::kBusy;
    if (engine && info.open_for_writing()) {
      outcome_.notes.emplace_back(
          "an engine writes a damaged segment; it stops, and sets it aside at its start");
      return Status();
    }
    return set_segment_aside(*catalog, info);
  }

  static bool has_changed_meanwhile(Catalog& catalog, const SegmentInfo& info) {
    const auto changed = catalog.changed();
    if (!changed.ok() || !*changed || !catalog.load().ok()) return false;
    const SegmentInfo* now = catalog.find(info.seq);
    return now == nullptr || now->state != info.state;
  }

  // -- Rescue -------------------------------------------------------------------------------------
  // Again after a stop: rows that were copied are met as themselves.
  Status rescue() {
    if (options_.dry_run) return rescue_plan();
    SegmentOptions segments{options_.store, options_.retention, {}};
    segments.store.adopt.clear();
    auto opened = SegmentedStore::open(segments, clock_);
    if (!opened.ok()) return opened.status();
    SegmentedStore& store = **opened;
    std::vector<SegmentInfo> adopted;
    for (const SegmentInfo& info : store.segments().catalog().segments()) {
      if (info.state == SegmentState::kAdopted) adopted.push_back(info);
    }
    if (adopted.empty()) {
      return Status(Code::kNotFound, options_.target + ": has no adopted file");
    }
    for (const SegmentInfo& info : adopted) {
      if (!options_.common.quiet) announce(info);
      if (Status status = copy_newest(store, info); !status.ok()) return status;
      if (!outcome_.failure.empty()) return Status();
      if (Status status = store.segments().let_go({info.seq}, true); !status.ok()) return status;
      count(info);
    }
    for (int quiet = 0; quiet < 20 && !out_of_time();) {
      const auto done = store.tend(clock_.mono());
      if (!done.ok()) return done.status();
      quiet = store.segments().upkeep_waits() ? 0 : quiet + 1;
      std::this_thread::sleep_for(Milliseconds(5));
    }
    outcome_.done = outcome_.failure.empty();
    return Status();
  }

  // What a rescue would copy and unlink; reads the newest hours.
  Status rescue_plan() {
    outcome_.dry_run = true;
    auto catalog = Catalog::open(options_.target, false);
    if (!catalog.ok()) return catalog.status();
    for (const SegmentInfo& info : catalog->segments()) {
      if (info.state != SegmentState::kAdopted) continue;
      auto file = AdoptedFile::open(info.path);
      if (!file.ok()) return file.status();
      for (const auto& source : (*file)->sources()) {
        StopCheck never;
        auto stream = source->stream(newest(), never);
        if (!stream.ok()) return stream.status();
        for (bool more = true; more && !out_of_time();) {
          FoundRow row;
          const auto found = (*stream)->next(row);
          if (!found.ok()) return found.status();
          more = *found;
          outcome_.rescued += more ? 1 : 0;
        }
      }
      count(info);
    }
    if (outcome_.unlinks.empty()) {
      return Status(Code::kNotFound, options_.target + ": has no adopted file");
    }
    outcome_.done = outcome_.failure.empty();
    return Status();
  }

  Query newest() {
    Query query;
    query.from_us = now_us() - options_.rescue->count() * kUsPerHour;
    return query;
  }

  Status copy_newest(SegmentedStore& store, const SegmentInfo& info) {
    auto file = AdoptedFile::open(info.path);
    if (!file.ok()) return file.status();
    for (const auto& source : (*file)->sources()) {
      StopCheck never;
      auto stream = source->stream(newest(), never);
      if (!stream.ok()) return stream.status();
      for (bool more = true; more && !out_of_time();) {
        Status status = copy_slice(store, *source, **stream, more);
        if (!status.ok()) return status;
      }
    }
    return Status();
  }

  Status copy_slice(SegmentedStore& store, FamilySource& source, RowStream& stream, bool& more) {
    constexpr int kRows = 500;
    Status status = store.begin();
    for (int i = 0; status.ok() && i < kRows && more; ++i) {
      FoundRow row;
      const auto found = stream.next(row);
      status = found.status();
      more = found.ok() && *found;
      if (!more) break;
      status = source.add_details(row);
      if (status.ok()) status = store.upsert(row.record.view());
      if (status.code() == Code::kInvalidArgument) status = Status();  // no row can hold it
      ++outcome_.rescued;
    }
    if (status.ok()) status = store.commit();
    store.rollback();
    if (status.ok() && store.wal_bytes() > options_.store.wal_soft_bytes) {
      status = store.checkpoint().status();
    }
    if (status.ok() && store.tend_due(clock_.mono())) status = store.tend(clock_.mono()).status();
    return status;
  }

  PurgeOptions options_;
  Clock& clock_;
  PurgeOutcome& outcome_;
  MonoTime begin_;
};

}  // namespace phlower::tools
