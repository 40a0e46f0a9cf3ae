// For an adopted file that is too large to wait for: its newest hours are copied into segments,
// then the original file is unlinked. No engine may have the folder meanwhile.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "phlower/door/folder_plan.hpp"
#include "phlower/door/folder_purge.hpp"
#include "phlower/segment/adopt.hpp"
#include "phlower/segment/segmented_store.hpp"

namespace phlower {

/// One run over one folder. Again after a stop: rows that were copied are met as themselves. Not
/// thread safe. Blocks: until all is done or stopped; the pace tells.
class FolderRescue {
 public:
  FolderRescue(Hours newest, const MaintenanceOptions& options, FolderPlan& plan, Pace& pace,
               MaintenanceReport& report)
      : newest_(newest), options_(options), plan_(plan), pace_(pace), report_(report) {}

  /// Errors: kNotFound where nothing was adopted, kBusy while an engine has the folder.
  Status run() {
    auto opened =
        SegmentedStore::open(maintenance_segments(options_, plan_.retention()), pace_.clock());
    if (!opened.ok()) return opened.status();
    SegmentedStore& store = **opened;
    const auto adopted = adopted_of(store.segments().catalog());
    if (!adopted.ok()) return adopted.status();
    for (const SegmentInfo& info : *adopted) {
      plan_.announce(info);
      if (Status status = copy_newest(store, info); !status.ok()) return status;
      if (pace_.over()) return Status();
      if (Status status = store.segments().let_go({info.seq}, true); !status.ok()) return status;
      plan_.count(info);
    }
    for (int quiet = 0; quiet < 20 && !pace_.over();) {
      const auto done = store.tend(pace_.clock().mono());
      if (!done.ok()) return done.status();
      quiet = store.segments().upkeep_waits() ? 0 : quiet + 1;
      pace_.pause(Milliseconds(5));
    }
    report_.done = pace_.end() == MaintenanceEnd::kDone;
    return Status();
  }

  /// What a rescue would copy and unlink; reads the newest hours.
  Status dry_run() {
    auto catalog = Catalog::open(options_.path, false);
    if (!catalog.ok()) return catalog.status();
    const auto adopted = adopted_of(*catalog);
    if (!adopted.ok()) return adopted.status();
    for (const SegmentInfo& info : *adopted) {
      Status status = each_stream(info, [this](FamilySource&, RowStream& stream, bool& more) {
        FoundRow row;
        const auto found = stream.next(row);
        more = found.ok() && *found;
        report_.rescued += more && is_wanted(row) ? 1 : 0;
        return found.status();
      });
      if (!status.ok()) return status;
      plan_.count(info);
    }
    report_.done = pace_.end() == MaintenanceEnd::kDone;
    return Status();
  }

 private:
  Result<std::vector<SegmentInfo>> adopted_of(const Catalog& catalog) const {
    std::vector<SegmentInfo> adopted;
    for (const SegmentInfo& info : catalog.segments()) {
      if (info.state == SegmentState::kAdopted) adopted.push_back(info);
    }
    if (!adopted.empty()) return adopted;
    return Status(Code::kNotFound, options_.path + ": has no adopted file");
  }

  std::int64_t from_us() const { return plan_.now_us() - newest_.count() * kUsPerHour; }

  // What is not certainly older: also rows without a time, or with one that is not understood.
  bool is_wanted(const FoundRow& row) const {
    return row.at_us == 0 || std::max(row.at_us, row.latest_us) >= from_us();
  }

  // Calls `take` with each table of the file until it says that there is no more.
  template <class Take>
  Status each_stream(const SegmentInfo& info, Take&& take) {
    auto file = AdoptedFile::open(info.path);
    if (!file.ok()) return file.status();
    Query query;
    query.from_us = from_us() - to_us(kDateMargin);
    for (const auto& source : (*file)->sources()) {
      StopCheck never;
      auto stream = source->stream(query, never);
      if (!stream.ok()) return stream.status();
      for (bool more = true; more && !pace_.over();) {
        if (Status status = take(*source, **stream, more); !status.ok()) return status;
      }
    }
    return Status();
  }

  Status copy_newest(SegmentedStore& store, const SegmentInfo& info) {
    return each_stream(info, [&](FamilySource& source, RowStream& stream, bool& more) {
      return copy_slice(store, source, stream, more);
    });
  }

  Status copy_slice(SegmentedStore& store, FamilySource& source, RowStream& stream, bool& more) {
    constexpr int kRowsASlice = 500;
    Status status = store.begin();
    for (int i = 0; status.ok() && i < kRowsASlice && more; ++i) {
      FoundRow row;
      const auto found = stream.next(row);
      status = found.status();
      more = found.ok() && *found;
      if (!more) break;
      if (!is_wanted(row)) continue;
      status = source.add_details(row);
      // A row that cannot be copied keeps the file.
      if (status.ok()) status = store.upsert(row.record.view()).status();
      report_.rescued += status.ok() ? 1 : 0;
    }
    if (status.ok()) status = store.commit();
    store.rollback();
    if (status.ok() && store.wal_bytes() > options_.store.wal_soft_bytes) {
      status = store.checkpoint().status();
    }
    const MonoTime now = pace_.clock().mono();
    if (status.ok() && store.tend_due(now)) status = store.tend(now).status();
    return status;
  }

  const Hours newest_;
  const MaintenanceOptions& options_;
  FolderPlan& plan_;
  Pace& pace_;
  MaintenanceReport& report_;
};

}  // namespace phlower
