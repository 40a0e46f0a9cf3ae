// Opening a data folder, whatever the last engine left; making segments and finding the one that a
// row belongs to. Bodies of class SegmentSet; included by segment_set.hpp alone.
#pragma once

#include "phlower/segment/segment_set.hpp"

namespace phlower {

inline Result<std::unique_ptr<SegmentSet>> SegmentSet::open(const SegmentOptions& options,
                                                            Clock& clock, Log log) {
  std::unique_ptr<SegmentSet> set(new SegmentSet(options, clock, std::move(log)));
  if (Status status = set->start(); !status.ok()) return status;
  return set;
}

inline Status SegmentSet::start() {
  const std::string& folder = options_.store.path;
  std::error_code error;
  if (std::filesystem::is_regular_file(folder, error)) {
    return Status(Code::kNotOurs,
                  folder +
                      ": a file; the layout `segmented` keeps its history in a folder. "
                      "store.adopt takes a file over, store.layout: single goes on with it");
  }
  if (Status made = make_folder(folder); !made.ok()) return made;
  if (Status status = lock_folder(); !status.ok()) return status;
  auto catalog = Catalog::open(folder, true);
  if (!catalog.ok()) return catalog.status();
  catalog_.emplace(*std::move(catalog));
  if (Status status = look_for_strangers(); !status.ok()) return status;
  const std::vector<SegmentInfo> known = catalog_->segments();  // a copy: it changes below
  for (const SegmentInfo& info : known) {
    if (Status status = take_up(info); !status.ok()) return status;
  }
  if (Status status = adopt(); !status.ok()) return status;
  if (Status status = make_active(details_, SegmentFamily::kDetails); !status.ok()) return status;
  if (Status status = make_active(rows_, SegmentFamily::kRows); !status.ok()) return status;
  measure_disk();
  return Status();
}

// Once: a file that was adopted and has gone with its retention is not missed.
inline Status SegmentSet::adopt() {
  if (options_.store.adopt.empty()) return Status();
  const std::string path = real_path(options_.store.adopt);
  const std::string key = "adopted:" + path;
  const auto before = segment_file::fact(catalog_->db(), key, 0);
  if (!before.ok()) return before.status();
  for (const SegmentInfo& info : catalog_->segments()) {
    if (!info.path.empty() && real_path(info.path) == path) return tell_forecast(info, false);
  }
  if (*before != 0 && ::access(path.c_str(), F_OK) != 0) return Status();
  auto info = look_to_adopt(path, now_us());
  if (!info.ok()) return info.status().with_context("store.adopt");
  info->seq = catalog_->next_seq();
  if (Status status = catalog_->apply({Move::kAdopt, *info}); !status.ok()) return status;
  closed_here_.insert(info->seq);
  auto set = catalog_->db().prepare(segment_file::kSetFact);
  if (!set.ok()) return set.status();
  if (Status status = segment_file::set_fact(*set, key, info->seq); !status.ok()) return status;
  ++generation_;
  return tell_forecast(*info, true);
}

inline Status SegmentSet::tell_forecast(const SegmentInfo& info, bool first) {
  struct ::statvfs disk {};
  ::statvfs(options_.store.path.c_str(), &disk);
  const std::uint64_t room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const auto ahead = forecast(info, lifetime_us(options_.retention, SegmentFamily::kRows), room,
                              bytes_per_hour(info), now_us());
  const std::string what =
      info.path + ": adopted" + (first ? "" : " before") + ", about " + std::to_string(info.rows) +
      " rows, " + std::string(format_bytes(info.bytes)) + "; " +
      (options_.retention.keep_forever
           ? "it stays as long as everything is kept for ever"
           : "THE ORIGINAL FILE WILL BE UNLINKED at " +
                 text_of_minute(now_us() + static_cast<std::int64_t>(ahead.leaves_in_h * 3.6e9)) +
                 ", when its newest row is past the retention");
  first ? log_.warn("{}", what) : log_.info("{}", what);
  if (ahead.too_late() && !options_.retention.keep_forever) {
    log_.warn(
        "{} free: at the rate of {} the disk is full in {:.1f} h, before that; "
        "phlower-purge --rescue copies its newest hours and lets the rest go",
        format_bytes(room), info.path, ahead.full_in_h);
  }
  return Status();
}

inline Status SegmentSet::lock_folder() {
  auto lock = open_pins(pin_file(options_.store.path));
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  const Status alone = lock_->try_lock(kEngineByte);
  if (alone.code() != Code::kBusy) return alone;
  return Status(Code::kBusy, options_.store.path + ": another engine has this data folder");
}

// Files that look like segments and that the catalog does not know. A crash between making a file
// and entering it leaves an empty one, which goes; with rows in it, it is kept aside.
inline Status SegmentSet::look_for_strangers() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.store.path, error)) {
    names.push_back(entry.path().filename().string());
  }
  if (error) {
    return Status::from_errno("list " + options_.store.path, error.value());
  }
  Leftovers leftovers(*catalog_, log_);
  for (const std::string& name : names) {
    const auto cleared =
        leftovers.clear(name, [this](const SegmentInfo& info) { return is_going(info); });
    if (!cleared.ok()) return cleared.status();
    if (*cleared) continue;
    if (Status status = look_at_stranger(name); !status.ok()) return status;
  }
  // Numbers in quarantine are not used again either.
  for (const auto& entry :
       std::filesystem::directory_iterator(options_.store.path + "/quarantine", error)) {
    std::int64_t seq = 0;
    if (std::sscanf(entry.path().filename().c_str(), "%*3s-%ld.db", &seq) == 1) {
      catalog_->raise_next_seq(seq);
    }
  }
  return Status();
}

inline Status SegmentSet::look_at_stranger(const std::string& name) {
  const std::string path = options_.store.path + "/" + name;
  for (const SegmentFamily family : {SegmentFamily::kRows, SegmentFamily::kDetails}) {
    const std::string_view prefix = family_name(family);
    std::int64_t seq = 0;
    if (!name.starts_with(prefix) ||
        std::sscanf(name.c_str() + prefix.size(), "-%ld.db", &seq) != 1 || seq < 1) {
      continue;
    }
    const std::string file = segment_name(family, seq);
    if (name != file || catalog_->find(seq) != nullptr) continue;
    catalog_->raise_next_seq(seq);
    auto db = segment_file::open_for_reading(path, false, 1 << 16);
    const char* any =
        family == SegmentFamily::kRows ? "SELECT max(seq) FROM task" : "SELECT max(id) FROM block";
    const auto rows = db.ok() ? db->query_integer(any) : Result<std::int64_t>(db.status());
    if (rows.ok() && *rows == 0) {
      *db = sqlite::Connection();
      // Not used again though it leaves no trace; on a full disk it is.
      static_cast<void>(catalog_->save_next_seq());
      for (const char* side : {"", "-wal", "-shm"}) ::unlink((path + side).c_str());
      return Status();
    }
    log_.error("{}: a segment that the catalog does not know; moved to quarantine", path);
    return move_to_quarantine(path);
  }
  return Status();
}

inline Status SegmentSet::set_aside(std::int64_t seq, const Status& why) {
  const SegmentInfo* info = catalog_->find(seq);
  if (info == nullptr || !state_after(info->state, Move::kSetAside)) return Status();
  log_.error("segment {} is damaged and set aside in quarantine, {} rows: {}", seq, info->rows,
             why.message());
  if (Status status = set_segment_aside(*catalog_, *info); !status.ok()) return status;
  ++totals_.set_aside;
  ++generation_;
  return Status();
}

// Nobody would miss its rows.
inline bool SegmentSet::is_going(const SegmentInfo& info) const {
  return info.state == SegmentState::kExpiring || info.state == SegmentState::kSpare ||
         has_expired(info, options_.retention, now_us());
}

// Files that should be there and are not: gone with their retention, or somebody took them.
inline Status SegmentSet::check_present(const SegmentInfo& info) {
  const std::string path = catalog_->path_of(info);
  if (::access(path.c_str(), F_OK) == 0 || info.state == SegmentState::kSetAside) return Status();
  if (!is_going(info)) {
    log_.error("{}: this segment is missing; {} rows are lost", path, info.rows);
    ++totals_.set_aside;
  }
  const Status noted = catalog_->apply({Move::kMiss, info});
  return noted.code() == Code::kReload ? Status() : noted;  // whoever let it go has told already
}

inline Status SegmentSet::take_up(const SegmentInfo& info) {
  if (Status status = check_present(info); !status.ok()) return status;
  if (catalog_->find(info.seq) == nullptr) return Status();
  switch (info.state) {
    case SegmentState::kWriting:
    case SegmentState::kLate: {
      const Status opened = info.family == SegmentFamily::kRows ? open_segment(info, rows_)
                                                                : open_segment(info, details_);
      const Code code = opened.code();
      if (code != Code::kCorrupt && code != Code::kNotOurs) return opened;
      return set_aside(info.seq, opened);
    }
    case SegmentState::kSealing: post_seal(info); return Status();
    case SegmentState::kExpiring: return Status();  // `repost` sees to it
    default: return Status();
  }
}

template <class Writer>
Status SegmentSet::open_segment(const SegmentInfo& info, FamilyWriters<Writer>& family) {
  // A crash in the middle of a rotation cannot leave two that write: the catalog changes at once.
  const bool active = info.state == SegmentState::kWriting && !family.active.writer;
  auto writer = Writer::open(catalog_->path_of(info), info.seq, options_.store,
                             cache_of(info.family, active));
  if (!writer.ok()) return writer.status();
  OpenSegment<Writer> open{*std::move(writer), info.from_us, info.until_us, clock_.mono(), false};
  if (active) {
    family.active = std::move(open);
  } else {
    family.late.push_back(std::move(open));
  }
  ++generation_;
  return Status();
}

// One that an earlier try made and could not open, or a new one.
inline Result<SegmentInfo> SegmentSet::spare_for_late(SegmentFamily family) {
  for (const SegmentInfo& info : catalog_->segments()) {
    const bool idle =
        info.state == SegmentState::kLate && info.family == family && !writes(family, info.seq);
    if (idle) return info;
  }
  return make_segment(family);
}

inline bool SegmentSet::writes(SegmentFamily family, std::int64_t seq) {
  bool found = false;
  const auto look = [&](auto& open) { found = found || open.writer->file().seq() == seq; };
  family == SegmentFamily::kRows ? rows_.each(look) : details_.each(look);
  return found;
}

inline Result<SegmentInfo> SegmentSet::make_segment(SegmentFamily family) {
  SegmentInfo info;
  info.seq = catalog_->next_seq();
  info.family = family;
  const std::string path = catalog_->path_of(info);
  Status status = segment_file::create(path, family, now_us());
  if (status.ok()) status = catalog_->apply({Move::kMake, info});
  if (status.ok()) return *catalog_->find(info.seq);
  ::unlink(path.c_str());  // a full disk would be fuller after each try
  catalog_->raise_next_seq(info.seq);
  return status;
}

template <class Writer>
Status SegmentSet::make_active(FamilyWriters<Writer>& family, SegmentFamily kind) {
  if (family.active.writer) return Status();
  const SegmentInfo* spare = spare_of(kind);
  if (spare != nullptr) return activate(family, SegmentInfo(*spare), false);
  auto made = make_segment(kind);
  if (!made.ok()) return made.status();
  return activate(family, *made, false);
}

// All positions of all rings, in the new file's first transaction.
inline Status SegmentSet::carry_positions(RowsWriter& from, RowsWriter& to) {
  auto select =
      from.file().db().prepare("SELECT ring FROM ring_chunk UNION SELECT ring FROM ring_lane");
  if (!select.ok()) return select.status();
  Status status = to.begin();
  // A rotation that failed after this has left older ones.
  if (status.ok()) {
    status = to.file().db().exec("DELETE FROM ring_chunk; DELETE FROM ring_lane");
  }
  while (status.ok()) {
    const auto row = select->step();
    if (!row.ok()) status = row.status();
    if (!row.ok() || !*row) break;
    RingId ring{};
    const std::string_view bytes = select->text(0);
    std::copy_n(bytes.begin(), std::min(bytes.size(), ring.size()), ring.begin());
    auto positions = from.load_positions(ring);
    status = positions.ok() ? to.save_positions(*positions) : positions.status();
  }
  if (status.ok()) return to.commit();
  to.rollback();
  return status;
}

template <class Writer>
Status SegmentSet::activate(FamilyWriters<Writer>& family, const SegmentInfo& spare,
                            bool old_stays_late) {
  const std::int64_t span = span_us(options_.retention, spare.family);
  auto writer = Writer::open(catalog_->path_of(spare), spare.seq, options_.store,
                             cache_of(spare.family, true));
  if (!writer.ok()) return writer.status();
  OpenSegment<Writer>& old = family.active;
  if constexpr (std::is_same_v<Writer, RowsWriter>) {
    if (old.writer) {
      if (Status status = carry_positions(*old.writer, **writer); !status.ok()) return status;
    }
  }
  SegmentInfo next = spare;
  next.from_us = span_begin(now_us(), span);
  next.until_us = next.from_us + span;
  std::vector<SegmentEdit> edits{{Move::kActivate, next}};
  SegmentInfo before;
  if (old.writer) {
    before = *catalog_->find(old.writer->file().seq());
    before.rows = old.writer->rows();
    before.closed_us = now_us();
    edits.push_back({old_stays_late ? Move::kKeepForLate : Move::kClose, before});
  }
  if (Status status = catalog_->apply(edits); !status.ok()) return status;
  if (old.writer && !old_stays_late) closed_here_.insert(before.seq);
  if (old.writer && old_stays_late) {
    family.late.push_back(std::move(old));
  } else if (old.writer) {
    if (on_close_) on_close_(old.writer->file().seq());
    old.writer->file().leave_log();
    old.writer.reset();
    post_seal(before);
  }
  old = {*std::move(writer), next.from_us, next.until_us, clock_.mono(), false};
  ++generation_;
  return Status();
}

// -- Where a row belongs ------------------------------------------------------------------------

template <class Writer>
Result<Writer*> SegmentSet::route(FamilyWriters<Writer>& family, SegmentFamily kind,
                                  std::int64_t at_us) {
  OpenSegment<Writer>* open = &family.active;
  if (at_us < family.active.from_us) {
    open = family.late_for(at_us);
    if (open == nullptr) {
      auto made = open_late(family, kind, at_us);
      if (!made.ok()) return made.status();
      open = *made;
    }
    if (kind == SegmentFamily::kRows && open != &family.active) ++totals_.late;
  }
  open->used = clock_.mono_coarse();
  return open->writer.get();
}

// Where there are late ones enough, the next younger takes the row: it will stay a little longer
// on the disk than it should, and not a moment longer in what is read.
template <class Writer>
Result<OpenSegment<Writer>*> SegmentSet::open_late(FamilyWriters<Writer>& family,
                                                   SegmentFamily kind, std::int64_t at_us) {
  if (family.late.size() >= kLateMax) {
    OpenSegment<Writer>* best = &family.active;
    for (auto& open : family.late) {
      if (open.from_us > at_us && open.from_us < best->from_us) best = &open;
    }
    return best;
  }
  auto made = spare_for_late(kind);
  if (!made.ok()) return made.status();
  const std::int64_t span = span_us(options_.retention, kind);
  SegmentInfo info = *made;
  const Move move = info.state == SegmentState::kLate ? Move::kSpanAgain : Move::kTakeLate;
  info.from_us = span_begin(at_us, span);
  info.until_us = std::min(info.from_us + span, family.active.from_us);
  if (Status status = catalog_->apply({move, info}); !status.ok()) return status;
  if (Status status = open_segment(info, family); !status.ok()) return status;
  return &family.late.back();
}

}  // namespace phlower
