// The segments of one family that take rows: which one a row belongs to, and which comes next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "phlower/segment/carry_positions.hpp"
#include "phlower/segment/details_writer.hpp"
#include "phlower/segment/folder.hpp"
#include "phlower/segment/open_segment.hpp"
#include "phlower/segment/rotation.hpp"
#include "phlower/segment/rows_writer.hpp"

namespace phlower {

namespace writers_detail {

inline constexpr Nanoseconds kLateIdle = Seconds(30);  // a late segment is closed after this

/// The file itself is bad, and not what it stands on.
constexpr bool is_damage(Code code) noexcept {
  return code == Code::kCorrupt || code == Code::kNotOurs || code == Code::kNotFound;
}

}  // namespace writers_detail

/// `Writer`: RowsWriter or DetailsWriter. Not thread safe. Blocks: on disk; a late segment is made
/// when the first record for it comes.
template <class Writer>
class Writers {
 public:
  static constexpr SegmentFamily kFamily =
      std::is_same_v<Writer, RowsWriter> ? SegmentFamily::kRows : SegmentFamily::kDetails;
  /// At most so many earlier spans take rows at the same time.
  static constexpr std::size_t kLateMax = 3;

  /// `folder` outlives this.
  explicit Writers(Folder& folder) : folder_(folder) {}

  /// Takes up what was written when the last engine ended, and makes what is missing. Before all
  /// else. Errors: of the disk and of SQLite.
  Status start();

  OpenSegment<Writer>& active() noexcept { return active_; }
  std::vector<OpenSegment<Writer>>& late() noexcept { return late_; }
  template <class Visit>
  void each(Visit&& visit) {
    if (active_.writer) visit(active_);
    for (auto& open : late_) visit(open);
  }

  /// Who takes a row of this time.
  Result<Writer*> route(std::int64_t at_us);

  /// What a step of the upkeep did, and whether it cannot go on without a spare.
  struct Tended {
    bool changed = false;
    bool wants_spare = false;
  };
  /// Closes what is full or over, one segment a step.
  Result<Tended> tend(MonoTime now);

 private:
  std::uint64_t cache_bytes(bool active) const {
    // What is read rarely gets little.
    const std::uint64_t whole = folder_.options().store.cache_bytes;
    return !active ? whole / 32 : kFamily == SegmentFamily::kRows ? whole / 2 : whole / 8;
  }
  std::int64_t span_us() const { return phlower::span_us(folder_.options().retention, kFamily); }
  bool writes(std::int64_t seq) {
    bool found = false;
    each([&](auto& open) { found = found || open.seq() == seq; });
    return found;
  }

  Result<OpenSegment<Writer>> open(const SegmentInfo& info, bool active);
  Result<std::unique_ptr<Writer>> open_spare(const SegmentInfo& spare);
  Status activate(std::unique_ptr<Writer> writer, const SegmentInfo& spare, bool old_stays_late);
  Result<SegmentInfo> make();
  Result<SegmentInfo> spare_for_late();
  Result<OpenSegment<Writer>*> open_late(std::int64_t at_us);
  Status close_late(std::size_t at);
  Result<Tended> rotate(SegmentInfo spare, bool old_stays_late);
  Status take_span_of(std::int64_t wall_us);
  Result<bool> tend_late(std::int64_t wall_us, MonoTime now);

  Folder& folder_;
  OpenSegment<Writer> active_;
  std::vector<OpenSegment<Writer>> late_;
};

// -- Opening ------------------------------------------------------------------------------------

template <class Writer>
Status Writers<Writer>::start() {
  const std::vector<SegmentInfo> known = folder_.catalog().segments();  // a copy: it changes below
  for (const SegmentInfo& info : known) {
    if (info.family != kFamily || !info.open_for_writing()) continue;
    // A crash in the middle of a rotation cannot leave two that write: the catalog changes at once.
    const bool active = info.state == SegmentState::kWriting && !active_.writer;
    auto opened = open(info, active);
    if (opened.ok() && active) {
      active_ = *std::move(opened);
    } else if (opened.ok()) {
      late_.push_back(*std::move(opened));
    } else if (!writers_detail::is_damage(opened.status().code())) {
      return opened.status();
    } else if (Status aside = folder_.set_aside(info.seq, opened.status()); !aside.ok()) {
      return aside;
    }
  }
  while (!active_.writer) {
    const SegmentInfo* ready = spare_of(folder_.catalog().segments(), kFamily);
    const bool is_new = ready == nullptr;
    const auto spare = is_new ? make() : Result<SegmentInfo>(*ready);
    if (!spare.ok()) return spare.status();
    auto writer = open_spare(*spare);
    if (!writer.ok()) return writer.status();
    if (*writer == nullptr && is_new) {
      return Status(Code::kCorrupt, folder_.catalog().path_of(*spare) +
                                        ": was made just now and cannot be read; look at the disk");
    }
    if (*writer == nullptr) continue;
    Status status = activate(*std::move(writer), *spare, false);
    if (!status.ok()) return status;
  }
  return Status();
}

template <class Writer>
Result<OpenSegment<Writer>> Writers<Writer>::open(const SegmentInfo& info, bool active) {
  auto writer = Writer::open(folder_.catalog().path_of(info), info.seq, folder_.options().store,
                             cache_bytes(active));
  if (!writer.ok()) return writer.status();
  return OpenSegment<Writer>{*std::move(writer), info.from_us, info.until_us,
                             folder_.clock().mono(), false};
}

// Null: it is damaged, and out of the way by now.
template <class Writer>
Result<std::unique_ptr<Writer>> Writers<Writer>::open_spare(const SegmentInfo& spare) {
  auto opened = open(spare, true);
  if (opened.ok()) return std::move(opened->writer);
  if (!writers_detail::is_damage(opened.status().code())) return opened.status();
  Status aside = folder_.set_aside(spare.seq, opened.status());
  return aside.ok() ? Result<std::unique_ptr<Writer>>(nullptr) : aside;
}

template <class Writer>
Result<SegmentInfo> Writers<Writer>::make() {
  Catalog& catalog = folder_.catalog();
  SegmentInfo info;
  info.seq = catalog.next_seq();
  info.family = kFamily;
  const std::string path = catalog.path_of(info);
  Status status = segment_file::create(path, kFamily, folder_.now_us());
  if (status.ok()) status = folder_.apply({Move::kMake, info});
  if (status.ok()) return *catalog.find(info.seq);
  ::unlink(path.c_str());  // a full disk would be fuller after each try
  catalog.raise_next_seq(info.seq);
  return status;
}

template <class Writer>
Status Writers<Writer>::activate(std::unique_ptr<Writer> writer, const SegmentInfo& spare,
                                 bool old_stays_late) {
  if constexpr (kFamily == SegmentFamily::kRows) {
    if (active_.writer) {
      Status carried = carry_positions(*active_.writer, *writer);
      if (!carried.ok()) return carried;
    }
  }
  SegmentInfo next = spare;
  next.from_us = span_begin(folder_.now_us(), span_us());
  next.until_us = next.from_us + span_us();
  std::vector<SegmentEdit> edits{{Move::kActivate, next}};
  if (active_.writer) {
    SegmentInfo old = *folder_.catalog().find(active_.seq());
    old.rows = active_.writer->rows();
    old.closed_us = folder_.now_us();
    edits.push_back({old_stays_late ? Move::kKeepForLate : Move::kClose, old});
  }
  if (Status status = folder_.apply(edits); !status.ok()) return status;
  if (active_.writer && old_stays_late) {
    late_.push_back(std::move(active_));
  } else if (active_.writer) {
    folder_.about_to_close(active_.seq());
    active_.writer->file().leave_log();
    active_.writer.reset();
  }
  active_ = {std::move(writer), next.from_us, next.until_us, folder_.clock().mono(), false};
  return Status();
}

// -- Where a row belongs ------------------------------------------------------------------------

template <class Writer>
Result<Writer*> Writers<Writer>::route(std::int64_t at_us) {
  OpenSegment<Writer>* open = &active_;
  if (at_us < active_.from_us) {
    const auto holds = [at_us](const auto& late) {
      return at_us >= late.from_us && at_us < late.until_us;
    };
    const auto late = std::find_if(late_.begin(), late_.end(), holds);
    auto found = late != late_.end() ? Result<OpenSegment<Writer>*>(&*late) : open_late(at_us);
    if (!found.ok()) return found.status();
    open = *found;
    if (kFamily == SegmentFamily::kRows && open != &active_) ++folder_.totals().late;
  }
  open->used = folder_.clock().mono_coarse();
  return open->writer.get();
}

// Where there are late ones enough, the next younger takes the row: it will stay a little longer
// on the disk than it should, and not a moment longer in what is read.
template <class Writer>
Result<OpenSegment<Writer>*> Writers<Writer>::open_late(std::int64_t at_us) {
  if (late_.size() >= kLateMax) {
    OpenSegment<Writer>* best = &active_;
    for (auto& open : late_) {
      if (open.from_us > at_us && open.from_us < best->from_us) best = &open;
    }
    return best;
  }
  Status failed;
  for (int tries = 0; tries < 2; ++tries) {  // one may be damaged
    const auto spare = spare_for_late();
    if (!spare.ok()) return spare.status();
    SegmentInfo info = *spare;
    const Move move = info.state == SegmentState::kLate ? Move::kSpanAgain : Move::kTakeLate;
    info.from_us = span_begin(at_us, span_us());
    info.until_us = std::min(info.from_us + span_us(), active_.from_us);
    if (Status status = folder_.apply({move, info}); !status.ok()) return status;
    auto opened = open(info, false);
    if (opened.ok()) {
      late_.push_back(*std::move(opened));
      return &late_.back();
    }
    failed = opened.status();
    if (!writers_detail::is_damage(failed.code())) break;
    if (Status aside = folder_.set_aside(info.seq, failed); !aside.ok()) return aside;
  }
  return failed;
}

// One that an earlier try made and could not open, or a new one.
template <class Writer>
Result<SegmentInfo> Writers<Writer>::spare_for_late() {
  for (const SegmentInfo& info : folder_.catalog().segments()) {
    const bool late = info.state == SegmentState::kLate && info.family == kFamily;
    if (late && !writes(info.seq)) return info;
  }
  return make();
}

// -- Rotation -----------------------------------------------------------------------------------

template <class Writer>
Result<typename Writers<Writer>::Tended> Writers<Writer>::tend(MonoTime now) {
  const StoreOptions& options = folder_.options().store;
  const WrittenSegment figures = active_.figures();
  const std::int64_t wall_us = folder_.now_us();
  // The clock went back: its span may be years ahead.
  const bool ahead = wall_us < active_.from_us - span_us();
  Complete why = completeness(figures, options, wall_us);
  if (ahead && figures.rows > 0) why = Complete::kTime;
  if (why == Complete::kNo && (ahead || wall_us >= active_.until_us)) {
    Status taken = take_span_of(wall_us);
    return taken.ok() ? Result<Tended>(Tended{true, false}) : taken;
  }
  const auto closed = tend_late(wall_us, now);
  if (!closed.ok()) return closed.status();
  if (*closed) return Tended{true, false};
  const SegmentInfo* spare = spare_of(folder_.catalog().segments(), kFamily);
  if (spare == nullptr)
    return Tended{false, why != Complete::kNo || is_nearly_complete(figures, options, wall_us)};
  if (why == Complete::kNo) return Tended{};
  // What still comes for a span that has just ended should find it.
  return rotate(*spare, why == Complete::kTime);
}

template <class Writer>
Result<typename Writers<Writer>::Tended> Writers<Writer>::rotate(SegmentInfo spare,
                                                                 bool old_stays_late) {
  auto writer = open_spare(spare);
  if (!writer.ok()) return writer.status();
  Status status;
  if (*writer != nullptr) status = activate(*std::move(writer), spare, old_stays_late);
  return status.ok() ? Result<Tended>(Tended{true, false}) : status;
}

// Nothing came in its span.
template <class Writer>
Status Writers<Writer>::take_span_of(std::int64_t wall_us) {
  SegmentInfo info = *folder_.catalog().find(active_.seq());
  info.from_us = span_begin(wall_us, span_us());
  info.until_us = info.from_us + span_us();
  if (Status status = folder_.apply({Move::kSpanAgain, info}); !status.ok()) return status;
  active_.from_us = info.from_us;
  active_.until_us = info.until_us;
  return Status();
}

template <class Writer>
Result<bool> Writers<Writer>::tend_late(std::int64_t wall_us, MonoTime now) {
  for (std::size_t i = 0; i < late_.size(); ++i) {
    WrittenSegment figures = late_[i].figures();
    figures.until_us = std::numeric_limits<std::int64_t>::max();  // its span is over anyway
    const bool full = completeness(figures, folder_.options().store, wall_us) != Complete::kNo;
    if (!full && now - late_[i].used < writers_detail::kLateIdle) continue;
    Status closed = close_late(i);
    return closed.ok() ? Result<bool>(true) : closed;
  }
  return false;
}

template <class Writer>
Status Writers<Writer>::close_late(std::size_t at) {
  SegmentInfo info = *folder_.catalog().find(late_[at].seq());
  info.rows = late_[at].writer->rows();
  info.closed_us = folder_.now_us();
  if (Status status = folder_.apply({Move::kClose, info}); !status.ok()) return status;
  folder_.about_to_close(info.seq);
  late_[at].writer->file().leave_log();
  late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(at));
  return Status();
}

}  // namespace phlower
